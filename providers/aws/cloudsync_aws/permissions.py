"""AWS's permissions and our rules: both ways. A permission here is atomic: one protocol, one port
range, one source.

What AWS counts, adds and revokes is the atomic rule; `DescribeSecurityGroups` only groups them for
reading.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from ipaddress import ip_network
from typing import Any, Literal

from cloudsync.frozen import dataclass
from cloudsync.provider.descriptions import fitting
from cloudsync.rules import Rule, RuleSet, protocols
from cloudsync.rules.networks import NetworkSet

Family = Literal[4, 6]
WITHOUT_NARROW_RULES = frozenset({"dccp", "sctp", "udplite"})
"""Protocols with ports of which AWS lets in all of them or none: any number but those of tcp, udp
and ICMP opens "all ports" (API_IpPermission). A protocol without ports is exact by that."""
EXPRESSIBLE = frozenset(
    name
    for number in range(256)
    if (name := protocols.name(number, number)) not in WITHOUT_NARROW_RULES
)
"""Protocols that a permission can name without letting in more."""
_NAMED = ("tcp", "udp", "icmp", "icmpv6")
_NUMBERED = {"1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6"}
_SOURCES: tuple[tuple[str, str, Family], ...] = (
    ("IpRanges", "CidrIp", 4),
    ("Ipv6Ranges", "CidrIpv6", 6),
)
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpRange.html; `&` is missing in the
# list of other sources.
_NOT_ALLOWED = re.compile(r"[^a-zA-Z0-9 ._\-:/()#,@\[\]+=;{}!$*]")
_DASHES = re.compile("[\u2010-\u2015]")
MAX_DESCRIPTION = 255
PREFIX_LIST = "pl-"
LIST_IDS = r"pl-[0-9a-f]{8,17}"
"""How ids of prefix lists look."""


class UnknownPermission(ValueError):
    """A permission of the vendor that cannot be understood; the message is one line."""


@dataclass(frozen=True, slots=True)
class Permission:
    """One rule with a network as its source, or a prefix list. `cidr` as the vendor spells it (the
    id of a list), `first` and `last` as the vendor counts: ports, or ICMP type and code, None for
    everything. `rule`: what it means; None for port 0 alone, which is no port anybody can use.
    `description`: as it is at the vendor."""

    protocol: str
    first: int | None
    last: int | None
    family: Family
    cidr: str
    rule: Rule | None
    description: str = field(default="", compare=False)
    weight: int = field(default=0, compare=False)
    """What a prefix list costs of the quota, in both families; 0 for a network, which costs 1 in
    its own."""

    @property
    def identity(self) -> tuple[object, ...]:
        """What AWS calls the same rule: descriptions and the spelling of a network are not part of
        it."""
        if self.prefix_list:
            return self.protocol, self.first, self.last, self.prefix_list
        return self.protocol, self.first, self.last, self.rule

    @property
    def prefix_list(self) -> str:
        """The list that is its source; empty for a network."""
        return self.cidr if self.cidr.startswith(PREFIX_LIST) else ""

    def costs(self, family: Family) -> int:
        """Rules of the quota of a family."""
        return self.weight or int(self.family == family)

    @property
    def ports(self) -> str:
        """Protocol and ports as text: what all sources of one rule in the console share."""
        return f"{self.protocol}/{self.first}-{self.last}"

    @property
    def key(self) -> str:
        """Tells it from the group's others; the same at each read."""
        return f"{self.ports} {self.cidr}"


@dataclass(frozen=True, slots=True)
class Other:
    """A rule whose source is a group or a prefix list. `weight`: what it costs of the quota, in
    both families. `protocol`, `first`, `last` as the vendor counts. `source`: for people."""

    summary: str
    protocol: str
    first: int | None
    last: int | None
    prefix_list: str | None = None
    weight: int = 1
    source: str = ""
    description: str = ""

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
    for permission in permissions:
        try:
            protocol = str(permission["IpProtocol"]).lower()
            protocol = _NUMBERED.get(protocol, protocol)
            first, last = permission.get("FromPort"), permission.get("ToPort")
            if protocol not in (*_NAMED, "-1"):
                first = last = None
            for key, name, family in _SOURCES:
                for source in permission.get(key) or ():
                    cidr = str(source[name])
                    rule = _meaning(protocol, first, last, network(cidr))
                    description = str(source.get("Description") or "")
                    networks.append(
                        Permission(protocol, first, last, family, cidr, rule, description)
                    )
            others += _others(permission, protocol, first, last)
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
    permissions: list[Permission] = []
    for family in (4, 6):
        missing = RuleSet.of(
            Rule(r.protocol, r.first, r.last, r.sources.family(family)) for r in rest
        )
        named = [rule for protocol in _NAMED for rule in missing.of_protocols(protocol).fewest()]
        others = missing - missing.of_protocols(*_NAMED)
        permissions += permissions_of((*named, *others, *whole), (family,))
    return tuple(permissions)


def permissions_of(
    rules: Iterable[Rule], families: Iterable[Family] = (4, 6)
) -> tuple[Permission, ...]:
    """Rules as AWS has them: each with its own ports, and a permission for every network."""
    pieces = [piece for rule in rules for piece in _pieces(rule)]
    return tuple(
        Permission(
            *_spelled(rule),
            family,
            cidr,
            Rule(rule.protocol, rule.first, rule.last, NetworkSet.of((cidr,))),
        )
        for family in families
        for rule in pieces
        for cidr in rule.sources.family(family).written()
    )


def inexpressible(rules: RuleSet) -> RuleSet:
    """The part AWS has no narrow rule for: of protocols with ports other than tcp and udp it lets
    in all ports."""
    return rules - rules.of_protocols(*sorted(EXPRESSIBLE)) - rules.where(rules.everything_from())


def request(
    permissions: Iterable[Permission], describe: Mapping[Permission, str] | None = None
) -> list[dict[str, Any]]:
    """`IpPermissions` of an API call: grouped by protocol and ports. With `describe`, each source
    carries its text."""
    grouped: dict[tuple[str, int | None, int | None], dict[str, Any]] = {}
    for permission in permissions:
        key = (permission.protocol, permission.first, permission.last)
        entry = grouped.setdefault(key, {"IpProtocol": permission.protocol})
        if permission.first is not None and permission.last is not None:
            entry |= {"FromPort": permission.first, "ToPort": permission.last}
        kind, name = _source_of(permission)
        source = {name: permission.cidr}
        if describe is not None and (text := describe.get(permission)):
            source["Description"] = text
        entry.setdefault(kind, []).append(source)
    return list(grouped.values())


def _source_of(permission: Permission) -> tuple[str, str]:
    """The keys of `IpPermissions` under which AWS has its source."""
    if permission.prefix_list:
        return "PrefixListIds", "PrefixListId"
    return ("IpRanges", "CidrIp") if permission.family == 4 else ("Ipv6Ranges", "CidrIpv6")


def listed_permissions(rule: Rule, list_id: str, weight: int) -> tuple[Permission, ...]:
    """A rule whose source is a prefix list, as AWS has it."""
    return tuple(
        Permission(*_spelled(piece), 4, list_id, piece, weight=weight) for piece in _pieces(rule)
    )


def plain(text: str) -> str:
    """A description as AWS takes it: letters lose their accents, dashes are hyphens, and every
    other character that it refuses is `_`; the same for the same text."""
    bare = unicodedata.normalize("NFKD", _DASHES.sub("-", text).replace("ß", "ss"))
    letters = "".join(letter for letter in bare if not unicodedata.combining(letter))
    return fitting(_NOT_ALLOWED.sub("_", letters), MAX_DESCRIPTION)


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
    if rule.protocol not in ("icmp", "icmpv6"):
        return str(protocols.numbers(rule.protocol)[0]), None, None
    if not rule.ports:
        return rule.protocol, -1, -1
    return (
        rule.protocol,
        rule.first // 256,
        -1 if rule.last - rule.first == 255 else rule.first % 256,
    )


def _pieces(rule: Rule) -> Iterator[Rule]:
    """AWS says one ICMP type, one code of a type, or all of them; a range of them is several
    rules, and so is a range of protocols."""
    if not rule.is_one_protocol and rule.protocol != "all":
        low, high = protocols.numbers(rule.protocol)
        for number in range(low, high + 1):
            yield Rule.of(protocols.name(number, number), "", rule.sources)
        return
    if not rule.ports or rule.protocol not in ("icmp", "icmpv6"):
        yield rule
        return
    first = rule.first
    while first <= rule.last:
        last = first + 255 if first % 256 == 0 and first + 255 <= rule.last else first
        yield Rule(rule.protocol, first, last, rule.sources)
        first = last + 1


def _others(
    entry: Mapping[str, Any], protocol: str, first: int | None, last: int | None
) -> Iterator[Other]:
    what = text(protocol, first, last)
    for source in entry.get("PrefixListIds") or ():
        name = str(source["PrefixListId"])
        by = f"the prefix list {name}"
        description = str(source.get("Description") or "")
        yield Other(
            f"{what} from {by}", protocol, first, last, name, source=by, description=description
        )
    for source in entry.get("UserIdGroupPairs") or ():
        name = source.get("GroupId") or source.get("GroupName") or "?"
        by = f"the group {name}"
        yield Other(f"{what} from {by}", protocol, first, last, source=by)


def text(protocol: str, first: int | None, last: int | None) -> str:
    """`tcp/80-90`, `everything`, for people."""
    if protocol == "-1":
        return "everything"
    if first in (None, -1) or protocol not in ("tcp", "udp"):
        return protocol
    return f"{protocol}/{first}" if first == last else f"{protocol}/{first}-{last}"
