"""Lays blocks out for a terminal of a known width: wrapped at words, columns aligned, never beyond
the width. rich does the measuring and the wrapping; it is imported only when something is printed.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING

from cloudsync.render.blocks import BLANK, Block, Line, Row, Table

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 80
"""Columns of a page that is no terminal."""
NARROWEST = 40
"""Columns below which nothing is laid out more narrowly."""
_GAP = 2
_WIDEST_CELL = 26
_PROSE = 20
_ASIDE_AT = 80
_STYLES = {
    "title": "bold",
    "open": "green",
    "close": "red",
    "beyond": "bold red",
    "attach": "yellow",
    "warning": "yellow",
    "error": "bold yellow",
    "quiet": "dim",
}


def joined(blocks: Iterable[Block], *, colour: bool, width: int = WIDTH) -> str:
    """The screen as text, without blank lines around it and without spaces at the ends of lines;
    with ANSI styles if `colour`."""
    from rich.console import Console

    console = Console(
        file=io.StringIO(),
        width=max(width, NARROWEST),
        height=100,
        force_terminal=colour,
        color_system="standard" if colour else None,
        no_color=not colour,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
    )
    for block in blocks:
        _print(console, block)
    assert isinstance(console.file, io.StringIO)  # noqa: S101 - the line above made it
    return "\n".join(line.rstrip() for line in console.file.getvalue().split("\n")).strip("\n")


def _print(console: Console, block: Block) -> None:
    if isinstance(block, Table):
        _table(console, block)
    elif block == BLANK:
        console.print()
    else:
        _line(console, block)


def _line(console: Console, line: Line) -> None:
    from rich.cells import cell_len

    text = line.text
    if line.aside:
        used = line.indent + cell_len(line.mark + text) + _GAP + cell_len(line.aside)
        text += " " * (max(min(console.width, _ASIDE_AT) - used, 0) + _GAP) + line.aside
    room = console.width - line.indent
    if not line.mark:
        _grid(console, [Row((text,), line.style)], [room], line.indent)
        return
    mark = cell_len(line.mark)
    _grid(console, [Row((line.mark, text), line.style)], [mark, room - mark], line.indent, gap=0)


def _table(console: Console, table: Table) -> None:
    from rich.cells import cell_len

    if not table.rows:
        return
    columns = list(zip(*(row.cells for row in table.rows), strict=True))
    room = console.width - table.indent
    natural = [max(map(cell_len, cells)) for cells in columns]
    words = [max(_longest_word(cell) for cell in cells) for cells in columns]
    widths = [
        width if not number else min(width, max(_WIDEST_CELL, words[number]))
        for number, width in enumerate(natural[:-1])
    ]
    if sum(natural) + _GAP * (len(natural) - 1) <= room:
        widths = natural[:-1]
    left = room - sum(widths) - _GAP * len(widths)
    if left >= min(natural[-1], max(words[-1], _PROSE)):
        _grid(console, table.rows, [*widths, left], table.indent)
    else:
        _stacked(console, table, widths)


def _stacked(console: Console, table: Table, widths: list[int]) -> None:
    """The prose of each row beneath its other cells: there is no room for it alongside them."""
    fits = sum(widths) + _GAP * (len(widths) - 1) <= console.width - table.indent
    for row in table.rows:
        *cells, prose = row.cells
        if fits and any(cells):
            _grid(console, [Row(tuple(cells), row.style)], widths, table.indent)
        elif any(cells):
            _line(console, Line("  ".join(filter(None, cells)), row.style, indent=table.indent))
        if prose:
            _line(console, Line(prose, row.style, indent=table.indent + 4))


def _grid(
    console: Console, rows: Iterable[Row], widths: list[int], indent: int, *, gap: int = _GAP
) -> None:
    from rich.padding import Padding
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid.grid(padding=(0, gap, 0, 0), pad_edge=False)
    for width in widths:
        grid.add_column(width=width, overflow="fold")
    for row in rows:
        # The style is a span of the cell, not its own: else the padding would be styled too.
        style = _STYLES.get(row.style, "")
        grid.add_row(*(Text.assemble((cell, style)) for cell in row.cells))
    console.print(Padding.indent(grid, indent) if indent else grid)


def _longest_word(text: str) -> int:
    from rich.cells import cell_len

    return max(map(cell_len, text.split()), default=0)
