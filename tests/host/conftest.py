from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.lab import Lab
from tests.host.namespace import needs
from tests.host.site import Site


@pytest.fixture
def lab() -> Iterator[Lab]:
    needs("busybox")
    with Lab() as lab:
        lab.listen(22, 443, 8080, 8443)
        lab.listen(53, kind="udp")
        yield lab


@pytest.fixture
def site(lab: Lab, tmp_path: Path) -> Site:
    return Site(lab, tmp_path)
