"""Decision 0003: for any labels of an image, opened(with) is within opened(without), over
everything a firewall is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudsync.model.ports import Complete, LabelScope
from cloudsync.planning.policy import desire
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.networks import NetworkSet
from cloudsync.sources import united
from cloudsync.sources.docker.containers import container_of, counts
from cloudsync.sources.docker.discovery import discovery_of
from cloudsync.sources.docker.engine import Survey
from cloudsync.sources.docker.podman import EngineKind
from cloudsync.sources.docker.swarm import Membership
from tests.effort import examples
from tests.world import build, ports

SCOPE = LabelScope({"office": NetworkSet.of(["203.0.113.0/24"])}, frozenset({"web", "other"}))
HALVES = ["11.0.0.0/9", "12.0.0.0/9", "13.0.0.0/9"]
"""Half a /8 each: two of them are not the world, three are."""
SOURCES = ["any", "any6", "@office", "198.51.100.7/32", *HALVES]

sources = st.sampled_from(SOURCES)
valid = st.fixed_dictionaries(
    {},
    optional={
        "cloudsync.expose": st.sampled_from(["true", "false"]),
        "cloudsync.ports": st.sampled_from(["5432", "8080", "5432,8080", "1-65535", "9000/udp"]),
        "cloudsync.sources": sources,
        "cloudsync.port.5432.sources": sources,
        "cloudsync.port.8000-8100.sources": sources,
        "cloudsync.firewall": st.sampled_from(["web", "other", "web,other"]),
        "com.docker.compose.oneoff": st.sampled_from(["True", "False"]),
    },
)
misspelt = st.dictionaries(
    st.sampled_from(["cloudsync.exposed", "cloudsync.sources", "cloudsync.port.5432.sources"]),
    st.sampled_from(["false", "no", "@nowhere", "203.0.113.0/33"]),
    max_size=1,
)
"""What the user meant as a wish to keep something closed, and an image may repeat."""
hostile = st.builds(
    lambda labels, words, more: labels | words | more,
    valid,
    misspelt,
    st.dictionaries(
        st.sampled_from(["cloudsync.exposed", "cloudsync.port.8050-8200.sources", "cloudsync."]),
        st.sampled_from(["yes", "any", "@nowhere"]),
        max_size=2,
    ),
)


users = st.builds(lambda labels, words: labels | words, valid, misspelt)


@dataclass(frozen=True)
class Run:
    """A container of a drawn world. `joins`: it shares the network of the first one."""

    user: dict[str, str]
    image: dict[str, str]
    mode: str


runs = st.lists(
    st.builds(Run, users, hostile, st.sampled_from(["bridge", "bridge", "host", "joins"])),
    min_size=1,
    max_size=4,
)


def discovery(world: list[Run], *, with_images: bool) -> Complete:
    """What one engine comes to, on which these containers run."""
    images = {f"i{n}": run.image if with_images else {} for n, run in enumerate(world)}
    known = [container_of(_answer(n, run, images[f"i{n}"])) for n, run in enumerate(world)]
    containers = tuple(c for c in known if counts(c, images[c.image]))
    survey = Survey(
        "e", "id", containers, {}, images, Membership("none"), None, (), False, EngineKind()
    )
    found = discovery_of("web-1", survey, SCOPE)
    assert isinstance(found, Complete)
    return found


def _answer(number: int, run: Run, image: dict[str, str]) -> dict[str, Any]:
    mode = "container:0" if run.mode == "joins" and number else run.mode.replace("joins", "bridge")
    address = {"HostIp": f"198.51.100.{number + 1}"}
    table = {
        "5432/tcp": [address | {"HostPort": "5432"}],
        "80/tcp": [address | {"HostPort": "8080"}],
    }
    table = table if mode == "bridge" else {}
    return {
        "Id": str(number),
        "Name": f"/c{number}",
        "Image": f"i{number}",
        "State": {"Status": "running"},
        "Config": {"Labels": {**image, **run.user}},
        "HostConfig": {"NetworkMode": mode, "PortBindings": table},
        "NetworkSettings": {"Ports": table, "Networks": {}},
    }


def opened(folder: Path, found: Complete, expose: str) -> RuleSet:
    world = build(folder, expose=expose, deny=ports("8081"))
    verdict = desire(
        world.configuration.firewalls["web"],
        world.configuration,
        world.provider.capabilities,
        {"web-1": found},
    )
    return verdict.rules


@settings(max_examples=examples(120), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(runs, st.sampled_from(["published", "labelled"]))
def test_law7_for_any_labels_of_images_no_more_is_open_than_without_them(
    tmp_path_factory: Any, world: list[Run], expose: str
) -> None:
    folder = tmp_path_factory.getbasetemp()
    unlabelled = opened(folder, discovery(world, with_images=False), expose)
    labelled = opened(folder, discovery(world, with_images=True), expose)
    assert unlabelled.covers(labelled)


def test_several_engines_are_judged_together(tmp_path: Path) -> None:
    """The other instance of the kind: what is the world comes from several engines of a host."""
    engines = [
        discovery([Run({"cloudsync.port.5432.sources": half}, {}, "bridge")], with_images=True)
        for half in HALVES
    ]
    together = united(engines)
    assert isinstance(together, Complete)
    assert opened(
        tmp_path, united(engines[:2]), "published"
    ).covers(  # type: ignore[arg-type]
        RuleSet.of((Rule("tcp", 5432, 5432, NetworkSet.of(HALVES[:2])),))
    )
    rules = opened(tmp_path, together, "published")
    assert not any(rule.first <= 5432 <= rule.last for rule in rules)
