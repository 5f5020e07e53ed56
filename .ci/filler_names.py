"""Fail if anything is named by a word that says nothing: say the noun (docs/glossary.md).

Usage: filler_names.py PATH ...
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

FILLERS = frozenset(("one", "found", "said", "told", "part", "fed", "beside"))
"""Names for anything whatever. What they stand for has a name: rule, firewall, message, host."""


def bound_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of everything that gets a name: variables, parameters, functions, classes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or (
            isinstance(node, ast.MatchAs) and node.name
        ):
            yield node.lineno, node.name


def main(roots: list[str]) -> int:
    """0 if nothing has a filler for a name."""
    hits = [
        f"{path}:{line}: {name!r} says nothing: name what it is"
        for root in roots
        for path in sorted(Path(root).rglob("*.py"))
        for line, name in bound_names(ast.parse(path.read_text()))
        if name.strip("_") in FILLERS
    ]
    print("\n".join(hits))
    return 1 if hits else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
