"""The owner marker a managed firewall carries at its vendor (decision 0004)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Marker:
    """Whose a firewall is."""

    owner: str
    firewall: str
    """Its name in the configuration."""
    hosts: str
    """8 hex digits over the hosts that feed it, see `host_digest`."""
    formerly: str = field(default="", compare=False)
    """What `hosts` was before markers knew engines; "" if it is the same. A firewall that still
    carries it is ours, and is marked again."""

    @property
    def unnamed(self) -> Marker:
        """The marker as it was before markers knew engines."""
        return Marker(self.owner, self.firewall, self.formerly or self.hosts)


def host_digest(hosts: Iterable[str], identities: Mapping[str, str] = _NONE) -> str:
    """8 hex digits of the SHA-256 of the sorted host names, one a line, each with the identity of
    its engine if there is one: neither three machines that each manage "the" firewall from their own
    configuration nor two machines that the same configuration was copied to fight unnoticed.

    `identities`: by host, of those that are read through a local socket.
    """
    lines = sorted(f"{host}={identities[host]}" if host in identities else host for host in hosts)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:8]
