"""A run for an event is about the firewalls of its host alone, and decides each of them as a run
about everything would."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudsync.config.configuration import Host
from cloudsync.model.outcome import Report
from cloudsync.model.plan import FirewallPlan, MachineExposure, ReadStatus, Standing
from cloudsync.model.ports import Complete, Discovery, Failed, Malformed, Origin, Partial
from cloudsync.planning.ties import ties_of
from cloudsync.provider.errors import Transient
from cloudsync.reconcile import make_plan as planning
from cloudsync.reconcile import run as reconcile
from cloudsync.reconcile.run import Options
from cloudsync.watch.scope import EVERYTHING, Outlook
from tests.effort import examples
from tests.growth import growth, operations
from tests.ram_disk import RAM_DISK
from tests.world import PLACE, MemorySettings, World, both, build, rules

NOBODY: frozenset[str] = frozenset()


def fleet(world: World, feeds: dict[str, tuple[str, ...]]) -> None:
    """Firewalls by name with the hosts that feed each; every host publishes 443."""
    web = world.configuration.firewalls["web"]
    names = sorted({host for hosts in feeds.values() for host in hosts})
    world.configuration = replace(
        world.configuration,
        hosts={
            name: Host(name, ("unix:///nowhere",), (), retired=False, place=PLACE) for name in names
        },
        firewalls={
            name: replace(
                web,
                name=name,
                hosts=hosts,
                marker_hosts=hosts,
                settings=MemorySettings(name=name),
            )
            for name, hosts in feeds.items()
        },
    )
    for name in feeds:
        world.has("tcp/22", name=name)
    world.discoveries.update({name: Complete(both("443", host=name)) for name in names})


def applied(world: World, firewalls: tuple[str, ...] = EVERYTHING) -> Report:
    return reconcile.apply(world.configuration, Options(firewalls))


def outlook(world: World) -> Outlook:
    return Outlook().after(applied(world), EVERYTHING)


def scope(world: World, *hosts: str) -> tuple[str, ...]:
    return outlook(world).scope(frozenset(hosts), NOBODY)


DISJOINT = {"a": ("h1", "h2"), "b": ("h3",), "c": ("h4",)}


def test_an_event_is_about_the_firewalls_that_its_host_feeds(world: World) -> None:
    fleet(world, DISJOINT)
    assert scope(world, "h1") == ("a",)
    assert scope(world, "h1", "h3") == ("a", "b")


def test_all_hosts_of_these_firewalls_are_read_and_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet(world, DISJOINT)
    read: list[str] = []

    def read_hosts(_: Any, names: Iterable[str], *__: Any) -> dict[str, Discovery]:
        names = list(names)
        read.extend(names)
        return {name: world.discoveries[name] for name in names}

    monkeypatch.setattr(planning, "read_hosts", read_hosts)
    names = scope(world, "h1")
    read.clear()
    report = applied(world, names)
    assert sorted(read) == ["h1", "h2"]
    assert [firewall.name for firewall in report.plan.firewalls] == ["a"]


def test_firewalls_with_a_host_in_common_are_decided_together(world: World) -> None:
    fleet(world, {"a": ("h1",), "base": ("h1", "h2"), "b": ("h2",), "c": ("h3",)})
    assert scope(world, "h1") == ("a", "b", "base")


def test_a_host_that_no_run_has_read_or_that_feeds_nothing_needs_everything(world: World) -> None:
    fleet(world, DISJOINT)
    assert scope(world, "new") == EVERYTHING
    assert scope(world, "h1", "new") == EVERYTHING
    assert scope(world) == EVERYTHING
    assert Outlook().scope(frozenset({"h1"}), NOBODY) == EVERYTHING


def test_all_firewalls_are_everything(world: World) -> None:
    fleet(world, DISJOINT)
    assert scope(world, "h1", "h3", "h4") == EVERYTHING


def test_law1_a_host_of_a_swarm_needs_everything(world: World) -> None:
    """A manager knows what its workers need, whichever firewalls they feed."""
    fleet(world, DISJOINT)
    after = outlook(world)
    assert after.scope(frozenset({"h1"}), frozenset({"h2"})) == EVERYTHING
    assert after.scope(frozenset({"h1"}), frozenset({"h3"})) == ("a",)


def test_a_firewall_in_trouble_is_looked_at_with_everything(world: World) -> None:
    """So that the end of the trouble is seen at once, and told of the whole."""
    fleet(world, DISJOINT)
    world.discoveries["h3"] = Failed("no answer")
    after = outlook(world)
    assert after.scope(frozenset({"h3"}), NOBODY) == EVERYTHING
    assert after.scope(frozenset({"h1"}), NOBODY) == ("a",)
    assert after.elsewhere(("a",))
    assert not after.elsewhere(EVERYTHING)
    world.discoveries["h3"] = world.discoveries["h4"]
    after = after.after(applied(world), EVERYTHING)
    assert after.scope(frozenset({"h3"}), NOBODY) == ("b",)
    assert not after.elsewhere(("a",))


def test_trouble_that_a_run_for_an_event_meets_or_ends_is_remembered(world: World) -> None:
    fleet(world, DISJOINT)
    after = outlook(world)
    world.discoveries["h1"] = Failed("no answer")
    met = after.after(applied(world, ("a",)), ("a",))
    assert met.trouble == {"a"}
    world.discoveries["h1"] = Complete()
    assert met.after(applied(world, ("a",)), ("a",)).trouble == NOBODY


def test_trouble_of_no_firewall_in_particular_needs_everything(world: World) -> None:
    fleet(world, DISJOINT)
    after = outlook(world)
    assert after.after(None, ("a",)).scope(frozenset({"h1"}), NOBODY) == EVERYTHING
    report = replace(applied(world), busy=("b",))
    assert after.after(report, EVERYTHING).scope(frozenset({"h1"}), NOBODY) == EVERYTHING


def test_a_label_that_does_not_parse_is_the_trouble_of_the_firewalls_its_host_feeds(
    world: World,
) -> None:
    """Events of the others are about the others alone, as long as it stays."""
    fleet(world, DISJOINT)
    world.discoveries["h3"] = discovery("h3", ("malformed", ("443",)))
    after = outlook(world)
    assert after.trouble == {"b"}
    assert after.scope(frozenset({"h1"}), NOBODY) == ("a",)
    assert after.scope(frozenset({"h3"}), NOBODY) == EVERYTHING
    assert after.elsewhere(("a",))


def test_a_label_that_does_not_parse_on_a_host_that_feeds_nothing_needs_everything(
    world: World,
) -> None:
    fleet(world, DISJOINT)
    report = applied(world)
    plan = replace(report.plan, malformed=("c on new: bad",), malformed_on=frozenset({"new"}))
    after = Outlook().after(replace(report, plan=plan), EVERYTHING)
    assert after.scope(frozenset({"h1"}), NOBODY) == EVERYTHING


def test_two_firewalls_that_are_one_at_the_vendor_are_decided_together(world: World) -> None:
    """Alone, each would take the other's rules away."""
    fleet(world, DISJOINT)
    twin = replace(world.configuration.firewalls["c"], settings=MemorySettings(name="a"))
    firewalls = {**world.configuration.firewalls, "c": twin}
    world.configuration = replace(world.configuration, firewalls=firewalls)
    ties = ties_of(applied(world).plan)
    assert ties.affected(["h1"]) == {"a", "c"}


def at(firewall: FirewallPlan, *targets: str, read: str = "complete") -> FirewallPlan:
    """The same, acting on these machines."""
    machines = tuple(
        MachineExposure(machine=target, target=target, protected=True, attached=True)
        for target in targets
    )
    status = ReadStatus("complete") if read == "complete" else ReadStatus("failed", "no")
    return replace(firewall, standing=Standing(status, machines))


def test_firewalls_on_one_machine_are_decided_together(world: World) -> None:
    """What one of them wants there is not what others leave open."""
    fleet(world, DISJOINT)
    plan = applied(world).plan
    a, b, c = plan.firewalls
    tied = ties_of(replace(plan, firewalls=(at(a, "server 1"), at(b, "server 1", "server 2"), c)))
    assert tied.affected(["h1"]) == {"a", "b"}
    assert tied.affected(["h4"]) == {"c"}


def test_law1_where_machines_could_not_be_read_an_account_is_decided_as_a_whole(
    world: World,
) -> None:
    fleet(world, DISJOINT)
    plan = applied(world).plan
    a, b, c = plan.firewalls
    elsewhere = replace(c, provider="other")
    tied = ties_of(replace(plan, firewalls=(at(a, "server 1"), at(b, read="failed"), elsewhere)))
    assert tied.affected(["h1"]) == {"a", "b"}
    assert tied.affected(["h4"]) == {"c"}


def test_the_work_of_tying_firewalls_is_linear(world: World) -> None:
    fleet(world, DISJOINT)
    plan = applied(world).plan
    first = plan.firewalls[0]

    def tie(size: int) -> object:
        firewalls = tuple(
            replace(first, name=f"f{n}", hosts=(f"h{n}", "all"), id=f"f{n}", identity=f"f{n}")
            for n in range(size)
        )
        return ties_of(replace(plan, firewalls=firewalls))

    assert growth(tie, 200) < 4.6


def test_the_work_of_an_event_does_not_grow_with_the_fleet(world: World) -> None:
    """An eighth of the operations of a run about everything at 32 firewalls, and no firewall more
    that is asked for or decided."""
    fleet(world, {f"f{n}": (f"h{n}",) for n in range(32)})
    configuration = world.configuration
    outlook(world)
    names = scope(world, "h1")
    assert names == ("f1",)
    whole = operations(lambda: reconcile.plan(configuration, Options()))
    event = operations(lambda: reconcile.plan(configuration, Options(names)))
    assert event < whole / 8


HOSTS = ("h1", "h2", "h3", "h4", "h5")
PORTS = ("443", "80", "8443", "9000-9010")
NEEDS = st.one_of(
    st.sets(st.sampled_from(PORTS)).map(lambda ports: ("complete", tuple(sorted(ports)))),
    st.sets(st.sampled_from(PORTS)).map(lambda ports: ("partial", tuple(sorted(ports)))),
    st.just(("failed", ())),
    st.sets(st.sampled_from(PORTS)).map(lambda ports: ("malformed", tuple(sorted(ports)))),
)
FEEDS = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d"]),
    st.sets(st.sampled_from(HOSTS), min_size=1, max_size=3).map(lambda hosts: tuple(sorted(hosts))),
    min_size=1,
)


def discovery(host: str, need: tuple[str, tuple[str, ...]]) -> Discovery:
    how, texts = need
    found = tuple(port for text in texts for port in both(text, host=host))
    if how == "failed":
        return Failed("no answer")
    if how == "malformed":
        bad = Malformed(Origin(host, container="c"), "cannot be understood", found)
        return Complete(malformed=(bad,))
    return Complete(found) if how == "complete" else Partial(("a container is unknown",), found)


def decided(plan: FirewallPlan) -> FirewallPlan:
    """Without moments, which a second look sees later."""
    held = tuple(replace(each, until=None) for each in plan.held)
    return replace(plan, held=held)


@settings(max_examples=examples(30))
@given(FEEDS, st.fixed_dictionaries(dict.fromkeys(HOSTS, NEEDS)), st.data())
def test_law1_an_event_decides_a_firewall_as_a_run_about_everything_would(
    feeds: dict[str, tuple[str, ...]],
    needs: dict[str, tuple[str, tuple[str, ...]]],
    data: st.DataObject,
) -> None:
    """Whatever hosts cannot be read, and whatever changed since."""
    with TemporaryDirectory(dir=RAM_DISK) as folder, pytest.MonkeyPatch.context() as patch:
        patch.delenv("SSH_CONNECTION", raising=False)
        world = build(
            Path(folder), foreign=data.draw(st.sampled_from(["report", "ignore", "fail"]))
        )
        patch.setattr(
            planning,
            "read_hosts",
            lambda _, names, *__: {name: world.discoveries[name] for name in names},
        )
        fleet(world, feeds)
        for host in world.configuration.hosts:
            world.discoveries[host] = discovery(host, needs[host])
        before = outlook(world)
        hosts = data.draw(st.sets(st.sampled_from(sorted(world.configuration.hosts)), min_size=1))
        for host in hosts:
            world.discoveries[host] = discovery(host, data.draw(NEEDS))
        names = before.scope(frozenset(hosts), NOBODY)
        fed = {name for name, feeding in feeds.items() if set(feeding) & hosts}
        assert names == EVERYTHING or fed <= set(names)
        some = reconcile.plan(world.configuration, Options(names)).plan
        whole = reconcile.plan(world.configuration, Options()).plan
        expected = {plan.name: decided(plan) for plan in whole.firewalls}
        assert {plan.name: decided(plan) for plan in some.firewalls} == {
            name: expected[name] for name in (names or expected)
        }
        chosen = set(names or expected)
        assert set(some.guards) == {guard for guard in whole.guards if guard.firewall in chosen}


def test_law1_an_unreadable_account_stays_as_it_is_for_an_event_too(world: World) -> None:
    fleet(world, DISJOINT)
    after = outlook(world)
    world.cloud.unreadable = Transient("no answer")
    world.discoveries["h1"] = Complete()
    names = after.scope(frozenset({"h1"}), NOBODY)
    report = applied(world, names)
    assert isinstance(report.plan.firewalls[0].read, ReadStatus)
    assert report.plan.firewalls[0].read.status == "failed"
    assert world.cloud.firewalls["a"] == rules("tcp/22", "tcp/443")
    assert after.after(report, names).scope(frozenset({"h1"}), NOBODY) == EVERYTHING
