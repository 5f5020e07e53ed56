from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.conftest import zygotes  # noqa: F401 - a fixture
from tests.first_use import limit_the_tests_themselves
from tests.openstack.login import Cloud
from tests.openstack.proxy import NeutronProxy
from tests.openstack.shared import shared_server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The environment of the server is built for all of them."""
    limit_the_tests_themselves(
        (item for item in items if "neutron" in getattr(item, "fixturenames", ())), seconds=300
    )


@pytest.fixture(scope="session")
def neutron() -> Iterator[int]:
    """The port of the real server."""
    with shared_server() as port:
        yield port


@pytest.fixture
def proxy(neutron: int) -> Iterator[NeutronProxy]:
    """A project of its own behind a proxy of its own."""
    with NeutronProxy(neutron) as proxy:
        yield proxy


@pytest.fixture
def cloud(neutron: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Cloud]:
    """Nothing of the person who runs the tests is in the environment."""
    for name in list(os.environ):
        if name.startswith("OS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))
    monkeypatch.setenv("HOME", str(tmp_path))
    with Cloud(neutron) as cloud:
        yield cloud
