"""The wire of the EC2 Query API, by botocore's model of it: form parameters in, XML out, both held
against the shapes."""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

import botocore.session
from botocore.model import Shape

NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"


class UnknownParameter(ValueError):
    """A parameter the model does not know, or of the wrong kind."""


@cache
def _model() -> Any:
    """botocore's model of EC2, which takes a tenth of a second to read."""
    return botocore.session.get_session().get_service_model("ec2")


@cache
def operation(name: str) -> Any:
    """botocore's model of an action; None where there is none."""
    model = _model()
    return model.operation_model(name) if name in model.operation_names else None


def parameters(body: bytes) -> tuple[str, dict[str, Any]]:
    """(action, its parameters). Raises `UnknownParameter`."""
    flat = dict(parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body)))
    action, _ = flat.pop("Action", ""), flat.pop("Version", None)
    model = operation(action)
    if model is None:
        return action, {}
    used: set[str] = set()
    found = _read(model.input_shape, "", flat, used)
    if unknown := sorted(set(flat) - used):
        raise UnknownParameter(f"The parameter {unknown[0]} is not recognized")
    missing = [name for name in model.input_shape.required_members if name not in found]
    if missing:
        raise UnknownParameter(f"The request must contain the parameter {missing[0]}")
    return action, found


def _read(shape: Shape, prefix: str, flat: dict[str, str], used: set[str]) -> Any:
    if shape.type_name == "structure":
        found = {}
        for name, member in shape.members.items():
            said = member.serialization.get("queryName") or member.serialization.get("name") or name
            path = f"{prefix}.{said[0].upper()}{said[1:]}" if prefix else said[0].upper() + said[1:]
            if path in flat or any(key.startswith(f"{path}.") for key in flat):
                found[name] = _read(member, path, flat, used)
        return found
    if shape.type_name == "list":
        items = []
        while any(
            key == f"{prefix}.{len(items) + 1}" or key.startswith(f"{prefix}.{len(items) + 1}.")
            for key in flat
        ):
            items.append(_read(shape.member, f"{prefix}.{len(items) + 1}", flat, used))
        return items
    used.add(prefix)
    text = flat.get(prefix)
    try:
        if shape.type_name in ("integer", "long"):
            return int(text or "")
        if shape.type_name == "boolean":
            return {"true": True, "false": False}[text or ""]
    except (ValueError, KeyError):
        raise UnknownParameter(f"Invalid value '{text}' for {prefix}") from None
    return text


def answer(action: str, value: dict[str, Any]) -> bytes:
    """A whole answer. Raises `ValueError` for what the model does not know."""
    shape = operation(action).output_shape
    inner = _written(shape, value) if shape is not None else "<return>true</return>"
    return (
        f"<{action}Response"
        f' xmlns="{NAMESPACE}"><requestId>double</requestId>{inner}</{action}Response>'.encode()
    )


def error(code: str, message: str) -> bytes:
    """An error as EC2 says it."""
    inner = f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
    return f"<Response><Errors>{inner}</Errors><RequestID>double</RequestID></Response>".encode()


def _written(shape: Shape, value: Any) -> str:
    if shape.type_name == "structure":
        if unknown := sorted(set(value) - set(shape.members)):
            raise ValueError(f"{shape.name} has no member {unknown[0]}")
        parts = []
        for name, one in value.items():
            member = shape.members[name]
            said = member.serialization.get("name", name)
            parts.append(f"<{said}>{_written(member, one)}</{said}>")
        return "".join(parts)
    if shape.type_name == "list":
        return "".join(f"<item>{_written(shape.member, one)}</item>" for one in value)
    if isinstance(value, bool) != (shape.type_name == "boolean") or isinstance(value, int) != (
        shape.type_name in ("integer", "long", "boolean")
    ):
        raise ValueError(f"{shape.name} is {shape.type_name}, not {value!r}")
    return str(value).lower() if isinstance(value, bool) else escape(str(value))
