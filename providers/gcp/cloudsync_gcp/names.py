"""The names that new rules of a firewall are given. Names are unique in the project, so that a name
of somebody else's rule is avoided.

A rule that exists keeps its name, except that `any4` and `any6` are for the whole Internet only.
"""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Collection, Iterable

from cloudsync.rules.networks import ANY4, ANY6, NetworkSet

_GIVEN = re.compile(
    r"(?P<prefix>.+)-"
    r"(?:(?P<everybody>any[46])[b-z]?|v[46][b-z]?-[0-9a-f]{8}|deny(?P<denied>[46])[b-z]?)"
)
_LETTERS = ("", *string.ascii_lowercase[1:])


def has_prefix(name: str, prefix: str) -> bool:
    """Whether a rule of this name may be the firewall's."""
    return name == prefix or name.startswith(f"{prefix}-")


def given_prefix(name: str) -> str | None:
    """The prefix in a name that allow rules or denials are given; None in any other name."""
    match = _GIVEN.fullmatch(name)
    return match["prefix"] if match else None


def is_generated(name: str) -> bool:
    """Whether it is a name that allow rules are given, under whatever prefix."""
    return given_prefix(name) is not None and denial_family(name) is None


def is_for_everybody(name: str) -> bool:
    """Whether a generated name speaks of the whole Internet."""
    match = _GIVEN.fullmatch(name)
    return match is not None and match["everybody"] is not None


def denial_family(name: str) -> str | None:
    """`4` or `6` if it is a name that denials are given, under whatever prefix."""
    match = _GIVEN.fullmatch(name)
    return match["denied"] if match else None


def free_name(prefix: str, sources: NetworkSet, taken: Collection[str]) -> str:
    """A name for a rule with these sources that nothing has; two rules may have the same sources
    for a moment."""
    return _free((f"{prefix}-{suffix(sources, letter)}" for letter in _LETTERS), taken)


def free_denial_name(prefix: str, family: str, taken: Collection[str]) -> str:
    """A name for a denial that nothing has."""
    return _free((f"{prefix}-deny{family}{letter}" for letter in _LETTERS), taken)


def _free(names: Iterable[str], taken: Collection[str]) -> str:
    return next(name for name in names if name not in taken)


def suffix(sources: NetworkSet, letter: str = "") -> str:
    """Stable for a source set of one family. With the longest prefix it makes 63 characters."""
    if sources in (ANY4, ANY6):
        return f"any4{letter}" if sources == ANY4 else f"any6{letter}"
    digest = hashlib.sha256("\n".join(sources.cidrs()).encode()).hexdigest()[:8]
    return f"v4{letter}-{digest}" if sources.v4 else f"v6{letter}-{digest}"
