"""DigitalOcean's rules and ours: both ways, tolerant when reading, strict when writing.

An inbound rule has one protocol, one port or range, and sources of several kinds; only its
addresses are networks. `icmp` is taken to filter ICMP for IPv4 and ICMPv6 for IPv6 sources.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, TypeAlias

from cloudsync.provider.contract import Refusal
from cloudsync.provider.rule_list import Line
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.networks import NOWHERE, NetworkSet

MAX_RULES = 50
MAX_ADDRESSES = 1000
EVERY_PORT = "1-65535"
EVERYWHERE = ("0.0.0.0/0", "::/0")
OUTBOUND: tuple[Mapping[str, Any], ...] = (
    {"protocol": "tcp", "ports": EVERY_PORT, "destinations": {"addresses": list(EVERYWHERE)}},
    {"protocol": "udp", "ports": EVERY_PORT, "destinations": {"addresses": list(EVERYWHERE)}},
    {"protocol": "icmp", "destinations": {"addresses": list(EVERYWHERE)}},
)
"""A firewall without outbound rules lets nothing out, no name lookup either: a new one lets
everything out."""
NativeRule: TypeAlias = Mapping[str, Any]
_OTHER_SOURCES = {
    "tags": "tag",
    "droplet_ids": "droplet",
    "load_balancer_uids": "load balancer",
    "kubernetes_ids": "cluster",
}


class UnknownRule(ValueError):
    """A rule of the vendor that cannot be understood; the message is one line."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One inbound rule of the vendor. `rules`: what its addresses let in. `others`: its sources
    that are no networks."""

    native: NativeRule
    rules: tuple[Rule, ...]
    others: tuple[str, ...]

    @property
    def meaning(self) -> RuleSet:
        """What its addresses let in together."""
        return RuleSet.of(self.rules)


def from_vendor(rule: NativeRule) -> Listed:
    """One inbound rule as it is listed. Raises `UnknownRule`."""
    try:
        protocol, sources = str(rule["protocol"]), rule.get("sources") or {}
        networks = NetworkSet.of(
            str(ip_network(address, strict=False)) for address in sources.get("addresses") or ()
        )
        others = tuple(
            f"{what(rule)} from the {word} {one}"
            for key, word in _OTHER_SOURCES.items()
            for one in sources.get(key) or ()
        )
        unknown = [
            key
            for key, value in sources.items()
            if key not in _OTHER_SOURCES and key != "addresses" and value
        ]
        if unknown:
            raise UnknownRule(f"a rule with sources of a new kind ({unknown[0][:30]!r})")
        if protocol == "icmp":
            parts = (("icmp", networks.family(4)), ("icmpv6", networks.family(6)))
            return Listed(
                rule, tuple(Rule.of(name, "", part) for name, part in parts if part), others
            )
        if protocol not in ("tcp", "udp"):
            raise UnknownRule(f"a rule of the protocol {protocol[:20]!r}")
        return Listed(
            rule, (Rule.of(protocol, ports_of(rule), networks),) if networks else (), others
        )
    except UnknownRule:
        raise
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UnknownRule("a rule that cannot be understood") from None


def ports_of(rule: NativeRule) -> str:
    """The ports as we write them: the vendor says "0", "all" or nothing for all of them."""
    ports = rule.get("ports")
    return EVERY_PORT if ports in (None, "", "0", 0, "all") else str(ports)


def what(rule: NativeRule) -> str:
    """`tcp/80`, for people."""
    return (
        str(rule["protocol"])
        if rule["protocol"] == "icmp"
        else f"{rule['protocol']}/{ports_of(rule)}"
    )


def written(rule: NativeRule) -> dict[str, Any]:
    """A rule as it was read, in the form the vendor takes: it does not accept everything it
    says."""
    kept = {key: value for key, value in rule.items() if key != "ports"}
    for side in ("sources", "destinations"):
        if side in kept:
            kept[side] = {key: list(value) for key, value in (kept[side] or {}).items() if value}
    return kept if rule["protocol"] == "icmp" else {**kept, "ports": ports_of(rule)}


def to_vendor(rules: RuleSet) -> tuple[NativeRule, ...] | Refusal:
    """The fewest inbound rules that mean `rules`, or why that cannot be said at DigitalOcean."""
    expressible = rules.of_protocols("tcp", "udp", "icmp", "icmpv6")
    if rest := rules - expressible:
        return Refusal(
            f"DigitalOcean has rules for tcp, udp and icmp only; it cannot say: {', '.join(map(str, rest))}"
        )
    natives: list[NativeRule] = []
    for protocol in ("tcp", "udp"):
        for rule in expressible.of_protocols(protocol).fewest():
            natives += _rules(protocol, rule.ports, rule.sources)
    pings = [*expressible.of_protocols("icmp"), *expressible.of_protocols("icmpv6")]
    if types := [rule for rule in pings if rule.ports]:
        return Refusal(
            f"DigitalOcean cannot let in single ICMP types: {', '.join(map(str, types))}"
        )
    sources = NOWHERE
    for rule in pings:
        sources = sources | rule.sources.family(4 if rule.protocol == "icmp" else 6)
    return (*natives, *_rules("icmp", None, sources))


def edited(there: Mapping[str, Listed], wanted: Sequence[Line]) -> tuple[NativeRule, ...]:
    """The inbound rules with those that fit as they are, by key; what changes or is new as
    DigitalOcean has it. A rule's sources that are no addresses stay in it, and ICMP of both address
    families is one rule."""
    natives: list[NativeRule] = []
    pings: list[int] = []
    for line in wanted:
        before = there[line.at.key] if line.at is not None else None
        if line.rule is None:
            if before is not None:
                natives.append(before.native)
            continue
        if not (written := _line(line.rule)):
            continue
        if before is not None and (others := without_addresses(before)) is not None:
            written = (_with_sources(written[0], others), *written[1:])
        if line.rule.protocol in ("icmp", "icmpv6"):
            if pings:
                natives[pings[0]] = _united(natives[pings[0]], written[0])
                continue
            pings.append(len(natives))
        natives += written
    return (*natives, *_left_over(there, wanted))


def compact(rules: Sequence[NativeRule], there: Sequence[Listed]) -> tuple[NativeRule, ...]:
    """`rules`, with the sources of those that are there which are no addresses: in the rule with
    the same protocol and ports, or as rules of their own."""
    compacted = list(rules)
    for listed in there:
        if (others := without_addresses(listed)) is None:
            continue
        same = (n for n, rule in enumerate(compacted) if what(rule) == what(listed.native))
        if (at := next(same, None)) is None:
            compacted.append(others)
        else:
            compacted[at] = _with_sources(compacted[at], others)
    return tuple(compacted)


def _left_over(there: Mapping[str, Listed], wanted: Sequence[Line]) -> Iterator[NativeRule]:
    """What stays of rules whose addresses all go: their other sources."""
    lasting = {line.at.key for line in wanted if line.at is not None}
    for key, listed in there.items():
        if key not in lasting and (others := without_addresses(listed)) is not None:
            yield others


def _line(rule: Rule) -> tuple[NativeRule, ...]:
    if rule.protocol in ("icmp", "icmpv6"):
        return tuple(_rules("icmp", None, rule.sources.family(4 if rule.protocol == "icmp" else 6)))
    return tuple(_rules(rule.protocol, rule.ports, rule.sources))


def _united(a: NativeRule, b: NativeRule) -> NativeRule:
    """Two rules for the same ports as one."""
    addresses = dict.fromkeys((*a["sources"]["addresses"], *b["sources"]["addresses"]))
    return {**a, "sources": {**a["sources"], "addresses": list(addresses)}}


def _with_sources(rule: NativeRule, others: NativeRule) -> NativeRule:
    sources = {key: list(value) for key, value in rule["sources"].items()}
    for key, values in others["sources"].items():
        sources[key] = list(dict.fromkeys((*sources.get(key, ()), *values)))
    return {**rule, "sources": sources}


def without_addresses(listed: Listed) -> NativeRule | None:
    """What of a rule is kept whatever happens to its addresses; None where nothing is."""
    sources = {
        key: value
        for key, value in (listed.native.get("sources") or {}).items()
        if key in _OTHER_SOURCES and value
    }
    return {**listed.native, "sources": sources} if sources else None


def clash(removing: Sequence[Listed], staying: Sequence[NativeRule]) -> bool:
    """Whether to remove these by value could take a part of those with it. How the vendor matches a
    rule in DELETE is not written down: it may go by each (protocol, ports, address)."""
    triples = {triple for one in staying for triple in _triples(one)}
    return any(triple in triples for one in removing for triple in _triples(one.native))


def too_many(inbound: int, outbound: int) -> str | None:
    """The limit of rules, with the numbers and the way out."""
    if inbound + outbound <= MAX_RULES:
        return None
    return (
        f"{inbound} inbound rules are needed beside {outbound} outbound ones, DigitalOcean allows {MAX_RULES} a firewall together; "
        f"publish consecutive ports, give fewer different sources, or split the hosts over several firewalls"
    )


def _rules(protocol: str, ports: str | None, networks: NetworkSet) -> Iterator[NativeRule]:
    cidrs = networks.written()
    for start in range(0, len(cidrs), MAX_ADDRESSES):
        rule = {
            "protocol": protocol,
            "sources": {"addresses": list(cidrs[start : start + MAX_ADDRESSES])},
        }
        yield rule if ports is None else rule | {"ports": ports}


def _triples(rule: NativeRule) -> Iterator[tuple[str, str, str]]:
    for address in (rule.get("sources") or {}).get("addresses") or ():
        yield str(rule["protocol"]), ports_of(rule), str(ip_network(address, strict=False))
