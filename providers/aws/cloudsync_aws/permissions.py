"""AWS's permissions and our rules: both ways. A permission here is atomic: one protocol, one port
range, one source.

What AWS counts, adds and revokes is the atomic rule; `DescribeSecurityGroups` only groups them for
reading.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field as attribute
from ipaddress import ip_network
from typing import Any

from cloudsync.provider.contract import VendorRule
from cloudsync.provider.descriptions import fitting
from cloudsync.provider.errors import Unsupported
from cloudsync.provider.selectors import single_selectors, type_and_code
from cloudsync.rules import Rule, RuleSet, protocols
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import ANY, Family, NetworkSet

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
_FIELDS: Mapping[str, tuple[Family, str]] = {
    "IpRanges": (4, "CidrIp"),
    "Ipv6Ranges": (6, "CidrIpv6"),
}
"""The fields of an `IpPermission` with networks: their family, and the field of each network."""
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpRange.html; `&` is missing in the
# list of other sources.
_NOT_ALLOWED = re.compile(r"[^a-zA-Z0-9 ._\-:/()#,@\[\]+=;{}!$*]")
_DASHES = re.compile("[\u2010-\u2015]")
MAX_DESCRIPTION = 255
LIST_IDS = r"pl-[0-9a-f]{8,17}"
"""How ids of prefix lists look."""


class UnknownPermission(Unsupported):
    """A permission of the vendor that cannot be understood; the message says which, as a phrase."""


@dataclass(frozen=True, slots=True)
class Selector:
    """Protocol and ports, as AWS counts them."""

    protocol: str
    first: int | None = None
    """The first port, or the ICMP type; None and -1 for all."""
    last: int | None = None
    """The last port, or the ICMP code."""

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Selector:
        """Of an `IpPermission`."""
        protocol = str(answer["IpProtocol"]).lower()
        protocol = _NUMBERED.get(protocol, protocol)
        # "If you specify a protocol other than tcp, udp, icmp, icmpv6, traffic on all ports is
        # allowed, whatever ports you give."
        if protocol not in _NAMED:
            return cls(protocol)
        return cls(protocol, answer.get("FromPort"), answer.get("ToPort"))

    @classmethod
    def spelling(cls, rule: Rule) -> Selector:
        """Of a rule of ours with one selector."""
        if rule.protocol == "all":
            return cls("-1")
        if rule.has_ports:
            first = 0 if (rule.first, rule.last) == protocols.EVERY_PORT else rule.first
            return cls(rule.protocol, first, rule.last)
        if rule.protocol not in _NAMED:
            return cls(str(protocols.numbers(rule.protocol)[0]))
        type_, code = type_and_code(rule)
        return cls(rule.protocol, -1 if type_ is None else type_, -1 if code is None else code)

    def rule(self, networks: NetworkSet) -> Rule | None:
        """What it lets in from some networks; None for port 0 alone, which is not a port that
        anybody can use. Raises `UnknownPermission` if it cannot be understood."""
        first, last = self.first, self.last
        if self.protocol in ("tcp", "udp"):
            if first is None or last is None or not -1 <= first <= last <= 65535:
                raise UnknownPermission(f"a {self.protocol} rule without ports")
            first, last = (1, 65535) if first == -1 else (max(first, 1), last)
            return Rule(self.protocol, first, last, networks) if last else None
        protocol = "all" if self.protocol == "-1" else self.protocol
        if first in (None, -1):
            return Rule.of(protocol, "", networks)
        return Rule.of(protocol, f"{first}" if last in (None, -1) else f"{first}/{last}", networks)

    def entry(self) -> dict[str, Any]:
        """An `IpPermission` without sources."""
        if self.first is None or self.last is None:
            return {"IpProtocol": self.protocol}
        return {"IpProtocol": self.protocol, "FromPort": self.first, "ToPort": self.last}

    def __str__(self) -> str:
        """`tcp/80-90`, `everything`, for people."""
        if self.first in (None, -1) or self.protocol not in ("tcp", "udp"):
            return "everything" if self.protocol == "-1" else self.protocol
        return f"{self.protocol}/{self.first}" + (
            f"-{self.last}" if self.first != self.last else ""
        )


@dataclass(frozen=True, slots=True)
class Permission:
    """One rule with a network as its source, or with a prefix list whose networks are known."""

    selector: Selector
    family: Family
    """Of its network."""
    source: str
    """The network as the vendor spells it, or the id of the list."""
    rule: Rule | None
    """What it lets in; None for nothing."""
    description: str = attribute(default="", compare=False)
    """As it is at the vendor, or is to be."""
    weight: int = attribute(default=0, compare=False)
    """What a prefix list costs of the quota, in both families; 0 for a network, which costs 1 in
    its own."""

    @property
    def identity(self) -> tuple[object, ...]:
        """What AWS calls the same rule: descriptions and the spelling of a network are not part of
        it."""
        return self.selector, self.prefix_list or self.rule

    @property
    def prefix_list(self) -> str:
        """The list that is its source; empty for a network."""
        return self.source if self.source.startswith("pl-") else ""

    @property
    def lets_in(self) -> RuleSet:
        """What it lets in by itself."""
        return RuleSet.of((self.rule,) if self.rule is not None else ())

    @property
    def ports(self) -> str:
        """Protocol and ports as text: what all sources of one rule in the console share."""
        return f"{self.selector.protocol}/{self.selector.first}-{self.selector.last}"

    @property
    def key(self) -> str:
        """Tells it from the group's others; the same at each read."""
        return f"{self.ports} {self.source}"

    @property
    def vendor_rule(self) -> VendorRule:
        """The rule as people see it; the console shows a line for each source."""
        return VendorRule(
            self.key,
            self.lets_in,
            description=self.description,
            list_id=self.prefix_list,
            counted_with=self.ports,
        )

    def costs(self, family: Family) -> int:
        """Rules of the quota of a family."""
        return self.weight or int(self.family == family)


@dataclass(frozen=True, slots=True)
class Other:
    """A rule whose source is a group or a prefix list."""

    selector: Selector
    source: str
    """For people."""
    prefix_list: str = ""
    description: str = ""
    weight: int = 1
    """What it costs of the quota, in both families."""

    @property
    def summary(self) -> str:
        """The rule for people."""
        return f"{self.selector} from {self.source}"

    def lets_in(self, networks: NetworkSet) -> RuleSet:
        """What it lets in if its source stands for these networks. Raises `UnknownPermission`."""
        rule = self.selector.rule(networks) if networks else None
        return RuleSet.of((rule,) if rule is not None else ())


def from_vendor(
    answers: Iterable[Mapping[str, Any]],
) -> tuple[tuple[Permission, ...], tuple[Other, ...]]:
    """The inbound permissions of a group, one by one. Raises `UnknownPermission`."""
    permissions: list[Permission] = []
    others: list[Other] = []
    try:
        for answer in answers:
            selector = Selector.of(answer)
            selector.rule(ANY)  # raises whatever its sources are
            for field, (family, name) in _FIELDS.items():
                for source in answer.get(field) or ():
                    rule = selector.rule(network(source[name]))
                    description = source.get("Description") or ""
                    permissions.append(
                        Permission(selector, family, source[name], rule, description)
                    )
            others += _others(answer, selector)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UnknownPermission("a rule that cannot be understood") from None
    return tuple(permissions), tuple(others)


def _others(answer: Mapping[str, Any], selector: Selector) -> Iterator[Other]:
    for source in answer.get("PrefixListIds") or ():
        list_id, description = source["PrefixListId"], source.get("Description") or ""
        yield Other(selector, f"the prefix list {list_id}", list_id, description)
    for source in answer.get("UserIdGroupPairs") or ():
        name = source.get("GroupId") or source.get("GroupName") or "?"
        yield Other(selector, f"the group {name}")


def to_vendor(rules: RuleSet, target: RuleSet) -> tuple[Permission, ...]:
    """The fewest permissions found that mean `rules`, a part of `target`; they may overlap within
    it. Address families count apart."""
    everything = NetworkSet.union(rule.sources for rule in rules.where(target.everything_from()))
    whole = [Rule.of("all", "", everything)] if everything else []
    rest = rules.apart_from_everything(everything)
    permissions: list[Permission] = []
    families: tuple[Family, ...] = (4, 6)
    for family in families:
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
    pieces = [piece for rule in rules for piece in single_selectors(rule)]
    return tuple(
        Permission(
            Selector.spelling(rule),
            family,
            cidr,
            Rule(rule.protocol, rule.first, rule.last, NetworkSet.of((cidr,))),
        )
        for family in families
        for rule in pieces
        for cidr in rule.sources.family(family).written()
    )


def listed_permissions(rule: Rule, list_id: str, weight: int) -> tuple[Permission, ...]:
    """A rule whose source is a prefix list, as AWS has it."""
    return tuple(
        Permission(Selector.spelling(piece), 4, list_id, piece, weight=weight)
        for piece in single_selectors(rule)
    )


def network(cidr: str) -> NetworkSet:
    """A network as the vendor spells it. Raises `ValueError`."""
    return NetworkSet.of((str(ip_network(cidr, strict=False)),))


def inexpressible(rules: RuleSet) -> RuleSet:
    """The part AWS has no narrow rule for: of protocols with ports other than tcp and udp it lets
    in all ports."""
    return rules - rules.of_protocols(*sorted(EXPRESSIBLE)) - rules.where(rules.everything_from())


def request(permissions: Iterable[Permission], *, described: bool) -> list[dict[str, Any]]:
    """`IpPermissions` of an API call, grouped by protocol and ports. `described`: each source
    carries its description."""
    grouped: dict[Selector, dict[str, Any]] = {}
    for permission in permissions:
        entry = grouped.setdefault(permission.selector, permission.selector.entry())
        field, name = ("PrefixListIds", "PrefixListId")
        if not permission.prefix_list:
            field = "IpRanges" if permission.family == 4 else "Ipv6Ranges"
            name = _FIELDS[field][1]
        source = {name: permission.source}
        if described and permission.description:
            source["Description"] = permission.description
        entry.setdefault(field, []).append(source)
    return list(grouped.values())


def plain(text: str) -> str:
    """A description as AWS takes it: letters lose their accents, dashes are hyphens, and every
    other character that it refuses is `_`; the same for the same text."""
    bare = unicodedata.normalize("NFKD", _DASHES.sub("-", text).replace("ß", "ss"))
    letters = "".join(letter for letter in bare if not unicodedata.combining(letter))
    return fitting(_NOT_ALLOWED.sub("_", letters), MAX_DESCRIPTION)
