"""A plan: frozen data that says what would change and why. The document of decision 0006 is its
JSON form (`to_document`)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from cloudsync.model.ports import Origin
from cloudsync.rules import NetworkSet, Rule

if TYPE_CHECKING:
    from cloudsync.provider.machines import ActingFirewall

Action = Literal["create", "adopt", "attach", "reapply", "open", "close", "rewrite"]
Withholds = Literal["closings", "openings", "firewall"]


@dataclass(frozen=True, slots=True)
class Granted:
    """What the user allowed on the command line; stored in a plan file, so that applying it needs
    no repetition."""

    adopt: tuple[str, ...] = ()
    allow_attach: tuple[str, ...] = ()
    allow_close: int | None = None
    ssh_moved: bool = False
    now: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `rule` for open and close; `target` for attach, reapply and rewrite;
    `opens_now`: the machine is under no firewall now; for reapply: it is lifted, and others' rules
    count again.

    An `open` is the rule that is written, a `close` the vendor's rule that goes or the part of it
    that does. A `rewrite` is a vendor object that is deleted, retargeted, renamed or loses
    something without a port opening or closing on our machines.
    """

    action: Action
    reason: str
    rule: Rule | None = None
    origins: tuple[Origin, ...] = ()
    target: str | None = None
    opens_now: bool = False
    vendor_rule: str = ""
    """For close: the vendor's rule that goes or loses this, as a whole, with its name and
    description. Several changes may be parts of one rule."""


@dataclass(frozen=True, slots=True)
class StepSummary:
    """One call that is to be made, as a plan tells it."""

    summary: str
    kind: str


@dataclass(frozen=True, slots=True)
class Held:
    """A rule that stays open though nobody wants it. `reason` is a short word (unknown-host,
    additive, ...), `detail` says it in words."""

    rule: Rule
    reason: str
    detail: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A required port that is not opened. `sources` are CIDRs."""

    protocol: str
    ports: str
    sources: tuple[str, ...]
    code: str
    reason: str
    origins: tuple[Origin, ...] = ()


@dataclass(frozen=True, slots=True)
class Guard:
    """A refusal: what it saw, what it fears, how to go on."""

    id: str
    firewall: str
    withholds: Withholds
    message: str


@dataclass(frozen=True, slots=True)
class ReadStatus:
    """`complete`, `partial` or `failed`; `temporary`: trying again may mend it."""

    status: Literal["complete", "partial", "failed"]
    reason: str | None = None
    temporary: bool = True


@dataclass(frozen=True, slots=True)
class NetworkReading:
    """A network of the configuration that moves, as this plan used it."""

    name: str
    source: str
    """Where it comes from, for people."""
    status: ReadStatus
    """Of this run; complete too if a remembered answer was young enough."""
    networks: NetworkSet
    """What was used: this run's answer, else the last good one; empty if there is none."""
    read: datetime | None
    """When that answer was given; None if there is none."""


@dataclass(frozen=True, slots=True)
class Beyond:
    """Something reachable that nobody wants. `through`: firewall and rule. `firewall`: None where
    no firewall acts at all."""

    rule: Rule
    through: str
    advice: str
    firewall: ActingFirewall | None = None


@dataclass(frozen=True, slots=True)
class Halted:
    """Something that one wall in front of a machine lets in and the other stops."""

    rule: Rule
    let_in_by: str
    """For people: `the cloud`, `the machine's own firewall`."""
    stopped_by: str
    needed: bool = False
    """Whether the configuration wants any of it: then nothing reaches what should be reached."""


@dataclass(frozen=True, slots=True)
class MachineExposure:
    """What the Internet reaches on one machine, over all firewalls that act on it. `target`:
    `server 7`. `attached`: the plan's own firewall is one of them. `reachable`: all of it;
    `beyond`: the part nobody wants, rule by rule. `firewalls`: those that act on it, in words.
    `pending`, `unknown`, `kept`: a sentence each."""

    machine: str
    target: str
    protected: bool
    attached: bool
    beyond: tuple[Beyond, ...] = ()
    reachable: tuple[Rule, ...] = ()
    addresses: tuple[str, ...] = ()
    firewalls: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    halted: tuple[Halted, ...] = ()
    """What only one of the two walls lets in, where there are two; no part of `reachable`."""
    halted_after: tuple[Halted, ...] = ()
    """The same once the plan is applied."""
    inside: bool = False
    """Whether the plan's own firewall is the machine's kernel, behind its cloud's."""
    metadata: str = ""
    """As `ObservedMachine.metadata`; for an audit, and no part of the plan document."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a firewall stands among its machines. `read`: None where nobody looked (the provider
    cannot, or policy.foreign = "ignore"). `unattached`: it exists and acts on no machine.
    `not_evaluated`: what else may let packets through or stop them."""

    read: ReadStatus | None = None
    machines: tuple[MachineExposure, ...] = ()
    unattached: bool = False
    not_evaluated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shared:
    """A rule that is open on `host` too, because another host behind the same firewall needs it."""

    host: str
    rule: Rule
    needed_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Orphan:
    """A firewall at the vendor with our owner's marker that the configuration does not name.
    `firewall`: the name in its marker."""

    provider: str
    type: str
    id: str
    name: str
    firewall: str


@dataclass(frozen=True, slots=True)
class FirewallPlan:
    """`changes`: what would change. Closings that a guard withholds are not changes but `held`;
    where a guard withholds the whole firewall its changes stand here all the same, for a person to
    judge, and an apply leaves them undone."""

    name: str
    provider: str
    type: str
    endpoint: str
    identity: str
    id: str | None
    exists: bool | None
    read: ReadStatus
    hosts: tuple[str, ...]
    changes: tuple[Change, ...] = ()
    steps: tuple[StepSummary, ...] = ()
    unchanged: int = 0
    held: tuple[Held, ...] = ()
    refused: tuple[Refused, ...] = ()
    kept: tuple[str, ...] = ()
    standing: Standing = Standing()
    shared: tuple[Shared, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """`malformed`: containers whose labels do not parse, in words. `warnings`: remarks for
    people."""

    tool_version: str
    created: datetime
    owner: str
    granted: Granted
    hosts: tuple[tuple[str, ReadStatus], ...]
    firewalls: tuple[FirewallPlan, ...]
    guards: tuple[Guard, ...] = ()
    unassigned: tuple[Refused, ...] = ()
    malformed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    orphans: tuple[Orphan, ...] = ()
    networks: tuple[NetworkReading, ...] = ()
    """The networks of the configuration that move."""

    @property
    def has_changes(self) -> bool:
        return any(firewall.changes for firewall in self.firewalls)


def merged(refused: Iterable[Refused]) -> tuple[Refused, ...]:
    """Refusals that differ in their sources only (IPv4 and IPv6 of one published port) as one."""
    by_meaning: dict[tuple[object, ...], Refused] = {}
    for refusal in refused:
        key = (refusal.protocol, refusal.ports, refusal.code, refusal.reason, refusal.origins)
        if (before := by_meaning.get(key)) is None:
            by_meaning[key] = refusal
        else:
            sources = NetworkSet.of((*before.sources, *refusal.sources)).cidrs()
            by_meaning[key] = Refused(
                refusal.protocol,
                refusal.ports,
                sources,
                refusal.code,
                refusal.reason,
                refusal.origins,
            )
    return tuple(by_meaning.values())
