"""This provider's own frozen values: what a reader saw of a machine, what a step does to it."""

from __future__ import annotations

import dataclasses
from functools import cached_property

from cloudsync.provider.marker import Marker
from cloudsync.rules import NOTHING, RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync_host.address import Destination, destination_of
from cloudsync_host.elements import Element
from cloudsync_host.layout import Shape
from cloudsync_host.machine import Seen, shape_of
from cloudsync_host.settings import HostFirewall
from cloudsync_host.transaction import Goal


@dataclasses.dataclass(frozen=True)
class Observed:
    """`seen` with what the configuration makes of it."""

    seen: Seen
    settings: HostFirewall

    @property
    def enforced(self) -> bool:
        """Whether packets are dropped now."""
        return self.seen.table is not None and not self.seen.table.observes

    def shape(self, *, enforced: bool) -> Shape:
        """How the configuration wants the chains."""
        return shape_of(self.settings, self.seen.uplinks, enforced=enforced)

    @cached_property
    def drift(self) -> tuple[str, ...]:
        """Chains and sets that are not as the configuration wants them, the verdict aside."""
        table = self.seen.table
        return () if table is None else table.differs_from(self.shape(enforced=self.enforced))

    @property
    def drift_closes(self) -> bool:
        """Whether putting the drift right may close something: all of it may, unless interfaces
        only stop being filtered."""
        return bool(self.drift) and (self.drift != ("entry",) or self.filters_more)

    @property
    def filters_more(self) -> bool:
        """Whether an interface would be filtered that is not now."""
        table, shape = self.seen.table, self.shape(enforced=True)
        if table is None or "entry" not in self.drift:
            return False
        from cloudsync_host.layout import tags_of

        wanted, present = tags_of(shape.chains()["entry"]), table.tags("entry")
        trusting = {
            tag
            for tag, rule in zip(wanted, shape.chains()["entry"], strict=True)
            if rule.endswith("accept")
        }
        gained = [tag for tag in wanted if tag not in present and tag not in trusting]
        # Where all interfaces are filtered, a rule that goes may be one that trusted.
        lost = [tag for tag in present if tag not in wanted] if shape.filtered is None else []
        return bool(gained or lost)

    @cached_property
    def is_saved(self) -> bool:
        """Whether the next boot loads what is in effect."""
        return self.settings.saved_file is None or self.seen.is_saved(
            self.shape(enforced=self.enforced)
        )


@dataclass(frozen=True, slots=True)
class Change:
    """One step. `goal`: what the table should be; with `rules_only` its chains stay as they are.
    `before`: the elements that the plan saw, None where the table is created. `owner`: the marker
    that it saw. `trial`: seconds, None = at once. `ssh`: what a new connection proves."""

    address: str
    goal: Goal
    before: tuple[Element, ...] | None
    owner: Marker | None = None
    trial: int | None = None
    save: str | None = None
    ssh: RuleSet = NOTHING
    rules_only: bool = False

    @property
    def destination(self) -> Destination | None:
        """Where to; None for this machine."""
        return destination_of(self.address)
