"""`include`: another project whose services, networks and variables come in under this file's own
(Compose specification, "Include").

As docker compose has it since v5: what a file includes is there before `extends` is resolved, the
file's own words are laid over it, and of two includes the first is laid over the second.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cloudsync.rules.frozen import dataclass
from cloudsync.sources.compose.environment import read_environment
from cloudsync.sources.compose.extends import Extending
from cloudsync.sources.compose.merging import merge, settled
from cloudsync.sources.compose.missing import missing_in, refuse_missing
from cloudsync.sources.compose.nodes import ComposeError, Mapping, Node, Place, Scalar, Sequence
from cloudsync.sources.compose.reading import Reading
from cloudsync.sources.compose.relevant import relevant

MAX_NESTING = 50
_KEYS = ("path", "project_directory", "env_file")
_NO_FILE = "/dev/null"
"""As an `env_file`: no variables, not even those of `.env` in the folder."""

Chain = tuple[str, ...]
"""The files that include one another on the way to a file."""


@dataclass(frozen=True, slots=True)
class _Include:
    """One entry of `include`."""

    paths: tuple[Path, ...]
    folder: Path
    env_files: tuple[tuple[Path, Place], ...]
    place: Place


def load(paths: tuple[Path, ...], reading: Reading, chain: Chain = ()) -> Mapping:
    """Files with what they include and extend, merged in their order, tags used up. Raises
    `ComposeError`."""
    model: Mapping | None = None
    for path in paths:
        shown = reading.files.name(path)
        if str(path) in chain or len(chain) >= MAX_NESTING:
            problem = "goes round in a circle" if str(path) in chain else "is nested too deeply"
            raise ComposeError(shown, f"include {problem}")
        for document in reading.files.documents(path, shown):
            layer = _layer(document, path, reading, (*chain, str(path)))
            model = settled(layer if model is None else merge(model, layer))
    return model if model is not None else Mapping({}, Place("compose.yaml", 1), {})


def _layer(document: Mapping, path: Path, reading: Reading, chain: Chain) -> Mapping:
    """One document over what it includes, with what its services extend."""
    own = relevant(document, reading)
    includes = own.get("include")
    layer = own.having({key: node for key, node in own.entries.items() if key != "include"})
    for item in includes.items if isinstance(includes, Sequence) else ():
        layer = _over(_included(item, reading, chain), layer)
    services = layer.entries.get("services")
    if isinstance(services, Mapping) and services.tag != "reset":
        extended = Extending(path, services, reading).all()
        layer = layer.having({**layer.entries, "services": extended})
    return layer


def _over(included: Mapping, own: Mapping) -> Mapping:
    """What a file says itself over what it includes."""
    entries = dict(own.entries)
    for key in ("services", "networks"):
        theirs, mine = included.get(key), entries.get(key)
        if isinstance(theirs, Mapping):
            entries[key] = (
                _over_named(theirs, mine)
                if isinstance(mine, Mapping) and mine.tag != "reset"
                else replace(theirs, tag=None if mine is None else "override")
            )
    return own.having(entries)


def _over_named(theirs: Mapping, mine: Mapping) -> Mapping:
    """Services or networks of a file over the included ones. A tag on a whole service acts on the
    files before, and leaves what is included."""
    tagged = {name for name, node in mine.entries.items() if node.tag and name in theirs.entries}
    plain = {
        name: replace(node, tag=None) if name in tagged else node
        for name, node in mine.entries.items()
        if not (name in tagged and node.tag == "reset")
    }
    merged = merge(theirs, mine.having(plain))
    return merged.having(
        {
            name: replace(node, tag="override") if name in tagged else node
            for name, node in merged.entries.items()
        }
    )


def _included(item: Node, reading: Reading, chain: Chain) -> Mapping:
    """An entry of `include`, loaded with a folder and variables of its own."""
    include = _include(item, reading)
    files = reading.files
    texts = [(files.name(path), files.text(path, place)) for path, place in include.env_files]
    environment = read_environment(reading.environment, texts, files.budget)
    inside = replace(reading, folder=include.folder, environment=environment)
    return load(include.paths, inside, chain)


def _include(item: Node, reading: Reading) -> _Include:
    """Reads an entry, short or long."""
    files = reading.files
    table = (
        item
        if isinstance(item, Mapping)
        else Mapping({"path": item}, item.place, {"path": item.place})
    )
    for key in table.entries:
        if key not in _KEYS:
            raise ComposeError(table.keys[key], f"include: unknown key {key[:60]!r}")
    paths = tuple(files.resolve(path, reading.folder) for path in _values(table, "path"))
    if not paths:
        raise ComposeError(table.place, "include needs path")
    folder = paths[0].parent
    for directory in _values(table, "project_directory"):
        folder = files.resolve(directory, reading.folder)
    return _Include(paths, folder, _env_files(table, folder, reading), table.place)


def _env_files(table: Mapping, folder: Path, reading: Reading) -> tuple[tuple[Path, Place], ...]:
    named = _values(table, "env_file")
    default = folder / ".env"
    if not named:
        return ((default, table.place),) if default.is_file() else ()
    return tuple(
        (reading.files.resolve(file, reading.folder), file.place)
        for file in named
        if file.text != _NO_FILE
    )


def _values(table: Mapping, key: str) -> tuple[Scalar, ...]:
    node = table.get(key)
    nodes = node.items if isinstance(node, Sequence) else () if node is None else (node,)
    values = []
    for value in nodes:
        if not isinstance(value, Scalar) or value.null:
            raise ComposeError(
                table.place, f"include: {key} must be a single value or a list of them"
            )
        values.append(value)
    refuse_missing(missing_in(*values))
    return tuple(values)
