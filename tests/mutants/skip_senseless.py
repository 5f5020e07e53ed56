"""Leaves out breakages that prove nothing: in annotations, which nobody evaluates, and by operators
that no value here has.

Run by cosmic-ray's own Python, on its session file.
"""

from __future__ import annotations

import ast
import re
import sys
from functools import cache
from pathlib import Path

from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import WorkerOutcome, WorkResult

_SETS = {"BitAnd", "BitOr", "Sub", "Add"}
_BINARY = re.compile(r"core/ReplaceBinaryOperator_\w+?_(\w+)")


@cache
def annotations(path: Path) -> tuple[tuple[tuple[int, int], tuple[int, int]], ...]:
    """Where they begin and end, as (line, column)."""
    found: list[ast.expr | None] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            found.append(node.returns)
        elif isinstance(node, ast.AnnAssign | ast.arg):
            found.append(node.annotation)
        elif (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.BinOp)
            and getattr(node.targets[0], "id", "_")[0].isupper()
        ):
            found.append(node.value)  # an alias of types
    return tuple(
        ((one.lineno, one.col_offset), (one.end_lineno or 0, one.end_col_offset or 0))
        for one in found
        if one is not None
    )


def senseless(operator: str, path: Path, start: tuple[int, int]) -> bool:
    binary = _BINARY.fullmatch(operator)
    if binary is not None and binary[1] not in _SETS:
        return True
    return operator == "core/RemoveDecorator" or any(
        begin <= start < end for begin, end in annotations(path)
    )


def main(session: str) -> None:
    with use_db(session, WorkDB.Mode.open) as work:
        for item in list(work.work_items):
            if all(
                senseless(one.operator_name, one.module_path, tuple(one.start_pos))
                for one in item.mutations
            ):
                work.set_result(item.job_id, WorkResult(worker_outcome=WorkerOutcome.SKIPPED))


if __name__ == "__main__":
    main(sys.argv[1])
