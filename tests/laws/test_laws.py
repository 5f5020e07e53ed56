"""The laws of the design, on whole runs against a provider in memory that keeps the rule set after
every write."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloudsync.model.plan import Granted
from cloudsync.model.ports import Complete, Failed, Malformed, Origin, Partial
from cloudsync.provider.contract import Machine, Pending, StepKind
from cloudsync.provider.errors import AuthError, Transient
from cloudsync.reconcile import run as reconcile
from cloudsync.reconcile.run import Options, Outcome, Report, Terms
from cloudsync.rules import NOTHING, RuleSet
from cloudsync.rules.networks import ANY
from tests.world import MemorySettings, World, both, ports, rules

ALLOWED = Granted(allow_attach=("web",))


def plan_of(world: World, **granted: object) -> reconcile.Planned:
    return reconcile.plan(world.configuration, Options(granted=Granted(**granted)))  # type: ignore[arg-type]


def apply(world: World, **granted: object) -> Report:
    return reconcile.apply(world.configuration, Options(granted=Granted(**granted)))  # type: ignore[arg-type]


def with_server(world: World, *, protected: bool = False) -> None:
    world.cloud.machines["web-1"] = Machine("7", "web-1", protected=protected)
    world.firewall(settings=MemorySettings(servers=("web-1",)))


def only(report: Report) -> Outcome:
    (outcome,) = report.outcomes
    return outcome


# Law 1: unknown is not empty


@pytest.mark.parametrize(
    "discovery", [Failed("the engine is down"), Partial(("one container could not be read",))]
)
def test_law1_nothing_closes_while_a_host_is_not_complete(
    world: World, discovery: Failed | Partial
) -> None:
    world.has("tcp/22", "tcp/443")
    world.discoveries["web-1"] = discovery
    apply(world)
    assert world.cloud.firewalls["web"] == rules("tcp/22", "tcp/443")


def test_law1_openings_go_on_while_a_host_is_partial(world: World) -> None:
    world.has("tcp/22", "tcp/8080")
    world.discoveries["web-1"] = Partial(("one container could not be read",), required=both("443"))
    apply(world)
    assert world.cloud.firewalls["web"] == rules("tcp/22", "tcp/443", "tcp/8080")


def test_law1_a_denied_port_closes_although_a_host_is_unknown(world: World) -> None:
    world.has("tcp/22", "tcp/8080")
    world.policy(deny=ports("8080"))
    world.discoveries["web-1"] = Failed("down")
    apply(world)
    assert world.cloud.firewalls["web"] == rules("tcp/22")


def test_law1_a_firewall_that_could_not_be_read_gets_no_write(world: World) -> None:
    world.has("tcp/22")
    world.needs("443")
    world.cloud.unreadable = AuthError("401")
    report = apply(world)
    assert only(report).status == "not-begun"
    assert world.cloud.history == []
    assert report.plan.firewalls[0].exists is None


def test_law1_nothing_is_created_or_attached_while_a_host_is_unknown(world: World) -> None:
    with_server(world)
    world.discoveries["web-1"] = Failed("down")
    report = apply(world, allow_attach=("web",))
    assert world.cloud.firewalls == {}
    assert not report.plan.has_changes
    assert report.plan.guards == ()


def test_law1_a_server_is_not_attached_while_a_host_is_unknown_but_openings_go_on(
    world: World,
) -> None:
    world.has("tcp/22")
    with_server(world)
    world.discoveries["web-1"] = Partial(("some unread",), required=both("443"))
    apply(world, allow_attach=("web",))
    assert world.cloud.firewalls["web"] == rules("tcp/22", "tcp/443")
    assert world.cloud.attached == {}


@pytest.mark.parametrize("known", [True, False], ids=["known-ports", "unknown-ports"])
def test_law1_a_server_is_not_attached_while_labels_of_a_container_do_not_parse(
    world: World, known: bool
) -> None:
    """What it publishes is not opened, and to attach would close it: known ports or not."""
    world.has("tcp/22")
    with_server(world)
    malformed = Malformed(Origin("web-1"), "bad", both("9000") if known else None)
    world.discoveries["web-1"] = Complete(both("443"), malformed=(malformed,))
    report = apply(world, allow_attach=("web",))
    assert world.cloud.attached == {}
    assert any("labels of a container do not parse" in text for text in report.plan.warnings)
    assert world.cloud.firewalls["web"] == rules("tcp/22", "tcp/443")
    world.discoveries["web-1"] = Complete(both("443"))
    apply(world, allow_attach=("web",))
    assert world.cloud.attached == {"web": {"7"}}


def test_law1_two_containers_with_malformed_labels_are_both_held(world: World) -> None:
    """One listens nobody knows where, the other on known ports; in either order."""
    unknown = Malformed(Origin("web-1", container="host-net"), "bad", None)
    known = Malformed(Origin("web-1", container="app"), "bad", both("9000"))
    for order in ((unknown, known), (known, unknown), (unknown, unknown)):
        world.has("tcp/22", "tcp/9000", "tcp/9999")
        world.discoveries["web-1"] = Complete(both("443"), malformed=order)
        apply(world)
        assert world.cloud.firewalls["web"] == rules("tcp/22", "tcp/443", "tcp/9000", "tcp/9999")


def test_law1_attaching_an_open_machine_needs_the_users_word(world: World) -> None:
    with_server(world)
    report = apply(world)
    assert [guard.id for guard in report.plan.guards] == ["attach"]
    assert world.cloud.firewalls == {}
    apply(world, allow_attach=("web",))
    assert world.cloud.attached == {"web": {"7"}}


def test_law1_what_is_pending_is_not_put_in_force_while_a_host_is_unknown(world: World) -> None:
    world.has("tcp/22")
    world.cloud.pending["web"] = (Pending("server 7", "pending"),)
    world.discoveries["web-1"] = Failed("down")
    assert not plan_of(world).plan.has_changes


def test_law1_what_is_lifted_waits_for_no_host(world: World) -> None:
    """To lift a denial opens and closes nothing of ours; what else is pending closes, and waits."""
    world.has("tcp/22")
    world.cloud.pending["web"] = (
        Pending("deny others", "not wanted any more", lifts=True),
        Pending("server 7", "pending"),
    )
    world.discoveries["web-1"] = Failed("down")
    plan = plan_of(world).plan
    assert [(change.action, change.target) for change in plan.firewalls[0].changes] == [
        ("reapply", "deny others")
    ]
    assert plan.firewalls[0].changes[0].opens_now


# Law 2: SSH survives


def test_law2_ssh_is_open_after_every_write(world: World) -> None:
    world.has("tcp/22", "tcp/8080")
    world.needs("443")
    apply(world)
    assert world.cloud.history
    assert all(state.covers(rules("tcp/22")) for _, state in world.cloud.history)


def test_law2_nothing_closes_before_ssh_is_open(world: World) -> None:
    world.has("tcp/8080")
    world.provider.order = lambda steps: tuple(
        sorted(steps, key=lambda s: s.kind is not StepKind.NARROW)
    )
    report = apply(world)
    assert [guard.id for guard in report.plan.guards] == ["ssh"]
    assert world.cloud.history == []


def test_law2_nothing_is_attached_before_ssh_is_open(world: World) -> None:
    with_server(world)
    world.provider.order = lambda steps: tuple(
        sorted(steps, key=lambda s: s.kind is not StepKind.ATTACH)
    )
    report = apply(world, allow_attach=("web",))
    assert [guard.id for guard in report.plan.guards] == ["ssh"]
    assert world.cloud.attached == {}


def test_law2_ssh_of_the_last_applied_plan_closes_only_with_the_users_word(world: World) -> None:
    world.has("tcp/22")
    apply(world)
    world.ssh("203.0.113.0/24", numbers=(2222,))
    report = apply(world)
    assert [guard.id for guard in report.plan.guards] == ["ssh-moved"]
    assert world.cloud.firewalls["web"] == rules("tcp/22")
    apply(world, ssh_moved=True)
    assert world.cloud.firewalls["web"] == rules("tcp/2222 from 203.0.113.0/24")


def test_law2_ssh_stays_open_when_it_is_denied_and_unneeded(world: World) -> None:
    world.has("tcp/22")
    world.policy(deny=ports("22"), max_close=99)
    apply(world, allow_close=99)
    assert world.cloud.firewalls["web"] == rules("tcp/22")


# Law 3: never in between


def test_law3_every_state_lies_between_both_and_either(world: World) -> None:
    world.has("tcp/22", "tcp/80", "tcp/8080")
    world.needs("80", "443")
    before, after = world.cloud.firewalls["web"], rules("tcp/22", "tcp/80", "tcp/443")
    apply(world)
    assert len(world.cloud.history) == 2
    for _, state in world.cloud.history:
        assert state.covers(before & after)
        assert (before | after).covers(state)


def test_law3_steps_that_close_what_stays_wanted_are_refused(world: World) -> None:
    world.has("tcp/22", "tcp/80")
    world.needs("80", "443")
    world.provider.order = lambda steps: (
        replace(steps[0], kind=StepKind.REPLACE, after=rules("tcp/22")),
        replace(steps[0], after=steps[-1].after),
    )
    report = apply(world)
    assert [guard.id for guard in report.plan.guards] == ["steps"]
    assert world.cloud.history == []


def test_law3_steps_that_open_what_nobody_wants_are_refused(world: World) -> None:
    world.has("tcp/22")
    world.needs("443")
    world.provider.order = lambda steps: (
        replace(steps[0], after=steps[0].after | rules("tcp/1-65535")),
        steps[0],
    )
    assert [guard.id for guard in apply(world).plan.guards] == ["steps"]


def test_law3_steps_that_do_not_end_at_the_plan_are_refused(world: World) -> None:
    world.has("tcp/22", "tcp/8080")
    world.needs("443")
    world.provider.order = lambda steps: steps[:1]
    assert [guard.id for guard in apply(world).plan.guards] == ["steps"]


# Law 4: same meaning, no change


def test_law4_after_an_apply_the_next_plan_is_empty(world: World) -> None:
    with_server(world)
    world.has("tcp/8080", mine=False)
    world.needs("80", "443", "9000-9010/udp")
    report = apply(world, allow_attach=("web",), adopt=("web",))
    assert only(report).status == "done"
    assert not plan_of(world).plan.has_changes


def test_law4_a_split_spelling_is_no_change(world: World) -> None:
    world.has("tcp/22 from 0.0.0.0/1,128.0.0.0/1,::/0", "tcp/8000-8005", "tcp/8006-8010")
    world.needs("8000-8010")
    assert not plan_of(world).plan.has_changes


def test_law4_a_run_that_died_is_finished_by_the_next(world: World) -> None:
    world.has("tcp/22", "tcp/8080")
    world.needs("443")
    world.cloud.failing = lambda step: (
        Transient("lost", fate_unknown=True) if step.kind is StepKind.NARROW else None
    )
    assert only(apply(world)).status == "unknown"
    assert world.cloud.firewalls["web"] == rules("tcp/22", "tcp/443", "tcp/8080")
    world.cloud.failing = lambda _: None
    assert only(apply(world)).status == "done"
    assert not plan_of(world).plan.has_changes


def test_law4_what_is_not_in_force_at_the_vendor_is_put_in_force(world: World) -> None:
    world.has("tcp/22")
    world.cloud.pending["web"] = (Pending("server 7", "still being applied"),)
    (change,) = plan_of(world).plan.firewalls[0].changes
    assert (change.action, change.target) == ("reapply", "server 7")
    apply(world)
    assert not plan_of(world).plan.has_changes


# Law 5: plan cannot write


def test_law5_plan_opens_no_writer_and_records_nothing(world: World) -> None:
    world.has("tcp/22", "tcp/8080")
    world.needs("443")
    plan_of(world)
    assert world.cloud.writers == 0
    assert not world.configuration.state.exists()


# Law 6: what is applied is what was shown


def test_law6_an_expected_digest_that_does_not_fit_applies_nothing(world: World) -> None:
    world.has("tcp/22")
    world.needs("443")
    report = reconcile.apply(world.configuration, Options(), Terms(expect="sha256:" + "0" * 64))
    assert report.moved
    assert world.cloud.history == []


def test_law6_a_change_that_was_not_approved_stops_the_apply(world: World) -> None:
    world.has("tcp/22")
    world.needs("443")
    approved = plan_of(world).plan
    world.needs("443", "8443")
    report = reconcile.apply(world.configuration, Options(), Terms(approved=approved))
    assert report.moved is not None
    assert "8443" in report.moved
    assert world.cloud.history == []


def test_law6_an_approved_plan_that_is_partly_done_goes_on(world: World) -> None:
    world.has("tcp/22")
    world.needs("443", "8443")
    approved = plan_of(world).plan
    world.cloud.firewalls["web"] = rules("tcp/22", "tcp/443")
    assert (
        only(reconcile.apply(world.configuration, Options(), Terms(approved=approved))).status
        == "done"
    )
    assert world.cloud.firewalls["web"] == rules("tcp/22", "tcp/443", "tcp/8443")


def test_law6_an_approved_plan_is_not_applied_to_another_firewall(world: World) -> None:
    world.has("tcp/22")
    world.needs("443")
    approved = plan_of(world).plan
    world.firewall(settings=MemorySettings(name="other"))
    assert reconcile.apply(world.configuration, Options(), Terms(approved=approved)).moved


def test_law6_an_old_plan_is_not_applied(world: World) -> None:
    world.has("tcp/22")
    world.needs("443")
    approved = plan_of(world).plan
    approved = replace(
        approved, created=approved.created - world.configuration.policy.plan_max_age * 2
    )
    report = reconcile.apply(world.configuration, Options(), Terms(approved=approved))
    assert report.moved is not None
    assert "plan_max_age" in report.moved


# Law 7: never wider


def test_law7_what_does_not_fit_is_refused_and_nothing_is_written(world: World) -> None:
    world.has("tcp/22")
    world.needs(*(str(number) for number in range(8001, 8061, 2)))
    report = apply(world)
    assert [guard.id for guard in report.plan.guards] == ["unsupported"]
    assert world.cloud.history == []


def test_law7_a_protocol_the_provider_lacks_is_refused_by_name_and_the_rest_goes_on(
    world: World,
) -> None:
    world.has("tcp/22")
    world.needs("3868/sctp", "443")
    report = apply(world)
    assert [(r.protocol, r.code) for r in report.plan.firewalls[0].refused] == [
        ("sctp", "unexpressible")
    ]
    assert world.cloud.firewalls["web"] == rules("tcp/22", "tcp/443")


# Law 8: nothing hidden


def test_law8_every_opening_names_who_needs_it(world: World) -> None:
    world.has("tcp/22")
    world.needs("443", project="shop", service="web")
    (change,) = plan_of(world).plan.firewalls[0].changes
    assert [(o.host, o.project, o.service) for o in change.origins] == [("web-1", "shop", "web")]
    assert "shop/web" in change.reason


def test_law8_a_required_port_that_is_not_opened_is_listed_with_why(world: World) -> None:
    world.needs("5432")
    (refused,) = plan_of(world).plan.firewalls[0].refused
    assert refused.ports == "5432"
    assert "allow_sensitive" in refused.reason


# Ownership, limits and what was really done


def test_an_unmarked_firewall_is_refused_until_it_is_adopted(world: World) -> None:
    world.has("tcp/22", "tcp/8080", mine=False)
    assert [guard.id for guard in apply(world).plan.guards] == ["ownership"]
    assert world.cloud.history == []
    apply(world, adopt=("web",))
    assert world.cloud.firewalls["web"] == rules("tcp/22")
    assert world.cloud.markers["web"] == world.marker


def test_another_owners_firewall_is_refused_even_with_adopt(world: World) -> None:
    world.has("tcp/22", "tcp/8080")
    world.cloud.markers["web"] = replace(world.marker, owner="somebody-else")
    report = apply(world, adopt=("web",))
    assert [guard.id for guard in report.plan.guards] == ["foreign-owner"]
    assert world.cloud.history == []


def test_a_firewall_of_other_hosts_is_refused_until_it_is_adopted(world: World) -> None:
    world.has("tcp/22")
    world.cloud.markers["web"] = replace(world.marker, hosts="00000000")
    assert [guard.id for guard in apply(world).plan.guards] == ["host-digest"]
    assert only(apply(world, adopt=("web",))).status == "done"


def test_more_closings_than_max_close_are_withheld_and_openings_go_on(world: World) -> None:
    world.policy(max_close=2)
    world.has("tcp/22", "tcp/8001", "tcp/8003", "tcp/8005")
    world.needs("443")
    report = apply(world)
    assert [(guard.id, guard.withholds) for guard in report.plan.guards] == [
        ("max-close", "closings")
    ]
    assert {held.reason for held in report.plan.firewalls[0].held} == {"max-close"}
    assert world.cloud.firewalls["web"] == rules(
        "tcp/22", "tcp/443", "tcp/8001", "tcp/8003", "tcp/8005"
    )


@pytest.mark.parametrize(("allowed", "closes"), [(2, False), (3, True), (4, True)])
def test_allow_close_is_a_number_that_must_reach(world: World, allowed: int, closes: bool) -> None:
    world.policy(max_close=2)
    world.has("tcp/22", "tcp/8001", "tcp/8003", "tcp/8005")
    apply(world, allow_close=allowed)
    assert (world.cloud.firewalls["web"] == rules("tcp/22")) is closes


def test_a_new_firewall_is_one_create_and_one_open_per_rule(world: World) -> None:
    world.needs("443")
    changes = plan_of(world).plan.firewalls[0].changes
    assert [change.action for change in changes] == ["create", "open", "open"]
    assert RuleSet.of(change.rule for change in changes if change.rule) == rules(
        "tcp/22", "tcp/443"
    )


def test_a_write_that_did_not_stick_is_reported_by_the_read_back(world: World) -> None:
    world.has("tcp/22")
    world.needs("443")

    def lose(step: object) -> None:
        world.cloud.unreadable = Transient("gone")

    world.cloud.failing = lose  # type: ignore[assignment]
    outcome = only(apply(world))
    assert outcome.status == "unknown"
    assert outcome.message is not None
    assert "gone" in outcome.message


def test_one_failing_firewall_does_not_stop_the_other(world: World) -> None:
    web = world.configuration.firewalls["web"]
    other = replace(web, name="other", settings=MemorySettings(name="other"))
    world.configuration = replace(world.configuration, firewalls={"web": web, "other": other})
    world.needs("443")
    world.cloud.failing = lambda step: Transient("no") if step.native[0] == "web" else None  # type: ignore[index]
    statuses = {outcome.firewall: outcome.status for outcome in apply(world).outcomes}
    assert statuses == {"web": "failed", "other": "done"}


def test_a_failed_step_stops_its_firewall(world: World) -> None:
    world.has("tcp/22", "tcp/8080")
    world.needs("443")
    world.cloud.failing = lambda step: Transient("no") if step.kind is StepKind.WIDEN else None
    outcome = only(apply(world))
    assert (outcome.status, outcome.opened, outcome.closed) == ("failed", 0, 0)
    assert world.cloud.history == []


def test_a_selected_firewall_is_planned_alone(world: World) -> None:
    web = world.configuration.firewalls["web"]
    world.configuration = replace(
        world.configuration, firewalls={"web": web, "other": replace(web, name="other")}
    )
    planned = reconcile.plan(world.configuration, Options(firewalls=("other",)))
    assert [firewall.name for firewall in planned.plan.firewalls] == ["other"]


def test_ssh_stays_reachable_from_anywhere_it_was_declared(world: World) -> None:
    world.has()
    apply(world)
    assert world.cloud.firewalls["web"] == RuleSet.of(world.configuration.ssh.rules) != NOTHING
    assert world.configuration.ssh.sources == ANY
