"""Which file is the configuration: the one that is named, or the first of those that are looked
for.

A file that was *found* counts only if it is the caller's or root's and nobody else can change it,
nor put another one in its place: it names commands that are run (`token = { command = [...] }`),
and whoever calls cloudsync in somebody's folder did not choose them.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Mapping
from pathlib import Path

from cloudsync.config.configuration import Place
from cloudsync.config.problems import ConfigError, NoConfiguration, Problem


def candidates(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Where a configuration is looked for if none is named."""
    home = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME", "/root")) / ".config")
    return (
        Path("cloudsync.toml"),
        Path(home) / "cloudsync" / "config.toml",
        Path("/etc/cloudsync/config.toml"),
    )


def find(explicit: str | None, environ: Mapping[str, str] = os.environ) -> Path:
    """The configuration file: `--config`, `CLOUDSYNC_CONFIG`, else the first candidate that is
    there. Raises `NoConfiguration` if there is none, and `ConfigError` if the one that lies there
    is not safe."""
    named = explicit or environ.get("CLOUDSYNC_CONFIG")
    if named:
        return Path(named)
    for path in candidates(environ):
        try:
            if not path.is_file():
                continue
        except PermissionError:
            continue
        shown = str(path) if path.is_absolute() else f"./{path}"
        if (why := unsafe(path)) is not None:
            raise ConfigError(
                [
                    Problem(
                        Place("", 0, 0),
                        "",
                        f"{shown} {why}: not used, since it could run commands as you. "
                        f"--config {shown} takes it",
                    )
                ]
            )
        return path
    looked = ", ".join(str(path) for path in candidates(environ))
    raise NoConfiguration(
        [
            Problem(
                Place("", 0, 0),
                "",
                f"no configuration (looked for {looked}). `cloudsync init` writes one; --config "
                "names another",
            )
        ]
    )


def unsafe(path: Path) -> str | None:
    """Why a file that was found is not the caller's own choice; None if it is. Links are judged as
    well as what they point to."""
    real = path.resolve()
    for file in dict.fromkeys((path.absolute(), real)):
        status = file.lstat()
        if status.st_uid not in (os.geteuid(), 0):
            return f"belongs to {_user(status.st_uid)}, neither to you nor to root"
        if not stat.S_ISLNK(status.st_mode) and _written_by_others(status):
            return "can be written by other users"
        folder = file.parent.stat()
        if folder.st_uid not in (os.geteuid(), 0):
            return f"lies in a folder of {_user(folder.st_uid)}"
        if _written_by_others(folder):
            return "lies in a folder that other users can write"
    return None


def _written_by_others(status: os.stat_result) -> bool:
    """Whether somebody but the owner and root can write it. The private group that many systems
    give to each user has nobody else in it."""
    if status.st_mode & stat.S_IWOTH:
        return True
    return bool(status.st_mode & stat.S_IWGRP) and not _private_group(status)


def _private_group(status: os.stat_result) -> bool:
    if status.st_gid == 0:
        return True
    try:
        owner, group = pwd.getpwuid(status.st_uid), grp.getgrgid(status.st_gid)
    except KeyError:
        return False
    return (
        owner.pw_gid == group.gr_gid
        and owner.pw_name == group.gr_name
        and set(group.gr_mem) <= {owner.pw_name}
    )


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
