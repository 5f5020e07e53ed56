"""What a provider's author supplies: a stage, the vendor as the suite sees it. One stage a
scenario, fresh each time.

A stage stands for the vendor, never for the provider: what it says the firewall lets in must come
from the vendor's own state, read by other code than the provider's, or a mistake in the provider
would be believed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from cloudsync.provider.marker import Marker
from cloudsync.rules import RuleSet

Kind = Literal[
    "unauthorized", "forbidden", "not-found", "conflict", "throttled", "unavailable",
    "slow", "lost-before", "lost-after", "cut-short", "nonsense", "short", "meanwhile",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Spelled:
    """One rule as a person would write it at the vendor: not canonical. `ports` as in
    `cloudsync.rules`; `sources` CIDRs, as they stand."""

    protocol: str
    ports: str
    sources: tuple[str, ...]
    description: str = ""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What goes wrong with the next calls that read or write the firewall (after `skip` of them),
    `times` times.

    `unauthorized` 401, `forbidden` 403, `not-found` 404, `conflict` 409, `throttled` 429 or the
    vendor's own way (`hint`: seconds to wait, as the vendor says it), `unavailable` 5xx, `slow` no
    answer for `seconds`, `lost-before` and `lost-after` the connection breaks before or after the
    call took effect, `cut-short` half an answer arrives, `nonsense` an answer that is not the
    vendor's, `short` a list without its last item, whose count still counts it, `meanwhile`
    `action` runs before the call is done.
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
    """Variables that `account` refers to."""

    def settings(self, name: str) -> Mapping[str, Any]:
        """The keys of the `[firewalls.X]` table."""
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
        """What the vendor's firewall lets in now from networks; None where it does not exist."""
        ...

    def history(self, name: str) -> Sequence[RuleSet]:
        """What it let in after each write that took effect, oldest first."""
        ...

    def writes(self) -> int:
        """How many calls so far could have written."""
        ...

    def trouble(self, trouble: Trouble) -> None:
        """Make it happen. Only for providers that are `remote`."""
        ...

    def put_other(self, name: str) -> None:
        """Add a rule whose source is no network. Only with `other_sources`."""
        ...

    def others(self, name: str) -> int:
        """How many sources that are no networks the firewall has."""
        ...

    def limit(self, beyond: int) -> Sequence[str]:
        """Rules to ask for beside SSH (in the suite's notation) that need exactly as many as fit,
        and `beyond` more. Only if `limited`."""
        ...

    def boundary(self, beyond: int) -> None:
        """Let the list that the existing firewalls are in end at a page's end, or `beyond` items
        later. Only if `paged`."""
        ...

    def attached(self, name: str) -> int:
        """How many machines are under the firewall. Only if `attaches`."""
        ...

    def attaching(self, name: str) -> Mapping[str, Any]:
        """Further keys of the `[firewalls.X]` table that attach it to one machine, which is under
        no firewall. Only if `attaches`."""
        ...

    def sound(self) -> Sequence[str]:
        """What the vendor's own description of the API has against the calls so far; empty where it
        knows none."""
        ...


@runtime_checkable
class ShowsRules(Protocol):
    """What a stage may also be: it shows the firewall's rules one by one, as the console does.
    Scenarios about how rules are written are for such stages."""

    def rules(self, name: str) -> Sequence[Spelled]:
        """The firewall's inbound rules from networks, with their descriptions as they stand; a
        vendor with one object for each network has one rule for each."""
        ...


@runtime_checkable
class HasNeighbours(Protocol):
    """What a stage may also be: it puts further machines under a firewall."""

    def add_neighbour(self, name: str) -> str:
        """A machine that is no host of the configuration comes under the existing firewall, besides
        one that bears the name of its host; its name at the vendor."""
        ...


@runtime_checkable
class LagsBehind(Protocol):
    """What a stage of a provider that declares `lag_seconds` may also be: its reads can be made to
    lag behind its writes."""

    def lag(self, reads: int) -> None:
        """From now on so many reads after each write show what was there before it."""
        ...


@runtime_checkable
class HasAnswerOnly(Protocol):
    """What a stage may also be: its vendor answers with fields that have write rules of their
    own."""

    def answer_only(self, name: str) -> None:
        """The existing firewall is answered with such a field from now on; a write that echoes it
        is refused by the vendor."""
        ...
