"""Droplets with every firewall that acts on them, out of the lists the reader has. Pure.

A firewall acts on a droplet by its id or by one of its tags. What the vendor still works on is in
the firewall's `pending_changes`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from cloudsync.provider.contract import FirewallSpec
from cloudsync.provider.machines import (
    ActingFirewall,
    Fleet,
    Interface,
    Marked,
    ObservedMachine,
    StageRule,
    union_stage,
)
from cloudsync.provider.marker import Marker
from cloudsync.rules.networks import Family
from cloudsync_digitalocean.client import plain
from cloudsync_digitalocean.native import best_fit
from cloudsync_digitalocean.rules import UnknownRule, from_vendor, what
from cloudsync_digitalocean.settings import settings_of

Specs = Mapping[str, tuple[FirewallSpec, str]]
"""Each spec with the first part of its firewall's name, by the spec's name."""
_FULL_NAME = re.compile(r"(.+)\.([a-z][a-z0-9-]{0,19})\.([0-9a-f]{8})")
NOT_EVALUATED = (
    "load balancers and clusters in front of the droplets, and firewalls inside them, were not looked at",
    "reserved addresses are under the same firewalls and were not listed",
)


def fleet(
    firewalls: Mapping[str, Mapping[str, Any]],
    droplets: Mapping[int, Mapping[str, Any]],
    specs: Specs,
) -> Fleet:
    """All droplets the specs are about. Raises what a list of a strange shape raises."""
    owned = _owned(firewalls, specs)
    machines = [_machine(droplet, firewalls, owned, specs) for droplet in droplets.values()]
    missing = [
        f"the team has no droplet {plain(str(wanted))[:64]!r}, which the firewall {spec.name} names"
        for spec, _ in specs.values()
        for wanted in settings_of(spec).droplets
        if not any(_is(droplet, wanted) for droplet in droplets.values())
    ]
    unattached = {
        name
        for id_, name in owned.items()
        if not any(_acts(firewalls[id_], droplet) for droplet in droplets.values())
    }
    return Fleet(
        tuple(machine for machine in machines if machine.concerns),
        frozenset(unattached),
        (*missing, *NOT_EVALUATED),
    )


def marked(
    firewalls: Mapping[str, Mapping[str, Any]], owner: str, specs: Specs
) -> tuple[Marked, ...]:
    """The firewalls whose names end with the owner's marker; the first part of the name stands for
    the one in the configuration."""
    owned = _owned(firewalls, specs)
    found = []
    for id_, firewall in firewalls.items():
        match = _FULL_NAME.fullmatch(str(firewall["name"]))
        if match is not None and match[2] == owner:
            found.append(
                Marked(
                    _acting(id_, firewall, owned), Marker(owner, owned.get(id_, match[1]), match[3])
                )
            )
    return tuple(found)


def covers(firewall: Mapping[str, Any], droplet: Mapping[str, Any]) -> bool:
    """Whether the firewall is attached to the droplet, by id or by tag."""
    return droplet["id"] in (firewall.get("droplet_ids") or ()) or not set(
        firewall.get("tags") or ()
    ).isdisjoint(droplet.get("tags") or ())


def _machine(
    droplet: Mapping[str, Any],
    firewalls: Mapping[str, Mapping[str, Any]],
    owned: Mapping[str, str],
    specs: Specs,
) -> ObservedMachine:
    acting = {id_: one for id_, one in firewalls.items() if _acts(one, droplet)}
    rules: list[StageRule] = []
    pending: list[str] = []
    unknown: list[str] = []
    kept: list[str] = []
    in_force = False
    for id_, one in acting.items():
        firewall = _acting(id_, one, owned)
        changing = _changing(one, droplet)
        # One that is only being attached, or being taken off, protects nothing; while it may still
        # act its rules count.
        in_force = in_force or changing is None
        if changing is not None:
            verb = (
                "being taken off it" if changing.get("removing") else "being put into effect on it"
            )
            pending.append(
                f"the firewall {plain(firewall.name)} is {verb} ({plain(str(changing.get('status') or 'waiting'))})"
            )
        elif one.get("status") == "failed":
            pending.append(
                f"the last change of the firewall {plain(firewall.name)} failed: what is in effect may be older"
            )
        rules += _rules(firewall, one, unknown, kept)
    return ObservedMachine(
        id=str(droplet["id"]),
        name=str(droplet["name"]),
        kind="droplet",
        interfaces=(
            Interface(
                "public",
                _families(droplet),
                (union_stage(rules),) if in_force else (),
                tuple(addresses_of(droplet)),
                tuple(_acting(id_, one, owned) for id_, one in acting.items()),
            ),
        ),
        concerns=frozenset(
            name for name, (spec, _) in specs.items() if _concerns(droplet, acting, owned, spec)
        ),
        pending=tuple(pending),
        unknown=tuple(unknown),
        kept=tuple(kept),
    )


def _concerns(
    droplet: Mapping[str, Any],
    acting: Mapping[str, Mapping[str, Any]],
    owned: Mapping[str, str],
    spec: FirewallSpec,
) -> bool:
    settings = settings_of(spec)
    return (
        any(owned.get(id_) == spec.name for id_ in acting)
        or any(_is(droplet, wanted) for wanted in settings.droplets)
        or not set(settings.tags).isdisjoint(droplet.get("tags") or ())
        or str(droplet["name"]) in spec.hosts
    )


def _acts(firewall: Mapping[str, Any], droplet: Mapping[str, Any]) -> bool:
    return covers(firewall, droplet) or _changing(firewall, droplet) is not None


def _changing(firewall: Mapping[str, Any], droplet: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return next(
        (
            pending_change
            for pending_change in firewall.get("pending_changes") or ()
            if pending_change.get("droplet_id") == droplet["id"]
        ),
        None,
    )


def _rules(
    firewall: ActingFirewall, listed: Mapping[str, Any], unknown: list[str], kept: list[str]
) -> Iterator[StageRule]:
    for rule in listed.get("inbound_rules") or ():
        try:
            found = from_vendor(rule)
        except UnknownRule as error:
            unknown.append(f"the firewall {plain(firewall.name)} has {error}")
            continue
        kept += [f"{text} ({plain(firewall.name)})" for text in found.others]
        if found.rules:
            yield StageRule(firewall, found.meaning, what(rule))


def _owned(firewalls: Mapping[str, Mapping[str, Any]], specs: Specs) -> dict[str, str]:
    """Which firewall at the vendor stands for which spec, by id; where several could, none."""
    names = {id_: str(one["name"]) for id_, one in firewalls.items()}
    found = {}
    for spec, base in specs.values():
        fitting = best_fit(names, base, spec.marker)
        if len(fitting) == 1:
            found[fitting[0]] = spec.name
    return found


def _acting(id_: str, firewall: Mapping[str, Any], owned: Mapping[str, str]) -> ActingFirewall:
    return ActingFirewall(id_, str(firewall["name"]), of=owned.get(id_))


def _families(droplet: Mapping[str, Any]) -> frozenset[Family]:
    families: tuple[tuple[Family, str], ...] = ((4, "v4"), (6, "v6"))
    nets = droplet.get("networks") or {}
    return frozenset(
        family
        for family, key in families
        if any(one.get("type") == "public" for one in nets.get(key) or ())
    )


def addresses_of(droplet: Mapping[str, Any]) -> Iterator[str]:
    for key in ("v4", "v6"):
        for one in (droplet.get("networks") or {}).get(key) or ():
            if one.get("type") == "public":
                yield str(one["ip_address"])


def _is(droplet: Mapping[str, Any], wanted: str | int) -> bool:
    return droplet["name"] == wanted or (
        str(wanted).isdecimal() and int(droplet["id"]) == int(wanted)
    )
