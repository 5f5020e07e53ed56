"""Networks that move: what hangs on one that could not be read is unknown (law 1), and SSH from
where it was opened stays until the user says that it moved (law 2)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudsync import exit_codes
from cloudsync.config.configuration import Allow, MovingNetwork, PortRange, Sources, Ssh
from cloudsync.config.networks import with_networks
from cloudsync.model.plan import Granted
from cloudsync.model.ports import Complete, Failed, Origin, Uncertain
from cloudsync.planning.holds import hold
from cloudsync.planning.policy import desire
from cloudsync.provider.contract import Machine, Present, VendorRule
from cloudsync.provider.guarded import guarded
from cloudsync.reconcile import run as reconcile
from cloudsync.reconcile.run import Options, Report
from cloudsync.rules import NOTHING, Rule, RuleSet
from cloudsync.rules.networks import ANY, NOWHERE, NetworkSet
from cloudsync.state import networks as state
from tests.world import (
    PLACE,
    MemoryProvider,
    MemoryReader,
    MemorySettings,
    World,
    build,
    required,
    rules,
)

LIST = "cdn.txt"
OBJECTS = (
    VendorRule("wide", rules("tcp/22"), ours=True),
    VendorRule("narrow", rules("tcp/22 from 198.51.100.7/32"), ours=True),
)
OLD, NEW = "198.51.100.7/32", "198.51.100.8/32"


@pytest.fixture
def moving(world: World) -> World:
    """`cdn` is read from a file beside the configuration, and reaches 9100."""
    network = MovingNetwork("cdn", "file", (LIST,), 0.0, PLACE)
    world.configuration = replace(
        world.configuration, moving={"cdn": network}, networks={"cdn": NOWHERE}
    )
    world.firewall(
        allow=(Allow(NOTHING, None, PLACE, (("tcp", 9100, 9100),), Sources(NOWHERE, ("cdn",))),)
    )
    return world


def lists(world: World, *networks: str) -> None:
    (world.configuration.base / LIST).write_text("\n".join(networks))


def breaks(world: World) -> None:
    (world.configuration.base / LIST).unlink()


def ssh_from_cdn(world: World, *fixed: str) -> None:
    written = Sources(NetworkSet.of(fixed), ("cdn",))
    rules_now = RuleSet.of([Rule("tcp", 22, 22, written.fixed)])
    world.configuration = replace(
        world.configuration, ssh=Ssh((22,), written.fixed, rules_now, written)
    )


def apply(world: World, **granted: Any) -> Report:
    return reconcile.apply(world.configuration, Options(granted=Granted(**granted)))


def open_at(world: World) -> RuleSet:
    return world.cloud.firewalls["web"]


def held(report: Report) -> dict[str, RuleSet]:
    by_reason: dict[str, RuleSet] = {}
    for hold_ in report.plan.firewalls[0].held:
        before = by_reason.get(hold_.reason, NOTHING)
        by_reason[hold_.reason] = before | RuleSet.of([hold_.rule])
    return by_reason


def test_a_good_answer_opens_and_a_smaller_one_closes(moving: World) -> None:
    moving.has("tcp/22")
    lists(moving, OLD, NEW)
    apply(moving)
    assert open_at(moving) == rules("tcp/22", f"tcp/9100 from {OLD},{NEW}")
    lists(moving, NEW)
    assert exit_codes.of_report(apply(moving)) == 0
    assert open_at(moving) == rules("tcp/22", f"tcp/9100 from {NEW}")


def test_law1_a_failed_refresh_is_unknown_and_not_empty(moving: World) -> None:
    moving.has("tcp/22")
    lists(moving, OLD)
    apply(moving)
    breaks(moving)
    report = apply(moving)
    assert open_at(moving) == rules("tcp/22", f"tcp/9100 from {OLD}")
    assert exit_codes.of_report(report) == exit_codes.FAILED
    (reading,) = report.plan.networks
    assert reading.networks == NetworkSet.of([OLD])
    assert reading.status.status == "failed"


def test_law1_the_last_good_answer_opens_what_somebody_closed(moving: World) -> None:
    moving.has("tcp/22")
    lists(moving, OLD)
    apply(moving)
    breaks(moving)
    moving.has("tcp/22")
    apply(moving)
    assert open_at(moving) == rules("tcp/22", f"tcp/9100 from {OLD}")


def test_law1_nothing_closes_on_the_ports_of_a_network_that_was_not_read(moving: World) -> None:
    moving.has("tcp/22", f"tcp/9100 from {OLD}", "tcp/8080")
    report = apply(moving)
    assert open_at(moving) == rules("tcp/22", f"tcp/9100 from {OLD}")
    assert held(report) == {"unread-network": rules(f"tcp/9100 from {OLD}")}
    (refused,) = report.plan.firewalls[0].refused
    assert refused.code == "unread-network"


@pytest.mark.parametrize("unread", ["nothing", "a network", "a host", "additive"])
def test_law1_a_narrower_rule_of_ours_may_go_only_if_everything_is_known(
    moving: World, unread: str
) -> None:
    """What is unread now may be all that needs it tomorrow."""

    class Objects(MemoryReader):
        def read(self, specs: Any) -> Any:
            return {
                name: replace(seen, objects=OBJECTS) for name, seen in super().read(specs).items()
            }

    class Asked(MemoryProvider):
        def open_reader(self, account: Any) -> Any:
            return Objects(self.cloud)

        def plan_steps(self, observed: Any, target: Any) -> Any:
            asked.append(observed)
            return super().plan_steps(observed, target)

    asked: list[Present] = []
    world = moving
    (account,) = world.configuration.accounts
    table = replace(
        world.configuration.accounts[account], provider=guarded(Asked(world.cloud), account)
    )
    world.configuration = replace(world.configuration, accounts={account: table})
    world.has("tcp/22")
    lists(world, OLD)
    if unread == "a network":
        breaks(world)
    elif unread == "a host":
        world.discoveries["web-1"] = Failed("away")
    elif unread == "additive":
        world.policy(mode="additive")
    reconcile.plan(world.configuration, Options())
    assert [rule.ours for rule in asked[-1].objects] == [unread == "nothing", unread == "nothing"]


def test_a_denied_port_closes_whatever_is_unread(moving: World) -> None:
    moving.has("tcp/22", f"tcp/9100 from {OLD}")
    moving.policy(deny=(*moving.configuration.policy.deny, PortRange("tcp", 9100, 9100, PLACE)))
    apply(moving)
    assert open_at(moving) == rules("tcp/22")


def test_law1_attaching_waits_for_a_network_that_is_unread(moving: World) -> None:
    moving.cloud.machines["web-1"] = Machine("7", "web-1", protected=False)
    moving.firewall(settings=MemorySettings(servers=("web-1",)))
    moving.has("tcp/22")
    report = apply(moving, allow_attach=("web",))
    assert moving.cloud.attached == {}
    lists(moving, OLD)
    report = apply(moving, allow_attach=("web",))
    assert exit_codes.of_report(report) == 0
    assert moving.cloud.attached == {"web": {"7"}}


def test_law1_an_answer_from_another_place_is_no_answer(moving: World) -> None:
    moving.has("tcp/22")
    lists(moving, OLD)
    apply(moving)
    other = replace(moving.configuration.moving["cdn"], origins=("other.txt",))
    moving.configuration = replace(moving.configuration, moving={"cdn": other})
    report = apply(moving)
    assert report.plan.networks[0].networks == NOWHERE
    assert open_at(moving) == rules("tcp/22", f"tcp/9100 from {OLD}")


def test_law1_labels_that_name_an_unread_network_hold_their_container(moving: World) -> None:
    moving.has("tcp/22", f"tcp/443 from {OLD}", "tcp/8080")
    port = required("443/tcp")
    uncertain = Uncertain(Origin("web-1", container="app"), ("cdn",), (port,))
    moving.discoveries["web-1"] = Complete(uncertain=(uncertain,))
    apply(moving)
    assert open_at(moving) == rules("tcp/22", f"tcp/443 from {OLD}")
    unknown = replace(uncertain, ports=None)
    moving.has("tcp/22", f"tcp/443 from {OLD}", "tcp/8080")
    moving.discoveries["web-1"] = Complete(uncertain=(unknown,))
    apply(moving)
    assert open_at(moving) == rules("tcp/22", f"tcp/443 from {OLD}", "tcp/8080")


def test_law2_ssh_that_was_never_known_is_written_nowhere(moving: World) -> None:
    ssh_from_cdn(moving)
    moving.has("tcp/22 from 203.0.113.0/24", "tcp/8080")
    report = apply(moving)
    assert moving.cloud.history == []
    assert "never read" in (report.plan.firewalls[0].read.reason or "")
    assert exit_codes.of_report(report) == exit_codes.FAILED


def test_law2_a_new_address_opens_and_the_old_one_stays_until_the_user_says_so(
    moving: World,
) -> None:
    ssh_from_cdn(moving)
    moving.firewall(allow=())
    moving.has(f"tcp/22 from {OLD}")
    lists(moving, OLD)
    apply(moving)
    lists(moving, NEW)
    report = apply(moving)
    assert exit_codes.of_report(report) == 0
    assert open_at(moving) == rules(f"tcp/22 from {OLD},{NEW}")
    assert held(report) == {"ssh-network-moved": rules(f"tcp/22 from {OLD}")}
    apply(moving, ssh_moved=True)
    assert open_at(moving) == rules(f"tcp/22 from {NEW}")


def test_law2_a_port_that_is_given_up_is_guarded_as_ever(moving: World) -> None:
    ssh_from_cdn(moving)
    moving.firewall(allow=())
    moving.has(f"tcp/22 from {OLD}")
    lists(moving, OLD)
    apply(moving)
    written = moving.configuration.ssh.written
    moving.configuration = replace(
        moving.configuration, ssh=Ssh((2222,), NOWHERE, NOTHING, written)
    )
    report = apply(moving)
    assert [guard.id for guard in report.plan.guards] == ["ssh-moved"]
    assert open_at(moving) == rules(f"tcp/22 from {OLD}")


def test_law5_a_plan_remembers_no_answer(moving: World) -> None:
    moving.has("tcp/22")
    lists(moving, OLD)
    reconcile.plan(moving.configuration, Options())
    assert state.load(moving.configuration.state, "shop").entries == {}


def test_law6_an_answer_that_moved_since_the_plan_is_not_what_was_approved(moving: World) -> None:
    moving.has("tcp/22")
    lists(moving, OLD)
    approved = reconcile.plan(moving.configuration, Options()).plan
    lists(moving, OLD, NEW)
    report = reconcile.apply(moving.configuration, Options(), reconcile.Terms(approved=approved))
    assert exit_codes.of_report(report) == exit_codes.NOT_APPROVED
    assert open_at(moving) == rules("tcp/22")


def test_a_remembered_answer_is_used_within_its_time(moving: World) -> None:
    hourly = replace(moving.configuration.moving["cdn"], refresh=3600.0)
    moving.configuration = replace(moving.configuration, moving={"cdn": hourly})
    moving.has("tcp/22")
    lists(moving, OLD)
    apply(moving)
    lists(moving, NEW)
    report = apply(moving)
    assert report.plan.networks[0].status.status == "complete"
    assert open_at(moving) == rules("tcp/22", f"tcp/9100 from {OLD}")


networks = st.lists(
    st.sampled_from(["10.0.0.0/8", OLD, NEW, "203.0.113.0/24", "2001:db8::/32", "any"]), max_size=4
).map(NetworkSet.of)
observed_rules = st.lists(
    st.builds(
        lambda port, sources: Rule("tcp", port, port, sources),
        st.sampled_from([22, 443, 9100, 9101]),
        networks,
    ),
    max_size=6,
).map(RuleSet.of)


@given(before=observed_rules, last=networks, ports=st.lists(st.sampled_from([443, 9100, 9101])))
def test_law1_for_any_last_answer_nothing_closes_that_another_answer_would_want(
    before: RuleSet, last: NetworkSet, ports: list[int]
) -> None:
    configuration = build(Path("/nowhere")).configuration
    entries = tuple(
        Allow(NOTHING, None, PLACE, (("tcp", port, port),), Sources(NOWHERE, ("cdn",)))
        for port in ports
    )
    web = replace(configuration.firewalls["web"], allow=entries)
    moving = replace(
        configuration,
        firewalls={"web": web},
        moving={"cdn": MovingNetwork("cdn", "file", (LIST,), 0.0, PLACE)},
        policy=replace(configuration.policy, private="manage"),
    )
    unread = with_networks(moving, {"cdn": last}, {"cdn": "no answer"})
    wanted = _desired(unread)
    holding = hold(Present("web", before, None), wanted, unread.policy, {})
    for_any = RuleSet.of(Rule("tcp", port, port, ANY) for port in ports)
    assert not holding.closing & for_any
    assert (holding.final - before) == (
        RuleSet.of(Rule("tcp", port, port, last) for port in ports) | unread.ssh.rules
    ) - before


def _desired(configuration: Any) -> Any:
    firewall = configuration.firewalls["web"]
    capabilities = configuration.accounts["memory"].provider.capabilities
    return desire(firewall, configuration, capabilities, {"web-1": Complete()})
