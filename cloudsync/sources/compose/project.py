"""A whole project: its files in order, what they include and extend, merged, and the services of it
that run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from collections.abc import Mapping as Table
from dataclasses import dataclass, replace
from pathlib import Path

from cloudsync.sources.compose.documents import documents
from cloudsync.sources.compose.environment import merged_environment
from cloudsync.sources.compose.extends import Extending
from cloudsync.sources.compose.files import Files, find, refuse_remote
from cloudsync.sources.compose.merging import merge, settled
from cloudsync.sources.compose.nodes import (
    ComposeError,
    Mapping,
    Node,
    Place,
    Scalar,
    Sequence,
    same,
)
from cloudsync.sources.compose.profiles import active_profiles, runs
from cloudsync.sources.compose.relevant import Reading, relevant
from cloudsync.sources.compose.services import (
    Network,
    Service,
    network_of,
    service_of,
)

_INCLUDE = ("path", "project_directory", "env_file")


@dataclass(frozen=True, slots=True)
class Project:
    """`services`: those that run, by name."""

    name: str
    services: tuple[Service, ...]
    networks: Table[str, Network]


def read_projects(
    base: Path,
    paths: Iterable[str],
    env_files: Iterable[str] = (),
    profiles: Iterable[str] | None = None,
) -> tuple[Project, ...]:
    """What a host runs: the files of the list together as one project, in their order, and every
    folder as one of its own.

    All paths are relative to `base`, the folder of the configuration. Raises `ComposeError` for
    whatever is wrong in any of them.
    """
    base, paths = Path(os.path.realpath(base)), tuple(paths)
    for text in paths:
        refuse_remote(text, text[:200])
    places = [base / text for text in paths]
    files = tuple(path for path in places if not path.is_dir())
    active = None if profiles is None else tuple(profiles)
    variables = tuple(base / text for text in env_files)
    found = [_project(base, path, None, variables, active) for path in places if path.is_dir()]
    if files:
        found.append(_project(base, files[0].parent, files, variables, active))
    return tuple(found)


def _project(
    base: Path,
    folder: Path,
    paths: tuple[Path, ...] | None,
    env_files: tuple[Path, ...],
    profiles: tuple[str, ...] | None,
) -> Project:
    """One project. `folder`: what its paths are relative to. `paths`: None = what is in the
    folder."""
    files = Files(base, (folder, *(paths or ()), *env_files))
    folder = Path(os.path.realpath(folder))
    environment = _variables(files, folder, env_files)
    if paths is None:
        paths = _in_folder(files, folder, environment)
    reading = Reading(files, folder, environment)
    model = _loaded(paths, reading, ())
    services = model.get("services")
    if not isinstance(services, Mapping):
        raise ComposeError(files.name(paths[0]), "has no services")
    active = active_profiles(profiles, environment)
    networks = model.get("networks")
    named = networks.entries if isinstance(networks, Mapping) else {}
    every = [
        service_of(name, _table(node), services.keys[name], named.keys(), environment, files)
        for name, node in services.entries.items()
    ]
    return Project(
        name=_name(model, environment, folder),
        services=tuple(
            service for service in every if service.replicas > 0 and runs(service.profiles, active)
        ),
        networks={name: network_of(name, node) for name, node in named.items()},
    )


def _variables(files: Files, folder: Path, env_files: tuple[Path, ...]) -> dict[str, str]:
    """`hosts.X.env_file` in its order; without one `.env` of the folder, where there is one."""
    if env_files:
        return merged_environment(
            {},
            [
                (files.name(path), files.text(path, files.name(path), inside=False))
                for path in env_files
            ],
        )
    default = folder / ".env"
    if not default.is_file():
        return {}
    return merged_environment({}, [(files.name(default), files.text(default, files.name(default)))])


def _in_folder(files: Files, folder: Path, environment: Table[str, str]) -> tuple[Path, ...]:
    """`COMPOSE_FILE` of the project's own variables, else the names docker compose knows."""
    if said := environment.get("COMPOSE_FILE"):
        separator = environment.get("COMPOSE_PATH_SEPARATOR") or ":"
        place = Place(f"{files.name(folder)}/.env", 1)
        return tuple(files.resolve(text, folder, place) for text in said.split(separator) if text)
    return find(folder, files.name(folder))


def _loaded(paths: Iterable[Path], reading: Reading, chain: tuple[str, ...]) -> Mapping:
    """Files merged in their order. `chain`: the files that include one another on the way here."""
    model: Mapping | None = None
    for path in paths:
        real = os.path.realpath(path)
        shown = reading.files.name(path)
        if real in chain:
            raise ComposeError(shown, "include goes round in a circle")
        for document in documents(reading.files.text(path, shown, inside=bool(chain)), shown):
            part = relevant(document, reading)
            services = part.get("services")
            if isinstance(services, Mapping) and services.tag != "reset":
                part = part.having(
                    {**part.entries, "services": Extending(Path(real), services, reading).all()}
                )
            part = _with_includes(part, reading, (*chain, real))
            model = _settled(part) if model is None else merge(model, part)
    return model if model is not None else Mapping({}, Place("compose.yaml", 1), {})


def _with_includes(part: Mapping, reading: Reading, chain: tuple[str, ...]) -> Mapping:
    """What a file includes, copied beside its own; a name that both have is a mistake unless both
    say the same."""
    include = part.get("include")
    entries = {key: node for key, node in part.entries.items() if key != "include"}
    for one in include.items if isinstance(include, Sequence) else ():
        loaded = _included(one, reading, chain)
        for key in ("services", "networks"):
            theirs = loaded.get(key)
            if not isinstance(theirs, Mapping):
                continue
            mine = entries.get(key)
            own = dict(mine.entries) if isinstance(mine, Mapping) else {}
            for name, node in theirs.entries.items():
                if name in own and not same(own[name], node):
                    raise ComposeError(
                        own[name].place,
                        f"{key}: {name} is also in what is included at {one.place}, and differs",
                    )
                own[name] = node
            entries[key] = theirs.having(own) if not isinstance(mine, Mapping) else mine.having(own)
    return part.having(entries)


def _included(one: Node, reading: Reading, chain: tuple[str, ...]) -> Mapping:
    """One entry of `include`, short or long, loaded with a folder and variables of its own."""
    files = reading.files
    table = (
        one if isinstance(one, Mapping) else Mapping({"path": one}, one.place, {"path": one.place})
    )
    for key in table.entries:
        if key not in _INCLUDE:
            raise ComposeError(table.keys[key], f"include: unknown key {key[:60]!r}")
    paths = [files.resolve(path.text, reading.folder, path.place) for path in _texts(table, "path")]
    if not paths:
        raise ComposeError(table.place, "include needs path")
    folder = paths[0].parent
    for named in _texts(table, "project_directory"):
        folder = files.resolve(named.text, reading.folder, named.place)
    variables = [
        (files.resolve(one.text, reading.folder, one.place), one.place)
        for one in _texts(table, "env_file")
    ]
    if not variables and (folder / ".env").is_file():
        variables = [(folder / ".env", table.place)]
    read = [(files.name(path), files.text(path, place)) for path, place in variables]
    inner = Reading(files, folder, merged_environment(reading.environment, read))
    return _loaded(paths, inner, chain)


def _texts(table: Mapping, key: str) -> tuple[Scalar, ...]:
    node = table.get(key)
    found = node.items if isinstance(node, Sequence) else () if node is None else (node,)
    if not all(isinstance(one, Scalar) and not one.null for one in found):
        raise ComposeError(table.place, f"include: {key} must be a text or a list of texts")
    return tuple(one for one in found if isinstance(one, Scalar))


def _name(model: Mapping, environment: Table[str, str], folder: Path) -> str:
    """The project's name as docker compose has it: `COMPOSE_PROJECT_NAME`, `name`, the folder's. It
    is only shown."""
    written = model.get("name")
    name = (
        environment.get("COMPOSE_PROJECT_NAME")
        or (written.text if isinstance(written, Scalar) else "")
        or folder.name
    )
    return re.sub(r"[^-_a-z0-9]", "", name.lower()).lstrip("-_")[:100] or "project"


def _settled(node: Mapping) -> Mapping:
    return _table(settled(node))


def _table(node: Node) -> Mapping:
    if not isinstance(node, Mapping):
        raise ComposeError(node.place, "must be a mapping")
    return replace(node, tag=None)
