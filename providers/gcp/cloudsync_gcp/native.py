"""This provider's own frozen values: what the reader saw, and what a step writes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from cloudsync.provider.contract import Pending
from cloudsync.rules import RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync_gcp.vpc_rules import VpcRule


@dataclass(frozen=True, slots=True)
class Owned:
    """One VPC rule of the firewall: its targets are exactly the firewall's."""

    rule: VpcRule
    kind: Literal["allow", "denial", "strange"]
    """`denial`: one of `denials.py`. `strange`: it denies and cloudsync never made it."""
    generated: bool
    """Whether its name is one that cloudsync gives: then cloudsync made it."""
    effect: RuleSet
    """What it lets in from networks, on all the targets."""
    wrong: tuple[str, ...] = ()
    """What keeps it from doing what it is there for, in words."""

    @property
    def name(self) -> str:
        """Its name, unique in the project."""
        return self.rule.name

    @property
    def fault(self) -> Pending:
        """What is wrong with it, as something that is to be put right."""
        return Pending(f"rule {self.name}", f"not as configured: {', '.join(self.wrong)}")


@dataclass(frozen=True, slots=True)
class Others:
    """What somebody else's rules do on the firewall's machines."""

    denials: tuple[VpcRule, ...] = ()
    """Rules that deny something on some of them; not those of the same owner's firewalls."""
    allowances: tuple[VpcRule, ...] = ()
    """Rules that let something in on all of them."""
    notes: tuple[str, ...] = ()
    """Sentences: what they let in on some of them, and which carry the firewall's marker although
    they are for other machines now."""


@dataclass(frozen=True, slots=True)
class Firewall:
    """All VPC rules that matter for one firewall."""

    owned: tuple[Owned, ...] = ()
    taken: frozenset[str] = frozenset()
    """Names that somebody else's rules have, of those that ours might be given."""
    others: Others = Others()
    overruled: tuple[str, ...] = ()
    """Rules of the same owner's other firewalls that a denial of others would stop."""

    @property
    def allowances(self) -> tuple[Owned, ...]:
        """Its own rules that let something in, or should."""
        return tuple(owned for owned in self.owned if owned.kind == "allow")

    @property
    def denials(self) -> tuple[Owned, ...]:
        """Its own rules that deny what others let in."""
        return tuple(owned for owned in self.owned if owned.kind == "denial")

    @property
    def names(self) -> frozenset[str]:
        """All names that a new rule must not have."""
        return self.taken | {owned.name for owned in self.owned}


@dataclass(frozen=True, slots=True)
class Write:
    """One call."""

    method: Literal["insert", "update", "delete"]
    name: str
    body: dict[str, Any] | None = None
    """The whole resource; None to delete."""


@dataclass(frozen=True, slots=True)
class Writes:
    """Calls of one step: started together, waited for together."""

    writes: tuple[Write, ...]


def together(effects: Iterable[RuleSet]) -> RuleSet:
    """What rules let in together."""
    return RuleSet.union(effects)
