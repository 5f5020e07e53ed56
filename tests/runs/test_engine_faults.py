"""An engine that misbehaves: unknown is never empty, and nothing hangs."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudsync.model.ports import (
    Complete,
    Discovery,
    Failed,
    LabelScope,
    Partial,
)
from cloudsync.sources.docker.engine import read_engine
from tests.doubles.engine import FakeEngine, Truncated

pytestmark = pytest.mark.emulator
SCOPE = LabelScope({}, frozenset())


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[FakeEngine]:
    with FakeEngine(tmp_path, containers=3) as fake:
        yield fake


def read(engine: FakeEngine, timeout: float = 5.0, concurrency: int = 4) -> Discovery:
    return read_engine("web-1", engine.endpoint, SCOPE, timeout=timeout, concurrency=concurrency)


def first(engine: FakeEngine) -> str:
    return f"/containers/{engine.id(0)}/json"


def test_a_good_engine_is_complete(engine: FakeEngine) -> None:
    found = read(engine)
    assert isinstance(found, Complete)
    assert sorted(port.first for port in found.required) == [8000, 8001, 8002]


def test_only_get_is_ever_sent(engine: FakeEngine) -> None:
    read(engine)
    assert {method for method, _ in engine.requests} == {"GET"}


def test_the_client_knows_no_other_method(engine: FakeEngine) -> None:
    from cloudsync.sources.docker.client import Engine

    public = {name for name in vars(Engine) if not name.startswith("_")}
    assert public == {"get", "close", "connected"}


@pytest.mark.parametrize("path", ["/info", "/networks", "/containers/json"])
@pytest.mark.parametrize(
    ("answer", "temporary"),
    [
        ((403, b"<html>forbidden</html>"), False),
        ((401, {"message": "no"}), False),
        ((500, {"message": "no"}), True),
        ((200, Truncated(b'[{"Id": "')), True),
        ((200, b"not json"), True),
        ((200, b"[" * 100_000), True),
    ],
    ids=["403", "401", "500", "truncated", "text", "deep"],
)
def test_an_engine_that_cannot_be_read_is_failed(
    engine: FakeEngine, path: str, answer: Any, temporary: bool
) -> None:
    engine.routes[path] = answer
    found = read(engine)
    assert isinstance(found, Failed)
    assert found.temporary is temporary
    assert "\n" not in found.reason
    if not temporary:
        assert path in found.reason


@pytest.mark.parametrize("answer", [{}, [1], [{}], [{"Id": None}], [{"Id": "../x"}], None, "x"])
def test_a_list_of_another_shape_is_failed_and_never_empty(engine: FakeEngine, answer: Any) -> None:
    engine.routes["/containers/json"] = (200, answer)
    assert isinstance(read(engine), Failed)


def test_a_container_that_is_gone_after_the_list_is_a_normal_race(engine: FakeEngine) -> None:
    del engine.routes[first(engine)]
    found = read(engine)
    assert isinstance(found, Complete)
    assert sorted(port.first for port in found.required) == [8001, 8002]


def test_law1_a_container_that_replaced_another_one_during_the_read_is_read(
    engine: FakeEngine,
) -> None:
    """`docker compose up` after a pull: what was listed is gone, another one has its port."""
    del engine.routes[first(engine)]
    engine.routes[f"/containers/{engine.id(7)}/json"] = FakeEngine.container(0) | {
        "Id": engine.id(7)
    }
    lists = [[0, 1, 2], [7, 1, 2]]
    engine.routes["/containers/json"] = lambda: [
        {"Id": engine.id(number), "State": "running"} for number in lists.pop(0)
    ]
    found = read(engine)
    assert isinstance(found, Complete)
    assert sorted(port.first for port in found.required) == [8000, 8001, 8002]


PODMAN = {
    "ApiVersion": "1.41",
    "MinAPIVersion": "1.12",
    "Version": "5.4.0",
    "Components": [{"Name": "Podman Engine"}],
}


@pytest.mark.parametrize("state", ["exited", "running"])
def test_law1_a_container_that_podmans_own_api_does_not_have_was_not_read(
    engine: FakeEngine, state: str
) -> None:
    """Behind a proxy that passes Docker's API alone: whether it is a crash loop, and which of its
    ports Podman picked, nobody says."""
    engine.routes["/version"] = PODMAN
    looping = engine.container(0)
    looping["State"] = {"Status": state}
    looping["HostConfig"] |= {"RestartPolicy": {"Name": "always"}}
    engine.routes[first(engine)] = looping
    engine.routes["/containers/json"] = [{"Id": engine.id(0), "State": state}]
    found = read(engine)
    assert isinstance(found, Partial)
    assert not found.temporary
    assert "/libpod" in found.reasons[0]
    assert not found.required


def test_a_container_that_podman_removed_meanwhile_is_a_normal_race(engine: FakeEngine) -> None:
    engine.routes["/version"] = PODMAN
    lists: list[list[Any]] = [[{"Id": engine.id(0), "State": "running"}], []]
    engine.routes["/containers/json"] = lambda: lists.pop(0)
    found = read(engine)
    assert isinstance(found, Complete)
    assert not found.required


@pytest.mark.parametrize(
    "answer",
    [(500, {"message": "no"}), (403, {}), (200, Truncated(b"{")), (200, []), (200, {"Id": "x"})],
    ids=["500", "403", "cut", "list", "bare"],
)
def test_a_container_that_cannot_be_inspected_makes_the_host_partial(
    engine: FakeEngine, answer: Any
) -> None:
    engine.routes[first(engine)] = answer
    found = read(engine)
    assert isinstance(found, Partial)
    assert sorted(port.first for port in found.required) == [8001, 8002]


def test_an_image_that_cannot_be_inspected_makes_its_labels_untrusted_and_the_host_partial(
    engine: FakeEngine,
) -> None:
    engine.routes[first(engine)] = engine.container(0, **{"cloudsync.expose": "true"})
    engine.routes["/images/sha256:1/json"] = (500, {"message": "no"})
    found = read(engine)
    assert isinstance(found, Partial)
    assert not any(port.asked for port in found.required)


@pytest.mark.parametrize("status", [403, 404, 500])
def test_law1_an_image_that_cannot_be_found_was_not_read(engine: FakeEngine, status: int) -> None:
    """A container's image exists, whatever the engine answers (moby 46866, 44624)."""
    engine.routes[first(engine)] = engine.container(0, **{"cloudsync.expose": "true"})
    engine.routes["/images/sha256:1/json"] = (status, {"message": "No such image"})
    found = read(engine)
    assert isinstance(found, Partial)
    assert not any(port.asked for port in found.required)


def test_law1_a_container_that_is_still_listed_as_running_was_not_read(engine: FakeEngine) -> None:
    del engine.routes[first(engine)]
    engine.routes["/containers/json"] = [
        {"Id": engine.id(number), "State": "running"} for number in range(3)
    ]
    found = read(engine)
    assert isinstance(found, Partial)
    assert "404" in found.reasons[0]


def test_a_swarm_node_is_not_known_completely(engine: FakeEngine) -> None:
    engine.routes["/info"] = {"Swarm": {"LocalNodeState": "active"}}
    found = read(engine)
    assert isinstance(found, Partial)
    assert "Swarm" in found.reasons[0]
    assert len(found.required) == 3


def test_an_engine_that_hangs_is_given_up_in_time(engine: FakeEngine) -> None:
    release = threading.Event()
    engine.routes["/containers/json"] = lambda: release.wait(20) and []
    start = time.monotonic()
    found = read(engine, timeout=2.0)
    release.set()
    assert isinstance(found, Failed)
    assert found.temporary
    assert "host_timeout" in found.reason
    assert time.monotonic() - start < 5.0


def test_the_timeout_is_for_all_requests_together(tmp_path: Path) -> None:
    with FakeEngine(tmp_path, containers=40) as engine:
        engine.slow = 0.3
        start = time.monotonic()
        found = read(engine, timeout=2.5, concurrency=2)
        assert isinstance(found, Partial)
        assert time.monotonic() - start < 5.5


class Trickle:
    """Answers with a byte every tenth of a second: in the body, or in a header that never ends."""

    def __init__(self, part: str) -> None:
        self.part, self.over = part, threading.Event()

    def serve(self, handler: Any) -> None:
        handler.close_connection = True
        if self.part == "body":
            handler.send_response(200)
            handler.send_header("Content-Length", "100000")
            handler.end_headers()
        else:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        with contextlib.suppress(OSError):
            while not self.over.wait(0.1):
                handler.wfile.write(b"1")


@pytest.mark.parametrize("part", ["body", "header"])
@pytest.mark.parametrize("path", ["/info", "/containers/json", "one"])
def test_the_time_of_a_host_is_over_however_slowly_bytes_arrive(
    engine: FakeEngine, part: str, path: str
) -> None:
    trickle = Trickle(part)
    engine.routes[first(engine) if path == "one" else path] = trickle
    start = time.monotonic()
    found = read(engine, timeout=2.0)
    took = time.monotonic() - start
    trickle.over.set()
    assert isinstance(found, Partial if path == "one" else Failed)
    assert took < 5.0


@pytest.mark.parametrize(
    "answer",
    [b"[" + b"{}," * 600_000 + b"{}]", b"[" + b"[]," * 600_000 + b"[]]", b" " * (17 << 20)],
    ids=["objects", "lists", "bytes"],
)
def test_an_answer_that_does_not_fit_is_not_taken_apart(engine: FakeEngine, answer: bytes) -> None:
    """21 MB of `{}` became 640 MB of memory."""
    engine.routes["/containers/json"] = (200, answer)
    found = read(engine)
    assert isinstance(found, Failed)
    assert not found.temporary


def test_the_answers_of_a_host_are_bounded_together(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cloudsync.sources.docker import client

    monkeypatch.setattr(client, "MAX_TOTAL", 100_000)
    big = engine.container(0) | {"Unused": "x" * 60_000}
    for number in range(3):
        engine.routes[f"/containers/{engine.id(number)}/json"] = big
    found = read(engine, concurrency=1)
    assert isinstance(found, Partial)
    assert "larger" in found.reasons[0]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_an_engine_sends_us_nowhere_else(engine: FakeEngine, status: int) -> None:
    class Redirect:
        def serve(self, handler: Any) -> None:
            handler.send_response(status)
            handler.send_header("Location", "/networks")
            handler.send_header("Content-Length", "0")
            handler.end_headers()

    engine.routes["/info"] = Redirect()
    before = len(engine.requests)
    assert isinstance(read(engine), Failed)
    assert [path for _, path in engine.requests[before:]] == ["/version", "/info"]


@pytest.mark.parametrize(
    "config",
    [
        '{"auths": {"registry.example": {"auth": ""}}}',
        '{"auths": {"registry.example": {"auth": "bm9jb2xvbg=="}}}',
        '{"auths": {"registry.example": {"auth": "no base64"}}}',
        '{"auths": {"registry.example": "text"}}',
        '{"proxies": null}',
        "[]",
    ],
)
def test_the_docker_commands_settings_are_not_looked_at(
    engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str
) -> None:
    """docker-py 927, 1022: a registry's password made every engine unreadable."""
    (tmp_path / "config.json").write_text(config)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert isinstance(read(engine), Complete)


def test_nothing_of_the_users_environment_is_sent(
    engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("default login anonymous password hunter2")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    sent: list[str] = []

    class Listening:
        def serve(self, handler: Any) -> None:
            sent.extend(f"{key}: {value}" for key, value in handler.headers.items())
            handler.close_connection = True

    engine.routes["/info"] = Listening()
    read(engine)
    assert set(sent) == {"Host: docker", "Accept-Encoding: identity"}


def test_a_container_that_makes_no_sense_is_named(engine: FakeEngine) -> None:
    strange = engine.container(0)
    strange["NetworkSettings"]["Ports"] = {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "70000"}]}
    engine.routes[first(engine)] = strange
    found = read(engine)
    assert isinstance(found, Partial)
    assert not found.temporary
    assert "c0" in found.reasons[0]
    assert sorted(port.first for port in found.required) == [8001, 8002]


def test_a_network_made_after_the_list_is_looked_up(engine: FakeEngine) -> None:
    late = engine.container(0)
    late["NetworkSettings"]["Networks"] = {"late": {"NetworkID": "n2"}}
    engine.routes[first(engine)] = late
    lists = iter([[], [{"Id": "n2", "Name": "late", "Driver": "bridge"}]])
    known = engine.routes["/networks"]
    engine.routes["/networks"] = lambda: [*known, *next(lists)]
    assert isinstance(read(engine), Complete)


def test_law1_a_network_that_is_not_listed_though_a_container_is_on_it_was_not_read(
    engine: FakeEngine,
) -> None:
    engine.routes["/networks"] = []
    found = read(engine)
    assert isinstance(found, Partial)
    assert "network" in found.reasons[0]


def test_no_more_requests_at_once_than_told(tmp_path: Path) -> None:
    with FakeEngine(tmp_path, containers=30) as engine:
        engine.slow = 0.02
        assert isinstance(read(engine, concurrency=4), Complete)
        assert 1 < engine.most_at_once <= 4


def test_connections_are_used_again(tmp_path: Path) -> None:
    with FakeEngine(tmp_path, containers=30) as engine:
        assert isinstance(read(engine, concurrency=1), Complete)
        assert len(engine.requests) > 30
        assert engine.connections == 1


def test_a_missing_socket_and_a_refusing_one_are_worth_another_try(tmp_path: Path) -> None:
    import socket

    found = read_engine("web-1", f"unix://{tmp_path}/none.sock", SCOPE, timeout=2, concurrency=1)
    assert isinstance(found, Failed)
    assert found.temporary
    assert "does not exist" in found.reason
    with socket.socket(socket.AF_UNIX) as closed:
        closed.bind(str(tmp_path / "closed.sock"))
        found = read_engine(
            "web-1", f"unix://{tmp_path}/closed.sock", SCOPE, timeout=2, concurrency=1
        )
    assert isinstance(found, Failed)
    assert found.temporary
    assert "refuses connections" in found.reason


def test_a_forbidden_socket_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cloudsync.sources.docker.client import connection_error

    wrapped = ConnectionError("Connection aborted.", PermissionError(13, "Permission denied"))
    error = connection_error(wrapped)
    assert not error.temporary
    assert "group docker" in str(error)
    assert os.fspath(tmp_path) not in str(error)
