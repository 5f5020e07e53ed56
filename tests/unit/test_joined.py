"""Labels on containers that share the network of another one: a wish to keep something closed never
ends in an opening, though nobody can say which port is meant (law 7)."""

from __future__ import annotations

import pytest

from cloudsync.model.ports import Complete, LabelScope
from cloudsync.planning.policy import Desired, desire
from cloudsync.rules import RuleSet
from cloudsync.sources.docker.containers import container_of
from cloudsync.sources.docker.discovery import discovery_of
from cloudsync.sources.docker.engine import Survey
from cloudsync.sources.docker.podman import EngineKind
from cloudsync.sources.docker.swarm import Membership
from tests.unit.test_containers import answer
from tests.world import World, rules

SCOPE = LabelScope({}, frozenset({"web"}))


def pod(
    *members: dict[str, str], own: dict[str, str] | None = None, born: bool = False
) -> Complete:
    """An infra container that publishes 8080, and containers that share its network. `born`: the
    members' labels are their images'."""
    infra = answer(("80/tcp", "", "8080"), labels=own or {}) | {"Id": "infra", "Name": "/infra"}
    joined = [
        answer(bound=(), mode="container:infra", networks=[], labels=labels)
        | {"Id": f"m{number}", "Name": f"/member{number}", "Image": f"i{number}"}
        for number, labels in enumerate(members)
    ]
    images = {f"i{number}": labels if born else {} for number, labels in enumerate(members)}
    survey = Survey(
        "e",
        "id",
        tuple(container_of(one) for one in (infra, *joined)),
        {},
        {"sha256:1": {}, **images},
        Membership("none"),
        None,
        (),
        False,
        EngineKind(),
    )
    found = discovery_of("web-1", survey, SCOPE)
    assert isinstance(found, Complete)
    return found


def judged(world: World, found: Complete) -> Desired:
    world.discoveries["web-1"] = found
    return desire(
        world.configuration.firewalls["web"],
        world.configuration,
        world.provider.capabilities,
        world.discoveries,
    )


def opened(world: World, found: Complete) -> RuleSet:
    return judged(world, found).rules - world.configuration.ssh.rules


def test_a_member_without_labels_leaves_the_pods_ports_alone(world: World) -> None:
    assert opened(world, pod({})) == rules("tcp/8080")


@pytest.mark.parametrize("born", [False, True], ids=["own", "image"])
@pytest.mark.parametrize(
    "labels",
    [
        {"cloudsync.expose": "false"},
        {"cloudsync.sources": "203.0.113.0/24"},
        {"cloudsync.port.8080.sources": "203.0.113.0/24"},
        {"cloudsync.ports": "9090"},
        {"cloudsync.firewall": "web"},
        {"cloudsync.expos": "false"},
        {"cloudsync.expose": "no"},
    ],
)
def test_law7_a_narrowing_label_of_a_member_keeps_the_pods_ports_from_being_opened(
    world: World, labels: dict[str, str], born: bool
) -> None:
    found = pod(labels, born=born)
    verdict = judged(world, found)
    assert opened(world, found) == rules()
    assert verdict.doubtful is not None
    assert verdict.doubtful.covers(rules("tcp/8080")), "what is open stays open"
    assert any("infra" in bad.problem for bad in found.malformed)


_VOID = "its labels count for nothing"


@pytest.mark.parametrize(
    ("labels", "void"),
    [
        ({"cloudsync.expose": "true"}, True),
        ({"cloudsync.description": "the page"}, True),
        ({"cloudsync.expose": "false"}, False),
        ({"cloudsync.sources": "203.0.113.0/24"}, False),
        ({"cloudsync.expose": "true", "cloudsync.ports": "8080"}, False),
    ],
)
def test_labels_of_a_member_count_for_nothing_or_hold_ports_and_never_both(
    labels: dict[str, str], void: bool
) -> None:
    found = pod(labels)
    assert any(_VOID in remark for remark in found.remarks) is void
    assert (found.malformed == ()) is void


def test_labels_of_a_member_whose_owner_is_not_there_count_for_nothing() -> None:
    """There is nothing that they could hold."""
    lonely = answer(
        bound=(), mode="container:gone", networks=[], labels={"cloudsync.expose": "false"}
    )
    survey = Survey(
        "e",
        "id",
        (container_of(lonely),),
        {},
        {"sha256:1": {}},
        Membership("none"),
        None,
        (),
        False,
        EngineKind(),
    )
    found = discovery_of("web-1", survey, SCOPE)
    assert isinstance(found, Complete)
    assert any(_VOID in remark for remark in found.remarks)
    assert found.malformed == ()


def test_a_member_that_asks_in_vain_is_refused_by_name(world: World) -> None:
    world.policy(expose="labelled")
    verdict = judged(world, pod({"cloudsync.expose": "true"}))
    assert {(one.code, one.origins[0].container) for one in verdict.refused} == {
        ("unsupported-network", "member0"),
        ("not-labelled", "infra"),
    }


def test_a_label_on_the_container_that_publishes_still_counts(world: World) -> None:
    found = pod({}, own={"cloudsync.sources": "203.0.113.0/24"})
    assert opened(world, found) == rules("tcp/8080 from 203.0.113.0/24")


def test_members_of_members_are_followed(world: World) -> None:
    infra = answer(("80/tcp", "", "8080")) | {"Id": "a", "Name": "/a"}
    middle = answer(bound=(), mode="container:a", networks=[]) | {"Id": "b", "Name": "/b"}
    last = answer(
        bound=(), mode="container:b", networks=[], labels={"cloudsync.expose": "false"}
    ) | {"Id": "c", "Name": "/c"}
    containers = tuple(container_of(one) for one in (infra, middle, last))
    images = {"sha256:1": {}}
    survey = Survey(
        "e", "id", containers, {}, images, Membership("none"), None, (), False, EngineKind()
    )
    found = discovery_of("web-1", survey, SCOPE)
    assert isinstance(found, Complete)
    assert opened(world, found) == rules()


def test_every_member_is_visible() -> None:
    found = pod({}, {})
    assert [(one.origin.container, one.network) for one in found.unpublished] == [
        ("member0", "container"),
        ("member1", "container"),
    ]
