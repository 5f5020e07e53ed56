"""The contract does not change without its version (decision 0024)."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from pathlib import Path

import cloudsync.provider.contract as contract
import cloudsync.rules as rules
from cloudsync.provider import errors

OUTLINE = Path(__file__).parent / "fixtures" / "contract-outline.txt"


def outline() -> str:
    """Every public name of the contract with its fields and signatures, under the version."""
    lines = [f"version {contract.API_VERSION}"]
    for module in (contract, errors, rules):
        names = getattr(module, "__all__", None) or [
            name for name, value in vars(module).items() if inspect.isclass(value)
        ]
        for name in sorted(names):
            lines += _lines(name, getattr(module, name))
    return "\n".join(lines) + "\n"


def _lines(name: str, value: object) -> Iterator[str]:
    if not inspect.isclass(value):
        yield name
        return
    yield f"{name}({', '.join(base.__name__ for base in value.__bases__)})"
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            if field.name.startswith("_"):
                continue
            optional = (
                field.default is not dataclasses.MISSING
                or field.default_factory is not dataclasses.MISSING
            )
            yield f"    {field.name}: {field.type}{' = …' if optional else ''}"
    for member, function in sorted(vars(value).items()):
        if inspect.isfunction(function) and (not member.startswith("_") or member == "__init__"):
            if member == "__init__" and dataclasses.is_dataclass(value):
                continue
            if name.endswith("Protocol") or member != "__init__" or issubclass(value, Exception):
                yield f"    {member}{inspect.signature(function)}"


def test_the_contract_is_what_its_version_says() -> None:
    assert outline() == OUTLINE.read_text(), (
        "the contract changed: raise API_VERSION (decision 0024), add a row to its table, and write"
        " the outline again (python -m tests.unit.test_contract_version)"
    )


if __name__ == "__main__":
    OUTLINE.write_text(outline())
