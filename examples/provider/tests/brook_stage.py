"""Brook on the stage: its double, whose rules are read here by other code than the provider's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from typing import Any

from brook_double import MAX_RULES, PAGE, BrookDouble, Json, fault_body

from cloudsync.provider.marker import Marker
from cloudsync.rules import NOTHING, Rule, RuleSet
from cloudsync.testing import Spelled, meant
from cloudsync.testing.http_stage import HttpStage

OUTBOUND = {
    "action": "ACCEPT",
    "protocol": "TCP",
    "ports": "25",
    "addresses": {"ipv4": ["0.0.0.0/0"], "ipv6": []},
    "label": "mail",
}
EVERYTHING = meant("all")


class BrookStage(HttpStage):
    type = "brook"
    reading = ("GET", "/firewalls")
    writing = ("POST|PUT", "/firewalls.*")
    vendor_has = frozenset({"counted", "descriptions"})
    errors = {
        "unauthorized": (401, fault_body("unauthorized")),
        "forbidden": (403, fault_body("forbidden")),
        "not-found": (404, fault_body("not_found")),
        "conflict": (409, fault_body("changed")),
        "throttled": (429, fault_body("slow_down")),
        "unavailable": (503, fault_body("unavailable")),
        "failed-after": (500, fault_body("oops")),
    }

    def __init__(self, double: BrookDouble) -> None:
        super().__init__(double)
        self.cloud = double
        self.machine = double.add_machine("web-1")
        self.account = {"token": {"env": "STAGE_TOKEN"}, "endpoint": double.endpoint}
        self.environment = {"STAGE_TOKEN": double.token}

    def settings(self, name: str) -> Mapping[str, Any]:
        return {"name": name, "private": "cut"}

    def put(self, name: str, rules: Sequence[Spelled], marker: Marker | None) -> None:
        tags = ["team-a", *(_tags(marker) if marker is not None else [])]
        more = {"outbound": [OUTBOUND], "outbound_policy": "ACCEPT"}
        self.cloud.add_firewall(name, [_rule(rule) for rule in rules], tags, **more)

    def edit(self, name: str, rules: Sequence[Spelled]) -> None:
        self._of(name)["rules"]["inbound"] = [_rule(rule) for rule in rules]

    def lets_in(self, name: str) -> RuleSet | None:
        firewall = self.cloud.firewall(name)
        return None if firewall is None else _let_in(firewall["rules"])

    def history(self, name: str) -> Sequence[RuleSet]:
        return [_let_in(rules) for label, rules in self.cloud.history if label == name]

    def rules(self, name: str) -> Sequence[Spelled]:
        return [
            Spelled(rule["protocol"].lower(), ports, _networks(rule), rule.get("label", ""))
            for rule in self._of(name)["rules"]["inbound"]
            if rule["action"] == "ACCEPT" and _networks(rule)
            for ports in (rule.get("ports") or "").split(",")
        ]

    def aside(self, name: str) -> object:
        firewall = self._of(name)
        rules = firewall["rules"]
        theirs = [r for r in rules["inbound"] if r["action"] != "ACCEPT" or not _networks(r)]
        tags = [tag for tag in firewall["tags"] if not tag.startswith("cloudsync-")]
        return theirs, rules["outbound"], rules["outbound_policy"], sorted(tags)

    def aside_of_new(self) -> object:
        return [], [], "ACCEPT", []

    def put_other(self, name: str) -> None:
        office = {"action": "ACCEPT", "protocol": "TCP", "ports": "5432", "label": "office"}
        self._of(name)["rules"]["inbound"].append(office | {"addresses": {"lists": ["pl:office"]}})

    def others(self, name: str) -> int:
        inbound = self._of(name)["rules"]["inbound"]
        return sum(len(rule["addresses"].get("lists", ())) for rule in inbound)

    def limit(self, beyond: int) -> Sequence[str]:
        # One of the rules is SSH's, and a firewall that is there has an outbound one. Rules of
        # different networks cannot be joined.
        there = self.cloud.firewall("web") is not None
        rules = range(MAX_RULES - 1 - there + beyond)
        return [f"udp/{1000 + n * 20}-{1010 + n * 20} from 203.0.113.{n}/32" for n in rules]

    def boundary(self, beyond: int) -> None:
        existing = dict(self.cloud.firewalls)
        for number in range(PAGE + beyond - len(existing)):
            self.cloud.add_firewall(f"other-{number}", [], [])
        for id_, firewall in existing.items():  # behind all others
            del self.cloud.firewalls[id_]
            self.cloud.firewalls[id_] = firewall

    def attached(self, name: str) -> int:
        return len(self._of(name)["machines"])

    def attaching(self, name: str) -> Mapping[str, Any]:
        return {"machines": ["web-1"]}

    def attaching_missing(self, name: str) -> Mapping[str, Any]:
        return {"machines": ["nowhere-1"]}

    def letting_private_in(self, name: str) -> tuple[Mapping[str, Any], RuleSet]:
        networks = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"
        protocols = ("tcp", "udp", "icmp", "ipip")
        return {"private": "allow"}, meant(*(f"{name} from {networks}" for name in protocols))

    def deny(self, name: str, rules: Sequence[Spelled]) -> None:
        inbound = self._of(name)["rules"]["inbound"]
        inbound[:0] = [_rule(rule) | {"action": "DROP", "label": "blocked"} for rule in rules]

    def accept_by_default(self, name: str) -> None:
        firewall = self._of(name)
        firewall["rules"]["inbound_policy"] = "ACCEPT"
        firewall["machines"].append({"id": self.machine, "status": "applied"})

    def disable(self, name: str) -> None:
        self._of(name)["status"] = "disabled"

    def enabled(self, name: str) -> bool:
        return bool(self._of(name)["status"] == "enabled")

    def pend(self, name: str) -> None:
        self._of(name)["machines"] = [{"id": self.machine, "status": "failed"}]

    def in_effect(self, name: str) -> bool:
        return all(on["status"] == "applied" for on in self._of(name)["machines"])

    def mark_twice(self, name: str, marker: Marker) -> None:
        self._of(name)["tags"] += _tags(marker)

    def add_neighbour(self, name: str) -> str:
        neighbour = self.cloud.add_machine("db-1")
        machines = [{"id": id_, "status": "applied"} for id_ in (self.machine, neighbour)]
        self._of(name)["machines"] = machines
        return "db-1"

    def version(self, name: str) -> object:
        listed = self.cloud.shown(self._of(name))
        return listed["fingerprint"]

    def put_under_another(self, name: str, rules: Sequence[Spelled]) -> None:
        id_ = self.cloud.add_firewall("monitoring", [_rule(rule) for rule in rules], [])
        self.cloud.firewalls[id_]["machines"] = [{"id": self.machine, "status": "applied"}]

    def under_another(self, name: str) -> bool:
        return self.machine in [on["id"] for on in self._of("monitoring")["machines"]]

    def _of(self, name: str) -> Json:
        firewall = self.cloud.firewall(name)
        assert firewall is not None
        return firewall


def _tags(marker: Marker) -> list[str]:
    return [
        f"cloudsync-owner:{marker.owner}",
        f"cloudsync-firewall:{marker.firewall}",
        f"cloudsync-hosts:{marker.hosts}",
    ]


def _rule(rule: Spelled) -> Json:
    has_ports = rule.protocol in ("tcp", "udp")
    return {
        "action": "ACCEPT",
        "protocol": {"ipip": "IPENCAP"}.get(rule.protocol, rule.protocol.upper()),
        **({"ports": rule.ports} if has_ports else {}),
        "addresses": {
            "ipv4": [source for source in rule.sources if ":" not in source],
            "ipv6": [source for source in rule.sources if ":" in source],
        },
        "label": rule.description,
    }


def _networks(rule: Json) -> tuple[str, ...]:
    return (*rule["addresses"].get("ipv4", ()), *rule["addresses"].get("ipv6", ()))


def _let_in(rules: Json) -> RuleSet:
    """The first rule that matches decides; then the default policy."""
    undecided, open_ = EVERYTHING, NOTHING
    for rule in rules["inbound"]:
        matched = _matched(rule) & undecided
        undecided = undecided - matched
        if rule["action"] == "ACCEPT":
            open_ = open_ | matched
    return open_ | undecided if rules["inbound_policy"] == "ACCEPT" else open_


def _matched(rule: Json) -> RuleSet:
    networks = [str(ip_network(network, strict=False)) for network in _networks(rule)]
    v4 = [network for network in networks if ":" not in network]
    v6 = [network for network in networks if ":" in network]
    if rule["protocol"] == "ICMP":
        parts = (("icmp", v4), ("icmpv6", v6))
        return RuleSet.of(Rule.of(name, "", part) for name, part in parts if part)
    protocol = {"IPENCAP": "ipip"}.get(rule["protocol"], rule["protocol"].lower())
    ports = (rule.get("ports") or "").split(",")
    return RuleSet.of(Rule.of(protocol, piece, networks) for piece in ports if networks)
