"""Guards on whole runs: what they withhold, what goes on all the same, and the word that lifts
them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cloudsync.model.plan import Granted
from cloudsync.model.ports import Complete, UnopenedPort
from cloudsync.planning.guards import GUARDS
from cloudsync.provider.contract import Machine
from cloudsync.reconcile import run as reconcile
from cloudsync.reconcile.run import Options, Report, Terms
from cloudsync.reconcile.ssh_session import own_login
from tests.world import MemorySettings, World, both, ports, rules


def apply(world: World, **granted: object) -> Report:
    return reconcile.apply(world.configuration, Options(granted=Granted(**granted)))  # type: ignore[arg-type]


def ids(report: Report) -> list[str]:
    return [guard.id for guard in report.plan.guards]


# Everything would close


def test_nothing_but_ssh_is_left_only_by_the_users_word(world: World) -> None:
    world.has("tcp/22", "tcp/443", "tcp/8080")
    report = apply(world)
    assert ids(report) == ["everything-would-close"]
    assert "--allow-close 2" in report.plan.guards[0].message
    assert [held.reason for held in report.plan.firewalls[0].held] == ["everything-would-close"] * 2
    assert world.cloud.firewalls["web"] == rules("tcp/22", "tcp/443", "tcp/8080")
    apply(world, allow_close=1)
    assert world.cloud.firewalls["web"] == rules("tcp/22", "tcp/443", "tcp/8080")
    apply(world, allow_close=2)
    assert world.cloud.firewalls["web"] == rules("tcp/22")


def test_one_rule_alone_is_not_everything(world: World) -> None:
    world.has("tcp/22", "tcp/8080")
    assert ids(apply(world)) == []
    assert world.cloud.firewalls["web"] == rules("tcp/22")


def test_something_that_stays_is_not_everything(world: World) -> None:
    world.has("tcp/22", "tcp/443", "tcp/8080", "tcp/9000")
    world.needs("443")
    assert ids(apply(world)) == []


def test_what_the_user_closed_on_purpose_is_no_accident(world: World) -> None:
    world.has("tcp/22", "tcp/443", "tcp/8443", "tcp/8080", "tcp/9000")
    world.policy(deny=ports("443", "8443"))
    origin = both("8080")[0].origin
    labelled = tuple(
        UnopenedPort("tcp", number, origin, "labelled-out", "no") for number in ("8080", "9000")
    )
    world.discoveries["web-1"] = Complete(both("443"), labelled)
    assert ids(apply(world)) == []
    assert world.cloud.firewalls["web"] == rules("tcp/22")


def test_all_ports_of_one_host_close_only_by_the_users_word_while_another_host_goes_on(
    world: World,
) -> None:
    second = replace(world.configuration.hosts["web-1"], name="web-2")
    world.configuration = replace(
        world.configuration, hosts={**world.configuration.hosts, "web-2": second}
    )
    world.firewall(hosts=("web-1", "web-2"))
    world.has("tcp/22")
    world.needs("443")
    world.discoveries["web-2"] = Complete(
        (*both("8001", host="web-2"), *both("8003", host="web-2"))
    )
    apply(world)
    world.discoveries["web-2"] = Complete()
    world.needs("443", "8443")
    report = apply(world)
    assert ids(report) == ["everything-would-close"]
    assert "web-2" in report.plan.guards[0].message
    assert world.cloud.firewalls["web"] == rules(
        "tcp/22", "tcp/443", "tcp/8443", "tcp/8001", "tcp/8003"
    )
    apply(world, allow_close=2)
    assert world.cloud.firewalls["web"] == rules("tcp/22", "tcp/443", "tcp/8443")


# The person's own SSH connection


@pytest.fixture
def logged_in(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody came in by SSH from 203.0.113.9 to port 2222 of this machine."""
    monkeypatch.setenv("SSH_CONNECTION", "203.0.113.9 51234 127.0.0.1 2222")


@pytest.mark.usefixtures("logged_in")
def test_law2_the_connection_a_person_sits_on_is_not_shut(world: World) -> None:
    world.has("tcp/22", "tcp/2222")
    report = apply(world, ssh_moved=True, allow_close=100)
    assert ids(report) == ["own-ssh"]
    assert "203.0.113.9" in report.plan.guards[0].message
    assert world.cloud.firewalls["web"] == rules("tcp/22", "tcp/2222")
    world.ssh("203.0.113.0/24", numbers=(22, 2222))
    assert ids(apply(world)) == []


@pytest.mark.usefixtures("logged_in")
def test_law2_a_machine_is_not_attached_where_that_would_shut_the_connection(world: World) -> None:
    world.cloud.machines["web-1"] = Machine("7", "web-1", protected=False)
    world.firewall(settings=MemorySettings(servers=("web-1",)))
    assert ids(apply(world, allow_attach=("web",))) == ["own-ssh"]
    assert world.cloud.attached == {}


@pytest.mark.usefixtures("logged_in")
def test_a_connection_that_was_not_let_in_before_is_not_this_firewalls(world: World) -> None:
    world.has("tcp/22", "tcp/443")
    world.needs("443", "80")
    assert ids(apply(world)) == []


def test_where_nobody_knows_whose_machine_it_is_there_is_a_note(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "203.0.113.9 51234 198.51.100.77 2222")
    world.has("tcp/22", "tcp/2222")
    report = apply(world)
    assert ids(report) == []
    assert any("203.0.113.9" in warning for warning in report.plan.warnings)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "203.0.113.9",
        "a b c d",
        "203.0.113.9 1 127.0.0.1 0",
        "203.0.113.9 1 127.0.0.1 x",
        "UNKNOWN 65535 UNKNOWN 65535",
    ],
)
def test_a_connection_that_cannot_be_read_is_none(text: str) -> None:
    assert own_login({"SSH_CONNECTION": text}) is None


def test_a_mapped_address_is_the_ipv4_one_it_stands_for() -> None:
    login = own_login({"SSH_CONNECTION": "::ffff:203.0.113.9 1 ::1 22"})
    assert login is not None
    assert (str(login.peer), login.here) == ("203.0.113.9", True)
    assert login.rules == rules("tcp/22 from 203.0.113.9/32")


# Two names for one firewall


def test_two_names_for_one_firewall_at_the_vendor_are_both_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    web = world.configuration.firewalls["web"]
    world.configuration = replace(
        world.configuration, firewalls={"web": web, "shop": replace(web, name="shop")}
    )
    world.has("tcp/22")
    world.needs("443")
    report = apply(world, adopt=("web", "shop"))
    assert ids(report) == ["same-firewall", "same-firewall"]
    assert world.cloud.history == []


def test_two_ways_to_one_file_are_one_firewall(tmp_path: Path) -> None:
    """The configuration sees two paths; that a link makes them one, only the reader does."""
    from cloudsync.config import load

    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "cloudsync.toml").write_text(f"""version = 1
owner = "shop"
state = "file://{tmp_path}/state"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
[providers.local]
[hosts.a]
ports = ["443/tcp"]
[hosts.b]
ports = ["54321/tcp"]
[firewalls.one]
provider = "local"
hosts = ["a"]
path = "fw.json"
[firewalls.two]
provider = "local"
hosts = ["b"]
path = "link/fw.json"
""")
    configuration = load(tmp_path / "cloudsync.toml")
    reconcile.apply(configuration, Options(firewalls=("one",)))
    report = reconcile.apply(configuration, Options())
    assert "same-firewall" in ids(report)
    assert "54321" not in (tmp_path / "fw.json").read_text()


# All of them


def test_every_guard_says_how_to_go_on_and_is_in_the_safety_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "safety.md").read_text()
    assert [id_ for id_ in GUARDS if f"`{id_}`" not in page] == []


def test_an_old_plan_is_not_applied(world: World) -> None:
    from datetime import timedelta

    world.has("tcp/22")
    world.needs("443")
    shown = reconcile.plan(world.configuration, Options()).plan
    old = replace(shown, created=shown.created - timedelta(hours=25))
    report = reconcile.apply(world.configuration, Options(), Terms(approved=old))
    assert report.moved is not None
    assert "plan_max_age" in report.moved
    assert world.cloud.history == []


def test_a_plan_from_the_future_is_not_applied(world: World) -> None:
    from datetime import timedelta

    world.has("tcp/22")
    world.needs("443")
    shown = reconcile.plan(world.configuration, Options()).plan
    report = reconcile.apply(
        world.configuration,
        Options(),
        Terms(approved=replace(shown, created=shown.created + timedelta(hours=1))),
    )
    assert report.moved is not None
    assert "clock" in report.moved
    assert world.cloud.history == []
