"""Firewalls that people made: what the plan shows of them, and what asks before it closes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudsync.config.configuration import Allow, PolicySettings
from cloudsync.model.plan import FirewallPlan, Granted
from cloudsync.planning.diff import Around, changes_of, rewrites
from cloudsync.planning.holds import hold
from cloudsync.planning.policy import Desired, Wanted
from cloudsync.provider.contract import (
    Asked,
    FirewallSpec,
    Present,
    Step,
    StepKind,
    Target,
    Touched,
    VendorRule,
)
from cloudsync.provider.marker import Marker
from cloudsync.provider.settings import FirewallSettings
from cloudsync.provider.spelling import spell
from cloudsync.reconcile import run as reconcile
from cloudsync.reconcile.run import Options
from cloudsync.rules import NOTHING, RuleSet
from cloudsync.rules.families import meaningful
from tests.world import PLACE, World, rules

SPEC = FirewallSpec("web", FirewallSettings(), Marker("shop", "web", "0badcafe"))
_texts = st.lists(
    st.builds(
        "{}{}".format,
        st.sampled_from(("tcp/80", "tcp/81", "tcp/80-90", "udp/53", "tcp/1-65535", "all", "icmp")),
        st.sampled_from(("", " from 0.0.0.0/0", " from ::/0", " from 203.0.113.0/24",
                         " from 10.0.0.0/8", " from 203.0.113.0/25,10.0.0.0/8")),
    ),
    max_size=6,
)  # fmt: skip


@settings(deadline=None)
@given(_texts, _texts, st.sampled_from(("keep", "none")), st.sampled_from(("keep", "manage")))
def test_the_sum_of_the_changes_is_the_exact_difference_of_the_sets(
    there: list[str],
    asked: list[str],
    icmp: Literal["keep", "none"],
    private: Literal["keep", "manage"],
) -> None:
    objects = tuple(VendorRule(str(n), rules(text)) for n, text in enumerate(there))
    observed = Present("38", rules(*there), None, objects=objects)
    wanted = tuple(Wanted(meaningful(rules(text)), text, text) for text in asked)
    desired = Desired(wanted, _union(wanted), NOTHING, NOTHING, NOTHING, (), ())
    policy = _policy(icmp, private)
    holding = hold(observed, desired, policy, {})
    want = tuple(Asked(rule, one.description) for one in wanted for rule in one.rules)
    spelling = spell(objects, Target(SPEC, holding.final, asked=want))
    changes = changes_of(observed, desired, holding, spelling, Around())
    opens = RuleSet.of(c.rule for c in changes if c.action == "open" and c.rule is not None)
    closes = RuleSet.of(c.rule for c in changes if c.action == "close" and c.rule is not None)
    before, after = meaningful(observed.rules), meaningful(holding.final)
    assert meaningful(opens - observed.rules) == after - before
    assert meaningful(closes) == before - after
    assert holding.final.covers(opens)


def _policy(icmp: Literal["keep", "none"], private: Literal["keep", "manage"]) -> PolicySettings:
    return PolicySettings(
        "published", "sync", timedelta(), 5, (), (), icmp, private, "report", timedelta(hours=24)
    )


def _union(wanted: tuple[Wanted, ...]) -> RuleSet:
    return RuleSet.of(rule for one in wanted for rule in one.rules)


def test_law8_what_a_step_touches_without_closing_a_port_is_a_change() -> None:
    objects = (VendorRule("a", rules("tcp/443")), VendorRule("b", rules("tcp/80")))
    observed = Present("38", rules("tcp/443", "tcp/80"), None, objects=objects)
    touches = (
        Touched("tcp/443", "rewrites", "closes", "a"),
        Touched("tcp/80", "deletes", "a wider rule lets in the same", "b"),
        Touched("web-db", "retargets", "is for other machines"),
    )
    step = Step("replace", StepKind.REPLACE, NOTHING, touches=touches)
    assert [one.target for one in rewrites(observed, rules("tcp/443"), (step, step))] == [
        "tcp/80",
        "web-db",
    ]


def planned(world: World, **granted: object) -> tuple[FirewallPlan, set[str]]:
    options = Options(granted=Granted(**granted))  # type: ignore[arg-type]
    plan = reconcile.plan(world.configuration, options).plan
    return plan.firewalls[0], {guard.id for guard in plan.guards}


def test_law2_at_adoption_a_declared_port_that_closes_to_who_has_it_today_asks(
    world: World,
) -> None:
    world.has("tcp/22", "tcp/443", mine=False)
    world.ssh("203.0.113.0/24")
    world.needs("443")
    assert planned(world, adopt=("web",))[1] == {"ssh-moved"}
    assert planned(world, adopt=("web",), ssh_moved=True)[1] == set()


def test_law2_at_adoption_a_declared_port_that_nothing_reaches_asks(world: World) -> None:
    world.has("tcp/2222", "tcp/443", mine=False)
    world.needs("443")
    assert planned(world, adopt=("web",))[1] == {"ssh-moved"}


def test_law2_nothing_is_asked_if_ssh_stays_as_it_is(world: World) -> None:
    world.has("tcp/22", "tcp/8080", mine=False)
    world.needs("443")
    assert planned(world, adopt=("web",))[1] == set()


@pytest.mark.parametrize("closing", [5, 6])
def test_max_close_counts_rules_and_not_their_pieces(world: World, closing: int) -> None:
    world.has(
        "tcp/22", "tcp/1000-60000", *(f"udp/{n}" for n in range(2000, 2000 + 2 * closing - 2, 2))
    )
    world.needs(*(str(port) for port in range(2000, 2020, 2)))
    plan, ids = planned(world)
    assert ids == ({"max-close"} if closing > 5 else set())
    assert len([c for c in plan.changes if c.action == "open"]) == 0


def test_law7_one_rule_too_many_opens_nothing_and_what_closes_closes(world: World) -> None:
    world.has("tcp/22", "tcp/3389")
    world.needs(*(str(8000 + 2 * n) for n in range(30)))
    plan, ids = planned(world)
    assert ids == {"unsupported"}
    assert [(c.action, str(c.rule)) for c in plan.changes] == [
        ("close", "tcp/3389 from 0.0.0.0/0, ::/0")
    ]
    assert {refused.code for refused in plan.refused} == {"no-room"}
    assert len(plan.refused) == 30


def test_a_description_that_the_vendor_cuts_is_named_in_the_plan(world: World) -> None:
    world.provider.capabilities = replace(world.provider.capabilities, longest_description=20)
    world.has("tcp/22")
    world.firewall(allow=(Allow(rules("tcp/9100"), "for the monitoring of Anna", PLACE),))
    warnings = reconcile.plan(world.configuration, Options()).plan.warnings
    assert "web: the description of tcp/9100 has 26 characters, memory takes 20: it is cut" in (
        warnings
    )
