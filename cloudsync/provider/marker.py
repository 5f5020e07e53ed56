"""The owner marker a managed firewall carries at its vendor (decision 0004)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import field
from types import MappingProxyType

from cloudsync.provider.descriptions import fitting
from cloudsync.rules.frozen import dataclass

_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Marker:
    """Whose a firewall is."""

    owner: str
    firewall: str
    """Its name in the configuration."""
    hosts: str
    """8 hex digits over the hosts that feed it, see `host_digest`."""
    formerly: str = field(default="", compare=False)
    """What `hosts` was before markers knew engines; "" if it is the same. A firewall that still
    carries it is ours, and is marked again."""

    @property
    def unnamed(self) -> Marker:
        """The marker as it was before markers knew engines."""
        return Marker(self.owner, self.firewall, self.formerly or self.hosts)


def host_digest(hosts: Iterable[str], identities: Mapping[str, str] = _NONE) -> str:
    """8 hex digits of the SHA-256 of the sorted host names, one a line, each with the identity of
    its engine if there is one: neither three machines that each manage "the" firewall from their
    own configuration nor two machines that the same configuration was copied to fight unnoticed.

    `identities`: by host, of those that are read through a local socket.
    """
    lines = sorted(f"{host}={identities[host]}" if host in identities else host for host in hosts)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:8]


def of_several(markers: Iterable[Marker | None], wanted: Marker) -> Marker | None:
    """The marker that several on one firewall come to: another owner's if there is one, none if one
    is missing, else one that is not as wanted."""

    def rank(marker: Marker | None) -> int:
        if marker is None:
            return 1
        return 0 if marker.owner != wanted.owner else 2 if marker != wanted else 3

    return min(markers, key=rank, default=None)


@dataclass(frozen=True, slots=True)
class MarkerKeys:
    """A marker in labels or tags that are pairs: the three keys, in the vendor's spelling."""

    owner: str = "cloudsync/owner"
    firewall: str = "cloudsync/firewall"
    hosts: str = "cloudsync/hosts"

    def read(self, labels: Mapping[str, str]) -> Marker | None:
        """The marker in a firewall's labels; None without any of the keys. With a key missing it
        is still somebody's, and equals no marker of ours."""
        if not any(key in labels for key in self._keys):
            return None
        return Marker(*(labels.get(key, "?") for key in self._keys))

    def write(self, marker: Marker, others: Mapping[str, str] = _NONE) -> dict[str, str]:
        """The labels of a firewall with its marker. `others`: those it has; they stay."""
        values = (marker.owner, marker.firewall, marker.hosts)
        return dict(others) | dict(zip(self._keys, values, strict=True))

    def remove(self, labels: Mapping[str, str]) -> dict[str, str]:
        """The user's own labels: what is left once the marker is taken off."""
        return {key: value for key, value in labels.items() if key not in self._keys}

    @property
    def _keys(self) -> tuple[str, str, str]:
        return self.owner, self.firewall, self.hosts


@dataclass(frozen=True, slots=True)
class MarkerWords:
    """A marker in tags that are single words, one each for owner, firewall and hosts:
    `cloudsync-owner:shop`."""

    prefix: str = "cloudsync-"
    separator: str = ":"

    def read(self, tags: Iterable[str]) -> Marker | None:
        """The marker in a firewall's tags; None without any of its words. With a word missing, or
        twice with different values, it is somebody's and equals no marker of ours."""
        values: dict[str, set[str]] = {}
        for tag in tags:
            kind, _, value = tag.removeprefix(self.prefix).partition(self.separator)
            if tag.startswith(self.prefix) and kind in _KINDS:
                values.setdefault(kind, set()).add(value)
        if not values:
            return None
        return Marker(*(_only(values.get(kind, set())) for kind in _KINDS))

    def write(self, marker: Marker, others: Iterable[str] = ()) -> tuple[str, ...]:
        """The tags of a firewall with its marker. `others`: those it has; they stay."""
        values = (marker.owner, marker.firewall, marker.hosts)
        words = (
            f"{self.prefix}{kind}{self.separator}{value}"
            for kind, value in zip(_KINDS, values, strict=True)
        )
        return (*self.remove(others), *words)

    def remove(self, tags: Iterable[str]) -> tuple[str, ...]:
        """The user's own tags: what is left once the marker is taken off."""
        ours = tuple(f"{self.prefix}{kind}{self.separator}" for kind in _KINDS)
        return tuple(tag for tag in tags if not tag.startswith(ours))


@dataclass(frozen=True, slots=True)
class MarkerName:
    """A marker in the firewall's name, for vendors without labels and tags:
    `<name>.<owner>.<8 hex>`. The firewall's name in the configuration is not in it."""

    def write(self, base: str, marker: Marker) -> str:
        """The whole name at the vendor."""
        return f"{base}.{marker.owner}.{marker.hosts}"

    def read(self, name: str, base: str, wanted: Marker) -> Marker | None:
        """The marker in a name that begins with `base`; it is taken to be of that firewall."""
        match = _NAME.fullmatch(name)
        if match is None or match[1] != base:
            return None
        return Marker(match[2], wanted.firewall, match[3])

    def read_any(self, name: str, firewall: str | None) -> Marker | None:
        """The marker in any name. `firewall`: of the configuration; None: the first part of the
        name stands for it."""
        match = _NAME.fullmatch(name)
        return Marker(match[2], firewall or match[1], match[3]) if match is not None else None

    def best_fit(self, names: Mapping[str, str], base: str, wanted: Marker) -> tuple[str, ...]:
        """The ids that stand for the firewall, of all `names` by id: the one that is marked right;
        else of this owner; else without a marker; else of another owner. Several of one rank:
        nothing tells which."""
        ranks: dict[int, list[str]] = {}
        for id_, name in names.items():
            marker = self.read(name, base, wanted)
            if marker is not None:
                rank = 0 if marker == wanted else 1 if marker.owner == wanted.owner else 3
            elif name == base:
                rank = 2
            else:
                continue
            ranks.setdefault(rank, []).append(id_)
        return tuple(ranks[min(ranks)]) if ranks else ()


@dataclass(frozen=True, slots=True)
class MarkerText:
    """A marker in front of a description, for vendors without labels and tags:
    `cloudsync owner=shop firewall=web hosts=0123abcd: what people wrote`."""

    longest: int
    """How many characters the vendor takes; a longer description is cut, and says so."""

    def read(self, description: str) -> Marker | None:
        """The marker in a description."""
        match = _TEXT.fullmatch(description)
        return Marker(match[1], match[2], match[3]) if match else None

    def write(self, marker: Marker, words: str = "") -> str:
        """A description with the marker, and after it what people wrote or who needs it."""
        head = f"cloudsync owner={marker.owner} firewall={marker.firewall} hosts={marker.hosts}"
        return fitting(f"{head}: {_harmless(words)}" if words else head, self.longest)

    def remove(self, description: str) -> str:
        """What people wrote; words of a label that look like a marker are never left as one."""
        match = _TEXT.fullmatch(description)
        return _harmless(match[4] or "") if match else description


_TEXT = re.compile(
    r"cloudsync owner=([a-z0-9-]+) firewall=([a-z0-9._-]+) hosts=([0-9a-f]{8})(?:: (.*))?",
    re.DOTALL,
)
_NAME = re.compile(r"(.+)\.([a-z][a-z0-9-]{0,19})\.([0-9a-f]{8})")
_KINDS = ("owner", "firewall", "hosts")


def _harmless(words: str) -> str:
    return f"'{words}" if _TEXT.match(words) else words


def _only(values: set[str]) -> str:
    return next(iter(values)) if len(values) == 1 else "?"
