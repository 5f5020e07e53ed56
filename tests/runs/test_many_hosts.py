"""Many hosts at once: bounded, each in its own time, and one that is down costs the others
nothing."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cloudsync.config.configuration import Configuration, Host, RunSettings
from cloudsync.model.ports import (
    Complete,
    Discovery,
    Failed,
    Partial,
)
from cloudsync.sources.read_hosts import read_hosts
from cloudsync.state import StateError
from cloudsync.state.engines import path_of, recall, remember, remembered
from tests.doubles.engine import FakeEngine
from tests.doubles.fleet import Fleet
from tests.world import PLACE, build

pytestmark = pytest.mark.emulator
NOW = datetime(2026, 11, 24, 18, 0, tzinfo=UTC)


def configured(folder: Path, engines: Mapping[str, tuple[str, ...]], **run: Any) -> Configuration:
    """Hosts with these engines, feeding firewall `web`."""
    configuration = build(folder).configuration
    hosts = {
        name: Host(name, endpoints, (), retired=False, place=PLACE)
        for name, endpoints in engines.items()
    }
    web = replace(configuration.firewalls["web"], hosts=tuple(hosts), marker_hosts=tuple(hosts))
    settings = RunSettings(**({"host_timeout": 5.0, "deadline": 60.0, "concurrency": 16} | run))
    (folder / "state").mkdir(exist_ok=True)
    return replace(configuration, hosts=hosts, firewalls={"web": web}, run=settings)


def read(configuration: Configuration, said: list[str] | None = None) -> Mapping[str, Discovery]:
    memory = recall(configuration.state, configuration.owner)
    return read_hosts(
        configuration,
        sorted(configuration.hosts),
        said.append if said is not None else lambda _: None,
        memory,
    )


class Engines:
    """Fake engines by name, each in its own folder."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self.stack = folder, stack

    def start(self, name: str, **info: Any) -> FakeEngine:
        (self.folder / name).mkdir()
        engine = self.stack.enter_context(FakeEngine(self.folder / name))
        engine.routes["/info"] = {"ID": name, "Swarm": {"LocalNodeState": "inactive"}} | info
        return engine


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[Engines]:
    with ExitStack() as stack:
        yield Engines(tmp_path, stack)


def test_200_engines_take_about_what_latency_and_concurrency_allow(tmp_path: Path) -> None:
    latency, concurrency, containers = 0.05, 16, 1
    with Fleet(tmp_path, 200, containers, latency) as fleet:
        configuration = configured(
            tmp_path, {f"h{n}": (fleet.endpoint(n),) for n in range(200)}, concurrency=concurrency
        )
        least = latency * fleet.requests(containers) * 200 / concurrency
        start = time.monotonic()
        found = read(configuration)
        took = time.monotonic() - start
    assert all(isinstance(one, Complete) and len(one.required) == 1 for one in found.values())
    assert took >= least * 0.95, "more requests at once than run.concurrency"
    assert took < least * 3


def test_hosts_that_hang_cost_the_others_no_more_than_their_timeout(
    tmp_path: Path, engines: Engines
) -> None:
    release = threading.Event()
    endpoints = {}
    for number in range(8):
        engine = engines.start(f"h{number}")
        endpoints[f"h{number}"] = (engine.endpoint,)
        if number < 3:
            engine.routes["/networks"] = lambda: release.wait(30) and []
    start = time.monotonic()
    found = read(configured(tmp_path, endpoints, concurrency=4, host_timeout=3.0))
    took = time.monotonic() - start
    release.set()
    assert [type(found[f"h{n}"]) for n in range(8)] == [Failed] * 3 + [Complete] * 5
    assert took < 3.0 * 2


def test_a_host_that_hangs_with_many_requests_does_not_make_the_others_miss_their_time(
    tmp_path: Path, engines: Engines
) -> None:
    release = threading.Event()
    bad = engines.start("bad")
    bad.routes["/containers/json"] = [{"Id": bad.id(number)} for number in range(64)]
    bad.routes |= {
        f"/containers/{bad.id(number)}/json": lambda: release.wait(30) and {}
        for number in range(64)
    }
    endpoints = {"bad": (bad.endpoint,)}
    for number in range(6):
        good = engines.start(f"good{number}")
        good.slow = 0.05
        endpoints[f"good{number}"] = (good.endpoint,)
    start = time.monotonic()
    found = read(configured(tmp_path, endpoints, concurrency=4, host_timeout=4.0))
    took = time.monotonic() - start
    release.set()
    assert isinstance(found["bad"], Partial)
    assert all(isinstance(found[f"good{number}"], Complete) for number in range(6))
    assert took < 4.0 * 2.5


def test_all_engines_together_are_asked_no_more_at_once_than_told(
    tmp_path: Path, engines: Engines
) -> None:
    several = [engines.start(f"h{number}") for number in range(3)]
    at_once, most, lock = 0, 0, threading.Lock()

    def answer(value: Any) -> Any:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.01)
        with lock:
            at_once -= 1
        return value

    for engine in several:
        engine.routes["/containers/json"] = [{"Id": engine.id(number)} for number in range(20)]
        for number in range(20):
            value = engine.container(number)
            engine.routes[f"/containers/{engine.id(number)}/json"] = lambda value=value: answer(
                value
            )
    found = read(
        configured(
            tmp_path,
            {f"h{n}": (engine.endpoint,) for n, engine in enumerate(several)},
            concurrency=4,
        )
    )
    assert all(isinstance(one, Complete) for one in found.values())
    assert 2 < most <= 4


def test_the_runs_deadline_ends_the_reading(tmp_path: Path, engines: Engines) -> None:
    release = threading.Event()
    endpoints = {}
    for number in range(4):
        engine = engines.start(f"h{number}")
        endpoints[f"h{number}"] = (engine.endpoint,)
        engine.routes["/networks"] = lambda: release.wait(30) and []
    start = time.monotonic()
    found = read(configured(tmp_path, endpoints, concurrency=1, host_timeout=20.0, deadline=3.0))
    release.set()
    assert time.monotonic() - start < 10
    assert all(isinstance(one, Failed) and one.temporary for one in found.values())
    assert any("deadline" in one.reason for one in found.values() if isinstance(one, Failed))


def test_progress_names_who_is_down_and_counts(tmp_path: Path, engines: Engines) -> None:
    said: list[str] = []
    read(
        configured(
            tmp_path, {"up": (engines.start("up").endpoint,), "down": ("unix:///nowhere.sock",)}
        ),
        said,
    )
    assert said[0] == "reading 2 engines"
    assert said[-1] == "2 of 2 engines read"
    assert any(line.startswith("down: /nowhere.sock does not exist") for line in said)


def test_several_engines_of_a_host_are_united_and_as_complete_as_the_worst(
    tmp_path: Path, engines: Engines
) -> None:
    rootful, rootless = engines.start("rootful"), engines.start("rootless")
    port = {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "9000"}]}
    inspected = rootless.container(0) | {
        "HostConfig": {"NetworkMode": "bridge", "PortBindings": port}
    }
    inspected["NetworkSettings"] = {"Ports": port, "Networks": {}}
    rootless.routes[f"/containers/{rootless.id(0)}/json"] = inspected
    both = (rootful.endpoint, rootless.endpoint)
    found = read(configured(tmp_path, {"web-1": both}))["web-1"]
    assert isinstance(found, Complete)
    assert {port.first for port in found.required} == {8000, 9000}
    worse = read(configured(tmp_path, {"web-1": (*both, "unix:///run/user/1001/docker.sock")}))[
        "web-1"
    ]
    assert isinstance(worse, Partial)
    assert {port.first for port in worse.required} == {8000, 9000}


def test_law1_another_engine_under_a_hosts_name_is_not_known_completely(
    tmp_path: Path, engines: Engines
) -> None:
    engine = engines.start("web-1")
    configuration = configured(tmp_path, {"web-1": (engine.endpoint,)})
    first = read(configuration)
    assert isinstance(first["web-1"], Complete)
    remember(configuration.state, "shop", first, NOW)
    engine.routes["/info"] = {"ID": "somebody-else", "Swarm": {"LocalNodeState": "inactive"}}
    found = read(configuration)["web-1"]
    assert isinstance(found, Partial)
    assert not found.temporary
    assert "another engine answers" in found.reasons[0]
    assert str(path_of(configuration.state, "shop")) in found.reasons[0]
    remember(configuration.state, "shop", {"web-1": found}, NOW)
    assert isinstance(read(configuration)["web-1"], Partial), (
        "an apply must not take the other engine for granted"
    )
    path = path_of(configuration.state, "shop")
    value = json.loads(path.read_text())
    del value["hosts"]["web-1"]["engines"][engine.endpoint]
    path.write_text(json.dumps(value))
    assert isinstance(read(configuration)["web-1"], Complete)


def test_since_when_a_host_is_unknown_is_remembered_by_applies_and_forgotten_when_it_is_back(
    tmp_path: Path, engines: Engines
) -> None:
    engine = engines.start("web-1")
    configuration = configured(tmp_path, {"web-1": (engine.endpoint,)})
    engine.routes["/info"] = (500, {})
    found = read(configuration)
    assert isinstance(found["web-1"], Failed)
    assert "since" not in found["web-1"].reason
    assert "retired" not in found["web-1"].reason
    remember(configuration.state, "shop", found, NOW)
    again = read(configuration)["web-1"]
    assert isinstance(again, Failed)
    assert "unknown since 2026-11-24 18:00 UTC" in again.reason
    remember(configuration.state, "shop", {"web-1": again}, datetime(2026, 11, 25, tzinfo=UTC))
    assert remembered(configuration.state, "shop")["web-1"].unknown_since == NOW
    engine.routes["/info"] = {"ID": "web-1", "Swarm": {"LocalNodeState": "inactive"}}
    back = read(configuration)
    assert isinstance(back["web-1"], Complete)
    remember(configuration.state, "shop", back, NOW)
    assert remembered(configuration.state, "shop")["web-1"].unknown_since is None


@pytest.mark.parametrize("answered", [True, False])
def test_a_host_that_does_not_answer_is_called_gone_after_a_day_only(
    tmp_path: Path, engines: Engines, answered: bool
) -> None:
    """An engine that restarts is not to be retired, which closes everything it needs; nor is a new
    one that is not up yet."""
    engine = engines.start("web-1", ID="first")
    configuration = configured(tmp_path, {"web-1": (engine.endpoint,)})
    if answered:
        remember(configuration.state, "shop", read(configuration), NOW)
    engine.routes["/info"] = (500, {})
    found = read(configuration)["web-1"]
    assert isinstance(found, Failed)
    assert "retired" not in found.reason
    for since, advised in ((timedelta(hours=23), False), (timedelta(hours=25), True)):
        path_of(configuration.state, "shop").unlink(missing_ok=True)
        if answered:
            engine.routes["/info"] = {"ID": "first", "Swarm": {}}
            remember(configuration.state, "shop", read(configuration), NOW)
        engine.routes["/info"] = (500, {})
        remember(configuration.state, "shop", {"web-1": found}, datetime.now(UTC) - since)
        again = read(configuration)["web-1"]
        assert isinstance(again, Failed)
        assert ("retired" in again.reason) is advised


def test_reading_hosts_writes_nothing_into_the_state(tmp_path: Path, engines: Engines) -> None:
    configuration = configured(
        tmp_path, {"web-1": (engines.start("web-1").endpoint,), "down": ("unix:///nowhere.sock",)}
    )
    read(configuration)
    assert list(configuration.state.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"version": 2, "hosts": {}}',
        '{"version": 1, "hosts": {"web-1": {}}}',
        '{"version": 1}',
        '{"version": 1, "hosts": {"a": {"engines": {}, "unknown_since": "0001-01-01T00+14:00"}}}',
        '{"version": 1, "hosts": {"a": {"engines": {}, "unknown_since": "2026-01-01T00:00"}}}',
    ],
)
def test_a_damaged_memory_is_an_error_and_not_forgotten(tmp_path: Path, text: str) -> None:
    path_of(tmp_path, "shop").write_text(text)
    with pytest.raises(StateError, match=r"shop\.engines\.json"):
        remembered(tmp_path, "shop")


NODES = [
    {"ID": "m1", "Status": {"Addr": "192.0.2.1"}},
    {"ID": "w1", "Status": {"Addr": "192.0.2.2"}},
]
SERVICE = {
    "ID": "s1",
    "Spec": {
        "Name": "shop_web",
        "Labels": {"com.docker.stack.namespace": "shop", "cloudsync.sources": "203.0.113.0/24"},
        "TaskTemplate": {
            "ContainerSpec": {"Image": "web", "Labels": {"cloudsync.description": "the shop"}}
        },
        "EndpointSpec": {
            "Ports": [
                {
                    "Protocol": "tcp",
                    "TargetPort": 80,
                    "PublishedPort": 8888,
                    "PublishMode": "ingress",
                }
            ]
        },
    },
    "Endpoint": {
        "Ports": [
            {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8888, "PublishMode": "ingress"}
        ]
    },
}


def manager(engines: Engines) -> FakeEngine:
    engine = engines.start(
        "manager", Swarm={"LocalNodeState": "active", "ControlAvailable": True, "NodeID": "m1"}
    )
    engine.routes |= {"/services": [SERVICE], "/tasks": [], "/nodes": NODES}
    return engine


def worker(engines: Engines) -> FakeEngine:
    engine = engines.start(
        "worker", Swarm={"LocalNodeState": "active", "ControlAvailable": False, "NodeID": "w1"}
    )
    task = engine.container(
        0, **{"com.docker.swarm.service.id": "s1", "com.docker.swarm.service.name": "shop_web"}
    )
    engine.routes[f"/containers/{engine.id(0)}/json"] = task
    engine.routes["/containers/json"] = [{"Id": engine.id(0)}, {"Id": engine.id(1)}]
    engine.routes[f"/containers/{engine.id(1)}/json"] = engine.container(1)
    return engine


def test_law1_a_swarm_worker_alone_is_partial_and_its_tasks_wait_for_the_labels_of_services(
    tmp_path: Path, engines: Engines
) -> None:
    found = read(configured(tmp_path, {"worker": (worker(engines).endpoint,)}))["worker"]
    assert isinstance(found, Partial)
    assert not found.temporary
    assert "only a manager knows" in found.reasons[0]
    assert {port.first for port in found.required} == {8001}, "its other containers go on"
    assert [(one.ports, one.code) for one in found.unopened] == [("8000", "service-unknown")]


def test_a_manager_of_the_same_run_tells_a_worker_its_services(
    tmp_path: Path, engines: Engines
) -> None:
    hosts = {"manager": (manager(engines).endpoint,), "worker": (worker(engines).endpoint,)}
    found = read(configured(tmp_path, hosts))
    assert isinstance(found["worker"], Complete)
    ports = {port.first: port for port in found["worker"].required}
    assert sorted(ports) == [8000, 8001, 8888]
    assert ports[8000].sources == ports[8888].sources, (
        "the service's labels count for its tasks and its ingress port"
    )
    assert ports[8888].description == "the shop"
    assert (ports[8888].origin.project, ports[8888].origin.service) == ("shop", "web")
    assert ports[8888].origin.host == "worker"


def claiming(engines: Engines, name: str, node: str, port: int) -> FakeEngine:
    """An engine that says it manages the Swarm of w1, with another service."""
    engine = engines.start(
        name, Swarm={"LocalNodeState": "active", "ControlAvailable": True, "NodeID": node}
    )
    text = json.dumps(SERVICE).replace("8888", str(port)).replace("shop_web", "backdoor")
    engine.routes |= {"/services": [json.loads(text)], "/tasks": [], "/nodes": NODES}
    return engine


def test_law1_engines_that_disagree_about_a_worker_are_not_believed(
    tmp_path: Path, engines: Engines
) -> None:
    hosts = {
        "manager": (manager(engines).endpoint,),
        "worker": (worker(engines).endpoint,),
        "zevil": (claiming(engines, "zevil", "z1", 4444).endpoint,),
    }
    found = read(configured(tmp_path, hosts))
    assert isinstance(found["worker"], Partial)
    assert "disagree" in found["worker"].reasons[-1]
    assert 4444 not in {port.first for port in found["worker"].required}
    assert 8888 in {port.first for port in found["manager"].required}  # type: ignore[union-attr]


def test_a_worker_says_who_its_managers_are(tmp_path: Path, engines: Engines) -> None:
    member = worker(engines)
    member.routes["/info"]["Swarm"]["RemoteManagers"] = [{"NodeID": "m1", "Addr": "192.0.2.1:2377"}]
    hosts = {
        "manager": (manager(engines).endpoint,),
        "worker": (member.endpoint,),
        "zevil": (claiming(engines, "zevil", "z1", 4444).endpoint,),
    }
    found = read(configured(tmp_path, hosts))
    assert isinstance(found["worker"], Complete)
    assert {port.first for port in found["worker"].required} == {8000, 8001, 8888}


@pytest.mark.parametrize("own", [{"cloudsync.expose": "false"}, {}])
def test_a_label_that_names_a_service_widens_nothing(
    tmp_path: Path, engines: Engines, own: dict[str, str]
) -> None:
    """`com.docker.swarm.service.id` on a container that the manager does not list as a task: an
    image can say so."""
    service = json.loads(json.dumps(SERVICE))
    service["Spec"]["Labels"] = {"cloudsync.expose": "true"}
    engine = manager(engines)
    engine.routes |= {"/services": [service], "/images/sha256:1/json": {"Config": {}}}
    labels = {"com.docker.swarm.service.id": "s1"} | own
    engine.routes[f"/containers/{engine.id(0)}/json"] = engine.container(0, **labels)
    engine.routes["/containers/json"] = [{"Id": engine.id(0)}]
    found = read(configured(tmp_path, {"manager": (engine.endpoint,)}))["manager"]
    assert isinstance(found, Complete)
    assert [port.asked for port in found.required if port.first == 8000] == [False] * (not own)


def test_a_task_that_the_manager_lists_has_its_services_labels(
    tmp_path: Path, engines: Engines
) -> None:
    engine = manager(engines)
    labels = {"com.docker.swarm.service.id": "s1"}
    engine.routes[f"/containers/{engine.id(0)}/json"] = engine.container(0, **labels)
    engine.routes["/containers/json"] = [{"Id": engine.id(0)}]
    engine.routes["/tasks"] = [
        {
            "ServiceID": "s1",
            "NodeID": "m1",
            "DesiredState": "running",
            "Status": {"State": "running", "ContainerStatus": {"ContainerID": engine.id(0)}},
        }
    ]
    found = read(configured(tmp_path, {"manager": (engine.endpoint,)}))["manager"]
    assert isinstance(found, Complete)
    ports = {port.first: port for port in found.required}
    assert ports[8000].sources.cidrs() == ("203.0.113.0/24",)


def test_law1_a_task_that_was_started_during_the_read_has_its_services_labels(
    tmp_path: Path, engines: Engines
) -> None:
    """A rolling update: the manager listed its tasks before the new one had a container. Only the
    label of a service that lists it asks for its port."""
    service = json.loads(json.dumps(SERVICE))
    service["Spec"]["Labels"] = {"cloudsync.expose": "true"}
    engine = manager(engines)
    labels = {"com.docker.swarm.service.id": "s1"}
    engine.routes[f"/containers/{engine.id(0)}/json"] = engine.container(0, **labels)
    engine.routes["/containers/json"] = [{"Id": engine.id(0)}]
    task = {
        "ServiceID": "s1",
        "NodeID": "m1",
        "DesiredState": "running",
        "Status": {"State": "running", "ContainerStatus": {"ContainerID": engine.id(0)}},
    }
    lists: list[list[Any]] = [[], [task]]
    engine.routes |= {"/services": [service], "/tasks": lambda: lists.pop(0)}
    answers = read(configured(tmp_path, {"manager": (engine.endpoint,)}))["manager"]
    assert isinstance(answers, Complete)
    assert [port.asked for port in answers.required if port.first == 8000] == [True]


def test_law8_an_image_that_would_narrow_an_ingress_port_is_reported(
    tmp_path: Path, engines: Engines
) -> None:
    """Every node publishes the port, and most have no image of the service: only the service's own
    labels decide, everywhere alike."""
    engine = manager(engines)
    narrow = {"cloudsync.expose": "false"}
    labels = {"com.docker.swarm.service.id": "s1", **narrow}
    engine.routes[f"/containers/{engine.id(0)}/json"] = engine.container(0, **labels)
    engine.routes["/containers/json"] = [{"Id": engine.id(0)}]
    engine.routes["/images/sha256:1/json"] = {"Config": {"Labels": narrow}}
    engine.routes["/tasks"] = [
        {
            "ServiceID": "s1",
            "NodeID": "m1",
            "DesiredState": "running",
            "Status": {"State": "running", "ContainerStatus": {"ContainerID": engine.id(0)}},
        }
    ]
    found = read(configured(tmp_path, {"manager": (engine.endpoint,)}))["manager"]
    assert isinstance(found, Complete)
    assert {port.first for port in found.required} == {8888}, "its own port 8000 is narrowed"
    assert any("put the label on the service" in remark for remark in found.remarks)


def test_a_defect_in_judging_one_host_is_that_hosts_failure(
    tmp_path: Path, engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cloudsync.sources.docker import discovery

    original = discovery.discovery_of

    def defective(host: str, *more: Any) -> Discovery:
        if host == "bad":
            raise ValueError("hunter2")
        return original(host, *more)

    monkeypatch.setattr(discovery, "discovery_of", defective)
    hosts = {name: (engines.start(name).endpoint,) for name in ("bad", "good")}
    found = read(configured(tmp_path, hosts))
    assert isinstance(found["good"], Complete)
    assert isinstance(found["bad"], Failed)
    assert not found["bad"].temporary
    assert "ValueError" in found["bad"].reason
    assert "hunter2" not in found["bad"].reason


def test_an_engine_whose_name_does_not_resolve_in_time_is_given_up(
    tmp_path: Path, engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has no time limit of its own does not hold up the others."""
    from cloudsync.sources.docker import engine as reading

    release = threading.Event()
    original = reading.way_to

    def way_to(engine: str, *more: Any) -> Any:
        if "slow" in engine:
            release.wait(20)
        return original(engine, *more)

    monkeypatch.setattr(reading, "way_to", way_to)
    hosts = {"slow": ("unix:///slow",), "good": (engines.start("good").endpoint,)}
    start = time.monotonic()
    found = read(configured(tmp_path, hosts, host_timeout=3.0))
    took = time.monotonic() - start
    release.set()
    assert isinstance(found["good"], Complete)
    assert isinstance(found["slow"], Failed)
    assert took < 10


def test_a_manager_says_what_the_other_nodes_need_and_never_opens_it(
    tmp_path: Path, engines: Engines
) -> None:
    found = read(configured(tmp_path, {"manager": (manager(engines).endpoint,)}))["manager"]
    assert isinstance(found, Complete)
    assert any("192.0.2.2" in remark and "2377/tcp" in remark for remark in found.remarks)
    assert not {port.first for port in found.required} & {2377, 7946, 4789}


@pytest.mark.parametrize(
    ("answer", "temporary"),
    [((503, {"message": "no leader"}), True), ((403, b"<html>"), False), ((200, {}), True)],
)
def test_law1_a_manager_whose_services_cannot_be_read_is_not_known_completely(
    tmp_path: Path, engines: Engines, answer: Any, temporary: bool
) -> None:
    engine = manager(engines)
    engine.routes["/services"] = answer
    found = read(configured(tmp_path, {"manager": (engine.endpoint,)}))["manager"]
    assert isinstance(found, Partial)
    assert found.temporary is temporary
    assert "services" in found.reasons[0]


@pytest.mark.parametrize("state", ["locked", "pending", "error"])
def test_law1_a_node_whose_swarm_is_not_settled_is_not_known_completely(
    tmp_path: Path, engines: Engines, state: str
) -> None:
    engine = engines.start("node", Swarm={"LocalNodeState": state})
    found = read(configured(tmp_path, {"node": (engine.endpoint,)}))["node"]
    assert isinstance(found, Partial)
    assert state in found.reasons[0]
