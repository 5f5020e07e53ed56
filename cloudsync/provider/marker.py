"""The owner marker a managed firewall carries at its vendor (decision 0004)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Marker:
    """`owner` and the firewall's name in the configuration, and 8 hex digits over the hosts that
    feed it."""

    owner: str
    firewall: str
    hosts: str


def host_digest(hosts: Iterable[str]) -> str:
    """8 hex digits of the SHA-256 of the sorted host names, one a line: three machines that each
    manage "the" firewall from their own configuration have three digests, and do not fight
    unnoticed."""
    return hashlib.sha256("\n".join(sorted(hosts)).encode()).hexdigest()[:8]
