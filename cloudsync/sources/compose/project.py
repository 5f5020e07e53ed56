"""A whole project: its files in order, what they include and extend, merged, and the services of it
that run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from collections.abc import Mapping as Table
from pathlib import Path

from cloudsync.rules.frozen import dataclass
from cloudsync.sources.compose.environment import Environment, read_environment
from cloudsync.sources.compose.files import Files, refuse_remote
from cloudsync.sources.compose.includes import load
from cloudsync.sources.compose.networks import Network, network_of
from cloudsync.sources.compose.nodes import ComposeError, Mapping, Scalar
from cloudsync.sources.compose.profiles import active_profiles
from cloudsync.sources.compose.project_files import files_of_folder, unread_next_to
from cloudsync.sources.compose.reading import Reading, filled
from cloudsync.sources.compose.services import Context, Service, running_services


@dataclass(frozen=True, slots=True)
class Project:
    """What docker compose would start."""

    name: str
    """Only shown."""
    services: tuple[Service, ...]
    """Those that run."""
    networks: Table[str, Network]
    """Those that they are on and that the project declares, by the names of the file."""
    remarks: tuple[str, ...] = ()
    """For people: what lies next to the files and is not read."""


@dataclass(frozen=True, slots=True)
class Named:
    """What the configuration says about the projects of a host, with absolute paths."""

    base: Path
    """The folder of the configuration."""
    env_files: tuple[Path, ...]
    profiles: tuple[str, ...] | None
    for_audit: bool = False


def read_projects(
    base: Path,
    paths: Iterable[str],
    env_files: Iterable[str] = (),
    profiles: Iterable[str] | None = None,
    *,
    for_audit: bool = False,
) -> tuple[Project, ...]:
    """What a host runs: the files of the list together as one project, in their order, and every
    folder as one of its own.

    All paths are relative to `base`, the folder of the configuration. `for_audit`: the services
    also say what is `written` of them. Raises `ComposeError` for
    whatever is wrong in any of them.
    """
    base, paths, env_files = Path(os.path.realpath(base)), tuple(paths), tuple(env_files)
    for path in (*paths, *env_files):
        refuse_remote(path, path[:200])
    places = [Path(os.path.normpath(base / path)) for path in paths]
    named = Named(
        base,
        tuple(Path(os.path.normpath(base / path)) for path in env_files),
        None if profiles is None else tuple(profiles),
        for_audit,
    )
    files = tuple(path for path in places if not path.is_dir())
    projects = [_of_folder(path, named) for path in places if path.is_dir()]
    if files:
        projects.append(_of_files(files, named))
    return tuple(projects)


def _of_folder(folder: Path, named: Named) -> Project:
    """The project that `docker compose up` starts in a folder. Its own folder is that of its first
    file, which `COMPOSE_FILE` may put elsewhere; the `.env` there counts too, under that of the
    folder."""
    files = Files(named.base, (folder, *named.env_files))
    environment = _environment(files, folder, named)
    paths = files_of_folder(files, folder, environment)
    if paths[0].parent != folder and not named.env_files:
        environment = _default_env(files, paths[0].parent, environment)
    return _project(files, paths, environment, named)


def _of_files(paths: tuple[Path, ...], named: Named) -> Project:
    """The project of `docker compose -f …`."""
    files = Files(named.base, (*paths, *named.env_files))
    environment = _environment(files, paths[0].parent, named)
    project = _project(files, paths, environment, named)
    remark = unread_next_to(files, paths, environment)
    return project if remark is None else _with_remark(project, remark)


def _with_remark(project: Project, remark: str) -> Project:
    return Project(project.name, project.services, project.networks, (remark,))


def _project(
    files: Files, paths: tuple[Path, ...], environment: Environment, named: Named
) -> Project:
    name, known = _name(files, paths, environment)
    if known:
        environment = environment.having("COMPOSE_PROJECT_NAME", name)
    reading = Reading(files, paths[0].parent, environment, named.for_audit)
    model = load(paths, reading)
    services = model.get("services")
    if not isinstance(services, Mapping):
        raise ComposeError(files.name(paths[0]), "has no services")
    networks = model.get("networks")
    declared = networks if isinstance(networks, Mapping) else Mapping({}, model.place, {})
    active = active_profiles(named.profiles, environment)
    context = Context(files, environment, active, declared)
    running = running_services(services, context)
    return Project(name, running, _networks(declared, running))


def _networks(declared: Mapping, running: tuple[Service, ...]) -> dict[str, Network]:
    used = {network for service in running for network in service.networks}
    return {name: network_of(name, node) for name, node in declared.entries.items() if name in used}


def _environment(files: Files, folder: Path, named: Named) -> Environment:
    """`hosts.X.env_file` in its order; without one `.env` of the folder, if there is one."""
    if not named.env_files:
        return _default_env(files, folder, Environment())
    texts = [
        (files.name(path), files.text(path, files.name(path), inside=False))
        for path in named.env_files
    ]
    return read_environment(Environment(), texts, files.budget)


def _default_env(files: Files, folder: Path, outer: Environment) -> Environment:
    path = folder / ".env"
    if not path.is_file():
        return outer
    name = files.name(path)
    return read_environment(outer, [(name, files.text(path, name))], files.budget)


def _name(files: Files, paths: tuple[Path, ...], environment: Environment) -> tuple[str, bool]:
    """The project's name as docker compose has it: `COMPOSE_PROJECT_NAME`, the last `name`, or the
    folder's; and whether no variable of it is missing."""
    if name := environment.get("COMPOSE_PROJECT_NAME"):
        return _normalized(name), True
    reading = Reading(files, paths[0].parent, environment)
    written: Scalar | None = None
    for path in paths:
        for document in files.documents(path, files.name(path)):
            if isinstance(node := document.get("name"), Scalar) and node.text:
                written = node
    read = filled(written, reading) if written is not None else None
    if isinstance(read, Scalar) and _normalized(read.text):
        return _normalized(read.text), not read.missing
    return _normalized(paths[0].parent.name) or "project", True


def _normalized(name: str) -> str:
    return re.sub(r"[^-_a-z0-9]", "", name.lower()).lstrip("-_")[:100]
