"""Variables in values, by the Compose specification ("Interpolation") and as docker compose reads
it.

| written          | set   | set, empty | not set |
|------------------|-------|------------|---------|
| `$V`, `${V}`     | value | empty      | missing |
| `${V:-d}`        | value | `d`        | `d`     |
| `${V-d}`         | value | empty      | `d`     |
| `${V:?m}`        | value | missing    | missing |
| `${V?m}`         | value | empty      | missing |
| `${V:+r}`        | `r`   | empty      | empty   |
| `${V+r}`         | `r`   | `r`        | empty   |

`d`, `m` and `r` may hold variables themselves. `$$` is a dollar; a dollar before anything else
stays as it is. What is missing is reported along with the text, not raised: it is an error only
where the text decides something.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from cloudsync.rules.frozen import dataclass
from cloudsync.sources.compose.nodes import Missing

MAX_LENGTH = 65_536
_MAX_NESTING = 20
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-?+]")


class InterpolationError(ValueError):
    """A value whose variables cannot be replaced; the message names a variable, never a value."""


@dataclass(frozen=True, slots=True)
class Interpolated:
    """A value with its variables replaced."""

    text: str
    """Nothing stands for a variable that is missing."""
    missing: tuple[Missing, ...]
    """The variables without a value and without a default, in their order."""


def interpolate(template: str, environment: Mapping[str, str]) -> Interpolated:
    """`template` with its variables replaced. Raises `InterpolationError` for one that is
    malformed, and above `MAX_LENGTH` characters."""
    filling = _Filling(environment)
    text = filling.fill(template, 0)
    return Interpolated(text, tuple(filling.missing))


class _Filling:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.missing: list[Missing] = []
        self.length = 0

    def fill(self, template: str, nesting: int) -> str:
        if nesting > _MAX_NESTING:
            raise InterpolationError(f"variables are nested deeper than {_MAX_NESTING} levels")
        pieces, at = [], 0
        while (dollar := template.find("$", at)) >= 0:
            pieces.append(template[at:dollar])
            piece, at = self.variable(template, dollar, nesting)
            pieces.append(piece)
            self.length += len(piece)
            if self.length > MAX_LENGTH:
                raise InterpolationError(f"becomes longer than {MAX_LENGTH} characters")
        return "".join((*pieces, template[at:]))

    def variable(self, template: str, dollar: int, nesting: int) -> tuple[str, int]:
        """What stands for the `$…` at `dollar`, and where the template goes on behind it."""
        after = template[dollar + 1 : dollar + 2]
        if after == "$":
            return "$", dollar + 2
        if after == "{":
            end = _closing(template, dollar)
            return self.braced(template[dollar + 2 : end], nesting), end + 1
        if match := _NAME.match(template, dollar + 1):
            return self.plain(match.group()), match.end()
        return "$", dollar + 1

    def plain(self, name: str) -> str:
        value = self.environment.get(name)
        if value is None:
            self.missing.append(Missing(name))
        return value or ""

    def braced(self, inside: str, nesting: int) -> str:
        match = _NAME.match(inside)
        if match is None:
            raise InterpolationError("${…} must begin with the name of a variable")
        name, rest = match.group(), inside[match.end() :]
        if not rest:
            return self.plain(name)
        operator = _OPERATOR.match(rest)
        if operator is None:
            raise InterpolationError(f"${{{name}…}}: expected one of :- - :? ? :+ + after the name")
        word = rest[operator.end() :]
        value = self.environment.get(name)
        has_value = bool(value) if operator.group().startswith(":") else value is not None
        kind = operator.group()[-1]
        if kind == "+":
            return self.fill(word, nesting + 1) if has_value else ""
        if has_value:
            return value or ""
        if kind == "-":
            return self.fill(word, nesting + 1)
        message = word[:100] if "$" not in word else ""
        self.missing.append(Missing(name, problem=message, required=True))
        return ""


def _closing(template: str, dollar: int) -> int:
    """Where the brace that opens after `dollar` closes. Every brace inside counts, as in docker
    compose; if they do not match up, the last one of the line closes it."""
    depth = 0
    at = dollar + 1
    while at < len(template):
        if template[at] == "{":
            depth += 1
            at += 1  # the character behind a brace is never a brace to docker compose
        elif template[at] == "}":
            depth -= 1
            if depth == 0:
                return at
        at += 1
    line_end = template.find("\n", dollar)
    last = template.rfind("}", dollar, line_end if line_end >= 0 else len(template))
    if last < 0:
        raise InterpolationError("${ is not closed")
    return last
