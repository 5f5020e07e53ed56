"""Whose a rule is: what tells cloudsync's own rules from those people made."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cloudsync.model.memory import Memory
from cloudsync.planning.own_rules import OUR_MARK, asked_rules, claimed, still_written
from cloudsync.planning.policy import Desired, Wanted
from cloudsync.provider.contract import Absent, Present, VendorRule
from cloudsync.rules import NOTHING, Rule, RuleSet
from cloudsync.runtime.clock import Moment
from tests.world import rules

NOW = Moment(datetime(2026, 3, 1, tzinfo=UTC), "boot", 1.0, "machine")


def only(text: str) -> Rule:
    (rule,) = rules(text)
    return rule


def remembering(*texts: str) -> Memory:
    return Memory("web", NOW, written=tuple(only(text) for text in texts))


def present(*texts: str, description: str = "", proven: bool = False) -> Present:
    objects = tuple(
        VendorRule(text, rules(text), description=description, ours=proven) for text in texts
    )
    return Present("38", rules(*texts), None, objects=objects)


def ours(observed: Present | Absent) -> list[str]:
    assert isinstance(observed, Present)
    return [rule.key for rule in observed.objects if rule.ours]


def test_a_rule_that_an_apply_wrote_is_ours_and_every_network_of_it_by_itself() -> None:
    networks = "tcp/9100 from 10.20.0.0/16", "tcp/9100 from 10.30.0.0/16"
    memory = remembering("tcp/9100 from 10.20.0.0/16,10.30.0.0/16")
    assert ours(claimed(present(*networks), memory)) == list(networks)


@pytest.mark.parametrize(
    "theirs",
    ["tcp/8080 from 10.0.0.0/16", "tcp/8080-8081", "udp/8080"],
    ids=["inside-of-ours", "more-ports", "another-protocol"],
)
def test_a_rule_that_was_not_written_like_that_is_somebody_elses(theirs: str) -> None:
    assert ours(claimed(present(theirs), remembering("tcp/8080"))) == []


def test_without_a_memory_only_the_vendors_own_data_tell() -> None:
    assert ours(claimed(present("tcp/9100 from 10.20.0.0/16"), None)) == []
    assert len(ours(claimed(present("tcp/443", proven=True), None))) == 1
    marked = present("tcp/9100 from 10.20.0.0/16", description=f"prometheus {OUR_MARK}")
    assert len(ours(claimed(marked, None))) == 1


def test_what_is_asked_for_a_private_network_says_that_it_is_ours() -> None:
    wanted = (
        Wanted(rules("tcp/9100 from 10.20.0.0/16"), "allowed", "prometheus"),
        Wanted(rules("tcp/443"), "published", "shop/web"),
    )
    everything = RuleSet.of(rule for one in wanted for rule in one.rules)
    desired = Desired(wanted, everything, NOTHING, NOTHING, NOTHING, (), ())
    assert [one.description for one in asked_rules(desired, everything)] == [
        "prometheus (cloudsync)",
        "shop/web",
    ]
    assert [one.description for one in asked_rules(desired, rules("tcp/443"))] == ["shop/web"]


def test_what_was_written_is_remembered_as_long_as_it_is_open() -> None:
    memory = remembering("tcp/443", "tcp/9100 from 10.20.0.0/16")
    observed = present("tcp/443")
    assert still_written(memory, observed, [only("udp/53")]) == (only("tcp/443"), only("udp/53"))
    assert still_written(None, Absent(), [only("udp/53")]) == (only("udp/53"),)


def test_what_a_new_firewall_lets_in_since_it_filters_private_networks_is_not_ours() -> None:
    private = rules("tcp/1-65535 from 10.0.0.0/8")
    assert still_written(None, Absent(private=private), [*private, only("tcp/443")]) == (
        only("tcp/443"),
    )


def test_the_very_same_rules_are_asked_about_again_when_anything_else_differs() -> None:
    """A vendor's rules may be the same objects at each read."""
    mine, other = (VendorRule(text, rules(text)) for text in ("tcp/443", "tcp/8443"))

    def ours(rule: VendorRule, memory: Memory) -> bool:
        observed = Present(id="web", rules=rule.lets_in, marker=None, objects=(rule,))
        claim = claimed(observed, memory)
        assert isinstance(claim, Present)
        assert claim.objects[0].lets_in == rule.lets_in
        return claim.objects[0].ours

    before, after = remembering("tcp/443"), remembering("tcp/8443")
    assert ours(mine, before)
    assert not ours(other, before)
    assert ours(other, after)
    assert not ours(mine, after)
