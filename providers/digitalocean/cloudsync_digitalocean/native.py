"""This provider's own frozen values; and the owner marker, which at DigitalOcean can only live in
the name: `<name>.<owner>.<8 hex>`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from cloudsync.provider.marker import Marker
from cloudsync_digitalocean.rules import Listed, NativeRule


@dataclass(frozen=True, slots=True)
class Found:
    """What the planner needs of an existing firewall beside its rules. `failed`: the vendor gave up
    putting it into effect. `bare_taken`: another one has the name without a marker."""

    id: str = ""
    name: str = ""
    inbound: tuple[Listed, ...] = ()
    outbound: tuple[NativeRule, ...] = ()
    droplets: frozenset[int] = frozenset()
    tags: frozenset[str] = frozenset()
    failed: bool = False
    bare_taken: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One write. `expected`: the inbound rules a full replace was planned on."""

    verb: Literal["create", "replace", "add", "remove", "attach-droplets", "attach-tags", "wait"]
    id: str | None = None
    name: str = ""
    inbound: tuple[NativeRule, ...] = ()
    outbound: tuple[NativeRule, ...] = ()
    droplets: tuple[int, ...] = ()
    tags: tuple[str, ...] = ()
    expected: tuple[NativeRule, ...] = ()


def full_name(base: str, marker: Marker) -> str:
    """The whole name at the vendor."""
    return f"{base}.{marker.owner}.{marker.hosts}"


def marker_of(name: str, base: str, wanted: Marker) -> Marker | None:
    """The marker in a name that begins with `base`. The firewall's name in the configuration is not
    in it: it is taken to fit."""
    match = re.fullmatch(rf"{re.escape(base)}\.([a-z][a-z0-9-]{{0,19}})\.([0-9a-f]{{8}})", name)
    return Marker(match[1], wanted.firewall, match[2]) if match else None


def best_fit(names: Mapping[str, str], base: str, wanted: Marker) -> tuple[str, ...]:
    """The ids that stand for the firewall, of all `names` by id: the one that is marked right; else
    of this owner; else without a mark; else of another owner. Several of one rank: nobody can say
    which."""
    ranks: dict[int, list[str]] = {}
    for id_, name in names.items():
        marker = marker_of(name, base, wanted)
        if marker is None and name != base:
            continue
        rank = (
            2
            if marker is None
            else 0
            if marker == wanted
            else 1
            if marker.owner == wanted.owner
            else 3
        )
        ranks.setdefault(rank, []).append(id_)
    return tuple(ranks[min(ranks)]) if ranks else ()
