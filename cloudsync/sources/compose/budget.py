"""Limits on what one project may contain: far beyond what people write (laradock: 220 files, 119
services), and small enough that a hostile project costs seconds and megabytes, not hours and
gigabytes."""

from __future__ import annotations

from dataclasses import dataclass

from cloudsync.sources.compose.nodes import ComposeError, Place

MAX_FILES = 2_000
MAX_BYTES = 4 * 1024 * 1024
MAX_NODES = 100_000
MAX_MERGED = 1_000_000
MAX_CHARACTERS = 4 * 1024 * 1024
MAX_PORTS = 131_072


@dataclass(slots=True)
class Budget:
    """What a project has used so far. A file that two others include counts twice."""

    files: int = 0
    bytes: int = 0
    nodes: int = 0
    merged: int = 0
    characters: int = 0
    ports: int = 0

    def count_file(self, place: Place | str) -> None:
        """One more file is about to be read. Raises `ComposeError` above the limit, as do the
        others."""
        self.files += 1
        if self.files > MAX_FILES:
            raise ComposeError(place, f"the project reads more than {MAX_FILES} files")

    def count_bytes(self, amount: int, place: Place | str) -> None:
        """The size of a file that was read."""
        self.bytes += amount
        if self.bytes > MAX_BYTES:
            raise ComposeError(place, f"the project's files are larger than {MAX_BYTES} bytes")

    def count_nodes(self, amount: int, place: Place | str) -> None:
        """The nodes of a document, aliases counted as often as they are used."""
        self.nodes += amount
        if self.nodes > MAX_NODES:
            raise ComposeError(
                place, f"the project has more than {MAX_NODES} keys and values, aliases expanded"
            )

    def count_merged(self, amount: int, place: Place | str) -> None:
        """The nodes of a service after `extends`: few words can copy a large one many times."""
        self.merged += amount
        if self.merged > MAX_MERGED:
            raise ComposeError(
                place, f"extends copies more than {MAX_MERGED} keys and values in the project"
            )

    def count_characters(self, amount: int, place: Place | str) -> None:
        """The characters of a value after its variables were replaced."""
        self.characters += amount
        if self.characters > MAX_CHARACTERS:
            raise ComposeError(
                place,
                f"the project becomes longer than {MAX_CHARACTERS} characters "
                "with its variables replaced",
            )

    def count_ports(self, amount: int, place: Place | str) -> None:
        """Published ports, ranges counted port by port."""
        self.ports += amount
        if self.ports > MAX_PORTS:
            raise ComposeError(place, f"the project publishes more than {MAX_PORTS} ports")
