from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.engine.lab import Lab, started_or_skipped
from tests.engines.rooted import rooted_or_skipped

KINDS: dict[str, Callable[..., Lab]] = {
    "this-machine": started_or_skipped,
    "trixie": partial(rooted_or_skipped, "trixie"),
}
"""Docker as this machine has it (bookworm: 20.10), and 26.1."""


@pytest.fixture(scope="module", params=list(KINDS))
def started(request: pytest.FixtureRequest) -> Iterator[Lab]:
    with KINDS[request.param]() as lab:
        yield lab


@pytest.fixture
def engine(started: Lab) -> Iterator[Lab]:
    """A running engine without containers."""
    yield started
    started.remove_containers()


@pytest.fixture(params=list(KINDS))
def bound_to_loopback(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A running engine whose daemon.json has `"ip": "127.0.0.1"`."""
    with KINDS[request.param]("--ip=127.0.0.1") as lab:
        yield lab
