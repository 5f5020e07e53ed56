"""Servers with every firewall that acts on them, out of the lists the reader has. Pure.

A server says itself which firewalls act on its public interface and whether they are in effect;
label selectors are resolved by the vendor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cloudsync.provider.contract import FirewallSpec
from cloudsync.provider.machines import (
    BOTH_FAMILIES,
    ActingFirewall,
    Fleet,
    Interface,
    Marked,
    ObservedMachine,
    StageRule,
    union_stage,
)
from cloudsync.rules import RuleSet
from cloudsync.rules.networks import Family
from cloudsync_hetzner.native import marker_of
from cloudsync_hetzner.rules import NativeRule, UnknownRule, from_vendor, plain
from cloudsync_hetzner.settings import settings_of

if TYPE_CHECKING:
    from cloudsync_hetzner.reader import Project

NOT_EVALUATED = (
    "load balancers in front of the servers, and firewalls inside them, were not looked at",
    "private networks are not filtered by Hetzner firewalls, and not the Internet's",
)


def fleet(project: Project, specs: Mapping[str, FirewallSpec]) -> Fleet:
    """`specs` by the firewalls' names at the vendor. Raises what a list of a strange shape
    raises."""
    machines = [_machine(project, server, specs) for server in project.servers.values()]
    missing = [
        f"the project has no server {plain(str(wanted))[:64]!r}, which the firewall {spec.name} names"
        for spec in specs.values()
        for wanted in settings_of(spec).servers
        if not any(_is(server, wanted) for server in project.servers.values())
    ]
    unattached = {
        spec.name
        for name, spec in specs.items()
        if name in project.firewalls and not covered_by(project.firewalls[name])
    }
    return Fleet(
        tuple(machine for machine in machines if machine.concerns),
        frozenset(unattached),
        (*missing, *NOT_EVALUATED),
    )


def marked(project: Project, owner: str, specs: Mapping[str, FirewallSpec]) -> tuple[Marked, ...]:
    """The firewalls that carry the owner's marker."""
    found = (
        (_acting(firewall, specs), marker_of(firewall["labels"]))
        for firewall in project.firewalls.values()
    )
    return tuple(
        Marked(firewall, marker)
        for firewall, marker in found
        if marker is not None and marker.owner == owner
    )


def _machine(
    project: Project, server: Mapping[str, Any], specs: Mapping[str, FirewallSpec]
) -> ObservedMachine:
    id_ = int(server["id"])
    said = {int(one["id"]): str(one["status"]) for one in firewalls_on(server)}
    # What is applied to the server and not on its own list yet is as good as pending.
    ids = sorted(
        said.keys() | {int(one["id"]) for one in project.by_id.values() if id_ in covered_by(one)}
    )
    pending = [one for one in ids if said.get(one) != "applied"]
    unknown: list[str] = []
    rules: list[StageRule] = []
    firewalls = []
    for one in ids:
        listed = project.by_id.get(one)
        if listed is None:
            unknown.append(
                f"the firewall {one} acts on it, and the list of firewalls does not have it"
            )
            firewalls.append(ActingFirewall(str(one), str(one)))
            continue
        firewall = _acting(listed, specs)
        firewalls.append(firewall)
        rules += _rules(firewall, listed, unknown)
    # A firewall that is only being applied protects nothing yet.
    stages = (union_stage(rules),) if len(pending) < len(ids) else ()
    names = {firewall.id: firewall.name for firewall in firewalls}
    return ObservedMachine(
        id=str(id_),
        name=str(server["name"]),
        kind="server",
        interfaces=(
            Interface(
                "public", _families(server), stages, tuple(addresses_of(server)), tuple(firewalls)
            ),
        ),
        concerns=frozenset(
            spec.name for name, spec in specs.items() if _concerns(project, server, name, spec)
        ),
        pending=tuple(
            f'the firewall "{plain(names[str(one)])}" is not in effect on it yet, or failed to be'
            for one in pending
        ),
        unknown=tuple(unknown),
    )


def _concerns(project: Project, server: Mapping[str, Any], name: str, spec: FirewallSpec) -> bool:
    id_, settings = int(server["id"]), settings_of(spec)
    firewall = project.firewalls.get(name)
    return (
        (
            firewall is not None
            and (
                id_ in covered_by(firewall)
                or any(int(one["id"]) == firewall["id"] for one in firewalls_on(server))
            )
        )
        or any(_is(server, wanted) for wanted in settings.servers)
        or (
            settings.label_selector is not None
            and id_ in project.selected.get(settings.label_selector, ())
        )
        or str(server["name"]) in spec.hosts
    )


def _rules(
    firewall: ActingFirewall, listed: Mapping[str, Any], unknown: list[str]
) -> Iterator[StageRule]:
    for rule in listed["rules"]:
        if rule["direction"] != "in":
            continue
        try:
            yield StageRule(firewall, RuleSet.of(from_vendor(rule)), _text(rule))
        except UnknownRule as error:
            unknown.append(f'the firewall "{plain(firewall.name)}" has {error}')


def _text(rule: NativeRule) -> str:
    what = f"{rule['protocol']}/{rule['port']}" if rule.get("port") else str(rule["protocol"])
    return f'{what} "{plain(str(rule["description"]))}"' if rule.get("description") else what


def _acting(firewall: Mapping[str, Any], specs: Mapping[str, FirewallSpec]) -> ActingFirewall:
    name = str(firewall["name"])
    return ActingFirewall(str(firewall["id"]), name, of=specs[name].name if name in specs else None)


def _families(server: Mapping[str, Any]) -> frozenset[Family]:
    """A floating address is of a family the server's answer does not tell: both then."""
    net = server["public_net"]
    if net.get("floating_ips"):
        return BOTH_FAMILIES
    families: tuple[tuple[Family, str], ...] = ((4, "ipv4"), (6, "ipv6"))
    return frozenset(family for family, key in families if net.get(key))


def addresses_of(server: Mapping[str, Any]) -> Iterator[str]:
    for key in ("ipv4", "ipv6"):
        if said := server["public_net"].get(key):
            yield str(said["ip"])


def _is(server: Mapping[str, Any], wanted: str | int) -> bool:
    """As the reader finds a server: by name, then by id."""
    return server["name"] == wanted or (
        str(wanted).isdecimal() and int(server["id"]) == int(wanted)
    )


def covered_by(firewall: Mapping[str, Any]) -> set[int]:
    """Ids of the servers a firewall is applied to, directly and by selectors."""
    direct = {int(one["server"]["id"]) for one in firewall["applied_to"] if one["type"] == "server"}
    selected = {
        int(member["server"]["id"])
        for one in firewall["applied_to"]
        if one["type"] == "label_selector"
        for member in one.get("applied_to_resources") or ()
    }
    return direct | selected


def firewalls_on(server: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the server says acts on its public interface."""
    return list(server["public_net"].get("firewalls") or ())


def is_public(server: Mapping[str, Any]) -> bool:
    """Whether it has a public interface, the only one a firewall acts on."""
    net = server["public_net"]
    return bool(net.get("ipv4") or net.get("ipv6"))
