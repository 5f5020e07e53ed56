"""DigitalOcean's rules and ours.

An inbound rule has one protocol, one port or range, and sources of several kinds; only its
addresses are networks. `icmp` is taken to filter ICMP for IPv4 and ICMPv6 for IPv6 sources.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cloudsync.provider.answers import printable
from cloudsync.provider.errors import Unsupported
from cloudsync.provider.flat_list import Entry, Grammar, meaning, networks_of
from cloudsync.rules import RuleSet
from cloudsync_digitalocean.answers import EVERY_PORT, Firewall, Rule

MAX_RULES = 50
GRAMMAR = Grammar("DigitalOcean", ("tcp", "udp", "icmp", "icmpv6"), networks=1000, rules=MAX_RULES)
EVERYWHERE = ("0.0.0.0/0", "::/0")
NEW = Firewall(
    id="",
    name="",
    outbound_rules=tuple(
        Rule(protocol=protocol, ports=EVERY_PORT, destinations={"addresses": EVERYWHERE})
        for protocol in ("tcp", "udp", "icmp")
    ),
)
"""What a firewall begins with. Without outbound rules it would let nothing out, no name lookup
either: a new one lets everything out."""
_OTHER_SOURCES = {
    "tags": "tag",
    "droplet_ids": "droplet",
    "load_balancer_uids": "load balancer",
    "kubernetes_ids": "cluster",
}


def lets_in(rule: Rule) -> RuleSet:
    """What the addresses of an inbound rule let in. Raises `Unsupported` for a rule that is not
    understood."""
    kinds = {kind for kind, sources in (rule.sources or {}).items() if sources}
    if new := sorted(kinds.difference(_OTHER_SOURCES, ("addresses",))):
        raise Unsupported(f"a rule with sources of a new kind ({printable(new[0])[:30]!r})")
    return reaches(rule, rule.addresses)


def reaches(rule: Rule, networks: Iterable[str] = EVERYWHERE) -> RuleSet:
    """Its ports, let in from these networks. Raises `Unsupported`."""
    ports = "" if rule.protocol == "icmp" else rule.port_range
    return meaning(rule.protocol, ports, networks, GRAMMAR)


def spelled(rule: Rule) -> str:
    """A rule as it stands at DigitalOcean: rules have no ids."""
    return f"{rule.title} from {', '.join((*rule.addresses, *other_texts(rule)))}"


def others_of(rule: Rule) -> dict[str, Any]:
    """Its sources that are no networks, which stay whatever happens to its addresses."""
    sources = rule.sources or {}
    return {key: sources[key] for key in _OTHER_SOURCES if sources.get(key)}


def other_texts(rule: Rule) -> tuple[str, ...]:
    """The same for people: `tcp/80 from the tag web`."""
    return tuple(
        f"{rule.title} from the {_OTHER_SOURCES[key]} {source}"
        for key, sources in others_of(rule).items()
        for source in sources
    )


def bodies(rules: Iterable[Rule]) -> list[dict[str, Any]]:
    """Rules as the vendor takes them."""
    return [rule.body() for rule in rules]


def written(entries: Sequence[Entry], before: Mapping[str, Rule]) -> tuple[Rule, ...]:
    """The inbound rules of a list. A rule's sources that are no addresses stay in it; those of
    rules that go are in a new rule for the same ports, or rules of their own. `before`: the rules
    that are there, by key."""
    rules: list[Rule] = []
    fresh: dict[str, int] = {}
    for entry in entries:
        old = before[entry.before.key] if entry.before is not None else None
        if old is not None and entry.lets_in_what_it_did:
            rules.append(old)
            continue
        others = others_of(old) if old is not None else {}
        ports = None if entry.protocol == "icmp" else entry.ports
        sources = {**others, "addresses": entry.networks}
        rule = Rule(protocol=entry.protocol, ports=ports, sources=sources)
        fresh.setdefault(rule.title, len(rules))
        rules.append(rule)
    lasting = {entry.before.key for entry in entries if entry.before is not None}
    for key, old in before.items():
        if key in lasting or not (others := others_of(old)):
            continue
        if (at := fresh.get(old.title)) is None:
            rules.append(old.model_copy(update={"sources": others}))
        else:
            rules[at] = _with_sources(rules[at], others)
    return tuple(rules)


def _with_sources(rule: Rule, others: Mapping[str, Any]) -> Rule:
    sources = dict(rule.sources or {})
    for key, values in others.items():
        sources[key] = tuple(dict.fromkeys((*(sources.get(key) or ()), *values)))
    return rule.model_copy(update={"sources": sources})


def clash(removing: Sequence[Rule], staying: Sequence[Rule]) -> bool:
    """Whether to remove these by value could take a part of those with it. How the vendor matches a
    rule in DELETE is not written down: it may go by each (protocol, ports, address)."""
    kept = {triple for rule in staying for triple in _triples(rule)}
    return any(triple in kept for rule in removing for triple in _triples(rule))


def _triples(rule: Rule) -> set[tuple[str, str, str]]:
    networks = (networks_of((address,)).cidrs()[0] for address in rule.addresses)
    return {(rule.protocol, rule.port_range, network) for network in networks}
