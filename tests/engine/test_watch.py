"""`cloudsync watch` on a real engine: a short soak. `make soak` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.lab import Lab
from tests.engine.soak import soak

pytestmark = [pytest.mark.engine, pytest.mark.emulator]


@pytest.mark.timeout(300)
def test_wanted_ports_stay_open_while_containers_crash_and_come_and_go_and_the_engine_dies(
    engine: Lab, tmp_path: Path
) -> None:
    seen = soak(tmp_path, engine, 12, outages=1, settle=False)
    assert seen.problems == [], seen
    assert seen.outages == 1
    assert seen.runs >= 2
