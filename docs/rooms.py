"""The rooms of `cloudsync/` and what each imports, read from the code: for
`docs/architecture.md`."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

CORE = Path(__file__).resolve().parents[1] / "cloudsync"


def rooms() -> Mapping[str, tuple[str, frozenset[str]]]:
    """By name of the package or module, the highest first: the first paragraph of its docstring,
    and the other rooms it imports."""
    sources = {path: ast.parse(path.read_text()) for path in sorted(CORE.rglob("*.py"))}
    imports: dict[str, set[str]] = {}
    purposes: dict[str, str] = {}
    for path, tree in sources.items():
        inside = path.relative_to(CORE)
        room = inside.parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        imports.setdefault(room, set()).update(set(_imported(tree)) - {room})
        if (inside.name == "__init__.py" and len(inside.parts) == 2) or len(inside.parts) == 1:
            docstring = (ast.get_docstring(tree) or "").split("\n\n")[0]
            purposes[room] = " ".join(docstring.split())
    return {
        room: (purposes.get(room, ""), frozenset(imports[room])) for room in _from_the_top(imports)
    }


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "cloudsync":
            names = [f"cloudsync.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        for name in names:
            top, _, rest = name.partition(".")
            if top == "cloudsync" and rest and not rest.startswith("__version"):
                yield rest.partition(".")[0]


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """All below a module or a statement, and none of the expressions in them."""
    for block in ("body", "orelse", "finalbody", "handlers", "cases"):
        for statement in getattr(node, block, ()):
            yield statement
            yield from _statements(statement)


def _from_the_top(imports: Mapping[str, set[str]]) -> list[str]:
    """A room stands above everything it imports. Raises `ValueError` for a circle."""
    remaining = {room: set(imported) for room, imported in imports.items()}
    lowest_first: list[str] = []
    while remaining:
        free = sorted(room for room, imported in remaining.items() if not imported & set(remaining))
        if not free:
            raise ValueError(f"a circle of imports between {', '.join(sorted(remaining))}")
        lowest_first += free
        for room in free:
            del remaining[room]
    return lowest_first[::-1]
