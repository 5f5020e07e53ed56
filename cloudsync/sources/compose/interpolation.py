"""Variables in values, by the Compose specification (12, interpolation) and as docker compose reads
it.

| written                      | set     | set, empty | not set              |
|------------------------------|---------|------------|----------------------|
| `$V`, `${V}`                 | value   | empty      | error (see `unset`)  |
| `${V:-d}`                    | value   | `d`        | `d`                  |
| `${V-d}`                     | value   | empty      | `d`                  |
| `${V:?m}`                    | value   | error      | error                |
| `${V?m}`                     | value   | empty      | error                |
| `${V:+r}`                    | `r`     | empty      | empty                |
| `${V+r}`                     | `r`     | `r`        | empty                |

`d`, `m` and `r` may hold variables themselves. `$$` is a dollar; a dollar before anything else
stays one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

MAX_LENGTH = 65_536
_MAX_NESTING = 20
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-?+]")


class InterpolationError(ValueError):
    """A variable that cannot be put in; the message names the variable, never a value."""


class UnsetVariable(InterpolationError):
    """A variable without a value and without a default."""


def interpolate(text: str, environment: Mapping[str, str], *, unset: str | None = None) -> str:
    """`text` with its variables put in. `unset`: what a plain variable that is not set counts as;
    None = `UnsetVariable`.

    Raises `InterpolationError`, for `${V:?message}` too.
    """
    return _Template(environment, unset).fill(text, 0)


class _Template:
    def __init__(self, environment: Mapping[str, str], unset: str | None) -> None:
        self.environment = environment
        self.unset = unset
        self.length = 0

    def fill(self, text: str, nesting: int) -> str:
        if nesting > _MAX_NESTING:
            raise InterpolationError(f"variables are nested deeper than {_MAX_NESTING} levels")
        parts, at = [], 0
        while (dollar := text.find("$", at)) >= 0:
            parts.append(text[at:dollar])
            after = text[dollar + 1 : dollar + 2]
            if after == "$":
                parts.append("$")
                at = dollar + 2
            elif after == "{":
                end = _closing(text, dollar)
                parts.append(self.braced(text[dollar + 2 : end], nesting))
                at = end + 1
            elif match := _NAME.match(text, dollar + 1):
                parts.append(self.plain(match.group()))
                at = match.end()
            else:
                parts.append("$")
                at = dollar + 1
            self.length += len(parts[-1])
            if self.length > MAX_LENGTH:
                raise InterpolationError(f"becomes longer than {MAX_LENGTH} characters")
        return "".join((*parts, text[at:]))

    def plain(self, name: str) -> str:
        value = self.environment.get(name, self.unset)
        if value is None:
            raise UnsetVariable(f"the variable {name} is not set and has no default")
        return value

    def braced(self, inside: str, nesting: int) -> str:
        match = _NAME.match(inside)
        if match is None:
            raise InterpolationError("${…} must begin with the name of a variable")
        name, rest = match.group(), inside[match.end() :]
        if not rest:
            return self.plain(name)
        operator = _OPERATOR.match(rest)
        if operator is None:
            raise InterpolationError(
                f"${{{name}…}} is followed by something that is none of :- - :? ? :+ +"
            )
        word = rest[operator.end() :]
        value = self.environment.get(name)
        has = bool(value) if operator.group().startswith(":") else value is not None
        kind = operator.group()[-1]
        if kind == "+":
            return self.fill(word, nesting + 1) if has else ""
        if has:
            return value or ""
        if kind == "-":
            return self.fill(word, nesting + 1)
        said = f": {word[:100]}" if word and "$" not in word else ""
        raise InterpolationError(f"the variable {name} is required{said}")


def _closing(text: str, dollar: int) -> int:
    """Where the brace that opens after `dollar` closes; only `${` opens another one."""
    depth = 0
    at = dollar
    while at < len(text):
        if text.startswith("${", at):
            depth += 1
            at += 2
            continue
        if text[at] == "}":
            depth -= 1
            if depth == 0:
                return at
        at += 1
    raise InterpolationError("${ is not closed")
