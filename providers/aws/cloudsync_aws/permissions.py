"""AWS's permissions and our rules: both ways. A permission here is atomic: one protocol, one port
range, one source.

What AWS counts, adds and revokes is the atomic rule; `DescribeSecurityGroups` only groups them for
reading.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any, Literal

from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.networks import NetworkSet

Family = Literal[4, 6]
_NUMBERED = {"1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6"}
_SOURCES: tuple[tuple[str, str, Family], ...] = (
    ("IpRanges", "CidrIp", 4),
    ("Ipv6Ranges", "CidrIpv6", 6),
)
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpRange.html; `&` is missing in the
# list of other sources.
_NOT_ALLOWED = re.compile(r"[^a-zA-Z0-9 ._\-:/()#,@\[\]+=;{}!$*]")
MAX_DESCRIPTION = 255


class UnknownPermission(ValueError):
    """A permission of the vendor that cannot be understood; the message is one line."""


@dataclass(frozen=True, slots=True)
class Permission:
    """One rule with a network as its source. `cidr` as the vendor spells it, `first` and `last` as
    the vendor counts: ports, or ICMP type and code, None for everything. `rule`: what it means;
    None for port 0 alone, which is no port anybody can use. `description`: as it is at the
    vendor."""

    protocol: str
    first: int | None
    last: int | None
    family: Family
    cidr: str
    rule: Rule | None
    description: str = field(default="", compare=False)

    @property
    def identity(self) -> tuple[object, ...]:
        """What AWS calls the same rule: descriptions and the spelling of a network are not part of
        it."""
        return self.protocol, self.first, self.last, self.rule


@dataclass(frozen=True, slots=True)
class Other:
    """A rule whose source is a group or a prefix list. `weight`: what it costs of the quota, in
    both families. `protocol`, `first`, `last` as the vendor counts."""

    summary: str
    protocol: str
    first: int | None
    last: int | None
    prefix_list: str | None = None
    weight: int = 1

    def meaning(self, networks: NetworkSet) -> Rule | None:
        """What it lets in where its source stands for these networks. Raises
        `UnknownPermission`."""
        return _meaning(self.protocol, self.first, self.last, networks)


def from_vendor(
    permissions: Iterable[Mapping[str, Any]],
) -> tuple[tuple[Permission, ...], tuple[Other, ...]]:
    """The inbound permissions of a group, one by one. Raises `UnknownPermission`."""
    networks: list[Permission] = []
    others: list[Other] = []
    for one in permissions:
        try:
            protocol = str(one["IpProtocol"]).lower()
            protocol = _NUMBERED.get(protocol, protocol)
            first, last = one.get("FromPort"), one.get("ToPort")
            for key, name, family in _SOURCES:
                for source in one.get(key) or ():
                    cidr = str(source[name])
                    rule = _meaning(protocol, first, last, network(cidr))
                    said = str(source.get("Description") or "")
                    networks.append(Permission(protocol, first, last, family, cidr, rule, said))
            others += _others(one, protocol, first, last)
        except UnknownPermission:
            raise
        except (KeyError, TypeError, ValueError):
            raise UnknownPermission("a rule that cannot be understood") from None
    return tuple(networks), tuple(others)


def to_vendor(rules: RuleSet, target: RuleSet) -> tuple[Permission, ...]:
    """The fewest permissions found that mean `rules`, a part of `target`; they may overlap within
    it. Address families count apart."""
    everything = NetworkSet.union(rule.sources for rule in rules.where(target.everything_from()))
    whole = [Rule.of("all", "", everything)] if everything else []
    rest = rules.apart_from_everything(everything)
    found = []
    for family in (4, 6):
        part = RuleSet.of(Rule(r.protocol, r.first, r.last, r.sources.family(family)) for r in rest)
        said = [
            rule
            for protocol in ("tcp", "udp", "icmp", "icmpv6")
            for rule in part.of_protocols(protocol).fewest()
        ]
        for rule in (piece for one in (*said, *whole) for piece in _pieces(one)):
            protocol, first, last = _spelled(rule)
            found += [
                Permission(
                    protocol,
                    first,
                    last,
                    family,
                    cidr,
                    Rule(rule.protocol, rule.first, rule.last, NetworkSet.of((cidr,))),
                )
                for cidr in rule.sources.family(family).cidrs()
            ]
    return tuple(found)


def inexpressible(rules: RuleSet) -> RuleSet:
    """The part AWS has no narrow rule for: other protocols than these are let in on all their
    ports."""
    return (
        rules
        - rules.of_protocols("tcp", "udp", "icmp", "icmpv6")
        - rules.where(rules.everything_from())
    )


def request(
    permissions: Iterable[Permission], describe: Mapping[Permission, str] | None = None
) -> list[dict[str, Any]]:
    """`IpPermissions` of an API call: grouped by protocol and ports. With `describe`, each source
    carries its text."""
    grouped: dict[tuple[str, int | None, int | None], dict[str, Any]] = {}
    for one in permissions:
        key = (one.protocol, one.first, one.last)
        entry = grouped.setdefault(key, {"IpProtocol": one.protocol})
        if one.first is not None and one.last is not None:
            entry |= {"FromPort": one.first, "ToPort": one.last}
        source = {"CidrIp" if one.family == 4 else "CidrIpv6": one.cidr}
        if describe is not None and (text := describe.get(one)):
            source["Description"] = text
        entry.setdefault("IpRanges" if one.family == 4 else "Ipv6Ranges", []).append(source)
    return list(grouped.values())


def plain(text: str) -> str:
    """A description as AWS takes it: every character it refuses is `_`, the same for the same
    text."""
    return _NOT_ALLOWED.sub("_", text)[:MAX_DESCRIPTION]


def network(cidr: str) -> NetworkSet:
    """A network as the vendor spells it. Raises `ValueError`."""
    return NetworkSet.of((str(ip_network(cidr, strict=False)),))


def _meaning(
    protocol: str, first: int | None, last: int | None, networks: NetworkSet
) -> Rule | None:
    if protocol == "-1":
        return Rule.of("all", "", networks)
    if protocol in ("tcp", "udp"):
        if first is None or last is None or not -1 <= first <= last <= 65535:
            raise UnknownPermission(f"a {protocol} rule without ports")
        if first == -1:
            first, last = 0, 65535
        return None if last == 0 else Rule(protocol, max(first, 1), last, networks)
    if protocol in ("icmp", "icmpv6"):
        if first in (None, -1):
            return Rule.of(protocol, "", networks)
        return Rule.of(protocol, f"{first}" if last in (None, -1) else f"{first}/{last}", networks)
    # "if you specify a protocol other than tcp, udp, icmp, icmpv6, traffic on all ports is allowed,
    # whatever ports you give"
    return Rule.of(protocol, "", networks)


def _spelled(rule: Rule) -> tuple[str, int | None, int | None]:
    if rule.protocol == "all":
        return "-1", None, None
    if rule.has_ports:
        return rule.protocol, 0 if (rule.first, rule.last) == (1, 65535) else rule.first, rule.last
    if not rule.ports:
        return rule.protocol, -1, -1
    return (
        rule.protocol,
        rule.first // 256,
        -1 if rule.last - rule.first == 255 else rule.first % 256,
    )


def _pieces(rule: Rule) -> Iterator[Rule]:
    """AWS says one ICMP type, one code of a type, or all of them; a range of them is several
    rules."""
    if not rule.ports or rule.protocol not in ("icmp", "icmpv6"):
        yield rule
        return
    first = rule.first
    while first <= rule.last:
        last = first + 255 if first % 256 == 0 and first + 255 <= rule.last else first
        yield Rule(rule.protocol, first, last, rule.sources)
        first = last + 1


def _others(
    one: Mapping[str, Any], protocol: str, first: int | None, last: int | None
) -> Iterator[Other]:
    what = text(protocol, first, last)
    for source in one.get("PrefixListIds") or ():
        name = str(source["PrefixListId"])
        yield Other(f"{what} from the prefix list {name}", protocol, first, last, name)
    for source in one.get("UserIdGroupPairs") or ():
        name = source.get("GroupId") or source.get("GroupName") or "?"
        yield Other(f"{what} from the group {name}", protocol, first, last)


def text(protocol: str, first: int | None, last: int | None) -> str:
    """`tcp/80-90`, `everything`, for people."""
    if protocol == "-1":
        return "everything"
    if first in (None, -1) or protocol not in ("tcp", "udp"):
        return protocol
    return f"{protocol}/{first}" if first == last else f"{protocol}/{first}-{last}"
