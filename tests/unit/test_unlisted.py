"""Machines that a firewall acts on and that are not its hosts (law 1)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloudsync.config.configuration import Firewall
from cloudsync.planning.guards import unlisted_machines
from cloudsync.planning.unlisted import unlisted
from cloudsync.provider.contract import Attachment, Present
from cloudsync.provider.machines import ActingFirewall, Fleet, Interface, ObservedMachine
from cloudsync.provider.settings import FirewallSettings
from cloudsync.rules import NOTHING
from tests.world import PLACE, rules

WEB = Firewall(
    "web", "prod", ("web-1", "web-2"), ("web-1", "web-2"), False, (), FirewallSettings(), PLACE
)


def machine(name: str, *, under: str | None = "web", listed: bool = False) -> ObservedMachine:
    acting = (ActingFirewall("38", "fw", of=under),)
    interface = Interface("eth0", frozenset((4,)), (), firewalls=acting)
    names = frozenset({"web"}) if listed else frozenset[str]()
    return ObservedMachine(f"id-{name}", name, "server", (interface,), listed=names)


def named(
    *machines: ObservedMachine, firewall: Firewall = WEB, attached: tuple[str, ...] = ()
) -> list[str]:
    attachments = tuple(Attachment(f"server id-{name}", attached=True) for name in attached)
    observed = Present("38", NOTHING, None, attachments=attachments)
    return [one.name for one in unlisted(firewall, observed, Fleet(machines))]


def test_law1_a_machine_that_is_no_host_is_named() -> None:
    assert named(machine("web-1"), machine("web-2"), machine("db-1"), machine("build-1")) == [
        "build-1",
        "db-1",
    ]


def test_a_machine_under_another_firewall_only_is_none_of_ours() -> None:
    assert named(machine("web-1"), machine("web-2"), machine("db-1", under=None)) == []
    assert named(machine("web-1"), machine("web-2"), machine("db-1", under="other")) == []


@pytest.mark.parametrize("listed", [True, False], ids=["by-a-key", "by-an-attachment"])
def test_a_machine_that_the_keys_of_the_firewall_name_is_a_host(listed: bool) -> None:
    app = machine("app-7", listed=listed)
    attached = () if listed else ("app-7",)
    assert named(machine("web-1"), app, attached=attached) == []
    assert named(machine("web-1"), app, machine("db-1"), attached=attached) == ["db-1"]


def test_as_many_machines_as_hosts_are_the_hosts_whatever_they_are_called() -> None:
    assert named(machine("ip-10-0-0-1"), machine("ip-10-0-0-2")) == []
    assert len(named(machine("ip-10-0-0-1"), machine("ip-10-0-0-2"), machine("ip-10-0-0-3"))) == 3


def test_an_id_is_a_host_too() -> None:
    by_id = replace(WEB, hosts=("id-a", "id-b"), marker_hosts=("id-a", "id-b"))
    assert named(machine("a"), machine("b"), machine("c"), firewall=by_id) == ["c"]


@pytest.mark.parametrize("words", [("db-1",), ("id-db-1",), ("server id-db-1",), ("*",)])
def test_what_needs_nothing_of_its_own_is_not_named(words: tuple[str, ...]) -> None:
    shared = replace(WEB, shared_with=words)
    assert named(machine("web-1"), machine("web-2"), machine("db-1"), firewall=shared) == []


def test_a_static_firewall_has_no_hosts_to_miss() -> None:
    static = replace(WEB, static=True, hosts=(), marker_hosts=())
    assert named(machine("a"), machine("b"), firewall=static) == []


def test_the_guard_names_them_and_how_to_go_on_and_says_nothing_if_nothing_closes() -> None:
    machines = (machine("build-1"), machine("db-1"))
    guard = unlisted_machines("web", machines, rules("tcp/5432"))
    assert guard is not None
    assert (guard.id, guard.withholds) == ("unlisted-machines", "closings")
    assert "build-1 (server id-build-1) and db-1 (server id-db-1)" in guard.message
    assert 'firewalls.web.shared_with = ["build-1", "db-1"]' in guard.message
    assert unlisted_machines("web", machines, NOTHING) is None
