"""The manual pages as `man` shows them, and completion as it is typed in the three shells."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.mark.skipif(shutil.which("man") is None, reason="needs man")
@pytest.mark.parametrize("page", sorted(path.name for path in (DEPLOY / "man").iterdir()))
def test_man_shows_every_page_without_a_warning(page: str) -> None:
    shown = subprocess.run(
        ["man", "--warnings=w", "-l", str(DEPLOY / "man" / page)],
        env={"PATH": "/usr/bin:/bin", "MANWIDTH": "80", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert shown.stderr == ""
    assert "EXAMPLES" in shown.stdout or page == "cloudsync.1"


def shell(name: str, script: str) -> str:
    """What a script prints in a shell that finds `cloudsync` of this environment."""
    if shutil.which(name) is None:
        pytest.skip(f"needs {name}")
    done = subprocess.run(
        [name, "-c", script],
        env={
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": "/nonexistent",
            "TERM": "dumb",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout


def test_bash_completes_from_the_installed_script() -> None:
    file = DEPLOY / "completion" / "cloudsync.bash"
    done = shell(
        "bash",
        f"source {file}; complete -p cloudsync; COMP_WORDS=(cloudsync pl); COMP_CWORD=1; "
        '_cloudsync_completion cloudsync; echo "got ${COMPREPLY[*]}"',
    )
    assert "got plan" in done
    assert "complete -o nosort -F _cloudsync_completion cloudsync" in done


def test_fish_completes_from_the_installed_script() -> None:
    file = DEPLOY / "completion" / "cloudsync.fish"
    done = shell("fish", f"source {file}; complete -C 'cloudsync pl'")
    assert done.splitlines()[0].startswith("plan")


def test_zsh_completes_from_the_installed_script() -> None:
    """On a terminal, since its completion needs the line editor."""
    if shutil.which("zsh") is None:
        pytest.skip("needs zsh")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["zsh", "-f", "-i"],
        env={
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "TERM": "dumb",
            "PS1": "",
            "HOME": "/nonexistent",
        },
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        loads = (
            f"fpath=({DEPLOY}/completion $fpath); autoload -U compinit; compinit -u -D; print"
            " rea''dy"
        )
        os.write(ours, f"{loads}\n".encode())
        _read_until(ours, "ready")
        os.write(ours, b"cloudsync pla\t --help\n")
        assert "Usage: cloudsync plan" in _read_until(ours, "Examples:")
        os.write(ours, b"exit\n")
        process.wait(20)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _read_until(terminal: int, word: str) -> str:
    shown = ""
    while word not in shown:
        assert select.select([terminal], [], [], 40)[0], f"no {word!r} in {shown!r}"
        shown += os.read(terminal, 65536).decode(errors="replace")
    return shown
