"""What one account's reader reported alongside its firewalls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cloudsync.provider.contract import Unreadable
from cloudsync.rules.frozen import dataclass

if TYPE_CHECKING:
    from cloudsync.provider.machines import Fleet, Marked


@dataclass(frozen=True, slots=True)
class Seen:
    """What one account's reader told beside its firewalls; None where it was not asked, or cannot
    tell."""

    fleet: Fleet | Unreadable | None = None
    """The account's machines."""
    marked: Sequence[Marked] | Unreadable | None = None
    """Firewalls that carry a marker of cloudsync."""
