"""The conformance suite on Brook."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from brook_double import BrookDouble
from brook_stage import BrookStage

from cloudsync.testing import Conformance


class TestBrook(Conformance):
    @pytest.fixture
    def stage(self) -> Iterator[BrookStage]:
        with BrookDouble() as double:
            yield BrookStage(double)
