"""How people log in today, as far as a firewall that is being adopted tells (law 2). Pure.

No earlier apply has recorded an `[ssh]`, so three signs stand for it: a port of `[ssh]`, port 22,
and a rule that calls itself ssh.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from cloudsync.config.configuration import Ssh
from cloudsync.provider.contract import Present
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import ANY, NetworkSet

_CALLS_ITSELF_SSH = re.compile(r"(?<![a-z])sshd?(?![a-z])", re.IGNORECASE)
KNOWN_NETWORKS: Mapping[str, str] = {
    "35.235.240.0/20": "Identity-Aware Proxy",
    "2600:2d00:1:7::/64": "Identity-Aware Proxy",
}
"""Networks that a vendor's own way to log in comes from.
https://cloud.google.com/iap/docs/using-tcp-forwarding"""


@dataclass(frozen=True, slots=True)
class LoginWay:
    """A rule that people may log in by, or the part of it that is in question."""

    rules: RuleSet
    """What it lets in."""
    title: str
    """What the vendor's rule is called, with its description; empty if it has neither."""

    def __str__(self) -> str:
        known = {
            name
            for rule in self.rules
            for cidr, name in KNOWN_NETWORKS.items()
            if NetworkSet.of((cidr,)).covers(rule.sources)
        }
        words = [", ".join(map(str, self.rules)), self.title, *(f"({name})" for name in known)]
        return " ".join(filter(None, words))


def ways_in(observed: Present, ssh: Ssh, within: RuleSet) -> tuple[LoginWay, ...]:
    """The ways people may log in by, as far as they are part of `within`."""
    ports = _from_anywhere({*ssh.ports, 22})
    ways = []
    for rule in observed.vendor_rules:
        if not (piece := rule.lets_in & within):
            continue
        if not _CALLS_ITSELF_SSH.search(rule.title):
            piece = piece & ports
        if piece:
            ways.append(LoginWay(piece, rule.title))
    return tuple(ways)


def together(ways: Iterable[LoginWay]) -> RuleSet:
    """All of them as one set."""
    return RuleSet.union(way.rules for way in ways)


def unreached(observed: Present, ssh: Ssh, elsewhere: RuleSet) -> tuple[int, ...]:
    """The declared SSH ports that nothing lets in today: neither the firewall, other sources than
    networks included, nor another one on its machines (`elsewhere`)."""
    kept = RuleSet.union(kept_rule.reaches for kept_rule in observed.kept)
    reached = observed.rules | kept | elsewhere
    return tuple(port for port in ssh.ports if not _from_anywhere((port,)) & reached)


def _from_anywhere(ports: Iterable[int]) -> RuleSet:
    return RuleSet.of(Rule("tcp", port, port, ANY) for port in ports)
