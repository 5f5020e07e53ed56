"""How a stranger runs the suite on his provider: a stage of some sixty lines, and a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from cloudsync.provider.marker import Marker
from cloudsync.rules import RuleSet
from cloudsync.testing import Conformance, Spelled, StageBase, meant


class AcmeStage(StageBase):
    type = "acme"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.account = {"folder": str(folder)}
        self.mine: dict[str, str] = {}
        self.written = 0

    def settings(self, name: str) -> Mapping[str, Any]:
        return {"name": name}

    def put(self, name: str, rules: Sequence[Spelled], marker: Marker | None) -> None:
        first = (
            "# by hand, by me"
            if marker is None
            else f"# {marker.owner} {marker.firewall} {marker.hosts}"
        )
        self._write(name, [first, *map(_line, rules)])

    def edit(self, name: str, rules: Sequence[Spelled]) -> None:
        self._write(name, [(self.folder / name).read_text().splitlines()[0], *map(_line, rules)])

    def lets_in(self, name: str) -> RuleSet | None:
        path = self.folder / name
        if not path.exists():
            return None
        lines = [
            line.split(" ") for line in path.read_text().splitlines() if not line.startswith("#")
        ]
        return meant(*(f"{protocol}/{ports} from {sources}" for protocol, ports, sources in lines))

    def history(self, name: str) -> Sequence[RuleSet]:
        now = self.lets_in(name)
        return [] if now is None else [now]

    def writes(self) -> int:
        for path in self.folder.iterdir():
            text = path.read_text()
            self.written += text != self.mine.get(path.name)
            self.mine[path.name] = text
        return self.written

    def limit(self, beyond: int) -> Sequence[str]:
        return [f"tcp/{1000 + 2 * n}" for n in range(9 + beyond)]

    def _write(self, name: str, lines: Sequence[str]) -> None:
        self.mine[name] = "\n".join(lines)
        (self.folder / name).write_text(self.mine[name])


def _line(one: Spelled) -> str:
    networks = (str(ip_network(source, strict=False)) for source in one.sources)
    return f"{one.protocol} {one.ports} {','.join(networks)}"


class TestAcme(Conformance):
    @pytest.fixture
    def stage(self, tmp_path: Path) -> AcmeStage:
        (tmp_path / "acme").mkdir()
        return AcmeStage(tmp_path / "acme")
