"""An engine that misbehaves: unknown is never empty, and nothing hangs."""

from __future__ import annotations

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
    found = read(engine, timeout=1.2)
    release.set()
    assert isinstance(found, Failed)
    assert found.temporary
    assert "host_timeout" in found.reason
    assert time.monotonic() - start < 3.0


def test_the_timeout_is_for_all_requests_together(tmp_path: Path) -> None:
    with FakeEngine(tmp_path, containers=40) as engine:
        engine.slow = 0.2
        start = time.monotonic()
        found = read(engine, timeout=1.5, concurrency=2)
        assert isinstance(found, Partial)
        assert time.monotonic() - start < 3.5


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
