"""A service plans again and again, and hardly anything differs from one plan to the next. What it
does not work out anew it must not get wrong: a plan is what it would be in a process that has never
planned before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudsync.model.plan import FirewallPlan, Guard
from cloudsync.model.ports import Complete, Failed, Partial
from cloudsync.provider.contract import Asked
from cloudsync.reconcile import make_plan as planning
from cloudsync.reconcile import run as reconcile
from cloudsync.reconcile.run import Options
from tests.caches import forget
from tests.effort import examples
from tests.world import World, both, build, ports, rules

Decided = tuple[
    FirewallPlan, tuple[Guard, ...], tuple[Asked, ...], tuple[tuple[str, ...], ...], tuple[str, ...]
]

# Twice the same addresses, listed in another way: what is written differs, what is open does not.
SOURCES = (None, ["203.0.113.0/24"], ["203.0.113.0/25", "203.0.113.128/25"], ["10.0.0.0/8"])
TEXTS = ("443", "8443", "5432", "9000-9010", "53/udp", "8")
NEEDS = st.lists(
    st.tuples(st.sampled_from(TEXTS), st.sampled_from(SOURCES)),
    max_size=4,
    unique_by=lambda need: need[0],
)
RULES = ("tcp/443", "tcp/443 from 203.0.113.0/24", "tcp/8443", "tcp/25", "tcp/5432 from 10.0.0.0/8")


def decided(world: World) -> Decided:
    planned = reconcile.plan(world.configuration, Options())
    (web,) = planned.considered
    held = tuple(replace(each, until=None) for each in web.plan.held)
    asked = web.target.asked
    return (
        replace(web.plan, held=held),
        planned.plan.guards,
        asked,
        tuple(wish.rule.sources.written() for wish in asked),
        planned.plan.warnings,
    )


def publishes(world: World, draw: Callable[[st.SearchStrategy[object]], object]) -> None:
    needs = draw(NEEDS)
    assert isinstance(needs, list)
    required = tuple(port for text, sources in needs for port in both(text, sources=sources))
    how = draw(st.sampled_from(["complete", "complete", "partial", "failed", "narrowed"]))
    if how == "failed":
        world.discoveries["web-1"] = Failed("no answer")
    elif how == "partial":
        world.discoveries["web-1"] = Partial(("a container is unknown",), required)
    elif how == "narrowed":
        world.discoveries["web-1"] = Complete(required[:2], narrowed=required[2:])
    else:
        world.discoveries["web-1"] = Complete(required)


def somebody_changes_the_rules(
    world: World, draw: Callable[[st.SearchStrategy[object]], object]
) -> None:
    listed = draw(st.lists(st.sampled_from(RULES), max_size=3))
    assert isinstance(listed, list)
    world.has("tcp/22", *listed, mine=bool(draw(st.sampled_from([True, True, False]))))


def the_file_is_edited(world: World, draw: Callable[[st.SearchStrategy[object]], object]) -> None:
    what = draw(st.sampled_from(["deny", "sensitive", "private", "allow", "ssh", "read again"]))
    if what == "deny":
        world.policy(deny=draw(st.sampled_from([(), ports("8443"), ports("443/tcp")])))
    elif what == "sensitive":
        world.policy(allow_sensitive=draw(st.sampled_from([(), ports("5432")])))
    elif what == "private":
        world.policy(private=draw(st.sampled_from(["keep", "manage"])))
    elif what == "allow":
        world.allow(*(["tcp/9100 from 203.0.113.0/24"] if draw(st.booleans()) else []))
    elif what == "ssh":
        world.ssh(*(["198.51.100.0/24", "203.0.113.0/24"] if draw(st.booleans()) else ["any"]))
    else:
        world.policy()  # an equal one, and not the same object


def is_applied(world: World, _: Callable[[st.SearchStrategy[object]], object]) -> None:
    reconcile.apply(world.configuration, Options())


STEPS = (publishes, somebody_changes_the_rules, the_file_is_edited, is_applied)


@settings(max_examples=examples(120), deadline=None)
@given(st.data())
def test_a_plan_in_a_warm_process_is_that_of_a_new_one(data: st.DataObject) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.delenv("SSH_CONNECTION", raising=False)
        world = build(Path(folder))
        patch.setattr(
            planning,
            "read_hosts",
            lambda _, names, *__: {name: world.discoveries[name] for name in names},
        )
        forget()
        for step in data.draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=6)):
            step(world, data.draw)
            warm, again = decided(world), decided(world)
            forget()
            assert warm == decided(world) == again
            reconcile.plan(world.configuration, Options())


def test_law4_networks_that_are_listed_in_another_way_are_written_in_that_way(
    world: World,
) -> None:
    """Equal sets are no reason to write what a label said before."""
    world.needs("443", sources=["203.0.113.0/24"])
    assert ("203.0.113.0/24",) in decided(world)[3]
    world.needs("443", sources=["203.0.113.0/25", "203.0.113.128/25"])
    assert ("203.0.113.0/25", "203.0.113.128/25") in decided(world)[3]


def test_a_container_that_publishes_another_port_is_noticed(world: World) -> None:
    world.has("tcp/22")
    for port in ("443", "8443", "443"):
        world.needs(port)
        assert [change.rule and change.rule.ports for change in decided(world)[0].changes] == [port]


def test_law1_a_host_that_is_not_read_any_more_is_unknown_at_once(world: World) -> None:
    world.has("tcp/22", "tcp/443", "tcp/8443")
    world.needs("443")
    assert [change.action for change in decided(world)[0].changes] == ["close"]
    world.discoveries["web-1"] = Failed("no answer")
    assert not decided(world)[0].changes
    world.needs("443")
    assert [change.action for change in decided(world)[0].changes] == ["close"]


def test_what_somebody_opens_between_two_plans_closes(world: World) -> None:
    world.has("tcp/22", "tcp/443")
    world.needs("443")
    assert not decided(world)[0].changes
    world.cloud.firewalls["web"] = rules("tcp/22", "tcp/443", "tcp/25")
    (closing,) = decided(world)[0].changes
    assert (closing.action, closing.rule and closing.rule.ports) == ("close", "25")


def test_what_somebody_replaces_by_as_many_rules_is_called_by_its_name(world: World) -> None:
    world.needs("443")
    for port in ("25", "26"):
        world.has("tcp/22", "tcp/443", f"tcp/{port}")
        (closing,) = decided(world)[0].changes
        assert closing.vendor_rule.startswith(f"tcp/{port} ")


def test_a_rule_is_ours_only_as_long_as_that_is_remembered(world: World) -> None:
    """A private rule of ours closes, one that somebody else made is kept."""
    world.needs("5432", sources=["10.0.0.0/8"])
    reconcile.apply(world.configuration, Options())
    world.needs()
    assert [change.action for change in decided(world)[0].changes] == ["close"]
    assert isinstance(world.configuration.state, Path)
    for file in world.configuration.state.glob("*seen*"):
        file.unlink()
    assert not decided(world)[0].changes


def test_an_edited_policy_counts_at_once(world: World) -> None:
    world.has("tcp/22")
    world.needs("443")
    assert [change.action for change in decided(world)[0].changes] == ["open"]
    world.policy(deny=ports("443/tcp"))
    assert not decided(world)[0].changes
