"""The SSH connection that `sudo` hides from a run is found again, from the processes above it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudsync.cli.login import restore_login

LOGIN = "203.0.113.7 50000 198.51.100.10 22"
OTHER = "192.0.2.9 40000 198.51.100.10 22"


def processes(folder: Path, *ancestors: tuple[str, str | None]) -> int:
    """A /proc of ancestors, the nearest first, each with its name and the login it was started
    with; the number of the nearest."""
    for number, (name, login) in enumerate(ancestors, 10):
        process = folder / str(number)
        process.mkdir()
        parent = number + 1 if number < 9 + len(ancestors) else 1
        (process / "stat").write_text(f"{number} ({name}) S {parent} 5 5 0 -1 4194560 77\n")
        words = ["LANG=C", *([f"SSH_CONNECTION={login}"] if login else []), "HOME=/root"]
        (process / "environ").write_bytes("\0".join(words).encode())
    return 10


@pytest.mark.parametrize(
    ("ancestors", "login"),
    [
        ([("sudo", LOGIN), ("bash", LOGIN)], LOGIN),
        ([("bash", None), ("sudo", None), ("sudo", LOGIN), ("bash", LOGIN)], LOGIN),
        ([("bash", None), ("su", None), ("bash", None), ("doas", LOGIN), ("sshd", None)], LOGIN),
        ([("a (b) su", LOGIN), ("bash", LOGIN)], None),
        ([("bash", LOGIN), ("cron", LOGIN)], None),
        ([("sudo", None), ("systemd", LOGIN)], None),
        ([("sudo", None), ("sshd: deploy", None), ("sudo", OTHER)], None),
    ],
)
def test_law2_a_login_is_what_the_program_that_changed_users_was_started_in(
    tmp_path: Path, ancestors: list[tuple[str, str | None]], login: str | None
) -> None:
    environ: dict[str, str] = {}
    restore_login(environ, processes(tmp_path, *ancestors), tmp_path)
    assert environ.get("SSH_CONNECTION") == login


def test_a_login_that_is_known_stays(tmp_path: Path) -> None:
    environ = {"SSH_CONNECTION": OTHER}
    restore_login(environ, processes(tmp_path, ("sudo", LOGIN)), tmp_path)
    assert environ == {"SSH_CONNECTION": OTHER}


def test_ancestors_that_cannot_be_looked_at_are_no_login(tmp_path: Path) -> None:
    environ: dict[str, str] = {}
    restore_login(environ, 4711, tmp_path)
    number = processes(tmp_path, ("sudo", LOGIN))
    (tmp_path / str(number) / "environ").unlink()
    restore_login(environ, number, tmp_path)
    assert environ == {}
