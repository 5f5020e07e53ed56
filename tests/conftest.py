from __future__ import annotations

from pathlib import Path

import pytest

import cloudsync.reconcile
from tests.world import World, build

pytest_plugins = ["cloudsync.testing"]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose hosts answer what `world.discoveries` says."""
    built = build(tmp_path)
    monkeypatch.delenv("SSH_CONNECTION", raising=False)  # whoever runs the tests may sit on one
    monkeypatch.setattr(
        cloudsync.reconcile, "read_hosts", lambda _c, names, _p: {name: built.discoveries[name] for name in names}
    )
    return built
