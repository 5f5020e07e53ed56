"""How much one project may say before it is taken for a bomb: far beyond what anybody writes, and
read within seconds."""

from __future__ import annotations

from dataclasses import dataclass

from cloudsync.sources.compose.nodes import ComposeError, Place

MAX_FILES = 200
MAX_BYTES = 1024 * 1024
MAX_CHARACTERS = 4 * 1024 * 1024
MAX_PORTS = 131_072


@dataclass(slots=True)
class Budget:
    """What has been spent so far. A file that two others include counts twice."""

    files: int = 0
    bytes: int = 0
    characters: int = 0
    ports: int = 0

    def file(self, place: Place | str) -> None:
        self.files += 1
        self._check(self.files, MAX_FILES, "reads more than", "files", place)

    def read(self, amount: int, place: Place | str) -> None:
        self.bytes += amount
        self._check(self.bytes, MAX_BYTES, "is larger than", "bytes in all its files", place)

    def put_in(self, amount: int, place: Place | str) -> None:
        """Characters of values after their variables were put in."""
        self.characters += amount
        self._check(
            self.characters,
            MAX_CHARACTERS,
            "becomes longer than",
            "characters with its variables put in",
            place,
        )

    def publish(self, amount: int, place: Place | str) -> None:
        """Ports, ranges counted port by port."""
        self.ports += amount
        self._check(self.ports, MAX_PORTS, "publishes more than", "ports", place)

    @staticmethod
    def _check(spent: int, most: int, verb: str, what: str, place: Place | str) -> None:
        if spent > most:
            raise ComposeError(place, f"the project {verb} {most} {what}")
