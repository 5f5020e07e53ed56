"""What a screen is made of: lines, and tables whose columns line up. Plain values, already harmless
to print; `screen` lays them out for a width."""

from __future__ import annotations

from typing import Literal

from cloudsync.rules.frozen import dataclass

Style = Literal["plain", "title", "open", "close", "beyond", "attach", "quiet", "warning", "error"]
"""What a line is about. Red is for what closes and for what is open beyond the configuration, and
for nothing else."""


@dataclass(frozen=True, slots=True)
class Line:
    """A paragraph, wrapped at words; its further lines hang beneath the first word."""

    text: str
    style: Style = "plain"
    mark: str = ""
    """What stands before the paragraph, such as `! ` or `+ `; it stays alone in its column."""
    indent: int = 0
    """Columns to the left of the mark."""
    aside: str = ""
    """Shown at the right end of the line, or after the text if there is no room."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table. The last cell is prose and takes the room that is left."""

    cells: tuple[str, ...]
    style: Style = "plain"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows with the same number of cells."""

    rows: tuple[Row, ...]
    indent: int = 2
    """Columns to the left of the table."""


Block = Line | Table
BLANK = Line("")
