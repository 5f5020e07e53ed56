"""The table of `cloudsync status`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from cloudsync.model.plan import Granted, MachineExposure, Plan, ReadStatus, Standing
from cloudsync.planning.status import StatusRow
from cloudsync.reconcile import run as reconcile
from cloudsync.reconcile.run import Options
from cloudsync.render.screen import joined
from cloudsync.render.status import document, text
from cloudsync.rules import Rule
from cloudsync.rules.networks import ANY4, ANY6, NetworkSet
from tests.world import World

PLAN = Plan("0.1.0", datetime(2026, 3, 1, tzinfo=UTC), "shop", Granted(), (), ())


def row(sources: NetworkSet, reason: str = "web", opened: str = "2026-03-01") -> StatusRow:
    rule = Rule.of("tcp", "443", sources)
    return StatusRow("web", rule, "open", reasons=(reason,), opened=opened)


def shown(*rows: StatusRow) -> list[str]:
    return joined(text(PLAN, rows), colour=False, width=100).splitlines()[3:]


def test_the_rules_of_both_families_are_one_row() -> None:
    (line,) = shown(row(ANY4), row(ANY6))
    assert line.split() == ["443/tcp", "everyone", "web", "2026-03-01", "web"]


def test_rules_that_differ_in_more_than_the_sources_are_rows_of_their_own() -> None:
    assert len(shown(row(ANY4), row(ANY6, reason="mail"))) == 2
    assert len(shown(row(ANY4), row(ANY6, opened="2026-03-02"))) == 2


def standing(world: World, *machines: MachineExposure, read: str = "complete") -> Plan:
    """The plan of the world, whose firewall stands like this among its machines."""
    plan = reconcile.plan(world.configuration, Options()).plan
    status = ReadStatus("complete") if read == "complete" else ReadStatus("failed", read)
    firewalls = (replace(each, standing=Standing(status, machines)) for each in plan.firewalls)
    return replace(plan, firewalls=tuple(firewalls))


def machine(*, protected: bool, attached: bool) -> MachineExposure:
    return MachineExposure("web-1", "server 1", protected=protected, attached=attached)


def warned(plan: Plan) -> str:
    lines = joined(text(plan, ()), colour=False, width=200).splitlines()
    return "\n".join(line for line in lines if line.startswith("! "))


def test_a_machine_that_no_firewall_acts_on_is_named_above_its_ports(world: World) -> None:
    plan = standing(world, machine(protected=False, attached=False))
    assert "web-1 (server 1) is NOT protected" in warned(plan)
    (gap,) = document(plan, ())["gaps"]
    assert "web-1 (server 1) is NOT protected" in gap["message"]


def test_a_firewall_on_no_machine_and_a_machine_without_it_are_named(world: World) -> None:
    assert "not attached to any machine" in warned(standing(world))
    other = standing(world, machine(protected=True, attached=False))
    assert "web-1 (server 1) does not have this firewall" in warned(other)


def test_machines_that_were_not_read_are_not_said_to_be_without_it(world: World) -> None:
    plan = standing(world, read="HTTP 503")
    assert "is not known: HTTP 503" in warned(plan)
    assert "not attached" not in warned(plan)


def test_a_protected_machine_is_not_mentioned(world: World) -> None:
    plan = standing(world, machine(protected=True, attached=True))
    assert "web-1" not in warned(plan)
    assert document(plan, ())["gaps"] == []
