"""The docstrings under the fields of a module's models, as descriptions in their JSON Schema.

pydantic can do it too (`use_attribute_docstrings`), but parses the source on every import for it.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Mapping
from itertools import pairwise
from types import ModuleType
from typing import Any


def described(schema: Mapping[str, Any], module: ModuleType) -> dict[str, Any]:
    """The schema of one of the module's models and those it refers to, with a description for each
    property whose field has a docstring. Raises `OSError` without the module's source."""
    texts = _texts(module)
    models = {str(schema.get("title")): schema, **schema.get("$defs", {})}
    explained = {name: _with_texts(model, texts.get(name, {})) for name, model in models.items()}
    whole = explained[str(schema.get("title"))]
    if "$defs" in schema:
        whole["$defs"] = {name: explained[name] for name in schema["$defs"]}
    return whole


def text_of(model: type, field: str) -> str:
    """The docstring under a field of a class or of one of its base classes; "" if there is none."""
    for each in model.__mro__:
        module = sys.modules[each.__module__]
        if field in inspect.get_annotations(each):
            return _texts(module).get(each.__name__, {}).get(field, "")
    return ""


def _with_texts(model: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    properties = {
        name: {"description": texts[name], **value} if name in texts else value
        for name, value in model.get("properties", {}).items()
    }
    return {**model, "properties": properties} if properties else dict(model)


def _texts(module: ModuleType) -> dict[str, dict[str, str]]:
    """By class and field; a class has those of its base classes in the module too."""
    texts: dict[str, dict[str, str]] = {}
    for statement in ast.parse(inspect.getsource(module)).body:
        if isinstance(statement, ast.ClassDef):
            bases = [texts.get(ast.unparse(base), {}) for base in statement.bases]
            texts[statement.name] = {
                field: text for base in bases for field, text in base.items()
            } | _fields(statement)
    return texts


def _fields(statement: ast.ClassDef) -> dict[str, str]:
    return {
        field.target.id: inspect.cleandoc(below.value.value).replace("\n", " ")
        for field, below in pairwise(statement.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(below.value.value, str)
    }
