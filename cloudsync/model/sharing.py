"""Several hosts behind one firewall: what is open on one of them only because another needs it (law
8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from cloudsync.rules import NOTHING, Rule, RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.index import RuleIndex


@dataclass(frozen=True, slots=True)
class Shared:
    """A rule that is open on `host` too, because another host behind the same firewall needs it."""

    host: str
    rule: Rule
    """The rule."""
    needed_by: tuple[str, ...]
    """The hosts that do need it."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """The hosts of one firewall and what each needs. Written out host by host it grows with the
    square of the hosts, so that is done by who shows it (`entries`)."""

    opened: RuleSet = NOTHING
    """What the firewall is to let in."""
    everybody: RuleSet = NOTHING
    """What the configuration itself asks for (SSH, `allow`), which is for all hosts."""
    needs: Mapping[str, RuleSet] = field(default_factory=dict)
    """What each host needs, in the configuration's order."""
    complete: frozenset[str] = frozenset()
    """The hosts that were read completely, every label of them: only they can be said not to need
    something."""

    def entries(self) -> tuple[Shared, ...]:
        """The parts of `opened` that a host does not need and another one does, host by host."""
        needed = RuleSet.union(self.needs.values())
        index = RuleIndex((rules, host) for host, rules in self.needs.items())
        shared: list[Shared] = []
        for host, own in self.needs.items():
            if host not in self.complete:
                continue
            # What nobody but this host needs goes with `own`, so that needed by anybody means
            # needed by others.
            for rule in (needed & self.opened) - own - self.everybody:
                others = tuple(other for other in index.overlapping(rule) if other != host)
                shared.append(Shared(host, rule, others))
        return tuple(shared)
