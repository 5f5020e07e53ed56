"""`extends`: a service that builds on another one, of the same file or of another (specification
05, extends)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cloudsync.sources.compose.documents import documents
from cloudsync.sources.compose.merging import merge, settled
from cloudsync.sources.compose.nodes import (
    ComposeError,
    Mapping,
    Place,
    Scalar,
)
from cloudsync.sources.compose.relevant import Reading, relevant

MAX_CHAIN = 50
Chain = tuple[tuple[str, str], ...]


class Extending:
    """Resolves `extends` for the services of one file."""

    def __init__(
        self,
        path: Path,
        services: Mapping,
        reading: Reading,
        others: dict[Path, Extending] | None = None,
    ) -> None:
        self.path, self.services, self.reading = path, services, reading
        self.done: dict[str, Mapping] = {}
        self.others: dict[Path, Extending] = {} if others is None else others

    def all(self) -> Mapping:
        """Every service with what it extends under it. Raises `ComposeError` for cycles and for
        services that are not there."""
        return self.services.having(
            {
                name: self.service(name, ())
                if isinstance(node, Mapping) and node.tag != "reset"
                else node
                for name, node in self.services.entries.items()
            }
        )

    def service(self, name: str, chain: Chain) -> Mapping:
        """One service. `chain`: (file, service) of those that are being resolved on the way to
        it."""
        if name in self.done:
            return self.done[name]
        node = self.services.entries[name]
        if not isinstance(node, Mapping):
            raise ComposeError(node.place, f"the service {name} must be a mapping")
        here = (str(self.path), name)
        if here in chain or len(chain) > MAX_CHAIN:
            round_trip = " -> ".join(service for _, service in (*chain, here)[:10])
            raise ComposeError(node.place, f"extends goes round in a circle: {round_trip}")
        extends = node.entries.get("extends")
        if not isinstance(extends, Mapping) or extends.tag == "reset":
            self.done[name] = node
            return node
        under = self.base(extends, (*chain, here))
        own = {key: one for key, one in node.entries.items() if key != "extends"}
        merged = merge(_whole(under), replace(node.having(own), tag=None))
        self.done[name] = replace(merged, tag=node.tag)
        return self.done[name]

    def base(self, extends: Mapping, chain: Chain) -> Mapping:
        """The service that `extends` names, itself resolved."""
        name = _text(extends, "service")
        file = extends.get("file")
        where: Extending = self
        if isinstance(file, Scalar):
            path = self.reading.files.resolve(file.text, self.reading.folder, file.place)
            if path not in self.others:
                self.others[path] = self.of_file(path, file.place)
            where = self.others[path]
        if not isinstance(where.services.entries.get(name), Mapping):
            shown = self.reading.files.name(where.path)
            raise ComposeError(
                extends.place, f"extends the service {name[:60]!r}, which {shown} does not have"
            )
        return where.service(name, chain)

    def of_file(self, path: Path, place: Place) -> Extending:
        """For a file that is only there to be extended from: neither what it includes nor its other
        services count."""
        reading = replace(self.reading, folder=path.parent)
        text = reading.files.text(path, place)
        services = Mapping({}, Place(reading.files.name(path), 1), {})
        for document in documents(text, reading.files.name(path)):
            found = relevant(document, reading).get("services")
            if isinstance(found, Mapping):
                services = merge(services, found)
        return Extending(path, services, reading, self.others)


def _whole(node: Mapping) -> Mapping:
    found = settled(node)
    assert isinstance(found, Mapping)  # noqa: S101 - settled keeps the kind
    return found


def _text(table: Mapping, key: str) -> str:
    node = table.get(key)
    if not isinstance(node, Scalar):
        raise ComposeError(table.place, f"extends: {key} must be a text")
    return node.text
