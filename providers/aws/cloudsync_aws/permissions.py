"""AWS's permissions and our rules: both ways. A permission here is atomic: one protocol, one port
range, one source.

What AWS counts, adds and revokes is the atomic rule; `DescribeSecurityGroups` only groups them for
reading.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from cloudsync.provider.contract import Kept, VendorRule
from cloudsync.provider.descriptions import OUR_MARK, fitting
from cloudsync.provider.errors import Unsupported
from cloudsync.provider.selectors import numbers_of, rule_of_numbers
from cloudsync.provider.single_rules import SingleRule
from cloudsync.rules import ANY, NOTHING, NetworkSet, Rule, RuleSet, protocols
from cloudsync.rules.frozen import dataclass

_NAMED = ("tcp", "udp", "icmp", "icmpv6")
_NUMBERED = {"1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6"}
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
    def of(cls, protocol: str, first: int | None, last: int | None) -> Selector:
        """As AWS says it."""
        protocol = _NUMBERED.get(protocol.lower(), protocol.lower())
        # "If you specify a protocol other than tcp, udp, icmp, icmpv6, traffic on all ports is
        # allowed, whatever ports you give."
        if protocol not in _NAMED:
            return cls(protocol)
        return cls(protocol, first, last)

    @classmethod
    def spelling(cls, rule: Rule) -> Selector:
        """Of a rule of ours with one selector."""
        if rule.protocol == "all":
            return cls("-1")
        if rule.protocol not in _NAMED:
            return cls(str(protocols.numbers(rule.protocol)[0]))
        first, last = numbers_of(rule)
        lowest, highest = (0, 65535) if rule.has_ports else (-1, -1)
        return cls(
            rule.protocol,
            lowest if first is None else first,
            highest if last is None else last,
        )

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
        type_, code = (None if number == -1 else number for number in (first, last))
        try:
            return rule_of_numbers(protocol, type_, code, networks)
        except ValueError:
            raise UnknownPermission("a rule that cannot be understood") from None

    def lets_in(self, networks: NetworkSet) -> RuleSet:
        """What it lets in from some networks, as a set. Raises `UnknownPermission`."""
        rule = self.rule(networks) if networks else None
        return RuleSet.of((rule,)) if rule is not None else NOTHING

    def entry(self) -> dict[str, Any]:
        """An `IpPermission` without sources."""
        if self.first is None or self.last is None:
            return {"IpProtocol": self.protocol}
        return {"IpProtocol": self.protocol, "FromPort": self.first, "ToPort": self.last}

    def __str__(self) -> str:
        """`tcp/80-90`, `everything`, for people."""
        if (rule := self.rule(ANY)) is None:
            return f"{self.protocol}/0"
        return "everything" if rule.protocol == "all" else rule.protocol_and_ports


@dataclass(frozen=True, slots=True)
class Permission:
    """One rule with one source."""

    selector: Selector
    source: str
    """A network as the vendor spells it, the id of a prefix list, or a group for people."""
    networks: NetworkSet | None
    """What the source stands for; None for a group, and for a list that could not be read."""
    description: str = ""
    """As it is at the vendor, or is to be."""

    @classmethod
    def of(cls, rule: SingleRule) -> Permission:
        """A rule that is to be added."""
        meaning = rule.meaning
        source = rule.list_id or meaning.sources.written()[0]
        description = plain(rule.description)
        return cls(Selector.spelling(meaning), source, meaning.sources, description)

    @property
    def prefix_list(self) -> str:
        """The list that is its source; empty for others."""
        return self.source if self.source.startswith("pl-") else ""

    @property
    def lets_in(self) -> RuleSet:
        """What it lets in by itself, as far as that is known."""
        return self.selector.lets_in(self.networks) if self.networks else NOTHING

    @property
    def origin(self) -> str:
        """Its source for people."""
        return f"the prefix list {self.source}" if self.prefix_list else self.source

    @property
    def summary(self) -> str:
        """The rule for people."""
        return f"{self.selector} from {self.origin}"

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

    @property
    def kept(self) -> Kept:
        """The rule of others that is not about networks, with what it lets in if that is known."""
        return Kept(self.summary, self.selector.lets_in(ANY), self.origin, self.lets_in)

    def is_about_networks(self, lists: Sequence[str]) -> bool:
        """Whether it is about networks, and not about a group or a list of others'. `lists`: those
        that the configuration names."""
        listed = self.prefix_list in lists or self.description.endswith(OUR_MARK)
        return self.networks is not None and (listed or not self.prefix_list)


def request(permissions: Iterable[Permission], *, described: bool) -> list[dict[str, Any]]:
    """`IpPermissions` of an API call, grouped by protocol and ports. `described`: each source
    carries its description."""
    grouped: dict[Selector, dict[str, Any]] = {}
    for permission in permissions:
        entry = grouped.setdefault(permission.selector, permission.selector.entry())
        if permission.prefix_list:
            field, name = "PrefixListIds", "PrefixListId"
        elif ":" in permission.source:
            field, name = "Ipv6Ranges", "CidrIpv6"
        else:
            field, name = "IpRanges", "CidrIp"
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
