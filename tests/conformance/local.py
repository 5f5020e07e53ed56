"""The provider `local` on the stage: a JSON file, read and written here by `json` alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from cloudsync.provider.marker import Marker
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.networks import NetworkSet
from cloudsync.testing import Spelled, StageBase
from tests.conformance.http_stage import without_host_bits


class LocalStage(StageBase):
    type = "local"
    account: ClassVar[Mapping[str, Any]] = {}
    environment: ClassVar[Mapping[str, str]] = {}

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.written = 0
        self.stamp: dict[str, int] = {}

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
        """Files that are not as they were when they were last looked at."""
        for path in self.folder.glob("*.json"):
            stamp = path.stat().st_mtime_ns
            self.written += stamp != self.stamp.get(path.name)
            self.stamp[path.name] = stamp
        return self.written

    def put_other(self, name: str) -> None:
        self._write(name, self._read(name) | {"kept": ["tcp/5432 from the group db"]})

    def others(self, name: str) -> int:
        return len(self._read(name)["kept"])

    def _read(self, name: str) -> dict[str, Any]:
        return json.loads((self.folder / f"{name}.json").read_text())  # type: ignore[no-any-return]

    def _write(self, name: str, document: Mapping[str, Any]) -> None:
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(document))
        self.stamp[path.name] = path.stat().st_mtime_ns


def _rule(one: Spelled) -> dict[str, Any]:
    return {
        "protocol": one.protocol,
        "ports": one.ports,
        "sources": without_host_bits(one.sources),
        "description": one.description,
    }
