"""The vendors' own descriptions of their APIs, and what every double stands on
(`cloudsync.testing.http`)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from cloudsync.testing.http import (
    ApiError,
    Call,
    Double,
    Fault,
    Request,
    until_interrupted,
)

__all__ = [
    "DESCRIPTIONS",
    "SPECS",
    "ApiError",
    "Call",
    "Double",
    "Fault",
    "Request",
    "held_to",
    "not_at_hand",
    "openapi",
    "strange_query",
    "undescribed",
    "until_interrupted",
    "validator",
]
DESCRIPTIONS = (
    "digitalocean-firewalls.openapi.json",
    "gcp-compute-firewalls.discovery.json",
    "hetzner-cloud-firewalls.openapi.json",
)
"""What the vendors publish of their APIs. They are theirs and no part of the project: they lie in
the folder `CLOUDSYNC_SPECS`, or in `../shared/specs` beside the checkout."""
SPECS = Path(
    os.environ.get("CLOUDSYNC_SPECS")
    or Path(__file__).resolve().parents[2].parent / "shared" / "specs"
)

MOST_ITEMS = 4096
"""Items of lists under one schema that are remembered to be right."""


def not_at_hand() -> str | None:
    """What is not checked for want of descriptions, in one line; None if all of them are here."""
    missing = [name for name in DESCRIPTIONS if not (SPECS / name).is_file()]
    if not missing:
        return None
    return (
        f"NOT CHECKED: requests and answers of the doubles are not held against the vendors' "
        f"descriptions; {SPECS} lacks {', '.join(missing)} (CLOUDSYNC_SPECS names the folder)"
    )


@cache
def openapi(name: str) -> dict[str, Any] | None:
    """The vendor's description; None where it is not at hand, and then nothing is held against
    it."""
    path = SPECS / name
    return json.loads(path.read_text()) if path.is_file() else None  # type: ignore[no-any-return]


@cache
def validator(name: str, path: str, method: str, where: str) -> Callable[[Any], list[str]] | None:
    """A check of a body against one schema: `where` is `request` or a status."""
    from openapi_schema_validator import OAS30Validator

    description = openapi(name)
    operation = (description or {"paths": {}})["paths"].get(path, {}).get(method.lower())
    if operation is None:
        return None
    part = (
        operation.get("requestBody")
        if where == "request"
        else operation["responses"].get(where) or operation["responses"].get(where[0] + "XX")
    )
    schema = (part or {}).get("content", {}).get("application/json", {}).get("schema")
    if schema is None:
        return None
    held_to_it = held_to(OAS30Validator(schema))
    if where != "request":
        return held_to_it
    return lambda body: [*held_to_it(body), *undescribed(schema, body)]


def held_to(checker: Any) -> Callable[[Any], list[str]]:
    """The errors of a body in the eyes of a jsonschema validator, found once for each body: a
    vendor gives the same answer to every look at the same rules. An item of a list that was found
    right is not looked at again in the next list."""
    from jsonschema.validators import extend

    whole = extend(type(checker), {"items": _items_looked_at_once()})(checker.schema)

    @lru_cache(maxsize=1024)
    def errors(body: str) -> list[str]:
        return [
            f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}"
            for error in whole.iter_errors(json.loads(body))
        ]

    return lambda body: list(errors(json.dumps(body)))


def _items_looked_at_once() -> Callable[[Any, Any, Any, Any], Iterator[Any]]:
    """The keyword `items`, which remembers what was right. The schemas are of one description and
    stay as long as it does."""
    right: dict[int, tuple[Any, set[str]]] = {}

    def items(validator: Any, of_each: Any, instance: Any, _schema: Any) -> Iterator[Any]:
        if not validator.is_type(instance, "array"):
            return
        _, known = right.setdefault(id(of_each), (of_each, set()))
        for number, item in enumerate(instance):
            text = json.dumps(item)
            if text in known:
                continue
            errors = list(validator.descend(item, of_each, path=number))
            if not errors and len(known) < MOST_ITEMS:
                known.add(text)
            yield from errors

    return items


def undescribed(schema: Mapping[str, Any], body: Any, at: str = "") -> list[str]:
    """Keys of a request that its schema does not know: vendors ignore or refuse them, and a
    description seldom says so."""
    if isinstance(body, list):
        return [
            problem
            for number, item in enumerate(body)
            for problem in undescribed(schema.get("items", {}), item, f"{at}{number}/")
        ]
    known = schema.get("properties")
    if not isinstance(body, dict) or not known:
        return []
    if "additionalProperties" in schema:
        return []
    strange = [f"{at}{name}: not described" for name in body if name not in known]
    return strange + [
        problem
        for name, value in body.items()
        if name in known
        for problem in undescribed(known[name], value, f"{at}{name}/")
    ]


def strange_query(
    name: str, path: str, request: Request, everywhere: Collection[str] = ()
) -> list[str]:
    """Names in the query that the description does not know. `everywhere`: those that the vendor
    describes once for all lists."""
    operation = ((openapi(name) or {}).get("paths", {}).get(path) or {}).get(request.method.lower())
    if operation is None:
        return []
    known = {parameter["name"] for parameter in operation.get("parameters", ())} | {*everywhere}
    return [f"query: {key} is not described" for key in request.query if key not in known]
