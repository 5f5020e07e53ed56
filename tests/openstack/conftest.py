from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crash.conftest import zygotes  # noqa: F401 - a fixture
from tests.openstack.proxy import NeutronProxy
from tests.openstack.shared import shared_server

FIRST_USE_SECONDS = 600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whichever test comes first waits for the environment to be built."""
    for item in items:
        if "neutron" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(FIRST_USE_SECONDS))


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
