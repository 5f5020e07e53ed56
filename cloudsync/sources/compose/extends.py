"""`extends`: a service that builds on another one, of the same file or of another (Compose
specification, "Extends").

What a service resets or overrides acts on the service it extends, and then on whatever the result
is laid over. The tags of the extended service acted on what *it* extends, and end there.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cloudsync.sources.compose.merging import merge, settled
from cloudsync.sources.compose.missing import missing_in, refuse_missing
from cloudsync.sources.compose.nodes import ComposeError, Mapping, Node, Place, Scalar, size
from cloudsync.sources.compose.reading import Reading
from cloudsync.sources.compose.relevant import relevant

MAX_CHAIN = 50
Chain = tuple[tuple[str, str], ...]
"""(file, service) of the services whose `extends` leads here."""


class Extending:
    """Resolves `extends` for the services of one file."""

    def __init__(
        self,
        path: Path,
        services: Mapping,
        reading: Reading,
        others: dict[Path, Extending] | None = None,
    ) -> None:
        """`others`: the files that are extended from, each read once."""
        self.path, self.services, self.reading = path, services, reading
        self.resolved: dict[str, Mapping] = {}
        self.others: dict[Path, Extending] = {} if others is None else others

    def all(self) -> Mapping:
        """Every service laid over what it extends. Raises `ComposeError` for circles and for
        services that do not exist."""
        return self.services.having(
            {
                name: self.service(name, ()) if _extends(node) is not None else node
                for name, node in self.services.entries.items()
            }
        )

    def service(self, name: str, chain: Chain) -> Mapping:
        """One service, with its own tags."""
        if name in self.resolved:
            return self.resolved[name]
        node = self.services.entries[name]
        if not isinstance(node, Mapping):
            return Mapping({}, node.place, {})  # a service without a body adds nothing
        here = (str(self.path), name)
        if here in chain or len(chain) > MAX_CHAIN:
            circle = " -> ".join(service for _, service in (*chain, here)[:10])
            raise ComposeError(node.place, f"extends goes round in a circle: {circle}")
        if (extends := _extends(node)) is not None:
            base = self.base(extends, (*chain, here))
            own = {key: child for key, child in node.entries.items() if key != "extends"}
            merged = merge(settled(base), node.having(own))
            self.reading.files.budget.count_merged(size(merged), node.place)
            node = replace(merged, tag=node.tag)
        self.resolved[name] = node
        return node

    def base(self, extends: Mapping, chain: Chain) -> Mapping:
        """The service that `extends` names, itself resolved."""
        service = _value(extends, "service")
        owner: Extending = self
        if extends.get("file") is not None:
            file = _value(extends, "file")
            path = self.reading.files.resolve(file, self.reading.folder)
            if path not in self.others:
                self.others[path] = self.of_file(path, file.place)
            owner = self.others[path]
        node = owner.services.entries.get(service.text)
        if node is None or node.tag == "reset":
            shown = self.reading.files.name(owner.path)
            raise ComposeError(
                extends.place,
                f"extends the service {service.shown[:60]!r}, which {shown} does not have",
            )
        return owner.service(service.text, chain)

    def of_file(self, path: Path, place: Place) -> Extending:
        """For a file that is only there to be extended from: neither what it includes nor its other
        services count. Of several documents the tags of the last one reach what its services
        extend, as with docker compose."""
        reading = replace(self.reading, folder=path.parent)
        services = Mapping({}, Place(reading.files.name(path), 1), {})
        for document in reading.files.documents(path, place):
            layer = relevant(document, reading).entries.get("services")
            if isinstance(layer, Mapping):
                services = merge(settled(services), layer)
        return Extending(path, services, reading, self.others)


def _extends(node: Node) -> Mapping | None:
    extends = node.get("extends") if isinstance(node, Mapping) and node.tag != "reset" else None
    return extends if isinstance(extends, Mapping) else None


def _value(extends: Mapping, key: str) -> Scalar:
    node = extends.get(key)
    if not isinstance(node, Scalar):
        raise ComposeError(extends.place, f"extends: {key} must be a single value")
    refuse_missing(missing_in(node))
    return node
