"""What a store holds of a host that publishes, before anybody has looked into it."""

from __future__ import annotations

from cloudsync.rules.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Published:
    """What a store holds of one host: `data` is None if there is no inventory, `problem` is why
    nobody can say."""

    data: bytes | None = None
    problem: str | None = None
    temporary: bool = True
