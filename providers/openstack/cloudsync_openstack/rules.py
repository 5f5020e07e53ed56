"""Neutron's rules and ours, both ways. A rule of Neutron has one address family, one protocol (or
all), one range and one source.

Measured on Neutron 29, and told by its drivers:

- protocol 0 (`hopopt`, `ip`) is written by the iptables driver without `-p`: it lets every protocol
  in. It is read as that and never written.
- `icmp` in an IPv6 rule is ICMPv6, and the protocols of IPv6's own are refused in an IPv4 rule.
- tcp without ports is tcp/1-65535; host bits of a network mean nothing but are kept as written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from cloudsync.provider.answers import networks_of, printable
from cloudsync.provider.contract import Kept, VendorRule
from cloudsync.provider.descriptions import OUR_MARK, fitting
from cloudsync.provider.errors import Unsupported
from cloudsync.provider.selectors import numbers_of, rule_of_numbers
from cloudsync.provider.single_rules import SingleRule
from cloudsync.rules import ANY, NetworkSet, Rule, RuleSet, protocols
from cloudsync.rules.networks import Family
from cloudsync_openstack.answers import GroupRule

MAX_DESCRIPTION = 255
_FAMILIES: dict[str, Family] = {"IPv4": 4, "IPv6": 6}
_EVERYWHERE: dict[Family, str] = {4: "0.0.0.0/0", 6: "::/0"}
# Names of Neutron's that are not ours, https://docs.openstack.org/api-ref/network/v2/ (protocol).
_NAMED = {"any": "all", "egp": "8", "ipv6-encap": "ipv6", "pgm": "113"}
_EVERYTHING = ("0", "hopopt", "ip")
_ONLY_IPV6 = ("ipv6", "ipv6-route", "ipv6-frag", "icmpv6", "ipv6-nonxt", "ipv6-opts")
_WRITTEN = {"icmpv6": "ipv6-icmp"}
_BY_NAME = frozenset(
    {"tcp", "udp", "icmp", "icmpv6", "sctp", "dccp", "udplite", "esp", "ah", "gre"}
)

INEXPRESSIBLE = RuleSet.of(
    (
        Rule.of("hopopt", "", ANY),
        Rule.of("icmp", "", ANY.family(6)),
        *(Rule.of(name, "", ANY.family(4)) for name in _ONLY_IPV6),
    )
)
"""What no rule of Neutron says without letting more in."""


def body_of(rule: SingleRule, group: str) -> dict[str, Any]:
    """A rule in a request to create it in the group with this id."""
    meaning, text = rule.meaning, fitting(printable(rule.description), MAX_DESCRIPTION)
    first, last = numbers_of(meaning)
    body = {
        "security_group_id": group,
        "direction": "ingress",
        "ethertype": "IPv4" if meaning.sources.family(4) else "IPv6",
        "protocol": _protocol(meaning),
        "port_range_min": first,
        "port_range_max": last,
    }
    if rule.list_id:
        body["remote_address_group_id"] = rule.list_id
    else:
        body["remote_ip_prefix"] = meaning.sources.cidrs()[0]
    return body | ({"description": text} if text else {})


def from_vendor(
    rules: Iterable[GroupRule],
    addresses: Mapping[str, NetworkSet] = MappingProxyType({}),
    asked: Sequence[str] = (),
) -> tuple[tuple[VendorRule, ...], tuple[Kept, ...]]:
    """The inbound rules of a group: those that let networks in, and those by other sources. Raises
    `Unsupported`.

    `addresses`: the networks of address groups, as far as they were read. A rule by one that is
    `asked` for, or that cloudsync made, is one of the former.
    """
    objects: list[VendorRule] = []
    kept: list[Kept] = []
    for rule in rules:
        meaning = meaning_of(rule)
        description = printable(rule.description or "")
        inside = resolved(rule, addresses)
        ours = rule.remote_address_group_id in asked or description.endswith(OUR_MARK)
        source = source_of(rule)
        if source is not None and (inside is None or not ours):
            reaches = RuleSet.of((replace(meaning, sources=ANY),))
            lets_in = RuleSet.of((inside,) if inside is not None else ())
            kept.append(Kept(title_of(rule), reaches, source, lets_in))
        else:
            objects.append(
                VendorRule(
                    rule.id,
                    RuleSet.of((meaning if inside is None else inside,)),
                    description=description,
                    list_id=rule.remote_address_group_id or "",
                    # One rule to a person is one object for each family and network here.
                    counted_with=f"{meaning.protocol}/{meaning.ports}",
                )
            )
    return tuple(objects), tuple(kept)


def source_of(rule: GroupRule) -> str | None:
    """The source of a rule that is not a network, for people."""
    if rule.remote_group_id is not None:
        return f"the group {printable(rule.remote_group_id)}"
    if rule.remote_address_group_id is not None:
        return f"the address group {printable(rule.remote_address_group_id)}"
    return None


def meaning_of(rule: GroupRule) -> Rule:
    """What a rule lets in; by a source that is not a network, as if from everywhere in its family.
    Raises `Unsupported`."""
    family = _FAMILIES.get(rule.ethertype)
    if family is None:
        raise Unsupported(f"a rule of the ethertype {printable(rule.ethertype)[:20]!r}")
    try:
        sources = networks_of((rule.remote_ip_prefix or _EVERYWHERE[family],))
        protocol = _named(rule.protocol, family)
        return rule_of_numbers(protocol, rule.port_range_min, rule.port_range_max, sources)
    except ValueError:
        raise Unsupported(f"a rule that cannot be understood ({printable(rule.id)[:40]})") from None


def inexpressible(rules: RuleSet) -> RuleSet:
    """The part of a target that no rule of Neutron says without letting more in. `all` is fine: it
    is every protocol of its family."""
    return (rules & INEXPRESSIBLE) - rules.where(rules.everything_from())


def title_of(rule: GroupRule) -> str:
    """`tcp/80-90 from 203.0.113.0/24`, `everything from the group 7`, for people. Raises
    `Unsupported`."""
    meaning = meaning_of(rule)
    what = "everything" if meaning.protocol == "all" else meaning.protocol_and_ports
    return f"{what} from {source_of(rule) or ', '.join(meaning.sources.cidrs())}"


def resolved(rule: GroupRule, addresses: Mapping[str, NetworkSet]) -> Rule | None:
    """A rule by an address group, with the networks in it; None if they were not read."""
    sources = addresses.get(rule.remote_address_group_id or "")
    if sources is None:
        return None
    return replace(meaning_of(rule), sources=sources.family(_FAMILIES[rule.ethertype]))


def _named(protocol: str | int | None, family: Family) -> str:
    if protocol is None or (word := str(protocol).lower()) in _EVERYTHING:
        return "all"
    name = protocols.name(*protocols.numbers(_NAMED.get(word, word)))
    return "icmpv6" if name == "icmp" and family == 6 else name


def _protocol(rule: Rule) -> str | None:
    if rule.protocol == "all":
        return None
    if rule.protocol in _BY_NAME:
        return _WRITTEN.get(rule.protocol, rule.protocol)
    return str(protocols.numbers(rule.protocol)[0])
