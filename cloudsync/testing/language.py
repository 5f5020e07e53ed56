"""The language scenarios are written in: a scenario is a name and a row of small frozen steps.

Rules are text: `tcp/443` (from everywhere), `udp/53 from 10.0.0.0/8,::/0`, `icmp`. In `there_is`,
`unmarked`, `belongs_to` and `by_hand` the text is how the rule is spelled at the vendor; everywhere
else it is what is meant. SSH is tcp/22 from everywhere, and always wanted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from ipaddress import ip_network
from typing import Literal

from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import ANY, NetworkSet
from cloudsync.testing.stage import (
    AcceptsByDefault,
    Attaches,
    CanBeDisabled,
    ComparesVersions,
    CoversTwice,
    Denies,
    FiltersPrivate,
    HasAnswerOnly,
    HasNeighbours,
    Kind,
    LacksMachines,
    LagsBehind,
    MarksTwice,
    Pends,
    ShowsRules,
    Spelled,
)

SSH = "tcp/22"


@dataclass(frozen=True, slots=True)
class There:
    """The firewall exists, with these rules. `mark`: `ours`, `nobody`, `another-owner`,
    `other-hosts`."""

    rules: tuple[str, ...]
    mark: str = "ours"


@dataclass(frozen=True, slots=True)
class ByHand:
    """Somebody changes the firewall's public rules by hand, to exactly these."""

    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Other:
    """Somebody adds a rule whose source is no network."""


@dataclass(frozen=True, slots=True)
class Wants:
    """From now on the configuration asks for SSH and these. `policy`: keys of `[policy]`."""

    rules: tuple[str, ...]
    policy: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True, slots=True)
class WantsLimit:
    """From now on it asks for as many rules as fit, and `beyond` more."""

    beyond: int


@dataclass(frozen=True, slots=True)
class Boundary:
    """There is a second firewall, and the vendor's list ends at a page's end, or `beyond` items
    later."""

    beyond: int


@dataclass(frozen=True, slots=True)
class Goes:
    """Something goes wrong with the next calls, see `cloudsync.testing.Trouble`."""

    kind: Kind
    on: str
    times: int = 1
    skip: int = 0
    hint: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Apply:
    """`cloudsync apply`; `ends`: the exit codes that are right. While it runs laws 2 and 3 are
    checked after every write.

    `opens`, `closes`: how many changes of each the plan shows; None = not looked at.
    """

    ends: tuple[int, ...] = (0,)
    opens: int | None = None
    closes: int | None = None
    adopt: bool = False
    attach: bool = False
    ssh_moved: bool = False
    says: str = ""
    """Words the messages must contain."""
    fate: tuple[str, ...] = ()
    """What may have become of the firewall: `done`, `unknown`, `failed`; empty = not looked at."""
    writes: int | None = None
    """Most calls that could have written, unless the vendor recognises a repetition."""


@dataclass(frozen=True, slots=True)
class Release:
    """`cloudsync release`; `ends`: the ways it may end. After every write the firewall lets in what
    it did, attached where it was."""

    ends: tuple[str, ...] = ("done",)


@dataclass(frozen=True, slots=True)
class Race:
    """Between reading and the first write of the next apply, another run of the same configuration
    applies."""


@dataclass(frozen=True, slots=True)
class Meanwhile:
    """Between reading and the first write of the next apply, somebody changes the public rules to
    exactly these."""

    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LetsIn:
    """The vendor's firewall lets in exactly these."""

    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LetsInWanted:
    """It lets in exactly what the configuration asks for."""


@dataclass(frozen=True, slots=True)
class NothingLeft:
    """A plan now shows no change, and an apply writes nothing."""


@dataclass(frozen=True, slots=True)
class Untouched:
    """No call since the scenario began could have written."""


@dataclass(frozen=True, slots=True)
class Others:
    """So many sources that are no networks are there."""

    count: int


@dataclass(frozen=True, slots=True)
class Attached:
    """So many machines are under the firewall."""

    count: int


@dataclass(frozen=True, slots=True)
class Spells:
    """Of the vendor's rules for these ports every network is one of these, as they are spelled; and
    rules with a description (` # words`) are there under it. Only for a stage that `ShowsRules`."""

    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A machine that is no host of the configuration comes under the firewall. Only for a stage
    that `HasNeighbours`."""


@dataclass(frozen=True, slots=True)
class NotShared:
    """The configuration says that other machines need nothing of their own."""


@dataclass(frozen=True, slots=True)
class Denied:
    """Somebody denies these, before the firewall's own rules. Only for a stage that `Denies`."""

    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OpenByDefault:
    """The firewall lets in what no rule mentions. Only for a stage that `AcceptsByDefault`."""


@dataclass(frozen=True, slots=True)
class Disabled:
    """Somebody switches the firewall off. Only for a stage that `CanBeDisabled`."""


@dataclass(frozen=True, slots=True)
class Enabled:
    """It is switched on, or a plan does not say that nothing is to do."""


@dataclass(frozen=True, slots=True)
class NotInEffect:
    """What it has is not in effect on a machine. Only for a stage that `Pends`."""


@dataclass(frozen=True, slots=True)
class InEffect:
    """All of it is in effect."""


@dataclass(frozen=True, slots=True)
class MarkedTwice:
    """It carries the marker of another owner too. Only for a stage that `MarksTwice`."""


@dataclass(frozen=True, slots=True)
class Orphan:
    """There is another firewall of our owner that the configuration does not name."""


@dataclass(frozen=True, slots=True)
class WantsMissing:
    """The configuration attaches it to a machine that does not exist. Only for a stage that
    `LacksMachines`."""


@dataclass(frozen=True, slots=True)
class WantsPrivate:
    """The configuration lets private networks in. Only for a stage that `FiltersPrivate`."""


@dataclass(frozen=True, slots=True)
class Lags:
    """So many reads after each write still show what was there before it. Only for a stage that
    `LagsBehind`."""

    reads: int


@dataclass(frozen=True, slots=True)
class AnswersMore:
    """The vendor answers about the existing firewall with a field that it refuses if it is sent
    back as it was answered. Only for a stage that `HasAnswerOnly` fields."""


@dataclass(frozen=True, slots=True)
class Shows:
    """A plan shows so many, or more where a vendor has an object for each source: `kept` rules,
    `orphans`, `attach` changes."""

    what: Literal["kept", "orphans", "attach"]
    count: int


@dataclass(frozen=True, slots=True)
class NotNothing:
    """A plan does not say that there is nothing to do: it has changes, a guard refuses, or the
    firewall cannot be read."""


@dataclass(frozen=True, slots=True)
class AppliesOrRefuses:
    """`cloudsync apply` ends either with everything as asked for, or refused as a whole with
    nothing written."""


@dataclass(frozen=True, slots=True)
class Described:
    """What was written for these ports carries a description, and is read back with it. Only for a
    stage that `ShowsRules`."""

    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConflictMeanwhile:
    """Before the first write of the next apply somebody changes the public rules to exactly these,
    and the vendor answers that write with a conflict."""

    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChangedSinceRead:
    """After the next apply has read and planned, and before its first step, somebody changes the
    public rules to exactly these. Only for a stage that `ComparesVersions`."""

    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UnderAnother:
    """The machine that it is attached to comes under a firewall of somebody else, which lets in
    these. Only for a stage that `CoversTwice`."""

    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StaysUnderAnother:
    """It still is under that firewall."""


@dataclass(frozen=True, slots=True)
class Reaches:
    """A plan says that the Internet reaches these on the machine and that nothing requires them.
    For readers that list machines."""

    rules: tuple[str, ...]


Step = (
    There
    | ByHand
    | Other
    | Wants
    | WantsLimit
    | Boundary
    | Goes
    | Apply
    | Race
    | Meanwhile
    | LetsIn
    | LetsInWanted
    | NothingLeft
    | Untouched
    | Others
    | Attached
    | Release
    | Spells
    | Neighbour
    | NotShared
    | Denied
    | OpenByDefault
    | Disabled
    | Enabled
    | NotInEffect
    | InEffect
    | MarkedTwice
    | Orphan
    | WantsMissing
    | WantsPrivate
    | Shows
    | NotNothing
    | AppliesOrRefuses
    | Described
    | ConflictMeanwhile
    | Lags
    | AnswersMore
    | ChangedSinceRead
    | UnderAnother
    | StaysUnderAnother
    | Reaches
)

SHOWN_BY_STAGE: Mapping[type, type] = {
    Lags: LagsBehind,
    AnswersMore: HasAnswerOnly,
    ChangedSinceRead: ComparesVersions,
    UnderAnother: CoversTwice,
    Spells: ShowsRules,
    Described: ShowsRules,
    Neighbour: HasNeighbours,
    Denied: Denies,
    OpenByDefault: AcceptsByDefault,
    Disabled: CanBeDisabled,
    NotInEffect: Pends,
    MarkedTwice: MarksTwice,
    WantsMissing: LacksMachines,
    WantsPrivate: FiltersPrivate,
    Attached: Attaches,
}
"""By step, what a stage has to be for it."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """`needs`: names of capabilities a provider must declare, else the scenario is not for it.
    `protocols`: the same for protocols."""

    name: str
    steps: tuple[Step, ...]
    needs: frozenset[str] = field(default=frozenset())
    protocols: frozenset[str] = field(default=frozenset())

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


def scenario(name: str, *steps: Step, needs: str = "", protocols: str = "") -> Scenario:
    """One scenario; `needs` and `protocols` are words separated by blanks."""
    return Scenario(name, steps, frozenset(needs.split()), frozenset(protocols.split()))


def there_is(*rules: str) -> There:
    """The firewall exists and is ours."""
    return There((SSH, *rules))


def unmarked(*rules: str) -> There:
    """It exists and nobody's mark is on it."""
    return There(rules, "nobody")


def belongs_to(mark: str, *rules: str) -> There:
    """It exists and is marked as somebody else's."""
    return There(rules, mark)


def by_hand(*rules: str) -> ByHand:
    """Somebody changes it to these."""
    return ByHand(rules)


def meanwhile(*rules: str) -> Meanwhile:
    """Somebody changes it to these while a run is under way."""
    return Meanwhile(rules)


def wants(*rules: str, **policy: object) -> Wants:
    """What is asked for beside SSH."""
    return Wants(rules, tuple(policy.items()))


def denied(*rules: str) -> Denied:
    """Somebody denies these."""
    return Denied(rules)


def described(*rules: str) -> Described:
    """What was written says who needs it."""
    return Described(rules)


def conflict_meanwhile(*rules: str) -> ConflictMeanwhile:
    """Somebody changes it to these, and the vendor notices."""
    return ConflictMeanwhile(rules)


def changed_since_read(*rules: str) -> ChangedSinceRead:
    """Somebody changes it to these, and only a version tells."""
    return ChangedSinceRead(rules)


def lets_in(*rules: str) -> LetsIn:
    """SSH and exactly these."""
    return LetsIn((SSH, *rules))


def spells(*rules: str) -> Spells:
    """How the vendor's rules are spelled."""
    return Spells(rules)


def goes(
    kind: Kind,
    on: str = "write",
    times: int = 1,
    skip: int = 0,
    hint: float | None = None,
    seconds: float = 0.0,
) -> Goes:
    """Trouble ahead."""
    return Goes(kind, on, times, skip, hint, seconds)


def meant(*texts: str) -> RuleSet:
    """The rule set that texts mean."""
    return RuleSet.of(
        Rule.of(rule.protocol, rule.ports, NetworkSet.of(map(_network, rule.sources)))
        for rule in map(spelled, texts)
    )


def spelled(text: str) -> Spelled:
    """A text as one rule, not made canonical. ` # words` at its end is the rule's description."""
    text, _, description = text.partition(" # ")
    what, _, sources = text.partition(" from ")
    protocol, _, ports = what.strip().partition("/")
    networks = tuple(word.strip() for word in sources.split(",")) if sources else ANY.cidrs()
    return Spelled(protocol, ports, networks, description)


def _network(word: str) -> str:
    """Host bits mean the network."""
    return str(ip_network(word, strict=False)) if "/" in word else word
