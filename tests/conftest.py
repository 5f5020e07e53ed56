from __future__ import annotations

import gc
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

import cloudsync.reconcile.make_plan
from cloudsync.provider.retry import backoff
from tests.doubles.http import not_at_hand
from tests.effort import PROFILE, examples
from tests.engines.remains import remains
from tests.order import seconds
from tests.ram_disk import ONLY_STATE, RAM_DISK
from tests.world import World, build

pytest_plugins = ["cloudsync.testing"]

settings.register_profile(
    PROFILE,
    max_examples=examples(100),
    deadline=None,
    # How fast examples are made says how busy the machine is, not what the code does.
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(PROFILE)

# So wide that a sentence is one line; a test of a screen says how wide it is.
os.environ["COLUMNS"] = "400"

_KIND = re.compile(r"(docker|podman)-(here|bookworm|trixie|sid|experimental)(-rootless|-legacy)?")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what it runs in the background deaf to Ctrl-C, and so would be every command a
    # test starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """With several workers (`make test`): a file's tests, or a class's, stay together and in order;
    so do all that share an engine of one kind. What takes longest is begun first."""
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):  # type: ignore[misc]  # xdist is not always there
        def _split_scope(self, nodeid: str) -> str:
            if not nodeid.startswith(("tests/engine/", "tests/engines/")):
                return nodeid.partition("[")[0].rpartition("::")[0]
            kind = _KIND.search(nodeid)
            folder = nodeid.partition("/test_")[0]
            return f"{folder} {kind[0] if kind else ''}"

        def _assign_work_unit(self, node: Any) -> None:
            longest = max(
                self.workqueue, key=lambda scope: seconds(scope, len(self.workqueue[scope]))
            )
            self.workqueue.move_to_end(longest, last=False)
            super()._assign_work_unit(node)

    return Together(config, log)


def pytest_collection_finish() -> None:
    """What is loaded now stays until the end, so that no collection of garbage looks through it:
    ten thousands of items, and the modules of the tests and of four SDKs. The limit is the one of
    the command (`cloudsync/__main__.py`)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """A run whose doubles are held against nothing must not look like one whose are."""
    if (why := not_at_hand()) is not None:
        terminalreporter.write_line(why, red=True, bold=True)


@pytest.fixture(scope="session", autouse=True)
def nothing_remains_of_engines() -> Iterator[None]:
    """Every engine of the session is gone at its end, with all it made. Here and not next to the
    engines, so that it is set up before the first of them and looked at after the last."""
    yield
    left = remains()
    assert not left, "\n".join(left)


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """pytest's own, or a folder in memory (`tests/ram_disk.py`)."""
    if RAM_DISK is None or not request.node.nodeid.startswith(ONLY_STATE):
        yield tmp_path
        return
    with TemporaryDirectory(prefix="test-", dir=RAM_DISK, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def quick_retries() -> Iterator[None]:
    """A call that failed is repeated almost at once."""
    with backoff(0.01, 0.02):
        yield


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose hosts answer what `world.discoveries` says."""
    built = build(tmp_path)
    monkeypatch.delenv("SSH_CONNECTION", raising=False)  # whoever runs the tests may sit on one
    monkeypatch.setattr(
        cloudsync.reconcile.make_plan,
        "read_hosts",
        lambda _c, names, *_: {name: built.discoveries[name] for name in names},
    )
    return built
