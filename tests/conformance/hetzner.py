"""The provider `hetzner` on the stage: its double, whose rules are read here again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cloudsync.provider.marker import Marker
from cloudsync.rules import RuleSet
from cloudsync.testing import Spelled
from tests.conformance.http_stage import HttpStage, rule_set, without_host_bits
from tests.doubles.hetzner import HetznerDouble, fault_body

OUTBOUND = {
    "direction": "out",
    "protocol": "tcp",
    "port": "443",
    "source_ips": [],
    "destination_ips": ["0.0.0.0/0", "::/0"],
    "description": "by hand",
}


class HetznerStage(HttpStage):
    type = "hetzner"
    reading = ("GET", "/firewalls")
    writing = ("POST|PUT|DELETE", "/firewalls.*")
    errors = {
        "unauthorized": (401, fault_body("unauthorized")),
        "forbidden": (403, fault_body("forbidden")),
        "not-found": (404, fault_body("not_found")),
        "conflict": (409, fault_body("conflict")),
        "throttled": (429, fault_body("rate_limit_exceeded")),
        "unavailable": (503, fault_body("unavailable")),
        "failed-after": (500, fault_body("server_error")),
    }

    vendor_has = frozenset({"counted", "descriptions"})

    def __init__(self, double: HetznerDouble) -> None:
        super().__init__(double)
        self.cloud = double
        self.server = double.add_server("web-1")
        self.account = {"token": {"env": "STAGE_TOKEN"}, "endpoint": double.endpoint}
        self.environment = {"STAGE_TOKEN": double.token}

    def settings(self, name: str) -> Mapping[str, Any]:
        return {"name": name}

    def attaching(self, name: str) -> Mapping[str, Any]:
        return {"servers": ["web-1"]}

    def answer_only(self, name: str) -> None:
        self.answer_more("firewalls")

    def attaching_missing(self, name: str) -> Mapping[str, Any]:
        return {"servers": ["nowhere-1"]}

    def aside(self, name: str) -> object:
        firewall = self.cloud.firewall(name)
        assert firewall is not None
        labels = {k: v for k, v in firewall["labels"].items() if not k.startswith("cloudsync/")}
        out = [rule for rule in firewall["rules"] if rule["direction"] == "out"]
        return labels, [rule | {"destination_ips": sorted(rule["destination_ips"])} for rule in out]

    def pend(self, name: str) -> None:
        firewall = self.cloud.firewall(name)
        assert firewall is not None
        self.cloud.firewalls[firewall["id"]].servers.add(self.server)
        self.cloud._settle("pending")

    def in_effect(self, name: str) -> bool:
        return all(status == "applied" for status in self.cloud.in_force.values())

    def attached(self, name: str) -> int:
        firewall = self.cloud.firewall(name)
        return 0 if firewall is None else len(firewall["applied_to"])

    def put(self, name: str, rules: Sequence[Spelled], marker: Marker | None) -> None:
        labels = {"team": "a"}
        if marker is not None:
            labels |= {
                "cloudsync/owner": marker.owner,
                "cloudsync/firewall": marker.firewall,
                "cloudsync/hosts": marker.hosts,
            }
        self.cloud.add_firewall(name, [*map(_rule, rules), OUTBOUND], labels=labels)

    def edit(self, name: str, rules: Sequence[Spelled]) -> None:
        firewall = self.cloud.firewall(name)
        assert firewall is not None
        self.cloud.set_rules_by_hand(firewall["id"], [*map(_rule, rules), OUTBOUND])

    def lets_in(self, name: str) -> RuleSet | None:
        firewall = self.cloud.firewall(name)
        return None if firewall is None else _meaning(firewall["rules"])

    def rules(self, name: str) -> Sequence[Spelled]:
        firewall = self.cloud.firewall(name)
        assert firewall is not None
        return [
            Spelled(
                rule["protocol"],
                "1-65535" if rule.get("port") == "any" else rule.get("port") or "",
                tuple(rule["source_ips"]),
                rule.get("description") or "",
            )
            for rule in firewall["rules"]
            if rule["direction"] == "in"
        ]

    def put_under_another(self, name: str, rules: Sequence[Spelled]) -> None:
        self.cloud.add_firewall("monitoring", list(map(_rule, rules)), servers=[self.server])
        self.cloud._settle("applied")

    def under_another(self, name: str) -> bool:
        monitoring = self.cloud.firewall("monitoring")
        return monitoring is not None and len(monitoring["applied_to"]) == 1

    def add_neighbour(self, name: str) -> str:
        firewall = self.cloud.firewall(name)
        assert firewall is not None
        there = self.cloud.firewalls[firewall["id"]]
        there.servers |= {self.server, self.cloud.add_server("db-1")}
        self.cloud._settle("applied")
        return "db-1"

    def history(self, name: str) -> Sequence[RuleSet]:
        return [_meaning(rules) for of, rules in self.cloud.history if of == name]

    def limit(self, beyond: int) -> Sequence[str]:
        # 50 rules, one of them SSH's; ports with gaps between them cannot be joined. A firewall
        # that
        # is there has an outbound one.
        there = self.cloud.firewall("web") is not None
        return [f"tcp/{10000 + 2 * n} from 203.0.113.0/24" for n in range(49 - there + beyond)]

    def boundary(self, beyond: int) -> None:
        for number in range(50 + beyond - len(self.cloud.firewalls)):
            self.cloud.add_firewall(f"other-{number}", [])


def _rule(one: Spelled) -> dict[str, Any]:
    port = (
        {"port": "any" if one.ports == "1-65535" else one.ports}
        if one.protocol in ("tcp", "udp")
        else {}
    )
    return {
        "direction": "in",
        "protocol": one.protocol,
        **port,
        "source_ips": without_host_bits(one.sources),
        "description": one.description,
    }


def _meaning(rules: Sequence[Mapping[str, Any]]) -> RuleSet:
    found: list[tuple[str, str, Sequence[str]]] = []
    for rule in rules:
        if rule["direction"] == "in" and rule["protocol"] == "icmp":
            found.append(("icmp", "", [one for one in rule["source_ips"] if ":" not in one]))
            found.append(("icmpv6", "", [one for one in rule["source_ips"] if ":" in one]))
        elif rule["direction"] == "in":
            port = rule["port"]
            found.append(
                (rule["protocol"], "1-65535" if port == "any" else port or "", rule["source_ips"])
            )
    return rule_set(found)
