"""Several runs, people and containers at once, on a real Neutron: the races that every vendor is
put through, and those that only a cloud with several groups of one name knows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cloudsync.testing.language import meant
from tests.crash import test_races as races
from tests.crash.site import NAME, SSH
from tests.crash.vendors import VENDORS
from tests.crash.zygote import Zygote
from tests.doubles.http import Fault
from tests.openstack.proxy import NeutronProxy
from tests.openstack.test_crash import vendor_at

pytestmark = pytest.mark.emulator
Zygotes = Callable[[str], Zygote]
OPENSTACK = "openstack"


@pytest.fixture(autouse=True)
def _on_neutron(neutron: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # Ten runs at once share a server that answers one request at a time.
    monkeypatch.setitem(VENDORS, OPENSTACK, replace(vendor_at(neutron), deadline="120s"))


def test_ten_runs_that_wait_for_the_lock_write_what_one_would(
    zygotes: Zygotes, tmp_path: Path
) -> None:
    races.test_ten_runs_that_wait_for_the_lock_write_what_one_would(OPENSTACK, zygotes, tmp_path)


@pytest.mark.parametrize("new", [False, True], ids=["changes", "creates"])
def test_ten_machines_that_have_all_planned_before_the_first_writes_end_where_one_would(
    new: bool, zygotes: Zygotes, tmp_path: Path
) -> None:
    races.test_ten_machines_that_have_all_planned_before_the_first_writes_end_where_one_would(
        OPENSTACK, new, zygotes, tmp_path
    )


@pytest.mark.parametrize("write", [0, 1], ids=["before-the-first-write", "before-the-second"])
@pytest.mark.parametrize(
    "edited",
    [(*races.HAS, "tcp/3389"), (SSH, "tcp/8080"), ("tcp/80",)],
    ids=["opens", "closes", "closes-ssh"],
)
def test_rules_edited_by_hand_between_two_steps_are_never_reported_as_done(
    edited: tuple[str, ...], write: int, zygotes: Zygotes, tmp_path: Path
) -> None:
    races.test_rules_edited_by_hand_between_two_steps_are_never_reported_as_done(
        OPENSTACK, edited, write, zygotes, tmp_path
    )


def test_law6_rules_edited_by_hand_between_plan_and_apply_stop_the_apply(
    zygotes: Zygotes, tmp_path: Path
) -> None:
    races.test_law6_rules_edited_by_hand_between_plan_and_apply_stop_the_apply(
        OPENSTACK, zygotes, tmp_path
    )


def test_three_machines_that_name_one_firewall_do_not_fight_over_it(
    zygotes: Zygotes, tmp_path: Path
) -> None:
    races.test_three_machines_that_name_one_firewall_do_not_fight_over_it(
        OPENSTACK, zygotes, tmp_path
    )


def test_three_machines_that_create_one_group_at_once_are_one_owner_and_two_refusals(
    zygotes: Zygotes, tmp_path: Path
) -> None:
    races.test_three_machines_that_create_one_firewall_at_once_are_one_owner_and_two_refusals(
        OPENSTACK, zygotes, tmp_path
    )


def test_a_port_whose_groups_change_while_it_is_attached_loses_none_of_them(
    zygotes: Zygotes, tmp_path: Path
) -> None:
    with races.site(OPENSTACK, zygotes, tmp_path) as site:
        proxy = races.double_of(site)
        assert isinstance(proxy, NeutronProxy)
        project = proxy.project
        other = project.add_group("other")["id"]
        port = project.add_port(project.add_network(), name="web-1")
        site.has(*races.HAS)
        site.attach = True
        site.stage.port = port  # type: ignore[attr-defined]
        moved = threading.Event()

        def somebody_attaches_too() -> None:
            groups = [*project.get_port(port["id"])["security_groups"], other]
            project.ask("PUT", f"ports/{port['id']}", {"port": {"security_groups": groups}})
            moved.set()

        proxy.fail(
            Fault("PUT", f"/v2.0/ports/{port['id']}", "meanwhile", action=somebody_attaches_too)
        )
        site.is_finished()
        assert moved.is_set()
        ours = project.group(NAME)
        assert ours is not None
        now = project.get_port(port["id"])["security_groups"]
        assert set(now) == {*port["security_groups"], other, ours["id"]}
        assert site.now == meant(SSH, "tcp/80", "tcp/443")
