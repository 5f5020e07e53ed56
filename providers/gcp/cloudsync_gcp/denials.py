"""`enforce = "deny-others"`: what other allow rules of the network let in from the Internet on the
firewall's targets is denied.

Two VPC rules, one a family, for the same targets, stand between our allowances and everybody
else's: the lowest priority number is looked at first, so that 900 (ours) is let in, 950 (these)
stops the rest, and 1000 (Google's default for everybody's rules) is not reached.

Only public space is denied, so that what does not come from the Internet stays as it is: private
networks, and the ranges that Google's own health checks, load balancers and Identity-Aware Proxy
send from (https://cloud.google.com/load-balancing/docs/firewall-rules,
https://cloud.google.com/iap/docs/using-tcp-forwarding).
"""

from __future__ import annotations

import re
import string
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from cloudsync.provider.contract import Attachment, Pending
from cloudsync.provider.marker import Marker
from cloudsync.rules.networks import ANY4, ANY6, NetworkSet
from cloudsync_gcp.native import Found, Write
from cloudsync_gcp.rules import (
    Listed,
    VendorRule,
    covers_targets,
    marker_of,
    network_of,
    networks_of,
    touches_targets,
    written_marker,
    wrong_place,
)
from cloudsync_gcp.settings import GcpFirewall, denial_priority

TARGET = "deny others"
_TEXT = "what no rule of this firewall lets in from the Internet is denied here"
PRIVATE4 = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
PRIVATE6 = ("fc00::/7", "fe80::/10")
GOOGLE4 = (
    "35.191.0.0/16",
    "130.211.0.0/22",
    "209.85.152.0/22",
    "209.85.204.0/22",
    "35.235.240.0/20",
)
GOOGLE6 = (
    "2600:2d00:1:b029::/64",
    "2600:2d00:1:1::/64",
    "2600:1901:8001::/48",
    "2600:2d00:1:7::/64",
)
# What a denial leaves alone though it is public: others' rules let it in on purpose.
SPARED = NetworkSet.of((*GOOGLE4, *GOOGLE6))
# 97 and 114 networks: one VPC rule a family.
DENIED = {
    "4": ANY4 - NetworkSet.of((*PRIVATE4, *GOOGLE4)),
    "6": ANY6 - NetworkSet.of((*PRIVATE6, *GOOGLE6)),
}
_NAME = re.compile(r"deny([46])[b-z]?")


def family_of(name: str, prefix: str) -> str | None:
    """`4` or `6`, where it is a name that a firewall's denials are given."""
    match = (
        _NAME.fullmatch(name.removeprefix(f"{prefix}-")) if name.startswith(f"{prefix}-") else None
    )
    return match[1] if match else None


def is_denial(rule: VendorRule, prefix: str) -> bool:
    """Whether it is one of the firewall's denials, right or not. One that lets in is none, whatever
    its name."""
    named = family_of(str(rule["name"]), prefix) is not None
    return named and bool(rule.get("denied")) and rule.get("direction", "INGRESS") == "INGRESS"


def wrong(rule: VendorRule, prefix: str, settings: GcpFirewall) -> Iterable[str]:
    """The fields of a denial that are not as they should be, in words."""
    family = family_of(str(rule["name"]), prefix) or ""
    entries = [
        (str(one.get("IPProtocol")).lower(), bool(one.get("ports")))
        for one in rule.get("denied") or ()
    ]
    if ("all", False) not in entries:
        yield "it denies some protocols only"
    if rule.get("sourceTags") or rule.get("sourceServiceAccounts"):
        yield "it denies tags or service accounts too"
    ranges = rule.get("sourceRanges") or ()
    if not ranges or networks_of(ranges) != DENIED[family]:
        yield "it denies other networks"
    yield from wrong_place(rule, settings, denial_priority(settings))


def standing(found: Found, settings: GcpFirewall) -> tuple[Attachment, ...]:
    """The denial as an attachment: nobody has listed what it closes, so that it needs the user's
    word. It is there where a rule of it is, for all the targets; the rest is put right."""
    if settings.enforce != "deny-others":
        return ()
    who = ", ".join(settings.target_tags or settings.target_service_accounts or ())
    reason = f"on {who}, what other rules let in from the Internet is denied: what no rule of this firewall lets in closes there"
    return (Attachment(TARGET, bool(_in_place(found.rules, settings)), reason=reason),)


def pending(found: Found, prefix: str, settings: GcpFirewall) -> tuple[Pending, ...]:
    """What of the denial is not as configured."""
    denials = [one for one in found.rules if one.kind == "denial"]
    if settings.enforce == "allow":
        names = ", ".join(one.name for one in denials)
        reason = f'enforce = "allow": what other rules of the network let in comes in again, without {names}'
        return (Pending(TARGET, reason, lifts=True),) if denials else ()
    in_place = _in_place(denials, settings)
    if not in_place:
        return ()
    chosen = _chosen(denials, prefix)
    said = [
        Pending(
            f"rule {prefix}-deny{family}",
            f"it is not there: what others let in by IPv{family} is not denied",
        )
        for family in DENIED
        if family not in chosen
    ]
    for one in denials:
        if chosen.get(family_of(one.name, prefix) or "") is not one:
            said.append(
                Pending(
                    f"rule {one.name}",
                    "there is one more of its kind, or it cannot be mended; it goes from there",
                )
            )
        elif one.wrong:
            said.append(Pending(f"rule {one.name}", f"not as configured: {', '.join(one.wrong)}"))
    return tuple(said)


def overruled(
    rules: Iterable[VendorRule], owned: Collection[str], owner: str, settings: GcpFirewall
) -> tuple[str, ...]:
    """Allow rules of the same owner's other firewalls on these targets that the denial would stop.
    `owned`: this firewall's own names."""
    return tuple(
        str(rule["name"])
        for rule in rules
        if (marker := marker_of(rule)) is not None
        and marker.owner == owner
        and str(rule["name"]) not in owned
        and rule.get("allowed")
        and not rule.get("disabled")
        and network_of(rule) == settings.network
        and touches_targets(rule, settings) is not False
        and int(rule.get("priority", 1000)) >= denial_priority(settings)
    )


def lifting(found: Sequence[Listed]) -> tuple[Write, ...]:
    """Takes the denials away."""
    return tuple(Write("delete", one.name) for one in found if one.kind == "denial")


def denying(
    found: Sequence[Listed],
    taken: Collection[str],
    prefix: str,
    settings: GcpFirewall,
    marker: Marker,
) -> tuple[tuple[Write, ...], tuple[Write, ...]]:
    """The denials as they should be, and the ones that go after that."""
    denials = [one for one in found if one.kind == "denial"]
    chosen = _chosen(denials, prefix)
    names = {one.name for one in found} | set(taken)
    writes = []
    for family, sources in DENIED.items():
        there = chosen.get(family)
        if there is None:
            name = next(
                f"{prefix}-deny{family}{x}"
                for x in _LETTERS
                if f"{prefix}-deny{family}{x}" not in names
            )
            writes.append(Write("insert", name, _body(name, sources, settings, marker, None)))
        elif there.wrong or there.marker != marker:
            writes.append(
                Write(
                    "update", there.name, _body(there.name, sources, settings, marker, there.native)
                )
            )
    kept = {one.name for one in chosen.values()}
    return tuple(writes), tuple(
        Write("delete", one.name) for one in denials if one.name not in kept
    )


_LETTERS = ("", *string.ascii_lowercase[1:])


def _in_place(found: Iterable[Listed], settings: GcpFirewall) -> list[Listed]:
    return [
        one
        for one in found
        if one.kind == "denial" and not one.fixed and covers_targets(one.native, settings)
    ]


def _chosen(denials: Iterable[Listed], prefix: str) -> dict[str, Listed]:
    """By family, the rule that stays: one that can be mended, one that is right before others."""
    chosen: dict[str, Listed] = {}
    for one in sorted(denials, key=lambda each: (bool(each.wrong), each.name)):
        if not one.fixed:
            chosen.setdefault(family_of(one.name, prefix) or "", one)
    return chosen


def _body(
    name: str, sources: NetworkSet, settings: GcpFirewall, marker: Marker, found: VendorRule | None
) -> dict[str, Any]:
    """The whole resource, as in `rules.body`."""
    resource: dict[str, Any] = {
        "name": name,
        "network": (found or {}).get("network", f"global/networks/{settings.network}"),
        "direction": "INGRESS",
        "priority": denial_priority(settings),
        "disabled": False,
        "denied": [{"IPProtocol": "all"}],
        "sourceRanges": list(sources.cidrs()),
        "description": written_marker(marker, _TEXT),
    }
    if settings.target_tags:
        resource["targetTags"] = sorted(settings.target_tags)
    else:
        resource["targetServiceAccounts"] = sorted(settings.target_service_accounts or ())
    if found is not None and found.get("logConfig"):
        resource["logConfig"] = found["logConfig"]
    return resource
