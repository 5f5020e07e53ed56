"""Ports that are not opened to the world unless the user names them (decision 0003): databases,
caches, control planes, debuggers."""

from __future__ import annotations

from cloudsync.rules.networks import NetworkSet

_TCP = (
    *(
        1433,
        1521,
        *range(2375, 2378),
        2379,
        2380,
        3306,
        4369,
        5005,
        5432,
        5601,
        5672,
        5984,
        6060,
        6379,
        7946,
        9042,
        9092,
        9100,
    ),
    *(9200, 9229, 9300, 10250, 11211, 15672, 27017, 27018, 27019, 33060),
)
SENSITIVE: dict[str, frozenset[int]] = {
    "tcp": frozenset(_TCP),
    "udp": frozenset((4789, 7946, 11211)),
}

ADMIN = frozenset((3000, 5000, 8080, 8081, 8443, 8888, 9000, 9090, 9443))
"""Well-known admin ports (tcp): opened, and remarked on."""

WORLD_PREFIX_V4 = 8
WORLD_PREFIX_V6 = 20


def is_world(sources: NetworkSet) -> bool:
    """Whether the set contains a network shorter than /8 (IPv4) or /20 (IPv6), however it was
    spelled."""
    v4, v6 = sources.shortest_prefix(4), sources.shortest_prefix(6)
    return (v4 is not None and v4 < WORLD_PREFIX_V4) or (v6 is not None and v6 < WORLD_PREFIX_V6)
