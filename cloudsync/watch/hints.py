"""What happened since the last look, as far as it says where to look. Threads give hints, the loop
takes them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from cloudsync.rules.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Hint:
    """Where something may have changed."""

    hosts: frozenset[str] = frozenset()
    """Names in the configuration."""
    everywhere: bool = False
    """Not only at these hosts."""

    def __bool__(self) -> bool:
        return self.everywhere or bool(self.hosts)

    def __or__(self, other: Hint) -> Hint:
        return Hint(self.hosts | other.hosts, self.everywhere or other.everywhere)


NOTHING = Hint()
EVERYWHERE = Hint(everywhere=True)


class Hints:
    """Collects them. `ring`: called for each, from the thread that gave it."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._lock = threading.Lock()
        self._hint = NOTHING

    def at(self, hosts: Iterable[str]) -> None:
        """Something may have changed at these hosts."""
        self._give(Hint(frozenset(hosts)))

    def everywhere(self) -> None:
        """Something may have changed, and where is not known."""
        self._give(EVERYWHERE)

    def take(self) -> Hint:
        """All since the last look."""
        with self._lock:
            hint, self._hint = self._hint, NOTHING
        return hint

    def _give(self, hint: Hint) -> None:
        with self._lock:
            self._hint |= hint
        self._ring()
