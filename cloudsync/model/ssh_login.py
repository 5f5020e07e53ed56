"""The SSH connection of the person who started a run."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from cloudsync.rules import NetworkSet, Rule, RuleSet
from cloudsync.rules.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Login:
    """`peer`: where the person sits. `port`: the port of this machine's sshd. `here`: the
    connection ends at this very machine, by its address (`SSH_CONNECTION` may have been handed on
    to another one)."""

    peer: IPv4Address | IPv6Address
    port: int
    here: bool

    @property
    def rules(self) -> RuleSet:
        """What must stay open for it."""
        return RuleSet.of((Rule("tcp", self.port, self.port, NetworkSet.of((str(self.peer),))),))
