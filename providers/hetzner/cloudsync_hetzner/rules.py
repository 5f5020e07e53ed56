"""Hetzner's rules and ours: both ways, tolerant when reading, strict when writing.

Hetzner's `icmp` filters ICMP for IPv4 sources and ICMPv6 for IPv6 sources; here it is `icmp` with
the IPv4 and `icmpv6` with the IPv6 part.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_network
from typing import Any, TypeAlias

from cloudsync.provider.contract import Refusal, Target
from cloudsync.provider.descriptions import fitting
from cloudsync.provider.rule_list import Line
from cloudsync.rules import Rule
from cloudsync.rules.networks import NOWHERE, NetworkSet

MAX_RULES = 50
MAX_NETWORKS = 100
MAX_EFFECTIVE = 500
MAX_DESCRIPTION = 255
NativeRule: TypeAlias = Mapping[str, Any]


class UnknownRule(ValueError):
    """A rule of the vendor that cannot be understood; the message is one line."""


def from_vendor(rule: NativeRule) -> tuple[Rule, ...]:
    """One inbound rule; an `icmp` rule with both families is two. Raises `UnknownRule`."""
    protocol, port, sources = rule.get("protocol"), rule.get("port"), rule.get("source_ips")
    if (
        not isinstance(protocol, str)
        or not isinstance(sources, list)
        or not all(isinstance(source, str) for source in sources)
    ):
        raise UnknownRule("a rule without protocol or sources")
    try:
        # The API refuses host bits; an old rule that has them means the network.
        networks = NetworkSet.of(str(ip_network(source, strict=False)) for source in sources)
        if protocol in ("tcp", "udp"):
            return (Rule.of(protocol, "" if port in (None, "", "any") else str(port), networks),)
        if protocol == "icmp":
            parts = (("icmp", networks.family(4)), ("icmpv6", networks.family(6)))
            return tuple(Rule.of(name, "", part) for name, part in parts if part)
        return (Rule.of(protocol, "", networks),)
    except ValueError:
        raise UnknownRule(f"a rule that cannot be understood ({protocol[:20]!r})") from None


def to_vendor(target: Target) -> tuple[NativeRule, ...] | Refusal:
    """The fewest rules that say what `target` says, each with at most 100 networks; or why that
    cannot be said at Hetzner."""
    said = target.rules.of_protocols("tcp", "udp", "icmp", "icmpv6", "esp", "gre")
    if rest := target.rules - said:
        return Refusal(
            f"Hetzner has rules for tcp, udp, icmp, esp and gre only; it cannot say: {', '.join(map(str, rest))}"
        )
    rules: list[NativeRule] = []
    for protocol in ("tcp", "udp", "esp", "gre"):
        for rule in said.of_protocols(protocol).fewest():
            rules += _written(protocol, rule.ports or None, rule.sources, target.describe(rule))
    pings = [*said.of_protocols("icmp"), *said.of_protocols("icmpv6")]
    if types := [rule for rule in pings if rule.ports]:
        return Refusal(f"Hetzner cannot let in single ICMP types: {', '.join(map(str, types))}")
    # At Hetzner an icmp rule is IPv4's for its IPv4 sources and IPv6's for its IPv6 sources: the
    # other half of ours means nothing there.
    sources = NOWHERE
    for rule in pings:
        sources = sources | rule.sources.family(4 if rule.protocol == "icmp" else 6)
    if sources:
        rules += _written(
            "icmp",
            None,
            sources,
            "; ".join(filter(None, dict.fromkeys(target.describe(rule) for rule in pings))),
        )
    return tuple(rules)


def edited(there: Mapping[str, NativeRule], wanted: Sequence[Line]) -> tuple[NativeRule, ...]:
    """The inbound rules with those that fit as they are, by key; what changes or is new as Hetzner
    has it. ICMP of both address families is one rule."""
    native_rules: list[NativeRule] = []
    pings: list[NativeRule] = []
    for line in wanted:
        before = there[line.at.key] if line.at is not None else None
        if line.rule is None:
            if before is not None:
                native_rules.append({**before, "description": plain(line.description) or None})
            continue
        protocol, sources = line.rule.protocol, line.rule.sources
        if protocol in ("icmp", "icmpv6"):
            sources = sources.family(4 if protocol == "icmp" else 6)
            written = list(_written("icmp", None, sources, line.description))
            if pings and len(written) == 1:
                native_rules[native_rules.index(pings[0])] = pings[0] = _united(
                    pings[0], written[0]
                )
                continue
            pings += written[:1]
        else:
            written = list(_written(protocol, line.rule.ports or None, sources, line.description))
        native_rules += written
    return tuple(native_rules)


def _united(a: NativeRule, b: NativeRule) -> NativeRule:
    """Two rules for pings as one."""
    texts = dict.fromkeys(filter(None, (a["description"], b["description"])))
    sources = [
        *a["source_ips"],
        *(source_ip for source_ip in b["source_ips"] if source_ip not in a["source_ips"]),
    ]
    return {**a, "source_ips": sources, "description": ", ".join(texts) or None}


def limits_broken(
    rules: Sequence[NativeRule], outbound: Sequence[NativeRule], foreign_effective: int
) -> str | None:
    """Which limit of the vendor the rules would pass, with the numbers and the way out.

    How effective rules are counted is not written down; here every network of every rule counts
    once, over all firewalls of a server.
    """
    if len(rules) + len(outbound) > MAX_RULES:
        beside = f" beside {len(outbound)} outbound ones" if outbound else ""
        return (
            f"{len(rules)} rules are needed{beside}, Hetzner allows {MAX_RULES} a firewall; publish consecutive ports, give fewer "
            f"different sources, or split the hosts over several firewalls"
        )
    effective = (
        sum(len(rule["source_ips"]) + len(rule["destination_ips"]) for rule in (*rules, *outbound))
        + foreign_effective
    )
    if effective > MAX_EFFECTIVE:
        beside = (
            f" ({foreign_effective} of them by other firewalls of a server)"
            if foreign_effective
            else ""
        )
        numbers = f"{effective} effective rules (networks summed over rules) are needed{beside}, Hetzner allows {MAX_EFFECTIVE}"
        return f"{numbers}; name fewer sources"
    return None


def _written(
    protocol: str, port: str | None, sources: NetworkSet, description: str
) -> Iterator[NativeRule]:
    cidrs = sources.written()
    for start in range(0, len(cidrs), MAX_NETWORKS):
        yield {
            "direction": "in",
            "protocol": protocol,
            "port": port,
            "source_ips": list(cidrs[start : start + MAX_NETWORKS]),
            "destination_ips": [],
            "description": plain(description) or None,
        }


def plain(text: str) -> str:
    """Text without control and format characters, within the length Hetzner takes."""
    kept = "".join(character for character in text if unicodedata.category(character)[0] != "C")
    return fitting(kept, MAX_DESCRIPTION)
