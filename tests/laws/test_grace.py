"""Grace on whole runs: a port that containers needed and need no more stays open for its time, and
for a second complete read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cloudsync.model.plan import Granted, Held
from cloudsync.model.ports import (
    Complete,
    Failed,
    Malformed,
    Origin,
    Partial,
    UnopenedPort,
)
from cloudsync.provider.contract import Description
from cloudsync.reconcile import make_plan
from cloudsync.reconcile import run as reconcile
from cloudsync.reconcile.run import Options, Report, Terms
from cloudsync.runtime import clock
from tests.world import World, both, build, ports, required, rules

START = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)


class Time:
    """All clocks of a machine, moved by hand."""

    def __init__(self) -> None:
        self.moment = clock.Moment(START, "boot-1", 5000.0, "web-1")

    def passes(self, seconds: float) -> None:
        self.moment = replace(
            self.moment,
            wall=self.moment.wall + timedelta(seconds=seconds),
            up=self.moment.up + seconds,
        )

    def jumps(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self.moment = replace(self.moment, wall=self.moment.wall + timedelta(seconds=seconds))

    def reboots(self, seconds: float) -> None:
        """The machine is down for a moment, and up for `seconds`."""
        self.passes(seconds)
        self.moment = replace(self.moment, boot=self.moment.boot + "+", up=seconds)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    moved = Time()
    monkeypatch.setattr(clock, "now", lambda: moved.moment)
    return moved


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, time: Time) -> World:
    """A container published 443 and 8080 when an apply last looked; grace is ten minutes."""
    world = build(tmp_path, grace=timedelta(minutes=10))
    monkeypatch.setattr(
        make_plan,
        "read_hosts",
        lambda _c, names, *_: {name: world.discoveries[name] for name in names},
    )
    world.has("tcp/22")
    world.needs("443", "8080")
    apply(world)
    assert open_(world) == rules("tcp/22", "tcp/443", "tcp/8080")
    return world


def apply(world: World, **granted: object) -> Report:
    return reconcile.apply(world.configuration, Options(granted=Granted(**granted)))  # type: ignore[arg-type]


def open_(world: World) -> object:
    return world.cloud.firewalls["web"]


def held(world: World) -> tuple[Held, ...]:
    return reconcile.plan(world.configuration, Options()).plan.firewalls[0].held


WITHOUT_8080 = rules("tcp/22", "tcp/443")
WITH_8080 = rules("tcp/22", "tcp/443", "tcp/8080")


def test_a_port_that_a_container_needs_no_more_waits_for_its_grace(shop: World, time: Time) -> None:
    shop.needs("443")
    report = apply(shop)
    assert open_(shop) == WITH_8080
    assert not report.plan.has_changes
    (one,) = report.plan.firewalls[0].held
    assert (one.reason, one.until) == ("grace", START + timedelta(minutes=10))
    time.passes(599)
    apply(shop)
    assert open_(shop) == WITH_8080
    time.passes(1)
    apply(shop)
    assert open_(shop) == WITHOUT_8080


def test_a_container_that_comes_back_starts_its_next_grace_anew(shop: World, time: Time) -> None:
    shop.needs("443")
    apply(shop)
    time.passes(590)
    shop.needs("443", "8080", container="another-id")
    apply(shop)
    shop.needs("443")
    time.passes(60)
    apply(shop)
    time.passes(590)
    apply(shop)
    assert open_(shop) == WITH_8080
    time.passes(10)
    apply(shop)
    assert open_(shop) == WITHOUT_8080


def test_one_read_never_closes_however_long_ago_the_last_one_was(shop: World, time: Time) -> None:
    time.passes(30 * 24 * 3600)
    shop.needs("443")
    apply(shop)
    assert open_(shop) == WITH_8080


def test_grace_of_nothing_closes_at_the_first_read_that_misses(shop: World) -> None:
    shop.policy(grace=timedelta(0))
    shop.needs("443")
    apply(shop)
    assert open_(shop) == WITHOUT_8080


def test_now_does_not_wait(shop: World) -> None:
    shop.needs("443")
    apply(shop, now=True)
    assert open_(shop) == WITHOUT_8080


def test_law5_a_plan_starts_no_timer(shop: World, time: Time) -> None:
    before = {path.name: path.read_bytes() for path in shop.configuration.state.iterdir()}
    shop.needs("443")
    assert [one.reason for one in held(shop)] == ["grace"]
    assert {path.name: path.read_bytes() for path in shop.configuration.state.iterdir()} == before
    time.passes(1200)
    apply(shop)
    assert open_(shop) == WITH_8080


def test_a_plan_says_until_when(shop: World, time: Time) -> None:
    shop.needs("443")
    apply(shop)
    time.passes(400)
    (one,) = held(shop)
    assert one.until == START + timedelta(seconds=600)


def test_timers_are_of_ports_and_sources_and_not_of_rules(shop: World, time: Time) -> None:
    shop.needs("443", "8080", "8081", "8082")
    apply(shop)
    shop.needs("443", "8081")
    apply(shop)
    assert {one.rule.ports for one in held(shop)} == {"8080", "8082"}
    time.passes(300)
    shop.needs("443")
    apply(shop)
    time.passes(300)
    apply(shop)
    assert open_(shop) == rules("tcp/22", "tcp/443", "tcp/8081")


def test_an_address_family_that_vanishes_has_a_timer_of_its_own(shop: World, time: Time) -> None:
    shop.discoveries["web-1"] = Complete((*both("443"), required("8080", address="0.0.0.0")))
    apply(shop)
    assert [str(one.rule) for one in held(shop)] == ["tcp/8080 from ::/0"]
    time.passes(600)
    apply(shop)
    assert open_(shop) == rules("tcp/22", "tcp/443", "tcp/8080 from 0.0.0.0/0")


# What has no grace


def test_a_port_that_a_person_opened_closes_at_once(shop: World) -> None:
    shop.cloud.firewalls["web"] = WITH_8080 | rules("tcp/9000")
    apply(shop)
    assert open_(shop) == WITH_8080


def test_what_a_file_declared_closes_at_once(shop: World) -> None:
    shop.allow("tcp/9443")
    shop.discoveries["web-1"] = Complete(
        (*both("443"), *both("8080"), required("8000", address=None, declared=True))
    )
    apply(shop)
    assert open_(shop) == WITH_8080 | rules("tcp/9443", "tcp/8000")
    shop.firewall(allow=())
    shop.needs("443", "8080")
    apply(shop)
    assert open_(shop) == WITH_8080


def test_what_a_compose_file_declared_closes_at_once(shop: World) -> None:
    declared = tuple(
        replace(port, origin=Origin("web-1", file="compose.yaml", line=3), from_file=True)
        for port in both("8000")
    )
    shop.discoveries["web-1"] = Complete((*both("443"), *both("8080"), *declared))
    apply(shop)
    shop.needs("443", "8080")
    apply(shop)
    assert open_(shop) == WITH_8080


def test_a_port_that_a_file_took_over_from_a_container_is_the_files(shop: World) -> None:
    shop.needs("443")
    shop.allow("tcp/8080")
    apply(shop)
    shop.firewall(allow=())
    apply(shop)
    assert open_(shop) == WITHOUT_8080


def test_what_is_denied_closes_at_once(shop: World) -> None:
    shop.policy(deny=ports("8080"))
    shop.needs("443")
    apply(shop)
    assert open_(shop) == WITHOUT_8080


@pytest.mark.parametrize(
    "close",
    [
        lambda world: UnopenedPort(
            "tcp", "8080", Origin("web-1", container="app"), "labelled-out", "the label says no"
        ),
        lambda world: both("8080", firewalls=frozenset({"other"})),
        lambda world: both("8080", sources=()),
    ],
)
def test_what_a_label_closed_closes_at_once(shop: World, close: Callable[[World], object]) -> None:
    said = close(shop)
    unopened = (said,) if isinstance(said, UnopenedPort) else ()
    more = () if unopened else said
    shop.discoveries["web-1"] = Complete((*both("443"), *more), unopened)  # type: ignore[misc,arg-type]
    apply(shop)
    assert open_(shop) == WITHOUT_8080


def test_sources_that_a_label_narrowed_close_at_once(shop: World) -> None:
    narrow = both("8080", sources=("203.0.113.0/24", "2001:db8::/32"))
    shop.discoveries["web-1"] = Complete((*both("443"), *narrow))
    apply(shop)
    assert open_(shop) == WITHOUT_8080 | rules("tcp/8080 from 203.0.113.0/24,2001:db8::/32")


def test_an_address_family_that_a_label_shuts_out_closes_at_once(shop: World) -> None:
    v4, v6 = both("8080")
    shop.discoveries["web-1"] = Complete((*both("443"), v4), shut=(v6,))
    apply(shop)
    assert open_(shop) == WITHOUT_8080 | rules("tcp/8080 from 0.0.0.0/0")


def test_law1_a_family_that_a_label_shuts_out_stays_while_the_host_is_not_complete(
    shop: World,
) -> None:
    before = open_(shop)
    v4, v6 = both("8080")
    shop.discoveries["web-1"] = Partial(("one unread",), (*both("443"), v4), shut=(v6,))
    apply(shop)
    assert open_(shop) == before


def test_a_port_that_the_policy_stops_opening_closes_at_once(shop: World) -> None:
    shop.policy(expose="labelled")
    shop.discoveries["web-1"] = Complete((*both("443", asked=True), *both("8080")))
    apply(shop)
    assert open_(shop) == WITHOUT_8080


def labelled(*numbers: str, missing: tuple[str, ...] = ()) -> Complete:
    return Complete(
        (
            *(port for number in numbers for port in both(number, asked=True)),
            *(port for number in missing for port in both(number)),
        )
    )


def test_law1_a_label_that_disappears_has_grace_as_a_port_that_does(
    shop: World, time: Time
) -> None:
    """An image that cannot be read any more, a stack deployed again without its labels: not a word
    of the user."""
    shop.policy(expose="labelled")
    shop.discoveries["web-1"] = labelled("443", "8080")
    apply(shop)
    shop.discoveries["web-1"] = labelled("443", missing=("8080",))
    apply(shop)
    assert open_(shop) == WITHOUT_8080 | rules("tcp/8080")
    time.passes(601)
    apply(shop)
    assert open_(shop) == WITHOUT_8080


def test_law1_many_labels_that_disappear_at_once_look_like_a_mistake(
    shop: World, time: Time
) -> None:
    numbers = ("25", "80", "443", "993", "8080")
    shop.policy(expose="labelled")
    shop.discoveries["web-1"] = labelled(*numbers)
    apply(shop)
    before = open_(shop)
    shop.discoveries["web-1"] = labelled(missing=numbers)
    apply(shop)
    time.passes(601)
    report = apply(shop)
    assert open_(shop) == before
    assert {guard.id for guard in report.plan.guards} == {"everything-would-close"}


def test_ports_of_a_host_that_the_user_took_away_close_at_once(shop: World) -> None:
    shop.configuration = replace(
        shop.configuration,
        hosts={
            **shop.configuration.hosts,
            "web-2": replace(shop.configuration.hosts["web-1"], name="web-2"),
        },
    )
    shop.firewall(hosts=("web-2",))
    shop.discoveries["web-2"] = Complete(both("443", host="web-2"))
    apply(shop)
    assert open_(shop) == WITHOUT_8080


# What is not known


@pytest.mark.parametrize("unknown", [Failed("down"), Partial(("one unread",), both("443"))])
def test_law1_a_read_that_is_not_complete_misses_nothing(
    shop: World, time: Time, unknown: Failed | Partial
) -> None:
    shop.discoveries["web-1"] = unknown
    apply(shop)
    time.passes(1200)
    shop.needs("443")
    apply(shop)
    assert open_(shop) == WITH_8080
    assert [one.reason for one in held(shop)] == ["grace"]
    time.passes(600)
    apply(shop)
    assert open_(shop) == WITHOUT_8080


def test_law1_what_unparsed_labels_may_need_is_not_missed(shop: World, time: Time) -> None:
    broken = Malformed(Origin("web-1", container="app"), "no label", both("8080"))
    shop.discoveries["web-1"] = Complete(both("443"), malformed=(broken,))
    apply(shop)
    time.passes(1200)
    shop.needs("443")
    apply(shop)
    assert open_(shop) == WITH_8080


def test_law1_time_goes_on_while_a_host_is_unknown_but_nothing_closes(
    shop: World, time: Time
) -> None:
    shop.needs("443")
    apply(shop)
    time.passes(600)
    shop.discoveries["web-1"] = Failed("down")
    apply(shop)
    assert open_(shop) == WITH_8080
    shop.needs("443")
    apply(shop)
    assert open_(shop) == WITHOUT_8080


def test_what_a_file_asks_for_while_a_host_is_unread_was_still_a_containers(
    shop: World, time: Time
) -> None:
    """While the host is unread a port of its container may be in `allow` too; that does not make it
    a port that no container ever needed."""
    shop.discoveries["web-1"] = Failed("down")
    shop.allow("tcp/8080")
    apply(shop)
    shop.firewall(allow=())
    shop.needs("443")
    apply(shop)
    assert open_(shop) == WITH_8080
    assert [waiting.reason for waiting in held(shop)] == ["grace"]
    time.passes(600)
    apply(shop)
    assert open_(shop) == WITHOUT_8080


# Clocks and lost memories


@pytest.mark.parametrize("jump", [-3600.0, 3600.0, 365 * 24 * 3600.0])
def test_a_wall_clock_that_jumps_changes_no_grace(shop: World, time: Time, jump: float) -> None:
    shop.needs("443")
    apply(shop)
    time.jumps(jump)
    apply(shop)
    time.passes(599)
    apply(shop)
    assert open_(shop) == WITH_8080
    time.passes(1)
    apply(shop)
    assert open_(shop) == WITHOUT_8080


def test_a_wall_clock_that_jumps_while_the_machine_reboots_expires_nothing(
    shop: World, time: Time
) -> None:
    shop.needs("443")
    apply(shop)
    time.reboots(60)
    time.jumps(10 * 365 * 24 * 3600)
    apply(shop)
    assert open_(shop) == WITH_8080
    time.passes(540)
    apply(shop)
    assert open_(shop) == WITHOUT_8080


@pytest.mark.parametrize(
    "text", ["", "{", '{"version": 1}', '{"version": 1, "firewalls": {"web": 3}}', "[" * 100_000]
)
def test_a_memory_that_cannot_be_read_starts_all_timers_anew(
    shop: World, time: Time, text: str
) -> None:
    shop.needs("443")
    apply(shop)
    time.passes(700)
    path = shop.configuration.state / "shop.seen.json"
    path.write_text(text)
    report = apply(shop)
    assert open_(shop) == WITH_8080
    assert any("all grace starts again" in warning for warning in report.plan.warnings)
    time.passes(599)
    apply(shop)
    assert open_(shop) == WITH_8080
    time.passes(1)
    apply(shop)
    assert open_(shop) == WITHOUT_8080


def test_without_a_memory_the_descriptions_at_the_vendor_tell_whose_a_rule_is(
    shop: World, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = (
        Description(rules("tcp/8080"), "shop/web"),
        Description(rules("tcp/9000"), ""),
        Description(rules("tcp/9001"), "config.toml:12"),
        Description(rules("tcp/9002"), "allow"),
        Description(rules("tcp/9003"), "ssh, shop/admin"),
    )
    read = type(shop.provider.open_reader(None))._one  # type: ignore[arg-type]
    monkeypatch.setattr(
        "tests.world.MemoryReader._one",
        lambda self, spec: replace(read(self, spec), described=described),
    )
    shop.cloud.firewalls["web"] = WITH_8080 | rules("tcp/9000", "tcp/9001", "tcp/9002", "tcp/9003")
    (shop.configuration.state / "shop.seen.json").unlink()
    shop.needs("443")
    report = apply(shop)
    assert open_(shop) == WITH_8080 | rules("tcp/9003"), "words of ours beside a container's"
    assert any("ephemeral runner" in warning for warning in report.plan.warnings)
    time.passes(600)
    report = apply(shop)
    assert open_(shop) == WITHOUT_8080
    assert not any("ephemeral runner" in warning for warning in report.plan.warnings)


def test_without_a_memory_and_without_descriptions_there_is_no_grace(shop: World) -> None:
    (shop.configuration.state / "shop.seen.json").unlink()
    shop.needs("443")
    apply(shop)
    assert open_(shop) == WITHOUT_8080


# What is done with what was approved, and what a failure leaves


def test_law6_what_a_plan_showed_as_staying_open_stays_open_when_it_is_applied_later(
    shop: World, time: Time
) -> None:
    shop.needs("443")
    apply(shop)
    time.passes(590)
    shop.needs("443", "8443")
    shown = reconcile.plan(shop.configuration, Options()).plan
    time.passes(60)
    report = reconcile.apply(shop.configuration, Options(), Terms(approved=shown))
    assert report.moved is None
    assert open_(shop) == WITH_8080 | rules("tcp/8443")
    apply(shop)
    assert open_(shop) == rules("tcp/22", "tcp/443", "tcp/8443")


def test_a_closing_that_a_guard_withheld_needs_no_second_grace(shop: World, time: Time) -> None:
    shop.policy(max_close=0)
    shop.needs("443")
    apply(shop)
    time.passes(600)
    assert [guard.id for guard in apply(shop).plan.guards] == ["max-close"]
    apply(shop, allow_close=1)
    assert open_(shop) == WITHOUT_8080


def test_the_memory_is_readable_by_a_person_and_private(shop: World) -> None:
    shop.needs("443")
    apply(shop)
    path = shop.configuration.state / "shop.seen.json"
    assert path.stat().st_mode & 0o777 == 0o600
    value = json.loads(path.read_text())
    (timer,) = value["firewalls"]["web"]["missing"]
    assert timer["since"] == "2026-03-01T03:00:00+00:00"
    assert timer["rules"] == ["tcp/8080 from 0"]
    assert value["sources"] == [["0.0.0.0/0", "::/0"]]


def test_a_run_with_nothing_new_does_not_write_its_memory(shop: World) -> None:
    path = shop.configuration.state / "shop.seen.json"
    before = path.stat().st_ino
    apply(shop)
    assert path.stat().st_ino == before
