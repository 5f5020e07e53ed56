"""The suite as a test class: subclass it, supply a stage, and pytest runs every scenario the
provider declares itself fit for.

pytest_plugins = ["cloudsync.testing"]        # in conftest.py

class TestMine(Conformance):
    @pytest.fixture
    def stage(self):
        with MyDouble() as double:
            yield MyStage(double)
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from cloudsync.provider import registry
from cloudsync.provider.contract import Capabilities
from cloudsync.provider.retry import backoff
from cloudsync.rules import Rule
from cloudsync.testing.language import AnswersMore, Lags, Neighbour, Scenario, Spells
from cloudsync.testing.run import Run
from cloudsync.testing.scenarios import SCENARIOS
from cloudsync.testing.stage import (
    HasAnswerOnly,
    HasNeighbours,
    LagsBehind,
    ShowsRules,
    Stage,
)

FLAGS = (
    "icmp_types",
    "attaches",
    "descriptions",
    "all_protocols",
    "other_sources",
    "limited",
    "paged",
    "counted",
    "remote",
    "lag_seconds",
)


class Conformance:
    """Every scenario once; and at the end, that no declared capability went without one."""

    shown: ClassVar[dict[type, set[str]]] = {}

    @pytest.fixture
    def stage(self) -> Stage:
        """The vendor; override it."""
        raise NotImplementedError("a Conformance class supplies a fixture `stage`")

    @pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
    def test_scenario(
        self, scenario: Scenario, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        capabilities = registry.load(stage.type).capabilities
        if missing := lacking(scenario, capabilities):
            pytest.skip(f"the provider does not declare: {', '.join(sorted(missing))}")
        if unable := unable_to(scenario, stage):
            pytest.skip(f"the stage has no method: {', '.join(sorted(unable))}")
        for name, value in stage.environment.items():
            monkeypatch.setenv(name, value)
        with backoff(0.01, 0.02):
            Run(scenario, stage, tmp_path).play()
        self.shown.setdefault(type(self), set()).update(scenario.needs)

    def test_every_declared_capability_was_shown(
        self, stage: Stage, request: pytest.FixtureRequest
    ) -> None:
        if getattr(request.config, "_cloudsync_deselected", False):
            pytest.skip("not all scenarios were selected")
        declared = {flag for flag in FLAGS if getattr(registry.load(stage.type).capabilities, flag)}
        assert declared - self.shown.get(type(self), set()) == set(), (
            "declared, but no scenario of it was carried out"
        )


def lacking(scenario: Scenario, capabilities: Capabilities) -> set[str]:
    """What the scenario needs and the provider does not declare."""
    missing = {flag for flag in scenario.needs if not getattr(capabilities, flag)}
    if capabilities.protocols is not None:
        known = {Rule.of(name, "", ("0.0.0.0/0",)).protocol for name in capabilities.protocols}
        missing |= scenario.protocols - known
    return missing


def unable_to(scenario: Scenario, stage: Stage) -> set[str]:
    """What the scenario needs of the stage and every stage need not have."""
    able: dict[str, tuple[type, bool]] = {
        "rules": (Spells, isinstance(stage, ShowsRules)),
        "add_neighbour": (Neighbour, isinstance(stage, HasNeighbours)),
        "lag": (Lags, isinstance(stage, LagsBehind)),
        "answer_only": (AnswersMore, isinstance(stage, HasAnswerOnly)),
    }
    return {
        name
        for name, (step_type, has_it) in able.items()
        if not has_it and any(isinstance(step, step_type) for step in scenario.steps)
    }
