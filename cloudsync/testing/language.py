"""The language scenarios are written in: a scenario is a name and a row of small frozen steps.

Rules are text: `tcp/443` (from everywhere), `udp/53 from 10.0.0.0/8,::/0`, `icmp`. In `there_is`,
`unmarked`, `belongs_to` and `by_hand` the text is how the rule is spelled at the vendor; everywhere
else it is what is meant. SSH is tcp/22 from everywhere, and always wanted.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.networks import ANY, NetworkSet
from cloudsync.testing.stage import Kind, Spelled

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
class Lags:
    """So many reads after each write still show what was there before it. Only for a stage that
    `LagsBehind`."""

    reads: int


@dataclass(frozen=True, slots=True)
class AnswersMore:
    """The vendor answers about the existing firewall with a field that it refuses if it is sent
    back as it was answered. Only for a stage that `HasAnswerOnly` fields."""


@dataclass(frozen=True, slots=True)
class NotShared:
    """The configuration says that other machines need nothing of their own."""


Step = (
    There | ByHand | Other | Wants | WantsLimit | Boundary | Goes | Apply | Race | Meanwhile | LetsIn | LetsInWanted | NothingLeft
    | Untouched | Others | Attached | Release | Spells | Neighbour | NotShared | Lags | AnswersMore
)  # fmt: skip


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
        Rule.of(rule.protocol, rule.ports, NetworkSet.of(rule.sources))
        for rule in map(spelled, texts)
    )


def spelled(text: str) -> Spelled:
    """A text as one rule, not made canonical. ` # words` at its end is the rule's description."""
    text, _, description = text.partition(" # ")
    what, _, sources = text.partition(" from ")
    protocol, _, ports = what.strip().partition("/")
    networks = tuple(word.strip() for word in sources.split(",")) if sources else ANY.cidrs()
    return Spelled(protocol, ports, networks, description)
