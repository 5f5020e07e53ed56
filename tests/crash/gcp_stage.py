"""The provider `gcp` on the stage, as far as the crash tests need it: its double, whose rules are read here anew.

A stage for the whole conformance suite can take its place in `vendors.py`: it needs `settle()` beside what a `Stage` has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cloudsync.provider.marker import Marker
from cloudsync.rules import RuleSet
from cloudsync.testing import Spelled
from tests.conformance.http_stage import HttpStage, rule_set
from tests.emulators.compute import ComputeDouble, fault_body

WORLD = {"0.0.0.0/0": "any4", "::/0": "any6"}


class GcpStage(HttpStage):
    type = "gcp"
    reading = ("GET", ".*/global/firewalls")
    writing = ("POST|PUT|PATCH|DELETE", ".*/global/firewalls.*")
    errors = {
        "unauthorized": (401, fault_body(401, "authError")),
        "forbidden": (403, fault_body(403, "forbidden")),
        "not-found": (404, fault_body(404, "notFound")),
        "conflict": (409, fault_body(409, "alreadyExists")),
        "throttled": (429, fault_body(429, "rateLimitExceeded")),
        "unavailable": (503, fault_body(503, "backendError")),
    }
    environment: Mapping[str, str] = {}

    def __init__(self, double: ComputeDouble) -> None:
        super().__init__(double)
        self.cloud = double
        self.account = {"project": double.project, "anonymous": True, "endpoint": double.endpoint}

    def settings(self, name: str) -> Mapping[str, Any]:
        return {"name": name, "target_tags": ["web"], "enforce": "allow"}

    def put(self, name: str, rules: Sequence[Spelled], marker: Marker | None) -> None:
        """As an earlier run leaves it: one rule a source set and family, the world's under the names the provider gives them."""
        self._write(name, rules, marker)

    def edit(self, name: str, rules: Sequence[Spelled]) -> None:
        """By hand: everything anew, the description kept."""
        old = self._of(name, self.cloud.firewalls())
        for one in old:
            self.cloud.remove_by_hand(one["name"])
        self._write(name, rules, None, old[0].get("description", "") if old else "")

    def lets_in(self, name: str) -> RuleSet | None:
        found = self._of(name, self.cloud.firewalls())
        return _meaning(found) if found else None

    def history(self, name: str) -> Sequence[RuleSet]:
        return [_meaning(self._of(name, state)) for state in self.cloud.history]

    def _write(self, name: str, rules: Sequence[Spelled], marker: Marker | None, description: str = "") -> None:
        if marker is not None:
            description = f"cloudsync owner={marker.owner} firewall={marker.firewall} hosts={marker.hosts}"
        grouped: dict[tuple[str, ...], list[Spelled]] = {}
        for one in rules:
            for sources in ([s for s in one.sources if ":" not in s], [s for s in one.sources if ":" in s]):
                if sources:
                    grouped.setdefault(tuple(sources), []).append(one)
        for number, (sources, said) in enumerate(grouped.items()):
            suffix = WORLD.get(sources[0], f"hand-{number}") if len(sources) == 1 else f"hand-{number}"
            self.cloud.add_firewall(
                f"{name}-{suffix}",
                network="global/networks/default",
                priority=900,
                sourceRanges=list(sources),
                targetTags=["web"],
                allowed=[{"IPProtocol": one.protocol, **({"ports": [one.ports]} if one.ports else {})} for one in said],
                description=description,
            )

    def _of(self, name: str, state: Mapping[str, Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        return [one for key, one in state.items() if key.startswith(f"{name}-")]


def _meaning(rules: Sequence[Mapping[str, Any]]) -> RuleSet:
    return rule_set(
        [
            (entry["IPProtocol"], ports, rule["sourceRanges"])
            for rule in rules
            if not rule.get("disabled") and set(rule.get("targetTags") or ()) >= {"web"}
            for entry in rule["allowed"]
            for ports in (entry.get("ports") or ["1-65535" if entry["IPProtocol"] in ("tcp", "udp") else ""])
        ]
    )
