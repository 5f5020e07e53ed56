"""Every provider of the house on every scenario."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudsync.testing import Conformance
from tests.conformance.digitalocean import DigitalOceanStage
from tests.conformance.hetzner import HetznerStage
from tests.conformance.local import LocalStage
from tests.emulators.digitalocean import DigitalOceanDouble
from tests.emulators.hetzner import HetznerDouble


class TestLocal(Conformance):
    @pytest.fixture
    def stage(self, tmp_path: Path) -> LocalStage:
        (tmp_path / "vendor").mkdir()
        return LocalStage(tmp_path / "vendor")


@pytest.mark.emulator
class TestHetzner(Conformance):
    @pytest.fixture
    def stage(self) -> Iterator[HetznerStage]:
        with HetznerDouble() as double:
            yield HetznerStage(double)


@pytest.mark.emulator
class TestDigitalOcean(Conformance):
    @pytest.fixture
    def stage(self) -> Iterator[DigitalOceanStage]:
        with DigitalOceanDouble() as double:
            yield DigitalOceanStage(double)
