"""A plan: frozen data that says what would change and why. The document of decision 0006 is its
JSON form (`to_document`)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from cloudsync.model.ports import Origin, Unpublished
from cloudsync.model.sharing import Sharing
from cloudsync.rules import NetworkSet, Rule
from cloudsync.rules.frozen import dataclass

if TYPE_CHECKING:
    from cloudsync.provider.machines import ActingFirewall

Action = Literal["create", "adopt", "attach", "reapply", "open", "close", "rewrite"]
Withholds = Literal["closings", "openings", "firewall"]


@dataclass(frozen=True, slots=True)
class Granted:
    """What the user allowed on the command line; stored in a plan file, so that applying it needs
    no repetition."""

    adopt: tuple[str, ...] = ()
    """Firewalls that may be taken over although they carry no marker of this owner, or one of
    another configuration."""
    allow_attach: tuple[str, ...] = ()
    """Firewalls that may be attached to machines that are open today."""
    allow_close: int | None = None
    """How many rules may close, instead of `policy.max_close`."""
    ssh_moved: bool = False
    """SSH may close at its old place."""
    now: bool = False
    """Whatever grace would hold may close at once."""


def is_denial(target: str) -> bool:
    """Whether a change's target is a denial: `the denial of everything else`."""
    return target.startswith("the denial ")


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
    """What happens."""
    reason: str
    """Why, in words."""
    rule: Rule | None = None
    origins: tuple[Origin, ...] = ()
    """Who needs an opening."""
    target: str | None = None
    opens_now: bool = False
    in_place: bool = False
    """For attach: `target` is not a machine but what is put in place."""
    list_id: str = ""
    """For open: the vendor's list of addresses that is the rule's source, and that the networks of
    `rule` are in."""
    vendor_rule: str = ""
    """For close: the vendor's rule that goes or loses this, as a whole, with its name and
    description. Several changes may be parts of one rule."""

    @property
    def lifts(self) -> bool:
        """Whether what was in effect no longer is, so that others' rules count again."""
        return self.action == "reapply" and self.opens_now

    @property
    def lifts_denial(self) -> bool:
        """Whether that is a denial at the vendor. A machine's own firewall that filters no more
        has none: there the configuration is put into effect, as anywhere."""
        return self.lifts and is_denial(self.target or "")


@dataclass(frozen=True, slots=True)
class StepSummary:
    """One call that is to be made, as a plan tells it."""

    summary: str
    """What the call does, in words."""
    kind: str
    """`StepKind` of the contract: create, open, close, attach, mark, ..."""


@dataclass(frozen=True, slots=True)
class Held:
    """A rule that stays open although nothing requires it. `reason` is a short word (unknown-host,
    additive, ...), `detail` says it in words."""

    rule: Rule
    """What stays open."""
    reason: str
    detail: str
    until: datetime | None = None
    """When grace ends; None if no time was set."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A required port that is not opened. `sources` are CIDRs."""

    protocol: str
    """As in `Rule.protocol`."""
    ports: str
    """`443`, `8000-8010`; empty if the port is not known or the protocol has none."""
    sources: tuple[str, ...]
    code: str
    """A `RefusalCode`."""
    reason: str
    """Why, in words, with what to do."""
    origins: tuple[Origin, ...] = ()
    """Who asked for it."""


@dataclass(frozen=True, slots=True)
class Guard:
    """A refusal: what it saw, what it fears, how to go on."""

    id: str
    """Its name, as in docs/safety.md: `max-close`, `ssh-moved`, ..."""
    firewall: str
    """The firewall it speaks about."""
    withholds: Withholds
    """What is not done because of it: the closings, the openings, or everything of the firewall."""
    message: str
    """What it saw, what could go wrong, and how to go on; one line."""


@dataclass(frozen=True, slots=True)
class ReadStatus:
    """`complete`, `partial` or `failed`; `temporary`: trying again may fix it."""

    status: Literal["complete", "partial", "failed"]
    """Whether everything, some of it or nothing was read."""
    reason: str | None = None
    """What was not read and why; None if complete."""
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
    """What is reachable."""
    through: str
    advice: str
    """How to close it."""
    firewall: ActingFirewall | None = None


@dataclass(frozen=True, slots=True)
class Halted:
    """Something that one wall in front of a machine lets in and the other stops."""

    rule: Rule
    """What is let in by one of them."""
    let_in_by: str
    """For people: `the cloud`, `the machine's own firewall`."""
    stopped_by: str
    """The same for the other."""
    needed: bool = False
    """Whether the configuration wants any of it: then nothing reaches what should be reached."""


@dataclass(frozen=True, slots=True)
class MachineExposure:
    """What the Internet reaches on one machine, over all firewalls that act on it. `target`:
    `server 7`. `attached`: the plan's own firewall is one of them. `reachable`: all of it;
    `beyond`: the part nobody wants, rule by rule. `firewalls`: those that act on it, in words.
    `pending`, `unknown`, `kept`: a sentence each."""

    machine: str
    """Its name at the vendor."""
    target: str
    protected: bool
    """Whether a firewall acts on every interface that the Internet reaches."""
    attached: bool
    beyond: tuple[Beyond, ...] = ()
    reachable: tuple[Rule, ...] = ()
    addresses: tuple[str, ...] = ()
    """Its public addresses."""
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
    """The machines that it acts on or should act on."""
    unattached: bool = False
    not_evaluated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Orphan:
    """A firewall at the vendor with our owner's marker that the configuration does not name.
    `firewall`: the name in its marker."""

    provider: str
    """The account's name in the configuration."""
    type: str
    """`aws`, `hetzner`, ..."""
    id: str
    """The vendor's id."""
    name: str
    """The vendor's name for it."""
    firewall: str


@dataclass(frozen=True, slots=True)
class FirewallPlan:
    """`changes`: what would change. Closings that a guard withholds are not changes but `held`;
    where a guard withholds the whole firewall its changes stand here all the same, for a person to
    judge, and an apply leaves them undone."""

    name: str
    """Its name in the configuration."""
    provider: str
    """The account's name in the configuration."""
    type: str
    """`aws`, `hetzner`, ..."""
    endpoint: str
    """The API's address, without path; part of what the digest approves."""
    identity: str
    """What the plugin identifies the firewall by: two tables with the same identity are one
    firewall."""
    id: str | None
    """The vendor's id; None if it does not exist, or was not read."""
    exists: bool | None
    """None if it could not be read."""
    read: ReadStatus
    """Whether the vendor's side could be read."""
    hosts: tuple[str, ...]
    """The hosts that feed it."""
    changes: tuple[Change, ...] = ()
    steps: tuple[StepSummary, ...] = ()
    """The calls that an apply would make, in order."""
    unchanged: int = 0
    """How many rules stay as they are."""
    held: tuple[Held, ...] = ()
    refused: tuple[Refused, ...] = ()
    """Ports that are required and not opened."""
    kept: tuple[str, ...] = ()
    """What the vendor has on it that cloudsync leaves alone, a sentence each."""
    standing: Standing = Standing()
    """What it acts on."""
    shared: Sharing = Sharing()
    """What is open on a host for the sake of others."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`malformed`: containers whose labels do not parse, in words. `warnings`: remarks for
    people."""

    tool_version: str
    """The version of cloudsync that made it."""
    created: datetime
    """When, with time zone."""
    owner: str
    """`owner` of the configuration."""
    granted: Granted
    """What the user allowed."""
    hosts: tuple[tuple[str, ReadStatus], ...]
    """Every host's name and how well its needs are known."""
    firewalls: tuple[FirewallPlan, ...]
    """One for each firewall of the configuration, in its order."""
    guards: tuple[Guard, ...] = ()
    """What needs a person's decision."""
    unassigned: tuple[Refused, ...] = ()
    """Ports of hosts that feed no firewall."""
    malformed: tuple[str, ...] = ()
    malformed_on: frozenset[str] = frozenset()
    """The hosts of these containers."""
    warnings: tuple[str, ...] = ()
    orphans: tuple[Orphan, ...] = ()
    """Firewalls with this owner's marker that the configuration lacks."""
    networks: tuple[NetworkReading, ...] = ()
    """The networks of the configuration that move."""
    machines: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """By the name of a provider's table some machines of its account (`server 7`), if they were
    read: what tells one project of a vendor from another while a firewall does not exist yet."""
    unpublished: tuple[Unpublished, ...] = ()
    """Containers whose ports are not known, or not reached at the machine's addresses, because of
    their network; `warnings` name them too."""

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
