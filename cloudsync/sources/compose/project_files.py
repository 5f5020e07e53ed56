"""Which files are a project, as docker compose finds them in a folder, and what it would have found
next to a file that is named."""

from __future__ import annotations

from pathlib import Path

from cloudsync.sources.compose.environment import Environment
from cloudsync.sources.compose.files import Files
from cloudsync.sources.compose.nodes import ComposeError, Place, Scalar

NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)


def files_of_folder(files: Files, folder: Path, environment: Environment) -> tuple[Path, ...]:
    """The files of `COMPOSE_FILE`, else the names docker compose knows, with the override. Raises
    `ComposeError` if there are none."""
    if written := environment.get("COMPOSE_FILE"):
        separator = environment.get("COMPOSE_PATH_SEPARATOR") or ":"
        place = Place(f"{files.name(folder)}/.env", 1)
        paths = tuple(
            files.resolve(Scalar(path, place), folder) for path in written.split(separator) if path
        )
        if paths:
            return paths
    main = _first(folder, NAMES)
    if main is None:
        raise ComposeError(files.name(folder), f"has no {', '.join(NAMES[:-1])} or {NAMES[-1]}")
    override = _first(folder, OVERRIDES)
    return (main,) if override is None else (main, override)


def unread_next_to(files: Files, paths: tuple[Path, ...], environment: Environment) -> str | None:
    """A remark if `docker compose up` in the folder of the only file named would read more than
    this file; None otherwise."""
    if len(paths) != 1 or paths[0].name not in NAMES:
        return None
    folder, name = paths[0].parent, files.name(paths[0])
    if environment.get("COMPOSE_FILE"):
        unread = "COMPOSE_FILE of its .env"
    elif (override := _first(folder, OVERRIDES)) is not None:
        unread = override.name
    else:
        return None
    return (
        f"{name}: {unread} is not read, since the configuration names the file; "
        f'name its folder ("{files.name(folder)}") to read what docker compose up reads there'
    )


def _first(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).exists()), None)
