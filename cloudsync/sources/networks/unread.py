"""Why a network has no answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(eq=False)
class NetworkUnread(Exception):
    """No answer, or none that can be used: the network is unknown, not empty."""

    reason: str
    """One line for people, with nothing of the answer's content but networks."""
    temporary: bool = True
    """Trying again may help (exit 75 rather than 1)."""

    def __str__(self) -> str:
        return self.reason
