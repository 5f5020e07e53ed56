"""Laws 2 and 3 over calls that write one rule each and may end in any order."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from cloudsync.provider.contract import FirewallSpec, StepKind, Target
from cloudsync.provider.marker import Marker
from cloudsync.provider.rewrites import Batch, lawful_batches
from cloudsync.provider.settings import FirewallSettings
from cloudsync.rules import NOTHING, RuleSet
from tests.effort import examples
from tests.world import rules

SPEC = FirewallSpec("web", FirewallSettings(), Marker("shop", "web", "0123abcd"))
SSH = rules("tcp/22")


@dataclass(frozen=True)
class Change:
    """A rule that is written."""

    name: str
    before: RuleSet
    after: RuleSet

    @property
    def gains(self) -> bool:
        return bool(self.after - self.before)

    @property
    def loses(self) -> bool:
        return bool(self.before - self.after)


def change(name: str, before: str, after: str) -> Change:
    return Change(name, meant(before), meant(after))


def meant(text: str) -> RuleSet:
    return rules(*text.split()) if text else NOTHING


def apart(write: Change, taken: Collection[str]) -> Iterator[Change]:
    if write.gains and write.loses:
        assert write.name in taken
        both = write.before | write.after
        yield replace(write, after=both)
        yield replace(write, before=both)
    else:
        yield write


def batches(*changes: Change) -> Sequence[Batch[Change]]:
    """Those with something to do."""
    final = RuleSet.union(change.after for change in changes)
    target = Target(SPEC, final | SSH, SSH & final)
    effects = {change.name: change.before for change in changes}
    ordered = lawful_batches(changes, effects, target, apart)
    assert ordered[-1].kind is StepKind.NARROW
    return [batch for batch in ordered if batch.writes]


def titles(*changes: Change) -> list[str]:
    return [batch.title for batch in batches(*changes)]


def test_what_opens_comes_first_and_what_closes_last() -> None:
    assert titles(
        change("a", "tcp/80", ""),
        change("b", "", "tcp/81"),
        change("c", "tcp/22", "tcp/22-23"),
        change("d", "tcp/90-91", "tcp/90"),
    ) == ["widen b, c", "narrow a, d"]


def test_what_opens_nothing_and_closes_nothing_is_put_right() -> None:
    (batch,) = batches(change("a", "tcp/80", "tcp/80"))
    assert (batch.title, batch.kind) == ("put right a", StepKind.REPLACE)


def test_rules_that_gain_and_lose_are_replaced_side_by_side() -> None:
    assert titles(change("a", "tcp/22 tcp/80", "tcp/22 tcp/81"), change("b", "tcp/1", "tcp/2")) == [
        "replace a, b"
    ]


def test_one_after_the_other_where_one_loses_what_the_other_gains() -> None:
    # a takes over what b loses: together b's call might end first.
    first, second = change("a", "tcp/1", "tcp/2"), change("b", "tcp/2", "tcp/3")
    assert titles(first, second) == ["replace a", "replace b"]


def test_law3_rules_that_swap_take_two_calls_each() -> None:
    first, second = change("a", "tcp/1", "tcp/2"), change("b", "tcp/2", "tcp/1")
    assert titles(first, second) == ["widen a, b", "narrow a, b"]


def test_law2_nothing_closes_before_ssh_is_open() -> None:
    new = (change("a", "tcp/1", "tcp/22"), change("b", "tcp/2", "tcp/3"))
    assert titles(*new) == ["replace a", "replace b"]
    assert titles(*reversed(new)) == ["widen b, a", "narrow b, a"]


ports = st.sets(st.sampled_from(["tcp/22", "tcp/80", "tcp/81", "tcp/82"]), max_size=3)
sets = ports.map(lambda texts: rules(*texts) if texts else NOTHING)


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(st.tuples(sets, sets), min_size=1, max_size=4))
def test_whatever_calls_of_a_batch_have_ended_what_stays_wanted_is_open(
    drawn: list[tuple[RuleSet, RuleSet]],
) -> None:
    changes = [Change(f"r{number}", *pair) for number, pair in enumerate(drawn)]
    effects = {one.name: one.before for one in changes}
    final = RuleSet.union(one.after for one in changes)
    wanted, ssh = RuleSet.union(effects.values()) & final, SSH & final
    for batch in batches(*changes):
        at_first = RuleSet.union(effects.values())
        sizes = range(len(batch.writes) + 1)
        for ended in chain.from_iterable(combinations(batch.writes, size) for size in sizes):
            now = RuleSet.union({**effects, **{one.name: one.after for one in ended}}.values())
            assert now.covers(wanted), "closed for a moment"
            assert now.covers(at_first) or now.covers(ssh), "closed before SSH was open"
        effects = dict(batch.after(effects))
    assert effects == {one.name: one.after for one in changes}
