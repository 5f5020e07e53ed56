"""The provider `local` on the stage: a JSON file, read and written here by `json` alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from cloudsync.provider.marker import Marker
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.networks import NetworkSet
from cloudsync.testing import Spelled, Trouble


class LocalStage:
    type = "local"
    account: ClassVar[Mapping[str, Any]] = {}
    environment: ClassVar[Mapping[str, str]] = {}

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def settings(self, name: str) -> Mapping[str, Any]:
        return {"path": str(self.folder / f"{name}.json")}

    def put(self, name: str, rules: Sequence[Spelled], marker: Marker | None) -> None:
        mark = (
            None
            if marker is None
            else {"owner": marker.owner, "firewall": marker.firewall, "hosts": marker.hosts}
        )
        self._write(
            name, {"format": 1, "marker": mark, "rules": [_rule(one) for one in rules], "kept": []}
        )

    def edit(self, name: str, rules: Sequence[Spelled]) -> None:
        self._write(name, self._read(name) | {"rules": [_rule(one) for one in rules]})

    def lets_in(self, name: str) -> RuleSet | None:
        if not (self.folder / f"{name}.json").exists():
            return None
        return RuleSet.of(
            Rule.of(one["protocol"], one["ports"], NetworkSet.of(one["sources"]))
            for one in self._read(name)["rules"]
        )

    def rules(self, name: str) -> Sequence[Spelled]:
        return [
            Spelled(one["protocol"], one["ports"], tuple(one["sources"]), one["description"])
            for one in self._read(name)["rules"]
        ]

    def history(self, name: str) -> Sequence[RuleSet]:
        now = self.lets_in(name)
        return [] if now is None else [now]

    def writes(self) -> int:
        return sum(
            path.stat().st_mtime_ns != self.stamp.get(path.name)
            for path in self.folder.glob("*.json")
        )

    @property
    def stamp(self) -> dict[str, int]:
        return getattr(self, "_stamp", {})

    def put_other(self, name: str) -> None:
        self._write(name, self._read(name) | {"kept": ["tcp/5432 from the group db"]})

    def others(self, name: str) -> int:
        return len(self._read(name)["kept"])

    def trouble(self, trouble: Trouble) -> None:
        raise NotImplementedError("a file is not remote")

    def limit(self, beyond: int) -> Sequence[str]:
        raise NotImplementedError("a file has no limit")

    def boundary(self, beyond: int) -> None:
        raise NotImplementedError("a file has no pages")

    def attached(self, name: str) -> int:
        raise NotImplementedError("a file is attached to nothing")

    def attaching(self, name: str) -> Mapping[str, Any]:
        raise NotImplementedError("a file is attached to nothing")

    def sound(self) -> Sequence[str]:
        return []

    def _read(self, name: str) -> dict[str, Any]:
        return json.loads((self.folder / f"{name}.json").read_text())  # type: ignore[no-any-return]

    def _write(self, name: str, document: Mapping[str, Any]) -> None:
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(document))
        self._stamp = {**self.stamp, path.name: path.stat().st_mtime_ns}


def _rule(one: Spelled) -> dict[str, Any]:
    return {
        "protocol": one.protocol,
        "ports": one.ports,
        "sources": list(one.sources),
        "description": one.description,
    }
