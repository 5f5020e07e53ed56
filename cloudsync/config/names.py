"""What to say about a name that the configuration does not have."""

from __future__ import annotations

from collections.abc import Collection

from cloudsync.config.problems import did_you_mean
from cloudsync.provider.phrases import first_of

_SHOWN = 5
_LONGEST = 60


def not_configured(kind: str, name: str, known: Collection[str]) -> str:
    """`the configuration has no firewall "wbe", did you mean "web"?`, or which there are. `kind`:
    what the name is of, such as `host`. Not yet harmless."""
    return f'the configuration has no {kind} "{name[:_LONGEST]}"{suggestion(name, known)}'


def suggestion(name: str, known: Collection[str]) -> str:
    """`, did you mean "web"?`, or else `: it has db, web`."""
    if near := did_you_mean(name, known):
        return near
    names = sorted(known)
    if not names:
        return ": it has none"
    return f": it has {first_of(names, _SHOWN)}"
