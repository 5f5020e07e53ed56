"""The README's first command on machines that have next to nothing: minimal Debian, its own
Python."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests import roots

BARE = ("python3", "make", "git", "ca-certificates")
SUITES = ("bookworm", "trixie")
OFTEN = {
    "demo": {"bookworm": "root", "trixie": "user"},
    "packages": {"bookworm": "user", "trixie": "root"},
}
"""In every run of the tests: both systems and both kinds of user, in half of the pairs."""
CLONE = "git clone --quiet /checkout ~/cloudsync && cd ~/cloudsync"

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(600),
    pytest.mark.skipif(roots.unavailable() is not None, reason=roots.unavailable() or ""),
]


def on(what: str, user: str, *parameters: str) -> list[object]:
    """A test on each system, with more parameters; skipped, before anything is prepared for it,
    where only long runs take this pair."""
    seldom = {suite for suite in SUITES if OFTEN[what][suite] != user}
    skipped = pytest.mark.skipif(
        "CLOUDSYNC_LONG" not in os.environ, reason="takes minutes: CLOUDSYNC_LONG=1"
    )
    return [
        pytest.param(suite, *parameters, marks=(skipped,) if suite in seldom else ())
        for suite in SUITES
    ]


@contextlib.contextmanager
def prepared(suite: str, packages: Sequence[str], folder: Path) -> Iterator[roots.Copy]:
    """A minimal Debian with this checkout in /checkout and a plain user."""
    with roots.copied(roots.made(suite, packages), folder) as copy:
        roots.checkout(copy.folder / "upper" / "checkout")
        done = copy.run("useradd --create-home --shell /bin/sh user; chown -R user /checkout")
        assert done.returncode == 0, done.stdout
        yield copy


@pytest.fixture
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[roots.Copy]:
    """A machine that has next to nothing."""
    with prepared(request.param, BARE, tmp_path / "machine") as copy:
        yield copy


@pytest.fixture
def with_venv(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[roots.Copy]:
    """A machine that can make virtual environments, too."""
    with prepared(request.param, (*BARE, "python3-venv"), tmp_path / "machine") as copy:
        yield copy


@pytest.mark.parametrize("machine", on("demo", "root"), indirect=True)
def test_make_demo_sets_up_all_it_needs_as_root(machine: roots.Copy) -> None:
    git = "git config --global --add safe.directory /checkout"
    done = machine.run(f"{git} && {CLONE} && make demo && du -sm .venv", timeout=500)
    assert done.returncode == 0, done.stdout
    assert "Installing python3-venv" in done.stdout
    assert "Setting up .venv" in done.stdout
    assert "Nothing to do." in done.stdout
    megabytes = int(done.stdout.splitlines()[-1].split()[0])
    assert megabytes < 150


@pytest.mark.parametrize("machine", on("demo", "user"), indirect=True)
def test_make_demo_gives_a_plain_user_the_line_to_type_and_then_works(machine: roots.Copy) -> None:
    refused = machine.run(f"{CLONE} && make demo", user="user")
    assert refused.returncode != 0
    (line,) = [row.strip() for row in refused.stdout.splitlines() if row.strip().startswith("sudo")]
    typed = machine.run(line.replace("sudo ", ""), timeout=300)
    assert typed.returncode == 0, typed.stdout
    done = machine.run("cd ~/cloudsync && make demo", user="user", timeout=500)
    assert done.returncode == 0, done.stdout
    assert "Nothing to do." in done.stdout


@pytest.mark.parametrize("machine", SUITES, indirect=True)
def test_make_test_gives_a_plain_user_the_line_to_type(machine: roots.Copy) -> None:
    refused = machine.run(f"{CLONE} && make test", user="user")
    assert refused.returncode != 0
    assert "sudo apt-get update && sudo apt-get install -y" in refused.stdout
    assert "python3-venv" in refused.stdout


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("with_venv", "user"),
    [*on("packages", "root", "root"), *on("packages", "user", "user")],
    indirect=["with_venv"],
)
def test_the_package_tests_pass_where_nothing_else_is(with_venv: roots.Copy, user: str) -> None:
    """Building, installing and what the distributions hold, with the system's own Python."""
    git = "git config --global --add safe.directory /checkout"
    core = (
        "make .venv/.core && .venv/bin/python -m pip install --quiet -c constraints.txt"
        " -e '.[all,testing]' --group packages"
    )
    tests = ".venv/bin/python -m pytest tests/packages -q -n 0"
    done = with_venv.run(
        f"{git}; {CLONE} && {core} && {tests}",
        user=user,
        timeout=1700,
        # Of the libraries of four clouds next to nothing is imported.
        environ={"PIP_NO_COMPILE": "1"},
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout
    assert " failed" not in done.stdout
