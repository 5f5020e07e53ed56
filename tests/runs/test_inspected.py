"""Containers that did not change are not inspected again, and what is known of them is what a read
of everything would say."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudsync.model.ports import Complete, Discovery, Failed, LabelScope, Partial
from cloudsync.sources.docker.discovery import discovery_of
from cloudsync.sources.docker.engine import Survey, survey
from cloudsync.sources.docker.inspected import BELIEVED_SECONDS, OfEngine
from cloudsync.sources.docker.request_slots import Share
from tests.doubles.engine import FakeEngine
from tests.ram_disk import RAM_DISK

pytestmark = pytest.mark.emulator
Change = Callable[[dict[str, Any]], None]
SCOPE = LabelScope({}, frozenset({"web"}))


class Clock:
    def __init__(self) -> None:
        self.moment = 0.0

    def __call__(self) -> float:
        return self.moment


class Site:
    """An engine, and a reader of it that goes on."""

    def __init__(self, folder: Path, stack: ExitStack, containers: int) -> None:
        self.engine = stack.enter_context(FakeEngine(folder, containers))
        self.engine.lists_what_it_runs()
        self.engine.routes["/info"] = {"ID": "ABCD", "Swarm": {"LocalNodeState": "inactive"}}
        self.engine.routes["/images/sha256:1/json"] = {"Config": {"Labels": {}}}
        self.clock = Clock()
        self.known = OfEngine(self.clock)

    def container(self, number: int) -> dict[str, Any]:
        answer = self.engine.routes[f"/containers/{FakeEngine.id(number)}/json"]
        assert isinstance(answer, dict)
        return answer

    def change(self, number: int, change: Change) -> None:
        """At one moment, as list and inspection see it."""
        answer = copy.deepcopy(self.container(number))
        change(answer)
        self.engine.routes[f"/containers/{FakeEngine.id(number)}/json"] = answer

    def survey(self, *, afresh: bool = False) -> Survey | Failed:
        with Share(threading.BoundedSemaphore(4), 4) as share:
            known = None if afresh else self.known
            return survey(self.engine.endpoint, timeout=10.0, share=share, known=known)

    def read(self, *, afresh: bool = False) -> Discovery:
        answers = self.survey(afresh=afresh)
        return answers if isinstance(answers, Failed) else discovery_of("web-1", answers, SCOPE)

    def inspects(self) -> int:
        """Containers that the next read inspects."""
        before = self.engine.asked("containers")
        self.read()
        return self.engine.asked("containers") - before


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(tmp_path, stack, 20)


def stopped(answer: dict[str, Any]) -> None:
    answer["State"]["Status"] = "exited"
    answer["NetworkSettings"]["Ports"] = {}


def started(answer: dict[str, Any]) -> None:
    answer["State"]["Status"] = "running"
    answer["NetworkSettings"]["Ports"] = answer["HostConfig"]["PortBindings"]


def moved(answer: dict[str, Any]) -> None:
    port = {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "9000"}]}
    answer["HostConfig"]["PortBindings"] = answer["NetworkSettings"]["Ports"] = port


def narrowed(answer: dict[str, Any]) -> None:
    port = {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8000"}]}
    answer["HostConfig"]["PortBindings"] = answer["NetworkSettings"]["Ports"] = port


def renamed(answer: dict[str, Any]) -> None:
    answer["Name"] += "x"


def labelled(answer: dict[str, Any]) -> None:
    answer["Config"]["Labels"] = {"cloudsync.expose": "false"}


def connected(answer: dict[str, Any]) -> None:
    answer["NetworkSettings"]["Networks"]["more"] = {"NetworkID": "n1"}


def restarted(answer: dict[str, Any]) -> None:
    network = answer["NetworkSettings"]["Networks"]["bridge"]
    network["EndpointID"] = network.get("EndpointID", "") + "e"


CHANGES = [stopped, moved, narrowed, renamed, labelled, connected, restarted]


def test_a_second_read_inspects_nothing(site: Site) -> None:
    first = site.read()
    assert site.engine.asked("containers") == 20
    site.engine.requests.clear()
    assert site.read() == first
    assert isinstance(first, Complete)
    paths = {path for _, path in site.engine.requests}
    assert paths <= {"/version", "/info", "/networks", "/containers/json"}


@pytest.mark.parametrize("change", CHANGES)
def test_only_the_container_that_changed_is_inspected(site: Site, change: Change) -> None:
    site.read()
    site.change(0, change)
    assert site.inspects() == 1
    assert site.read() == site.read(afresh=True)
    assert site.inspects() == 0


def test_a_stopped_container_is_not_inspected_again_until_it_starts(site: Site) -> None:
    site.change(0, stopped)
    site.read()
    assert site.inspects() == 0
    site.change(0, started)
    assert site.inspects() == 1
    assert site.read() == site.read(afresh=True)


@pytest.mark.parametrize("state", ["restarting", "created", "removing", "dead"])
def test_a_state_that_passes_is_looked_at_each_time(site: Site, state: str) -> None:
    site.change(0, lambda answer: answer["State"].update(Status=state))
    site.read()
    assert site.inspects() == 1


def test_law1_a_changed_container_that_cannot_be_inspected_is_not_what_it_was(site: Site) -> None:
    assert isinstance(site.read(), Complete)
    path = f"/containers/{FakeEngine.id(0)}/json"
    answer = copy.deepcopy(site.container(0))
    site.change(0, moved)
    listed = site.engine.routes["/containers/json"]()
    site.engine.routes |= {"/containers/json": listed, path: (500, {"message": "no"})}
    for _ in range(2):
        assert isinstance(site.read(), Partial)
    site.engine.routes[path] = answer
    site.engine.lists_what_it_runs()
    assert isinstance(site.read(), Complete)


def test_law1_an_engine_that_does_not_answer_is_not_what_it_was(site: Site) -> None:
    site.read()
    for path in ("/info", "/containers/json", "/networks"):
        before = site.engine.routes[path]
        site.engine.routes[path] = (500, {"message": "no"})
        assert isinstance(site.read(), Failed), path
        site.engine.routes[path] = before
        assert isinstance(site.read(), Complete)


def test_a_list_that_disagrees_with_the_inspection_is_not_believed(site: Site) -> None:
    """Something happened between the two; which of them is newer is not known."""
    listed = site.engine.routes["/containers/json"]()
    site.change(0, moved)
    site.engine.routes["/containers/json"] = listed
    site.read()
    assert site.inspects() == 1
    assert site.read() == site.read(afresh=True)


def test_another_engine_at_the_same_place_is_read_from_the_start(site: Site) -> None:
    site.read()
    site.engine.routes["/info"] = {"ID": "EFGH", "Swarm": {"LocalNodeState": "inactive"}}
    assert site.inspects() == 20
    site.engine.routes["/info"] = {"Swarm": {"LocalNodeState": "inactive"}}
    assert site.inspects() == 20
    assert site.inspects() == 20, "an engine without an id may be another one each time"


def test_every_container_is_inspected_again_after_an_hour(site: Site) -> None:
    site.read()
    site.clock.moment = BELIEVED_SECONDS - 1
    assert site.inspects() == 0
    site.clock.moment = BELIEVED_SECONDS
    assert site.inspects() == 20
    assert site.inspects() == 0


def test_containers_of_podman_are_inspected_each_time(site: Site) -> None:
    site.engine.routes["/version"]["Components"] = [{"Name": "Podman Engine", "Version": "4.3.1"}]
    site.engine.routes["/info"] |= {"Name": "web-1", "DockerRootDir": "/var/lib/containers"}
    path = "/libpod/containers/{}/json"
    for number in range(20):
        site.engine.routes[path.format(FakeEngine.id(number))] = {"Config": {}, "HostConfig": {}}
    site.read()
    assert site.inspects() >= 20


def test_an_image_is_inspected_once_and_by_a_name_that_moves_each_time(site: Site) -> None:
    site.change(0, lambda answer: answer["Config"].update(Labels={"cloudsync.ports": "8000"}))
    site.read()
    assert site.engine.asked("images") == 1
    site.read()
    assert site.engine.asked("images") == 1
    site.change(0, lambda answer: answer.update(Image="app"))
    site.engine.routes["/images/app/json"] = {"Config": {"Labels": {}}}
    for already in (1, 2):
        site.read()
        assert site.engine.asked("images") == 1 + already


def test_what_is_gone_is_forgotten(site: Site) -> None:
    site.read()
    del site.engine.routes[f"/containers/{FakeEngine.id(0)}/json"]
    site.read()
    assert len(site.known._containers) == 19


STEPS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([*CHANGES, started, None])), min_size=1, max_size=8
)


@settings(max_examples=40)
@given(STEPS)
def test_a_reader_that_remembers_says_what_one_says_that_reads_everything(
    steps: list[tuple[int, Change | None]],
) -> None:
    with TemporaryDirectory(dir=RAM_DISK) as folder, ExitStack() as stack:
        site = Site(Path(folder), stack, 4)
        for number, change in steps:
            if change is not None:
                site.change(number, change)
            assert site.read() == site.read(afresh=True)


def test_a_run_that_is_not_repeated_keeps_nothing(site: Site) -> None:
    site.known = OfEngine(site.clock, lasts=False)
    assert (site.inspects(), site.inspects()) == (20, 20)
