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

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from cloudsync.provider import registry
from cloudsync.provider.check import problems_of
from cloudsync.provider.contract import Capabilities
from cloudsync.provider.pace import hurried
from cloudsync.rules import Rule
from cloudsync.testing.language import SHOWN_BY_STAGE, Goes, Scenario
from cloudsync.testing.run import Run
from cloudsync.testing.scenarios import SCENARIOS
from cloudsync.testing.stage import FLAGS, SHOWN_BY, Stage, shown


class Conformance:
    """Every scenario once; before them, that the plugin is whole; at the end, that no declared
    capability went without a scenario, and that nothing the vendor has went undeclared."""

    played: ClassVar[dict[type, set[str]]] = {}
    excused: ClassVar[frozenset[str]] = frozenset()
    """Capabilities of the vendor that this stage does not show, because another one does."""
    scenarios: ClassVar[Sequence[Scenario]] = SCENARIOS
    """Those that are carried out; fewer for a stage that cannot have them all."""

    @pytest.fixture
    def stage(self) -> Stage:
        """The vendor; override it."""
        raise NotImplementedError("a Conformance class supplies a fixture `stage`")

    def test_the_plugin_is_whole(self, stage: Stage) -> None:
        problems = problems_of(stage.type)
        assert not problems, "; ".join(problems)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One test for each of `scenarios`."""
        if "scenario" in metafunc.fixturenames:
            metafunc.parametrize("scenario", self.scenarios, ids=str)

    def test_scenario(
        self,
        scenario: Scenario,
        stage: Stage,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        request: pytest.FixtureRequest,
    ) -> None:
        capabilities = registry.load(stage.type).capabilities
        if missing := lacking(scenario, capabilities):
            pytest.skip(f"the provider does not declare: {', '.join(sorted(missing))}")
        if unable := unable_to(scenario, stage):
            pytest.skip(f"the stage is none that: {', '.join(sorted(unable))}")
        for name, value in stage.environment.items():
            monkeypatch.setenv(name, value)
        run = Run(scenario, stage, tmp_path)
        try:
            with hurried():
                run.play()
        except AssertionError:
            request.node.add_report_section("call", "the scenario", str(run.transcript))
            raise
        self.played.setdefault(type(self), set()).update(scenario.needs)

    def test_every_declared_capability_was_shown(
        self, stage: Stage, request: pytest.FixtureRequest
    ) -> None:
        if getattr(request.config, "_cloudsync_deselected", False):
            pytest.skip("not all scenarios were selected")
        capabilities = registry.load(stage.type).capabilities
        declared = {flag for flag in FLAGS if getattr(capabilities, flag)}
        unshown = sorted(declared - self.played.get(type(self), set()) - self.excused)
        assert not unshown, f"declared, but no scenario of it was carried out: {_how(unshown)}"

    def test_nothing_the_vendor_has_is_undeclared(self, stage: Stage) -> None:
        capabilities = registry.load(stage.type).capabilities
        undeclared = sorted(flag for flag in shown(stage) if not getattr(capabilities, flag))
        assert not undeclared, (
            f"the stage shows what the provider does not declare: {', '.join(undeclared)}"
        )


def lacking(scenario: Scenario, capabilities: Capabilities) -> set[str]:
    """What the scenario needs and the provider does not declare."""
    missing = {flag for flag in scenario.needs if not getattr(capabilities, flag)}
    if capabilities.protocols is not None:
        known = {Rule.of(name, "", ("0.0.0.0/0",)).protocol for name in capabilities.protocols}
        missing |= scenario.protocols - known
    return missing


def unable_to(scenario: Scenario, stage: Stage) -> set[str]:
    """What the scenario needs the stage to be, and it is not."""
    needed = {SHOWN_BY_STAGE.get(type(step)) for step in scenario.steps}
    needed |= {SHOWN_BY.get(flag) for flag in scenario.needs}
    unable = {
        protocol.__name__
        for protocol in needed
        if protocol is not None and not isinstance(stage, protocol)
    }
    kinds = {step.kind for step in scenario.steps if isinstance(step, Goes)}
    return unable | {f"has the trouble {kind}" for kind in kinds & stage.cannot}


def _how(flags: Sequence[str]) -> str:
    """Which stage would show each of them."""
    return ", ".join(
        f"{flag} (the stage must be one that {SHOWN_BY[flag].__name__})"
        if flag in SHOWN_BY
        else flag
        for flag in flags
    )
