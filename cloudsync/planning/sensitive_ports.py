"""Ports that are not opened to the world unless the user names them (decision 0003): databases,
caches, control planes, debuggers. And what the world is."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.address_classes import PRIVATE
from cloudsync.rules.networks import ANY, Intervals, NetworkSet

_TCP = (
    *(445, 1433, 1521, 2049, 2181, *range(2375, 2378), 2379, 2380, 3306, 3389, 4369, 5005, 5432),
    *(5601, 5672, 5900, 5984, 6060, 6379, 7946, 8500, 9042, 9092, 9100, 9200, 9229, 9300, 10250),
    *(11211, 15672, 27017, 27018, 27019, 33060),
)
SENSITIVE: dict[str, frozenset[int]] = {
    "tcp": frozenset(_TCP),
    "udp": frozenset((4789, 7946, 11211)),
}

ADMIN = frozenset((3000, 5000, 8080, 8081, 8443, 8888, 9000, 9090, 9443))
"""Well-known admin ports (tcp): opened, and remarked on."""

WORLD_V4 = 2 ** (32 - 8)
WORLD_V6 = 2 ** (128 - 20)
"""More addresses than these are the world: a /8's worth of IPv4, a /20's worth of IPv6."""


@lru_cache(maxsize=4096)
def is_world(sources: NetworkSet) -> bool:
    """Whether so many addresses are as good as everyone, however they are spelled or cut into
    pieces. Private networks alone never are: no packet from the Internet comes from there."""
    if PRIVATE.covers(sources):
        return False
    return _count(sources.v4) > WORLD_V4 or _count(sources.v6) > WORLD_V6


def asked_by_the_world(asked: Iterable[RuleSet]) -> RuleSet:
    """The ports that all of `asked` together let the world reach, from anywhere: rules that are
    harmless one by one may be the world when they are united."""
    united = RuleSet.union(asked)
    if all(rule.sources == ANY for rule in united):
        return united
    return RuleSet.of(
        Rule(rule.protocol, rule.first, rule.last, ANY) for rule in united if is_world(rule.sources)
    )


@lru_cache(maxsize=4096)
def sensitive(protocol: str, offset: int | None) -> RuleSet:
    """The sensitive host ports of a protocol: by their own number, and by the container port behind
    them, which is `offset` higher (None: no port is behind)."""
    named = SENSITIVE.get(protocol, frozenset())
    behind = () if offset is None else (number - offset for number in named)
    numbers = {*named, *(number for number in behind if 1 <= number <= 65535)}
    return RuleSet.of(Rule(protocol, number, number, ANY) for number in numbers)


SENSITIVE_RULES = RuleSet.of(
    Rule(protocol, number, number, ANY)
    for protocol, numbers in SENSITIVE.items()
    for number in numbers
)
"""All of them, from anywhere."""


def sensitive_numbers(rule: Rule) -> list[int]:
    """The sensitive ports, by their own number, that a rule lets in; of TCP for all protocols."""
    everything = rule.protocol == "all"
    if not (everything or rule.has_ports):
        return []
    numbers = SENSITIVE.get("tcp" if everything else rule.protocol, frozenset())
    return sorted(n for n in numbers if everything or rule.first <= n <= rule.last)


def _count(intervals: Intervals) -> int:
    return sum(last - first + 1 for first, last in intervals)
