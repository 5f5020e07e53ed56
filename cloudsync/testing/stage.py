"""What a provider's author supplies: a stage, the vendor as the suite sees it. One stage a
scenario, fresh each time.

A stage stands for the vendor, never for the provider: what it says the firewall lets in must come
from the vendor's own state, read by other code than the provider's, or a mistake in the provider
would be believed.

`Stage` is what every stage has; the other protocols are what it may also show, one for each thing
that not every vendor has. A stage is what it has the methods of; start from `StageBase`, which has
none of them. What a stage shows the provider has to declare (`SHOWN_BY`), and what a provider
declares a stage has to show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

from cloudsync.provider.marker import Marker
from cloudsync.rules import RuleSet
from cloudsync.rules.frozen import dataclass

Kind = Literal[
    "unauthorized",
    "forbidden",
    "not-found",
    "conflict",
    "throttled",
    "unavailable",
    "failed-after",
    "slow",
    "trickle",
    "lost-before",
    "lost-after",
    "cut-short",
    "nonsense",
    "short",
    "redirect",
    "meanwhile",
]


@dataclass(frozen=True, slots=True)
class Spelled:
    """One rule as a person would write it at the vendor: not canonical. `ports` as in
    `cloudsync.rules`; `sources` CIDRs, as they stand, perhaps with host bits."""

    protocol: str
    ports: str
    sources: tuple[str, ...]
    description: str = ""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What goes wrong with the next calls that read or write the firewall (after `skip` of them),
    `times` times. Calls about other things (machines, say) are not meant.

    | kind                        | what happens                                               |
    |-----------------------------|------------------------------------------------------------|
    | `unauthorized`, `forbidden` | 401, 403                                                   |
    | `not-found`, `conflict`     | 404, 409; with `action`, it is done first                  |
    | `throttled`                 | 429 or the vendor's own way; with `hint` (seconds, as the  |
    |                             | vendor says it) until the hint is over, however many calls |
    |                             | come                                                       |
    | `unavailable`               | 503: the call did nothing                                  |
    | `failed-after`              | the call took effect, and a 500 is answered                |
    | `slow`                      | no answer for `seconds`                                    |
    | `trickle`                   | the answer comes byte by byte, `seconds` apart             |
    | `lost-before`, `lost-after` | the connection breaks before or after the call took effect |
    | `cut-short`, `nonsense`     | half an answer, an answer that is not the vendor's         |
    | `short`                     | a list without its last item, whose count still counts it  |
    | `redirect`                  | the answer points to another address                       |
    | `meanwhile`                 | `action` runs before the call is done                      |
    """

    kind: Kind
    on: Literal["read", "write"]
    times: int = 1
    skip: int = 0
    hint: float | None = None
    seconds: float = 0.0
    action: Callable[[], None] | None = None


class Stage(Protocol):
    """One vendor account with nothing in it. `name` is always the firewall's name in the
    configuration."""

    type: str
    """The provider's entry point."""
    account: Mapping[str, Any]
    """The keys of the `[providers.X]` table."""
    environment: Mapping[str, str]
    """Variables that `account` refers to. Their values are secrets: nothing that cloudsync prints,
    logs or stores may contain one."""
    vendor_has: frozenset[str]
    """Capabilities that the vendor certainly has and no method of the stage shows: `counted`,
    `descriptions`, `icmp_types`, `all_protocols`."""
    cannot: frozenset[str]
    """Kinds of `Trouble` that this vendor cannot have: no redirect without HTTP."""
    recognises_repeats: bool
    """Whether the vendor recognises a write that is sent again (by a request id), so that one whose
    answer was lost may be."""
    patience_seconds: int
    """The whole seconds that a run may take in which a call takes for ever; it waits that long. At
    least 3, at most 6, and half of it is enough for all that a run reads."""

    def settings(self, name: str) -> Mapping[str, Any]:
        """The keys of the `[firewalls.X]` table. If the firewall filters private networks, with
        the key that decides about them switched off."""
        ...

    def put(self, name: str, rules: Sequence[Spelled], marker: Marker | None) -> None:
        """The firewall exists from now on, made by hand, with exactly these public rules, in this
        order, and this mark."""
        ...

    def edit(self, name: str, rules: Sequence[Spelled]) -> None:
        """An existing firewall gets exactly these public rules by hand; its mark and everything
        else stay."""
        ...

    def lets_in(self, name: str) -> RuleSet | None:
        """What the vendor's firewall lets in now from networks; None if it does not exist."""
        ...

    def history(self, name: str) -> Sequence[RuleSet]:
        """What it let in after each write that took effect, oldest first."""
        ...

    def writes(self) -> int:
        """How many calls so far could have written; refused ones count."""
        ...

    def sound(self) -> Sequence[str]:
        """What the vendor's own description of the API has against the calls so far; empty if it
        knows none."""
        ...


class StageBase:
    """A stage that shows nothing besides what every stage has."""

    account: Mapping[str, Any] = {}
    environment: Mapping[str, str] = {}
    vendor_has: frozenset[str] = frozenset()
    cannot: frozenset[str] = frozenset()
    recognises_repeats: bool = False
    patience_seconds: int = 6

    def sound(self) -> Sequence[str]:
        """Nothing is known against the calls."""
        return ()


@runtime_checkable
class GetsIntoTrouble(Protocol):
    """There are calls, and they can go wrong: the capability `remote`."""

    def trouble(self, trouble: Trouble) -> None:
        """Make it happen."""
        ...


@runtime_checkable
class HasOthers(Protocol):
    """Rules may have sources that are no networks: the capability `other_sources`."""

    def put_other(self, name: str) -> None:
        """Add a rule whose source is no network."""
        ...

    def others(self, name: str) -> int:
        """How many sources that are no networks the firewall has."""
        ...


@runtime_checkable
class HasLimit(Protocol):
    """The number of rules is limited: the capability `limited`."""

    def limit(self, beyond: int) -> Sequence[str]:
        """Rules to ask for besides SSH (in the suite's notation) that need exactly as many as fit,
        and `beyond` more. What the firewall has besides (outbound rules, say) counts if the vendor
        counts it."""
        ...


@runtime_checkable
class HasPages(Protocol):
    """Lists come in pages: the capability `paged`."""

    def boundary(self, beyond: int) -> None:
        """Let the list that the existing firewalls are in end at a page's end, or `beyond` items
        later."""
        ...


@runtime_checkable
class Attaches(Protocol):
    """Firewalls are put on machines: the capability `attaches`."""

    def attached(self, name: str) -> int:
        """How many machines are under the firewall."""
        ...

    def attaching(self, name: str) -> Mapping[str, Any]:
        """Further keys of the `[firewalls.X]` table that attach it to one machine, which is under
        no firewall."""
        ...


@runtime_checkable
class LacksMachines(Protocol):
    """The configuration may name a machine that the vendor does not have."""

    def attaching_missing(self, name: str) -> Mapping[str, Any]:
        """Further keys of the `[firewalls.X]` table that name a machine which does not exist."""
        ...


@runtime_checkable
class Denies(Protocol):
    """Rules may deny: the capability `denies`."""

    def deny(self, name: str, rules: Sequence[Spelled]) -> None:
        """Somebody puts denials before the rules of the existing firewall."""
        ...


@runtime_checkable
class AcceptsByDefault(Protocol):
    """A firewall may let in what no rule mentions: the capability `accepts_by_default`."""

    def accept_by_default(self, name: str) -> None:
        """The existing firewall lets in everything from now on, whatever its rules say."""
        ...


@runtime_checkable
class CanBeDisabled(Protocol):
    """A firewall may be switched off, with its rules left as they are."""

    def disable(self, name: str) -> None:
        """Somebody switches the existing firewall off: it filters nothing."""
        ...

    def enabled(self, name: str) -> bool:
        """Whether it is switched on."""
        ...


@runtime_checkable
class Pends(Protocol):
    """The vendor may accept a change and not put it into effect: the capability `pends`."""

    def pend(self, name: str) -> None:
        """What the existing firewall has is not in effect on one machine under it."""
        ...

    def in_effect(self, name: str) -> bool:
        """Whether all of it is in effect on all machines."""
        ...


@runtime_checkable
class FiltersPrivate(Protocol):
    """The firewall filters private networks too: the capability `filters_private`."""

    def letting_private_in(self, name: str) -> tuple[Mapping[str, Any], RuleSet]:
        """Further keys of the `[firewalls.X]` table that let private networks in, and what a new
        firewall lets in by them."""
        ...


@runtime_checkable
class ShowsRules(Protocol):
    """The stage shows the firewall's rules one by one, as the console does."""

    def rules(self, name: str) -> Sequence[Spelled]:
        """The firewall's inbound rules from networks, with their descriptions as they stand; a
        vendor with one object for each network has one rule for each."""
        ...


@runtime_checkable
class ShowsAside(Protocol):
    """The stage shows what of the firewall is not cloudsync's business."""

    def aside(self, name: str) -> object:
        """Everything of the firewall besides its inbound rules from networks, its marker, and the
        machines it is attached to: outbound rules and policy, tags and labels of others, denials,
        logging. The suite compares it before and after every write. None if it does not exist."""
        ...


@runtime_checkable
class ExpectsOfNew(ShowsAside, Protocol):
    """The stage knows what a new firewall has to have besides rules."""

    def aside_of_new(self) -> object:
        """What `aside` has to be for a firewall that cloudsync made: everything may go out, no
        tags of others, no denials."""
        ...


@runtime_checkable
class MarksTwice(Protocol):
    """A marker can stand on one firewall twice (tags that are words, say)."""

    def mark_twice(self, name: str, marker: Marker) -> None:
        """The existing firewall gets a second marker besides its own."""
        ...


@runtime_checkable
class HasNeighbours(Protocol):
    """The stage puts further machines under a firewall."""

    def add_neighbour(self, name: str) -> str:
        """A machine that is no host of the configuration comes under the existing firewall, besides
        one that bears the name of its host; its name at the vendor."""
        ...


@runtime_checkable
class LagsBehind(Protocol):
    """Reads may lag behind writes: the capability `lag_seconds`."""

    def lag(self, reads: int) -> None:
        """From now on so many reads after each write show what was there before it."""
        ...


@runtime_checkable
class HasAnswerOnly(Protocol):
    """The vendor answers with fields that have write rules of their own."""

    def answer_only(self, name: str) -> None:
        """The existing firewall is answered with such a field from now on; a write that echoes it
        is refused by the vendor."""
        ...


@runtime_checkable
class ComparesVersions(Protocol):
    """A write does not win over what somebody else wrote since the read that it was planned on: the
    vendor compares a version (an etag, a fingerprint, a revision), or a write is about single
    rules."""

    def version(self, name: str) -> object:
        """What the vendor compares; the existing firewall's rules if a write is about single
        ones."""
        ...


@runtime_checkable
class CoversTwice(Protocol):
    """A machine may be under several firewalls."""

    def put_under_another(self, name: str, rules: Sequence[Spelled]) -> None:
        """The machine of `attaching(name)` comes under a firewall of somebody else, which lets in
        `rules`."""
        ...

    def under_another(self, name: str) -> bool:
        """Whether it still is."""
        ...


SHOWN_BY: Mapping[str, type] = {
    "lag_seconds": LagsBehind,
    "remote": GetsIntoTrouble,
    "other_sources": HasOthers,
    "limited": HasLimit,
    "paged": HasPages,
    "attaches": Attaches,
    "denies": Denies,
    "accepts_by_default": AcceptsByDefault,
    "pends": Pends,
    "filters_private": FiltersPrivate,
}
"""By capability, the protocol of a stage that shows it."""
FLAGS = (
    *SHOWN_BY,
    "counted",
    "descriptions",
    "icmp_types",
    "all_protocols",
)
"""The capabilities that scenarios need."""


def shown(stage: Stage) -> frozenset[str]:
    """The capabilities that the vendor certainly has, by what the stage shows and says."""
    offered = {flag for flag, protocol in SHOWN_BY.items() if isinstance(stage, protocol)}
    return frozenset(offered) | stage.vendor_has
