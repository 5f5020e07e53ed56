"""What to say about a name that the configuration does not have."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

_SHOWN = 5
_LONGEST = 60


def not_configured(kind: str, name: str, known: Collection[str]) -> str:
    """`the configuration has no firewall "wbe", did you mean "web"?`, or which there are. `kind`:
    what the name is of, such as `host`. Not yet harmless."""
    return f'the configuration has no {kind} "{name[:_LONGEST]}"{suggestion(name, known)}'


def suggestion(name: str, known: Collection[str]) -> str:
    """`, did you mean "web"?`, or else `: it has db, web`."""
    if near := get_close_matches(name, known, 1):
        return f', did you mean "{near[0]}"?'
    names = sorted(known)
    if not names:
        return ": it has none"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f": it has {', '.join(names[:_SHOWN])}{more}"
