"""The provider `digitalocean` on the stage: its double, whose rules are read here again."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from cloudsync.provider.marker import Marker
from cloudsync.rules import RuleSet
from cloudsync.testing import Spelled, meant
from tests.conformance.http_stage import HttpStage, rule_set, without_host_bits
from tests.doubles.digitalocean import DigitalOceanDouble, fault_body


class DigitalOceanStage(HttpStage):
    type = "digitalocean"
    reading = ("GET", "/firewalls")
    writing = ("POST|PUT|DELETE", "/firewalls.*")
    errors = {
        "unauthorized": (401, fault_body("Unauthorized")),
        "forbidden": (403, fault_body("forbidden")),
        "not-found": (404, fault_body("not_found")),
        "conflict": (409, fault_body("conflict")),
        "throttled": (429, fault_body("too_many_requests")),
        "unavailable": (503, fault_body("service_unavailable")),
        "failed-after": (500, fault_body("server_error")),
    }

    vendor_has = frozenset({"counted"})

    def __init__(self, double: DigitalOceanDouble) -> None:
        super().__init__(double)
        self.cloud = double
        self.droplet = double.add_droplet("web-1")
        self.account = {"token": {"env": "STAGE_TOKEN"}, "endpoint": double.endpoint}
        self.environment = {"STAGE_TOKEN": double.token}

    def settings(self, name: str) -> Mapping[str, Any]:
        return {"name": name, "private": "cut"}

    def attaching(self, name: str) -> Mapping[str, Any]:
        return {"droplets": ["web-1"]}

    def attaching_missing(self, name: str) -> Mapping[str, Any]:
        return {"droplets": ["nowhere-1"]}

    def letting_private_in(self, name: str) -> tuple[Mapping[str, Any], RuleSet]:
        networks = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"
        private = meant(*(f"{protocol} from {networks}" for protocol in ("tcp", "udp", "icmp")))
        return {"private": "allow"}, private

    def aside(self, name: str) -> object:
        firewall = self._of(name)
        # The vendor says "0" for all ports, and takes only the whole range.
        out = (
            (rule["protocol"], rule.get("ports", "").replace("1-65535", "0"), rule["destinations"])
            for rule in firewall["outbound_rules"]
        )
        return sorted(map(repr, out)), sorted(firewall["tags"])

    def pend(self, name: str) -> None:
        there = self.cloud.firewalls[self._of(name)["id"]]
        there.droplets = sorted({*there.droplets, *self.cloud.droplets})
        there.status = "failed"
        there.pending = [
            {"droplet_id": id_, "removing": False, "status": "failed"} for id_ in there.droplets
        ]

    def in_effect(self, name: str) -> bool:
        there = self.cloud.firewalls[self._of(name)["id"]]
        return there.status == "succeeded" and not there.pending

    def attached(self, name: str) -> int:
        return len(self._of(name)["droplet_ids"])

    def put(self, name: str, rules: Sequence[Spelled], marker: Marker | None) -> None:
        whole = name if marker is None else f"{name}.{marker.owner}.{marker.hosts}"
        # The vendor has no firewall without any rule: at first by hand one has no inbound ones.
        self.cloud.add_firewall(whole, [_rule(one) for one in rules])

    def edit(self, name: str, rules: Sequence[Spelled]) -> None:
        self.cloud.set_rules_by_hand(self._of(name)["id"], [_rule(one) for one in rules])

    def lets_in(self, name: str) -> RuleSet | None:
        found = [one for one in self._names() if re.fullmatch(rf"{name}(\..+)?", one)]
        return _meaning(self.cloud.firewall(found[0])["inbound_rules"]) if found else None  # type: ignore[index]

    def rules(self, name: str) -> Sequence[Spelled]:
        return [
            Spelled(
                rule["protocol"],
                "1-65535" if rule.get("ports") == "0" else rule.get("ports") or "",
                tuple(rule["sources"]["addresses"]),
            )
            for rule in self._of(name)["inbound_rules"]
            if rule["sources"].get("addresses")
        ]

    def version(self, name: str) -> object:
        # Rules are added and taken away one by one.
        return self.rules(name)

    def put_under_another(self, name: str, rules: Sequence[Spelled]) -> None:
        inbound = [_rule(rule) for rule in rules]
        self.cloud.add_firewall("monitoring", inbound, droplets=[self.droplet])

    def under_another(self, name: str) -> bool:
        monitoring = self.cloud.firewall("monitoring")
        return monitoring is not None and monitoring["droplet_ids"] == [self.droplet]

    def add_neighbour(self, name: str) -> str:
        there = self.cloud.firewalls[self._of(name)["id"]]
        there.droplets = sorted({*there.droplets, *self.cloud.droplets})
        there.droplets.append(self.cloud.add_droplet("db-1"))
        return "db-1"

    def history(self, name: str) -> Sequence[RuleSet]:
        return [
            _meaning(rules)
            for of, rules in self.cloud.history
            if re.fullmatch(rf"{name}(\..+)?", of)
        ]

    def limit(self, beyond: int) -> Sequence[str]:
        # 50 rules, three of them outbound and one SSH's.
        return [f"tcp/{10000 + 2 * n} from 203.0.113.0/24" for n in range(46 + beyond)]

    def boundary(self, beyond: int) -> None:
        for number in range(200 + beyond - len(self._names())):
            self.cloud.add_firewall(f"other-{number}", [])

    def answer_only(self, name: str) -> None:
        self.answer_more("firewalls")

    def put_other(self, name: str) -> None:
        self.cloud.add_tag("db")
        rules = [dict(rule) for rule in self._of(name)["inbound_rules"]]
        other = {"protocol": "tcp", "ports": "5432", "sources": {"tags": ["db"]}}
        self.cloud.set_rules_by_hand(self._of(name)["id"], [*rules, other])

    def others(self, name: str) -> int:
        return sum(
            len(rule["sources"].get("tags") or ()) for rule in self._of(name)["inbound_rules"]
        )

    def _names(self) -> list[str]:
        return [one.name for one in self.cloud.firewalls.values()]

    def _of(self, name: str) -> dict[str, Any]:
        (whole,) = [one for one in self._names() if re.fullmatch(rf"{name}(\..+)?", one)]
        firewall = self.cloud.firewall(whole)
        assert firewall is not None
        return firewall


def _rule(one: Spelled) -> dict[str, Any]:
    ports = {"ports": one.ports} if one.protocol in ("tcp", "udp") else {}
    return {
        "protocol": one.protocol,
        **ports,
        "sources": {"addresses": without_host_bits(one.sources)},
    }


def _meaning(rules: Sequence[Mapping[str, Any]]) -> RuleSet:
    found: list[tuple[str, str, Sequence[str]]] = []
    for rule in rules:
        addresses = rule["sources"].get("addresses") or []
        if rule["protocol"] == "icmp":
            found.append(("icmp", "", [one for one in addresses if ":" not in one]))
            found.append(("icmpv6", "", [one for one in addresses if ":" in one]))
        else:
            found.append(
                (
                    rule["protocol"],
                    "" if rule["ports"] in ("0", "all") else rule["ports"],
                    addresses,
                )
            )
    return rule_set(found)
