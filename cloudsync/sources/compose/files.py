"""The files of a project: local ones only, regular ones only, bounded, and inside the folders that
the configuration names.

A Compose file may come from a pull request while the plan is made with the secrets of the
repository at hand. What it can make cloudsync read (`include`, `extends`, `env_file`, `label_file`,
a symbolic link) therefore stays inside the folder of the configuration and the folders of the files
that the configuration names; the process's environment and devices are never read.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from cloudsync.sources.compose.budget import Budget
from cloudsync.sources.compose.nodes import ComposeError, Place

MAX_BYTES = 512 * 1024

NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)
_REMOTE = re.compile(
    r"[a-z][a-z0-9+.-]*://|git@|github\.com[:/]|oci:|git:|.*\.git(#.*)?$", re.IGNORECASE
)
_NO_FILES = ("/proc", "/sys", "/dev")


class Files:
    """Reads for one project. `base`: the folder of the configuration, which names in messages are
    relative to."""

    def __init__(self, base: Path, named: Iterable[Path]) -> None:
        self.base = Path(os.path.realpath(base))
        folders = [path if path.is_dir() else path.parent for path in named]
        self.roots = (self.base, *(Path(os.path.realpath(folder)) for folder in folders))
        self.budget = Budget()

    def name(self, path: Path) -> str:
        """How messages and origins call a file: relative to the configuration where it lies below
        it."""
        path = Path(os.path.normpath(path))
        return str(path.relative_to(self.base)) if path.is_relative_to(self.base) else str(path)

    def resolve(self, text: str, folder: Path, place: Place) -> Path:
        """A path that a Compose file names, relative to `folder`. Raises `ComposeError` for a
        remote one and one that leaves the roots."""
        refuse_remote(text, place)
        if "\0" in text:
            raise ComposeError(place, "a path holds a character that no path has")
        path = Path(os.path.realpath(folder / text))
        if not any(path.is_relative_to(root) for root in self.roots):
            raise ComposeError(
                place,
                f"{text[:200]} lies outside of the folders that the configuration names; "
                "keep the configuration above it, or name a file of that folder in hosts.X.compose",
            )
        return path

    def text(self, path: Path, place: Place | str, *, inside: bool = True) -> str:
        """A file's text. `inside`: it must lie within the roots, symbolic links followed. Raises
        `ComposeError`."""
        self.budget.file(place)
        shown = self.name(path)
        try:
            real = Path(os.path.realpath(path))
            if any(real.is_relative_to(folder) for folder in _NO_FILES):
                raise ComposeError(place, f"{shown} is no ordinary file")
            if inside and not any(real.is_relative_to(root) for root in self.roots):
                raise ComposeError(
                    place, f"{shown} leads out of the folders that the configuration names"
                )
            text = _bounded(real, shown, place)
        except OSError as error:
            raise ComposeError(
                place, f"{shown} cannot be read: {error.strerror or type(error).__name__}"
            ) from None
        except ValueError:
            raise ComposeError(place, f"{shown} is not UTF-8 text") from None
        self.budget.read(len(text), place)
        return text


def refuse_remote(text: str, place: Place | str) -> None:
    """Raises `ComposeError` for what docker compose would fetch from Git or a registry."""
    if _REMOTE.match(text):
        raise ComposeError(
            place,
            "is remote (Git or OCI); only local files are read: check it out, and name the file",
        )


def find(folder: Path, shown: str) -> tuple[Path, ...]:
    """The Compose file of a folder and its override, as docker compose finds them there. Raises
    `ComposeError` where there is none."""
    main = next((folder / name for name in NAMES if (folder / name).exists()), None)
    if main is None:
        raise ComposeError(shown, f"has no {', '.join(NAMES[:-1])} or {NAMES[-1]}")
    override = next((folder / name for name in OVERRIDES if (folder / name).exists()), None)
    return (main,) if override is None else (main, override)


def _bounded(path: Path, shown: str, place: Place | str) -> str:
    # Opened without waiting: a named pipe would wait for its writer for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ComposeError(place, f"{shown} is no ordinary file")
        raw = opened.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise ComposeError(place, f"{shown} is larger than {MAX_BYTES // 1024} KiB")
    return raw.decode("utf-8-sig").replace("\r\n", "\n")
