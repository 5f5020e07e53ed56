"""The conformance suite every provider passes, ours or a stranger's: a pytest plugin, opted in by
`pytest_plugins = ["cloudsync.testing"]`.

Never loaded by itself. Needs the extra `cloudsync-firewall[testing]`. What to write:
`docs/writing-a-provider.md`, which is installed with the package (`cloudsync/docs`).
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

pytest.register_assert_rewrite("cloudsync.testing.run", "cloudsync.testing.suite")

from cloudsync.testing.language import Scenario, meant, scenario, spelled  # noqa: E402 - after the assertions are made to speak
from cloudsync.testing.scenarios import SCENARIOS  # noqa: E402
from cloudsync.testing.stage import (  # noqa: E402
    AcceptsByDefault,
    Attaches,
    CanBeDisabled,
    ComparesVersions,
    CoversTwice,
    Denies,
    ExpectsOfNew,
    FiltersPrivate,
    GetsIntoTrouble,
    HasAnswerOnly,
    HasLimit,
    HasNeighbours,
    HasOthers,
    HasPages,
    LacksMachines,
    LagsBehind,
    MarksTwice,
    Pends,
    ShowsAside,
    ShowsRules,
    Spelled,
    Stage,
    StageBase,
    Trouble,
)
from cloudsync.testing.suite import Conformance  # noqa: E402

__all__ = [
    "SCENARIOS",
    "AcceptsByDefault",
    "Attaches",
    "CanBeDisabled",
    "ComparesVersions",
    "Conformance",
    "CoversTwice",
    "Denies",
    "ExpectsOfNew",
    "FiltersPrivate",
    "GetsIntoTrouble",
    "HasAnswerOnly",
    "HasLimit",
    "HasNeighbours",
    "HasOthers",
    "HasPages",
    "LacksMachines",
    "LagsBehind",
    "MarksTwice",
    "Pends",
    "Scenario",
    "ShowsAside",
    "ShowsRules",
    "Spelled",
    "Stage",
    "StageBase",
    "Trouble",
    "meant",
    "scenario",
    "spelled",
]


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Remember that a part of a suite does not run, so that a capability without its scenario is
    not held against the provider."""
    for item in items:
        if (
            isinstance(item, pytest.Function)
            and isinstance(item.cls, type)
            and issubclass(item.cls, Conformance)
        ):
            item.config._cloudsync_deselected = True  # type: ignore[attr-defined]  # a mark of our own
