from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.lab import Lab
from tests.engine.podman import Podman
from tests.engines.kinds import Kind, started, tried
from tests.engines.report import differs
from tests.first_use import limit_the_tests_themselves

__all__ = ["differs"]
KINDS = {"docker_kind", "kind", "podman_kind"}
"""The fixtures that say which engine."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The root of an engine is made for all of them."""
    limit_the_tests_themselves(
        item for item in items if not KINDS.isdisjoint(getattr(item, "fixturenames", ()))
    )


@pytest.fixture(scope="session", params=tried("docker"))
def docker_kind(request: pytest.FixtureRequest) -> Kind:
    """Which Docker."""
    kind = request.param
    assert isinstance(kind, Kind)
    return kind


@pytest.fixture(scope="session")
def session_engine(docker_kind: Kind) -> Iterator[Lab]:
    lab = docker_kind.docker()
    started(lab)
    yield lab
    lab.close()


@pytest.fixture
def engine(session_engine: Lab) -> Iterator[Lab]:
    """A running engine without containers."""
    session_engine.start()
    session_engine.remove_containers()
    yield session_engine
    session_engine.start()
    session_engine.remove_containers()


@pytest.fixture
def bound_to_loopback(docker_kind: Kind) -> Iterator[Lab]:
    """A running engine whose daemon.json has `"ip": "127.0.0.1"`."""
    with docker_kind.docker("--ip=127.0.0.1") as lab:
        yield lab


@pytest.fixture(scope="session", params=tried("podman"))
def podman_kind(request: pytest.FixtureRequest) -> Kind:
    """Which Podman, and whose."""
    kind = request.param
    assert isinstance(kind, Kind)
    return kind


@pytest.fixture(scope="session")
def session_podman(podman_kind: Kind) -> Iterator[Podman]:
    engine = podman_kind.podman()
    started(engine)
    yield engine
    engine.close()


@pytest.fixture
def podman(session_podman: Podman) -> Podman:
    """A running Podman without containers."""
    session_podman.start()
    session_podman.remove_containers()
    return session_podman
