"""Rules that are evaluated in order and may deny."""

from __future__ import annotations

import pytest

from cloudsync.provider.first_match import Ordered, Ranked, first_match, passed
from cloudsync.rules import NOTHING
from tests.world import rules

ABUSE = Ranked("block-abuse", 1000, rules("all from 192.0.2.0/24"))


def test_what_a_denial_matches_first_gets_in_by_no_rule_behind_it() -> None:
    effective = first_match(
        (
            Ordered(rules("tcp/80"), allows=True),
            Ordered(rules("tcp/80-81 from 192.0.2.0/24"), allows=False),
            Ordered(rules("tcp/80-81"), allows=True),
        )
    )
    assert effective.lets_in == rules("tcp/80-81") - rules("tcp/81 from 192.0.2.0/24")
    assert effective.denied == rules("tcp/81 from 192.0.2.0/24")
    assert effective.by_rule == (
        rules("tcp/80"),
        NOTHING,
        rules("tcp/80-81") - rules("tcp/80-81 from 192.0.2.0/24"),
    )


def test_a_rule_that_comes_before_a_denial_passes_it_and_that_is_said() -> None:
    written = Ranked("web", 900, rules("tcp/80", "tcp/443"))
    (sentence,) = passed([ABUSE], [], [written])
    assert sentence == (
        "block-abuse (priority 1000) keeps out tcp/80 from 192.0.2.0/24, tcp/443 from 192.0.2.0/24,"
        " which web (priority 900) would let in"
    )


@pytest.mark.parametrize("priority", [1000, 1001])
def test_a_rule_behind_a_denial_or_beside_it_passes_nothing(priority: int) -> None:
    assert passed([ABUSE], [], [Ranked("web", priority, rules("tcp/80"))]) == ()


def test_what_others_let_in_before_the_denial_is_not_passed_by_a_write() -> None:
    written = Ranked("web", 900, rules("tcp/80"))
    theirs = Ranked("theirs", 999, rules("tcp/80"))
    assert passed([ABUSE], [theirs], [written]) == ()
    behind = Ranked("theirs", 1000, rules("tcp/80"))
    assert len(passed([ABUSE], [behind], [written])) == 1


@pytest.mark.parametrize("family", ["any4", "any6"])
def test_a_denial_of_everything_from_everywhere_is_the_default(family: str) -> None:
    default = Ranked("deny-all", 65534, rules(f"all from {family}"))
    assert passed([default], [], [Ranked("web", 900, rules("tcp/80"))]) == ()
