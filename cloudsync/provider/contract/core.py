"""What every provider plugin is: a few small protocols, and the frozen values that pass between it
and the core. What a plugin may also be is in `optional.py`.

A plugin is one object, found by its entry point in the group `cloudsync_firewall.providers`, that
satisfies `Provider`. Reading and writing are different objects: planning is only ever handed a
`Reader` (law 5). Values named `native` are the provider's own; the core carries them from the
reader to the writer, never looks inside and never serialises them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal, Protocol

from cloudsync.provider.errors import ProviderError
from cloudsync.provider.marker import Marker
from cloudsync.provider.settings import AccountSettings, FirewallSettings
from cloudsync.rules import NOTHING, NetworkSet, Rule, RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.index import RuleIndex

API_VERSION = "1.1"
"""The version of this contract, MAJOR.MINOR. A plugin of another major version is refused; one that
was written for a later minor version is too, an earlier one works (decision 0024)."""
Effect = Literal["deletes", "retargets", "rewrites", "renames"]
"""What happens to a vendor object."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can and cannot do, as data: it feeds validation, documents and the choice of
    tests. The conformance suite holds a plugin to both sides: what is declared must be shown by a
    scenario, and what the vendor has must be declared."""

    protocols: frozenset[str] | None
    """Names a rule may carry, as `cloudsync.rules` writes them (`tcp`, `icmpv6`, `ipip`, not
    `ipencap`); None: any protocol number, `all` included."""
    icmp_types: bool
    """Single ICMP types can be let in ("echo")."""
    private_is_public: bool
    """A private address of the machine is mapped one to one to a public one (AWS, GCP), so that a
    port published on it is reachable from the Internet."""
    attaches: bool
    """The provider puts firewalls on machines."""
    descriptions: bool
    """Rules carry text."""
    all_protocols: bool = False
    """One rule can let every protocol in at once, those too that `protocols` does not name."""
    other_sources: bool = False
    """Rules may have sources that are no networks (another group, a tag); they are kept and
    listed."""
    limited: bool = False
    """The plan knows how many rules fit and refuses more."""
    paged: bool = False
    """Lists come in pages."""
    counted: bool = False
    """Lists say how many items there are."""
    remote: bool = True
    """There are calls that can be refused, throttled and lost on the way."""
    at_once: int = 1
    """So many firewalls of one account may be written side by side; above 1 a writer's `run` is
    called from several threads."""
    notes: tuple[tuple[str, str], ...] = ()
    """(what, why) pairs for people, with a link if there is one."""
    longest_description: int | None = None
    """How many characters of a rule's description the vendor takes: a longer one is cut, and the
    plan says so. None: any number, or rules have no descriptions."""
    list_ids: str | None = None
    """A regular expression: how the vendor's ids of its own lists of addresses look (managed prefix
    lists, address groups), which a rule may name as its source. None: there are none."""
    lag_seconds: float = 0.0
    """For so long after a write that the vendor accepted its reads may still show what was there
    before: what is not seen is looked at again, and only then reported as missing. 0: a read shows
    every write that ended before it."""
    filters_private: bool = False
    """The firewall filters traffic from private networks too. Then `Absent.private` and
    `Present.private` say what a new firewall lets in from there, and the user decides by the key
    `private_setting`."""
    private_setting: str = "private"
    """The key of the firewall's table that decides about private networks, for messages."""
    denies: bool = False
    """The vendor's rules may deny. `Present.rules` is then what gets in after all of them
    (`cloudsync.provider.first_match`), and a denial of others is never passed or deleted
    unasked."""
    accepts_by_default: bool = False
    """A firewall may have a default policy that lets in what no rule mentions. The plugin reports
    that policy as an attachment that is still missing: to close it is to put the machines under
    the firewall (law 1), which needs the user's word."""
    pends: bool = False
    """The vendor may accept a change and not put it into effect; see `Present.pending`."""


@dataclass(frozen=True, slots=True)
class FirewallSpec:
    """One firewall of the configuration, as a provider sees it."""

    name: str
    """Its name in the configuration."""
    settings: FirewallSettings
    """The provider's own model of the table's keys."""
    marker: Marker
    """The owner marker that the firewall carries or is to carry."""
    hosts: tuple[str, ...] = ()
    """The names of its hosts; a machine of that name at the vendor is one of them."""
    engines: tuple[str, ...] = ()
    """The engines of its hosts as the configuration names them (`unix://…`, `ssh://…`, `tcp://…`,
    or a Docker context): a provider that acts on the machine itself finds it by them."""
    lists: tuple[str, ...] = ()
    """Ids of the vendor's lists of addresses that the configuration names as sources: their
    networks are read with the firewall (`Present.lists`)."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine at the vendor."""

    id: str
    """The vendor's id, as text."""
    name: str
    """Its name, for people."""
    protected: bool
    """Whether some firewall, any firewall, acts on it now."""
    kind: str = "server"
    """The vendor's word for such a machine."""

    @property
    def target(self) -> str:
        """Stable text for the plan: `server 7`, `droplet 7`."""
        return f"{self.kind} {self.id}"


@dataclass(frozen=True, slots=True)
class Attachment:
    """One attachment the configuration asks for: a server, or a selector that stands for
    several."""

    target: str
    """Stable text for the plan and its digest: `server 7`, `label selector env=prod`."""
    attached: bool
    """Whether the firewall has it already."""
    newly_covered: tuple[Machine, ...] = ()
    """The machines that come under the firewall by it and are not under it now."""
    native: object = field(default=None, compare=False)
    """The provider's own value, for its writer."""
    reason: str | None = None
    """What closes by it, if that is more than the machines tell (others' rules no longer count,
    say); it needs the user's word."""
    in_place: bool = False
    """`target` is not a machine but what is put in place for all of them (a denial of everything
    else), for people."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A rule at the vendor that is not about networks (another group, a tag, ...): kept and listed,
    never touched."""

    summary: str
    """The rule for people: `tcp/8080 from the group sg-1`."""
    reaches: RuleSet = NOTHING
    """The protocols and ports it lets in, as if from everywhere; empty if the provider cannot tell.
    It tells who reaches a port today that a plan is about to open to everybody."""
    source: str = ""
    """Who may come in by it, for people: `the group sg-1`."""
    lets_in: RuleSet = NOTHING
    """What it lets in now, if its source is a list of addresses whose networks are known: need not
    be opened again. The rule stays its maker's all the same."""


@dataclass(frozen=True, slots=True)
class VendorRule:
    """One rule object at the vendor that lets networks in: what a person sees as one line in the
    console."""

    key: str
    """Tells the rule from all others of its firewall and stays the same from one read to the next:
    the vendor's id or name, else how the rule is spelled. Never written into a plan's digest."""
    lets_in: RuleSet
    """What the rule lets in on the firewall's machines by itself. Empty is possible (port 0 alone):
    such a rule is left as it is."""
    name: str = ""
    """The vendor's name of the rule; empty if rules have none."""
    description: str = ""
    """What the rule's description says, as it was written."""
    ours: bool = False
    """Whether the vendor's own data proves that cloudsync made it (a marker, a generated name).
    The core adds what it remembers to have written before it asks for steps."""
    list_id: str = ""
    """The vendor's list of addresses that is its source; `lets_in` has its networks as they are
    now. Empty for a rule of networks."""
    counted_with: str = ""
    """Rules with the same text here are one rule to a person, and count once for
    `policy.max_close`: a vendor with one object per source gives protocol and ports. Empty: the
    rule counts by itself."""

    @property
    def label(self) -> str:
        """The rule for people, stable from one read to the next: what it lets in, and its name and
        description if it has them."""
        if self.list_id:
            meaning = f"{'; '.join(self.selectors)} from {self.list_id}"
        else:
            meaning = "; ".join(str(rule) for rule in self.lets_in) or "nothing"
        return " ".join(filter(None, (meaning, self.title)))

    @property
    def selectors(self) -> tuple[str, ...]:
        """Protocol and ports of what it lets in, as text: `tcp/443`."""
        return tuple(dict.fromkeys(rule.protocol_and_ports for rule in self.lets_in))

    @property
    def title(self) -> str:
        """What people call it: its name and its description in quotes; empty if it has neither."""
        return " ".join(filter(None, (self.name, self.description and f'"{self.description}"')))


@dataclass(frozen=True, slots=True)
class Pending:
    """Something of the firewall's configuration that is not in effect at the vendor: still being
    applied, or failed."""

    target: str
    """Stable text: `server 7`; `the denial of …` for a denial that is to be lifted."""
    reason: str
    """Why, for people."""
    lifts: bool = False
    """Putting it into effect opens and closes nothing, so that it waits for no host."""


@dataclass(frozen=True, slots=True)
class Description:
    """What a rule's description says."""

    rules: RuleSet
    """What it is about."""
    text: str
    """Who needs these rules."""


@dataclass(frozen=True, slots=True)
class Present:
    """The firewall exists and was read completely."""

    id: str
    """The vendor's id of the firewall."""
    rules: RuleSet
    """Its public inbound rules, together."""
    marker: Marker | None
    """The owner marker it carries; None without one."""
    listed: tuple[Rule, ...] = ()
    """The same rules one by one as the vendor lists them, which tells a rule for a private network
    from a wider one beside it; left out, the canonical rules of `rules` stand in."""
    attachments: tuple[Attachment, ...] = ()
    """Every attachment that the configuration asks for, there or missing."""
    kept: tuple[Kept, ...] = ()
    """Rules whose source is not a network."""
    pending: tuple[Pending, ...] = ()
    """What the vendor accepted and has not put into effect."""
    private: RuleSet = NOTHING
    """What the firewall should let in from private networks because it filters them too: part of a
    new firewall, and wanted for good if `policy.private` is `manage`."""
    foreign: tuple[Kept, ...] = ()
    """What others let in on the same machines, if the same calls told it."""
    described: tuple[Description, ...] = ()
    """What the vendor's descriptions say of the rules, as they were written: without a state of
    earlier runs they tell which rules were a container's."""
    native: object = field(default=None, compare=False)
    """The provider's own value, for `plan_steps`."""
    objects: tuple[VendorRule, ...] = ()
    """The vendor's rule objects behind `rules`, in the vendor's order; left out, each of `listed`
    stands for one."""
    managed_by: tuple[str, ...] = ()
    """What else seems to own the firewall (a CloudFormation stack, a Kubernetes cluster,
    Terraform), a phrase each; named before it is adopted."""
    lists: Mapping[str, NetworkSet] = field(default_factory=dict)
    """The networks of the vendor's lists in `FirewallSpec.lists`, by id, all of them. A rule that
    names one of these, or that cloudsync made, is one of `objects`; other such rules are `kept`."""

    @property
    def by_lists(self) -> RuleSet:
        """What rules of others let in by lists of addresses whose networks are known."""
        return RuleSet.union(kept.lets_in for kept in self.kept)

    @property
    def vendor_rules(self) -> tuple[VendorRule, ...]:
        """`objects`; if the provider names none, each rule it lists by itself is one, and those
        with the same ports count as one."""
        if self.objects:
            return self.objects
        rules = self.listed or tuple(self.rules)
        return tuple(
            VendorRule(
                f"{number} {rule}",
                RuleSet.of((rule,)),
                counted_with=f"{rule.protocol}/{rule.ports}",
            )
            for number, rule in enumerate(rules)
        )


@dataclass(frozen=True, slots=True)
class Absent:
    """The firewall certainly does not exist; the attachments it is to have were read."""

    attachments: tuple[Attachment, ...] = ()
    """Every attachment that the new firewall is to have."""
    private: RuleSet = NOTHING
    """As `Present.private`."""
    foreign: tuple[Kept, ...] = ()
    """As `Present.foreign`."""
    native: object = field(default=None, compare=False)
    """As `Present.native`."""
    lists: Mapping[str, NetworkSet] = field(default_factory=dict)
    """As `Present.lists`."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The firewall's state is not known: it gets no write at all (law 1)."""

    error: ProviderError
    """Why, and whether trying again may help."""


Observation = Present | Absent | Unreadable


@dataclass(frozen=True, slots=True)
class Asked:
    """One rule that the configuration or a container asks for, as a person would write it: its own
    ports and sources, never the difference to what is open already."""

    rule: Rule
    """Protocol, ports and sources as they were asked for."""
    description: str = ""
    """What the vendor's rule says of it, if it has to be written."""
    list_id: str = ""
    """The vendor's list of addresses that is its source, and that `rule.sources` are the networks
    of: written as that, never as networks."""


@dataclasses.dataclass(frozen=True)
class Target:
    """What a firewall should be: all its public rules (desired and held), the attachments still
    missing, its marker.

    `rules` judges, `asked` is what to write (law 4): a vendor rule that `rules` covers stays as it
    is, what is asked for and not let in yet is written as it was asked for, and only what `rules`
    does not cover goes. `cloudsync.provider.spelling.spell` decides that for a provider. What is
    held is part of `rules` and not of `asked`: it is there already.
    """

    spec: FirewallSpec
    """The firewall that it is about."""
    rules: RuleSet
    """Everything it is to let in."""
    ssh: RuleSet = NOTHING
    """The part of `rules` that the laws hold sacred; it must not close in any step."""
    descriptions: tuple[Description, ...] = ()
    """Who needs what, for the descriptions of rules that are written."""
    attach: tuple[Attachment, ...] = ()
    """The attachments that are to be added; those that exist stay."""
    marker: Marker | None = None
    """The marker to write; None if the firewall carries the right one."""
    reapply: bool = False
    """Put into effect what is pending at the vendor, although the rules are equal."""
    release: bool = False
    """Take the owner marker off and leave everything else as it is; `rules` are what is there."""
    asked: tuple[Asked, ...] = ()
    """The rules as they were asked for, without what is held."""

    @cached_property
    def _described(self) -> RuleIndex[str]:
        return RuleIndex((description.rules, description.text) for description in self.descriptions)

    def describe(self, rule: Rule) -> str:
        """The texts of all descriptions that touch `rule`, each once, in order, joined by `, `."""
        return ", ".join(dict.fromkeys(self._described.overlapping(rule)))


class StepKind(StrEnum):
    """`widen` and `narrow` may be several calls in any order; `replace` is one atomic call
    (creation too), or several atomic ones of which the provider has made sure that laws 2 and 3
    hold in whatever order they end."""

    WIDEN = "widen"
    NARROW = "narrow"
    REPLACE = "replace"
    ATTACH = "attach"
    MARK = "mark"


@dataclass(frozen=True, slots=True)
class Touched:
    """A vendor object that a step deletes, retargets, rewrites or renames (law 8). If a port closes
    with it the plan shows that as `close`, otherwise as `rewrite` with this `target`."""

    target: str
    """Names the object in the plan and its digest: stable text without vendor ids that change."""
    effect: Effect
    """What happens to it."""
    reason: str
    """Why, for people: `tcp/22 from any covers it`, `renamed to web.shop.c4719afa`."""
    key: str = ""
    """`VendorRule.key` if it is one of `Present.objects`."""
    counts: bool = True
    """Whether it counts for `policy.max_close`: False for what cloudsync itself made and for what
    only changes its name."""


@dataclass(frozen=True, slots=True)
class Step:
    """One write."""

    summary: str
    """What it does, for people."""
    kind: StepKind
    """Which intermediate states it may pass through."""
    after: RuleSet
    """The rule set that holds at the vendor once it is done."""
    attaches: tuple[str, ...] = ()
    """`Attachment.target` of what this step attaches."""
    native: object = field(default=None, compare=False)
    """The provider's own value, for its writer; never serialised."""
    warning: str | None = None
    """What a person should know before it is done, besides what the plan shows anyway."""
    touches: tuple[Touched, ...] = ()
    """The vendor objects that it deletes, retargets, rewrites or renames, whatever that means for
    our own machines; a rule that only gains sources, or whose description alone is refreshed, is
    not one of them."""
    passes_denials: tuple[str, ...] = ()
    """What existing denials of others keep out now and this step lets in, a sentence each; the
    guard `passes-denial` shows them."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The provider cannot do this without going wider or lower than asked (law 7)."""

    reason: str
    """Why, with the numbers and the way out."""
    guard: str = "unsupported"
    """The guard that shows it: `unsupported`, `passes-denial`, `no-ssh-server` or `own-ssh`."""


Progress = Callable[[str], None]
AccountModel = type[AccountSettings]
FirewallModel = type[FirewallSettings]


def silent(_: str) -> None:
    """A progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class Account:
    """One `[providers.X]` table, opened by `Provider.open_reader` and `open_writer`."""

    name: str
    """The table's name."""
    settings: AccountSettings
    """The provider's own model of its keys."""
    base: Path
    """The folder of the configuration file, for relative paths."""
    deadline: float
    """A `time.monotonic()` moment by which all work must be over."""
    progress: Progress = silent
    """Called with one line at a time: what is being waited for."""


class Reader(Protocol):
    """Reads; holds nothing that could write."""

    def read(self, specs: Sequence[FirewallSpec]) -> Mapping[str, Observation]:
        """Every firewall of one account, by `FirewallSpec.name`, in the fewest calls. Raises
        nothing but bugs: what could not be read is `Unreadable`, for one firewall or for all of
        them."""
        ...


class Writer(Protocol):
    """Writes; opened only by apply."""

    def run(self, step: Step) -> None:
        """Do one step and wait until the vendor has it in effect. Raises `ProviderError`, with
        `fate_unknown` where that is so."""
        ...


class Provider(Protocol):
    """A plugin. Its top module imports no SDK; `open_reader` and `open_writer` do.

    It may be an `AccessChecker` too; its readers may be a `MachineReader` and a `MarkReader`
    (`optional.py`). A plugin that is none of them works, and the plan says what is not known
    because of it. `cloudsync.provider.base.ProviderBase` has the defaults.
    """

    api_version: ClassVar[str]
    """The version of the contract the plugin was written for, as a literal (`"1.1"`): the constant
    `API_VERSION` would name whatever cloudsync is installed."""
    type: ClassVar[str]
    """The name in `[providers.X] type`; the same as the entry point's."""
    sdk: ClassVar[str | None]
    """The distribution the provider needs, for the message when it is missing."""
    extra: ClassVar[str | None]
    """The extra of `cloudsync-firewall` that installs it."""
    capabilities: ClassVar[Capabilities]
    account_settings: ClassVar[AccountModel]
    firewall_settings: ClassVar[FirewallModel]

    def identity(self, spec: FirewallSpec) -> str:
        """The vendor identity as configured (a name, an id, a path): part of the plan's digest; two
        firewalls of one account with the same identity are a configuration error."""
        ...

    def endpoint(self, account: Account) -> str:
        """Where the account lives, for the plan: an URL or a path, without credentials."""
        ...

    def plan_steps(self, observed: Present | Absent, target: Target) -> tuple[Step, ...] | Refusal:
        """The writes that lead from `observed` to `target`, in order; pure. Empty where nothing is
        to do."""
        ...

    def open_reader(self, account: Account) -> Reader:
        """Raises `ProviderError` (usually `AuthError`) where that cannot be."""
        ...

    def open_writer(self, account: Account) -> Writer:
        """As `open_reader`."""
        ...
