"""This provider's own frozen values: what the reader saw, and what a step writes."""

from __future__ import annotations

from typing import Any, Literal

from cloudsync.provider.contract import FirewallSpec, Pending, Touched
from cloudsync.rules import NOTHING, RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync_gcp import provider
from cloudsync_gcp.settings import GcpFirewall
from cloudsync_gcp.vpc_rules import VpcRule


@dataclass(frozen=True, slots=True)
class Owned:
    """One VPC rule of the firewall: its targets are exactly the firewall's."""

    rule: VpcRule
    kind: Literal["allow", "denial", "strange"]
    """`denial`: one of `denials.py`. `strange`: it denies and cloudsync never made it."""
    generated: bool
    """Whether its name is one that cloudsync gives: then cloudsync made it."""
    effect: RuleSet = NOTHING
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
class Firewall:
    """All VPC rules that matter for one firewall."""

    spec: FirewallSpec
    owned: tuple[Owned, ...] = ()
    taken: frozenset[str] = frozenset()
    """Names that somebody else's rules have, of those that ours might be given."""
    foreign_denials: tuple[VpcRule, ...] = ()
    """Somebody else's rules that deny something on some of its machines; not those of the same
    owner's firewalls."""
    foreign_allowances: tuple[VpcRule, ...] = ()
    """Somebody else's rules that let something in on all of its machines."""
    notes: tuple[str, ...] = ()
    """Sentences: what somebody else's rules let in on some of its machines, and which carry the
    firewall's marker although they are for other machines now."""
    overruled: tuple[str, ...] = ()
    """Rules of the same owner's other firewalls that a denial of others would stop."""

    @property
    def settings(self) -> GcpFirewall:
        """The keys of its table."""
        return provider.settings_of(self.spec)

    @property
    def prefix(self) -> str:
        """What the names of its new rules begin with."""
        return provider.identity(self.spec)

    @property
    def allowances(self) -> tuple[Owned, ...]:
        """Its own rules that let something in, or should."""
        return tuple(owned for owned in self.owned if owned.kind == "allow")

    @property
    def denials(self) -> tuple[Owned, ...]:
        """Its own rules that deny what others let in."""
        return tuple(owned for owned in self.owned if owned.kind == "denial")

    def stopped(self, priority: int, earlier: int, *, for_now: bool = False) -> RuleSet:
        """What denials of others stop of rules with this priority, and not of those with an
        earlier one. `for_now`: what the firewall's own stop too, as they are before the plan."""
        own = [owned.rule for owned in self.denials if for_now and not owned.rule.disabled]
        denying = (*self.foreign_denials, *own)
        between = (rule for rule in denying if earlier < rule.priority <= priority)
        return RuleSet.union(rule.matches for rule in between)

    @property
    def names(self) -> frozenset[str]:
        """All names that a new rule must not have."""
        return self.taken | {owned.name for owned in self.owned}


@dataclass(frozen=True, slots=True)
class Write:
    """One call about one VPC rule."""

    method: Literal["insert", "update", "delete"]
    name: str
    body: dict[str, Any] | None = None
    """The whole resource; None to delete."""
    before: RuleSet = NOTHING
    """What the rule lets in before it."""
    after: RuleSet = NOTHING
    """What the rule lets in after it."""
    priority: int = 0
    """The rule's priority after it, if it lets something in then."""
    owned: Owned | None = None
    """The rule that exists, None if it is new."""
    touched: Touched | None = None
    """Set if the rule is deleted or loses something."""

    @property
    def deletes(self) -> bool:
        """Whether the rule goes."""
        return self.method == "delete"

    @property
    def gains(self) -> bool:
        """Whether something opens by it."""
        return bool(self.after - self.before)

    @property
    def loses(self) -> bool:
        """Whether something closes by it, in this rule."""
        return self.deletes or bool(self.before - self.after)


@dataclass(frozen=True, slots=True)
class Writes:
    """Calls of one step: started together, waited for together."""

    writes: tuple[Write, ...]
