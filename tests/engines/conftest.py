from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engines.kinds import Kind, tried
from tests.engines.report import differs
from tests.engines.site import Site
from tests.host import namespace

__all__ = ["differs"]


@pytest.fixture(scope="module", params=tried())
def kind(request: pytest.FixtureRequest) -> Kind:
    """Which engine."""
    kind = request.param
    assert isinstance(kind, Kind)
    return kind


@pytest.fixture(scope="module")
def site(kind: Kind) -> Iterator[Site]:
    """An engine of this kind on a machine on the Internet. Skips the test where there can be
    none."""
    namespace.needs()
    with Site(kind) as site:
        yield site
