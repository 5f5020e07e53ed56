"""Decisions that no test noticed when they were broken on purpose (`make mutants`): each once, by a
whole run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloudsync.model.plan import Granted
from cloudsync.model.ports import Complete, Malformed, Origin
from cloudsync.planning.approval import moved
from cloudsync.planning.diff import Around, changes_of
from cloudsync.planning.guards import attaching
from cloudsync.planning.holds import Holding
from cloudsync.planning.policy import Desired
from cloudsync.provider.contract import Absent, Attachment, Machine
from cloudsync.provider.spelling import Spelling
from cloudsync.reconcile import run as reconcile
from cloudsync.reconcile.run import Options
from cloudsync.rules import NOTHING
from tests.world import World, both, ports, rules


def run(world: World, **granted: object) -> reconcile.Report:
    return reconcile.apply(
        world.configuration, Options(granted=Granted(**({"allow_close": 99} | granted)))
    )  # type: ignore[arg-type]


def guards(report: reconcile.Report) -> list[str]:
    return [guard.id for guard in report.plan.guards]


def test_law2_what_closes_beside_ssh_needs_no_word_about_ssh(world: World) -> None:
    world.has("tcp/22", "tcp/443")
    world.needs("443")
    run(world)
    world.needs("80")
    assert guards(run(world)) == []
    assert world.cloud.firewalls["web"] == rules("tcp/22", "tcp/80")


@pytest.mark.parametrize("other", ["aaaa", "zzzz"])
def test_a_firewall_of_another_name_of_ours_waits_to_be_adopted_and_says_what_it_was(
    world: World, other: str
) -> None:
    world.has("tcp/22", "tcp/80")
    world.cloud.markers["web"] = replace(world.marker, firewall=other, hosts=world.marker.hosts)
    report = run(world)
    assert guards(report) == ["ownership"]
    assert f'managed as "{other}"' in report.plan.guards[0].message
    adopt, *_ = report.plan.firewalls[0].changes
    assert (adopt.action, adopt.reason) == ("adopt", f'takes over what was managed as "{other}"')


@pytest.mark.parametrize("other", ["aaaa", "zzzz"])
def test_another_owner_is_another_owner_whatever_the_alphabet_says(
    world: World, other: str
) -> None:
    world.has("tcp/22", "tcp/80")
    world.cloud.markers["web"] = replace(world.marker, owner=other)
    assert guards(run(world, adopt=("web",))) == ["foreign-owner"]
    assert world.cloud.history == []


def test_a_firewall_of_other_hosts_says_that_it_is_taken_over_from_them(world: World) -> None:
    world.has("tcp/22")
    world.cloud.markers["web"] = replace(world.marker, hosts="00000000")
    adopt, *_ = run(world).plan.firewalls[0].changes
    assert adopt.reason == "it served other hosts, or another engine, until now"


@pytest.mark.parametrize(
    ("machines", "said"), [(5, "m4 are"), (6, "m4 and 1 more are"), (8, "m4 and 3 more are")]
)
def test_of_many_open_machines_five_are_named_and_the_rest_counted(
    machines: int, said: str
) -> None:
    covered = tuple(
        Machine(str(number), f"m{number}", protected=False) for number in range(machines)
    )
    guard = attaching(
        "web", (Attachment("tag web", attached=False, newly_covered=covered),), Granted()
    )
    assert guard is not None
    assert said in guard.message


@pytest.mark.parametrize("known", [True, False], ids=["some-ports", "no-ports"])
def test_law1_a_denied_port_closes_although_labels_do_not_parse_and_nothing_else_does(
    world: World, known: bool
) -> None:
    world.policy(deny=ports("8080"))
    world.has("tcp/22", "tcp/8080", "tcp/9000")
    malformed = Malformed(Origin("web-1"), "bad", (*both("8080"), *both("9000")) if known else None)
    world.discoveries["web-1"] = Complete(malformed=(malformed,))
    run(world)
    assert world.cloud.firewalls["web"] == rules("tcp/22", "tcp/9000")


@pytest.mark.parametrize("icmp", ["none", "echo"])
def test_pings_close_unless_they_are_kept(world: World, icmp: str) -> None:
    world.policy(icmp=icmp)
    world.has("tcp/22", "icmp")
    run(world)
    assert world.cloud.firewalls["web"] == rules("tcp/22")


def attachments(*given: Attachment) -> list[tuple[str | None, str, bool]]:
    desired = Desired((), rules("tcp/22"), rules("tcp/22"), NOTHING, NOTHING, (), ())
    spelling = Spelling((), (), (), ())
    changes = changes_of(Absent(given), desired, hold_nothing(), spelling, Around(attach=given))
    return [
        (change.target, change.reason, change.opens_now)
        for change in changes
        if change.action == "attach"
    ]


def hold_nothing() -> Holding:
    return Holding(NOTHING, rules("tcp/22"), (), ())


def test_law8_a_machine_to_attach_is_in_the_plan_with_what_it_is_under_now() -> None:
    bare, covered = Machine("7", "web-1", protected=False), Machine("8", "web-2", protected=True)
    assert attachments(Attachment("server 7", attached=False, newly_covered=(bare,))) == [
        ("server 7", "web-1 is under no firewall: everything on it is open now", True)
    ]
    assert attachments(Attachment("server 8", attached=False, newly_covered=(covered,))) == [
        ("server 8", "web-2 is under another firewall now", False)
    ]
    assert attachments(Attachment("tag web", attached=False, newly_covered=(bare, covered))) == [
        ("tag web", "covers 2 more machines now", True),
        ("server 7", "web-1, by tag web is under no firewall: everything on it is open now", True),
        ("server 8", "web-2, by tag web is under another firewall now", False),
    ]
    assert [
        target
        for target, _, _ in attachments(
            Attachment("tag web", attached=False, newly_covered=(covered,))
        )
    ] == [
        "tag web",
        "server 8",
    ]
    both_ways = (
        Attachment("tag web", attached=False, newly_covered=(bare, covered)),
        Attachment("server 7", attached=False, newly_covered=(bare,)),
        Attachment("tag blue", attached=False, newly_covered=(covered,)),
    )
    assert [target for target, _, _ in attachments(*both_ways)] == [
        "tag web",
        "server 8",
        "server 7",
        "tag blue",
    ], "each machine once"
    assert attachments(Attachment("tag web", attached=False)) == [
        ("tag web", "covers 0 more machines now", False)
    ]


def test_law8_what_closes_says_why(world: World) -> None:
    world.policy(deny=ports("8080"))
    world.has("tcp/22", "tcp/8080", "tcp/9000")
    reasons = {
        change.rule.ports: change.reason
        for change in run(world).plan.firewalls[0].changes
        if change.rule
    }
    assert reasons == {
        "8080": "policy.deny names it",
        "9000": "no container and no configuration asks for it",
    }


@pytest.mark.parametrize("owner", ["aaaa", "zzzz"])
def test_law6_a_plan_of_another_owner_is_never_applied(world: World, owner: str) -> None:
    world.has("tcp/22")
    world.needs("443")
    fresh = reconcile.plan(world.configuration, Options()).plan
    assert moved(replace(fresh, owner=owner), fresh) is not None


@pytest.mark.parametrize("endpoint", ["aaaa", "zzzz"])
def test_law6_a_plan_for_another_endpoint_is_never_applied(world: World, endpoint: str) -> None:
    world.has("tcp/22")
    world.needs("443")
    fresh = reconcile.plan(world.configuration, Options()).plan
    elsewhere = replace(fresh, firewalls=(replace(fresh.firewalls[0], endpoint=endpoint),))
    assert moved(elsewhere, fresh) is not None


def test_law6_a_firewall_with_nothing_to_do_hides_no_other_that_was_not_approved(
    world: World,
) -> None:
    world.has("tcp/22")
    world.needs("443")
    fresh = reconcile.plan(world.configuration, Options()).plan
    idle = replace(fresh.firewalls[0], name="idle", changes=())
    both_of_them = replace(fresh, firewalls=(idle, *fresh.firewalls))
    assert moved(replace(fresh, firewalls=(idle,)), both_of_them) == "web: was not in the plan"


@pytest.mark.parametrize(
    ("machines", "applies"),
    [
        ((("memory", ("server 7", "server 9")),), True),
        ((("memory", ("server 70",)),), False),
        ((), False),
    ],
    ids=["some-the-same", "all-others", "none"],
)
def test_law6_a_plan_of_one_project_is_not_applied_with_the_credentials_of_another(
    world: World, machines: tuple[tuple[str, tuple[str, ...]], ...], applies: bool
) -> None:
    """A firewall that is to be created has no id yet; the machines of the account tell it."""
    world.needs("443")
    shown = reconcile.plan(world.configuration, Options()).plan
    approved = replace(shown, machines=(("memory", ("server 7", "server 8")),))
    why = moved(approved, replace(shown, machines=machines))
    assert (why is None) is applies
    assert why is None or "another project" in why
    assert moved(shown, replace(shown, machines=machines)) is None, "nothing was known before"
