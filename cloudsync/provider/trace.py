"""What a firewall on the machine itself met: what it stopped, or would stop, and which of its rules
nobody came by."""

from __future__ import annotations

from cloudsync.provider.errors import ProviderError
from cloudsync.rules import RuleSet
from cloudsync.rules.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Stopped:
    """Packets that no rule lets in."""

    protocol: str
    """`tcp`, `udp`, `icmp`, or another name or number."""
    port: int | None
    """None for protocols without ports."""
    source: str
    """The address that they came from."""
    packets: int
    """How many, of the last 30 days; of a connection that is tried again, each try."""


@dataclass(frozen=True, slots=True)
class Used:
    """A rule with the new connections it has let in."""

    rules: RuleSet
    description: str
    packets: int
    """New connections since the rule was made; 0: nobody has come by it."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What one firewall met. `error`: it could not be read, and the rest is empty."""

    enforced: bool | None = None
    """Whether packets are dropped; None if there is no firewall yet."""
    stopped: tuple[Stopped, ...] = ()
    """What is dropped, or would be while observing."""
    full: bool = False
    """Whether more may have come than could be recorded."""
    openings: tuple[Used, ...] = ()
    """All rules, used or not."""
    error: ProviderError | None = None
