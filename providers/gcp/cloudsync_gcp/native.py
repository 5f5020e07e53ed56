"""This provider's own frozen values: what the reader found, and what a step wants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from cloudsync_gcp.rules import Listed


@dataclass(frozen=True, slots=True)
class Found:
    """All VPC rules that are the firewall's by name. `taken`: names with its prefix that are not.
    `overruled`: rules of the same owner's other firewalls that a denial of others would stop."""

    rules: tuple[Listed, ...] = ()
    taken: frozenset[str] = frozenset()
    overruled: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Write:
    """One call. `body`: the whole resource; None to delete."""

    method: Literal["insert", "update", "delete"]
    name: str
    body: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """Calls of one step: started together, waited for together."""

    writes: tuple[Write, ...]
