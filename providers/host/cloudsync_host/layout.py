"""The table `inet cloudsync`: its sets, its chains and their rules, as text.

    prerouting (hook, −150: after conntrack, before Docker's DNAT)   loopback out; goto gate
    gate        while a trial runs goto next_entry, else goto entry
    entry       which interfaces are filtered
    judge       replies, what a network needs, peers, the allow-list; the rest is recorded
    listed      the allow-list: a look into each set
    verdict     drop, or accept while observing

`next_entry` and so on, and the `next_*` sets, exist during a trial only. Every rule of ours carries
a comment with a digest of its text: so a rule of ours is told from one that somebody else put into
the table, and one that is out of date from one that is not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache

from cloudsync.provider.marker import Marker
from cloudsync.rules.frozen import dataclass
from cloudsync_host.elements import NEXT, SETS, WIDE

TABLE = "inet cloudsync"
TAG = "cloudsync "
HOOK = "type filter hook prerouting priority -150; policy accept;"
TRIAL = "trial"
MARKER = "marker"
STAGED = ("entry", "judge", "listed", "verdict")
"""Chains that a trial has a second set of, in the order in which they may be deleted."""
SHARED = ("record", "gate", "prerouting")
CUT_SIZE = 65535
"""Entries of one record; what comes when it is full is dropped, and not recorded."""
CUTS = ("cut4", "cut6", "cut_bare4", "cut_bare6")

_OPEN = "flags interval; counter;"
_CUT = f"size {CUT_SIZE}; flags dynamic,timeout; timeout 30d;"
_KEYS = {
    "open4": "inet_proto . inet_service . ipv4_addr",
    "open6": "inet_proto . inet_service . ipv6_addr",
    "bare4": "inet_proto . ipv4_addr",
    "bare6": "inet_proto . ipv6_addr",
    "icmp4": "icmp_type . icmp_code . ipv4_addr",
    "icmp6": "icmpv6_type . icmpv6_code . ipv6_addr",
    "cut4": "inet_proto . inet_service . ipv4_addr",
    "cut6": "inet_proto . inet_service . ipv6_addr",
    "cut_bare4": "inet_proto . ipv4_addr",
    "cut_bare6": "inet_proto . ipv6_addr",
}
_WITH_PORTS = "{ tcp, udp, sctp, dccp, udplite }"
# Ours, or for all hosts of the link; never the address of a container, to which a packet is routed.
_HERE = "fib daddr type { local, broadcast, multicast }"
# Without these a network stops working: errors that are not RELATED, neighbour discovery, and the
# membership of multicast groups that neighbour discovery rests on.
_ICMP4 = "icmp type { destination-unreachable, time-exceeded, parameter-problem } accept"
_ICMP6 = "icmpv6 type { 1-4, 130-136, 143 } accept"
_DHCP4 = "udp sport 67 udp dport 68 accept"
_DHCP6 = "ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept"


@dataclass(frozen=True, slots=True)
class Shape:
    """What decides about the rules of the chains; the allow-list is in the sets.

    `filtered`: interfaces that are filtered; None: all but `trusted` and bridges, with `uplinks`
    among the filtered ones even if they are bridges.
    """

    filtered: tuple[str, ...] | None
    uplinks: tuple[str, ...]
    trusted: tuple[str, ...]
    peers: tuple[str, ...]
    cut_established: bool
    enforced: bool

    def chains(self, prefix: str = "") -> Mapping[str, tuple[str, ...]]:
        """The rules of the staged chains. `prefix`: of the chains and sets they lead to."""
        return {
            f"{prefix}entry": self._entry(prefix),
            f"{prefix}judge": self._judge(prefix),
            f"{prefix}listed": _list(prefix),
            f"{prefix}verdict": ("counter drop" if self.enforced else "counter accept",),
        }

    def _entry(self, prefix: str) -> tuple[str, ...]:
        trusted = [f'iifname "{name}" accept' for name in self.trusted]
        if self.filtered is not None:
            return (*trusted, *(f'iifname "{name}" goto {prefix}judge' for name in self.filtered))
        uplinks = [f'iifname "{name}" goto {prefix}judge' for name in self.uplinks]
        return (*trusted, *uplinks, 'meta iifkind "bridge" accept', f"goto {prefix}judge")

    def _judge(self, prefix: str) -> tuple[str, ...]:
        replies = ["ct state established,related accept"]
        if self.cut_established:
            # Packets of the original direction are judged each time.
            replies = [
                "ct direction reply ct state established,related accept",
                "ct state related accept",
            ]
        peers = [
            f"{'ip6' if ':' in network else 'ip'} saddr {network} accept" for network in self.peers
        ]
        return (
            *replies,
            _ICMP4,
            _ICMP6,
            f"ip daddr 127.0.0.0/8 goto {prefix}verdict",
            _DHCP4,
            _DHCP6,
            *peers,
            f"{_HERE} jump {prefix}listed",
            "jump record",
            f"goto {prefix}verdict",
        )


def _list(prefix: str) -> tuple[str, ...]:
    """Within one packet's family only the sets of that family can match."""
    return tuple(f"{_LOOK[name.removeprefix(WIDE)]} @{prefix}{name} accept" for name in SETS)


_LOOK = {
    "open4": "meta l4proto . th dport . ip saddr",
    "open6": "meta l4proto . th dport . ip6 saddr",
    "bare4": "meta l4proto . ip saddr",
    "bare6": "meta l4proto . ip6 saddr",
    "icmp4": "icmp type . icmp code . ip saddr",
    "icmp6": "icmpv6 type . icmpv6 code . ip6 saddr",
}
_RECORD = (
    f"meta l4proto {_WITH_PORTS} update @cut4 {{ meta l4proto . th dport . ip saddr counter }}",
    f"meta l4proto {_WITH_PORTS} update @cut6 {{ meta l4proto . th dport . ip6 saddr counter }}",
    f"meta l4proto != {_WITH_PORTS} update @cut_bare4 {{ meta l4proto . ip saddr counter }}",
    f"meta l4proto != {_WITH_PORTS} update @cut_bare6 {{ meta l4proto . ip6 saddr counter }}",
)
_PREROUTING = ('iif "lo" accept', "goto gate")
_GATE = ("goto entry",)
GATE_OF_TRIAL = (f"meta nfproto . meta protocol @{TRIAL} goto {NEXT}entry", *_GATE)


def all_chains(shape: Shape) -> Mapping[str, tuple[str, ...]]:
    """The rules of every chain outside a trial, in an order in which they can be made."""
    staged = shape.chains()
    return {
        "record": _RECORD,
        **{name: staged[name] for name in reversed(STAGED)},
        "gate": _GATE,
        "prerouting": _PREROUTING,
    }


@lru_cache(maxsize=1024)
def tag_of(rule: str) -> str:
    """The comment of a rule of ours; the same in a trial and outside."""
    plain = rule.replace(NEXT, "")
    return TAG + hashlib.sha256(plain.encode()).hexdigest()[:8]


def tags_of(rules: tuple[str, ...]) -> tuple[str, ...]:
    """The comments of the rules of a chain."""
    return tuple(map(tag_of, rules))


def add_rules(chain: str, rules: tuple[str, ...]) -> list[str]:
    """Commands that append rules of ours to a chain."""
    return [f'add rule {TABLE} {chain} {rule} comment "{tag_of(rule)}"' for rule in rules]


def add_chain(chain: str, verb: str = "add") -> str:
    """The command that makes a chain."""
    return f"{verb} chain {TABLE} {chain}" + (f" {{ {HOOK} }}" if chain == "prerouting" else "")


def add_set(name: str, verb: str = "add", prefix: str = "") -> str:
    """The command that makes one of the sets."""
    flags = _OPEN if name in SETS else _CUT
    return f"{verb} set {TABLE} {prefix}{name} {{ type {_KEYS[name.removeprefix(WIDE)]}; {flags} }}"


def add_marker(marker: Marker) -> str:
    """The command that writes the owner marker into its (empty) chain."""
    return f'add rule {TABLE} {MARKER} accept comment "{marker_text(marker)}"'


def marker_text(marker: Marker) -> str:
    """The marker as a comment."""
    return f"owner={marker.owner} firewall={marker.firewall} hosts={marker.hosts}"


def marker_from(comment: str) -> Marker:
    """The marker of a comment; with a part missing it is still somebody's, and fits nobody."""
    pairs = (word.partition("=") for word in comment.split())
    parts = {key: value for key, _, value in pairs}
    return Marker(parts.get("owner", "?"), parts.get("firewall", "?"), parts.get("hosts", "?"))
