from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.lab import Lab, started_or_skipped


@pytest.fixture(scope="session")
def session_engine() -> Iterator[Lab]:
    with started_or_skipped() as lab:
        yield lab


@pytest.fixture
def engine(session_engine: Lab) -> Iterator[Lab]:
    """A running engine without containers."""
    session_engine.start()
    session_engine.remove_containers()
    yield session_engine
    session_engine.start()
    session_engine.remove_containers()
