"""The provider `openstack` on the stage: a project of a real Neutron, behind a proxy that can
fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cloudsync.provider.marker import Marker
from cloudsync.rules import RuleSet
from cloudsync.testing import Spelled
from tests.conformance.http_stage import HttpStage
from tests.openstack.cloud import Json, by_hand, is_network_rule, lets_in, spelled, tag_of
from tests.openstack.proxy import NeutronProxy, fault_body

SINGLES = 12
"""Rules that `limit` leaves room for besides SSH."""


class OpenStackStage(HttpStage):
    type = "openstack"
    patience_seconds = 6  # a real server, which other tests use too
    environment: Mapping[str, str] = {}
    reading = ("GET", "/v2.0/security-groups")
    writing = ("POST|PUT|DELETE", "/v2.0/.*")
    errors = {
        "unauthorized": (401, {"error": {"code": 401, "title": "Unauthorized"}}),
        "forbidden": (403, fault_body("PolicyNotAuthorized")),
        "not-found": (404, fault_body("SecurityGroupNotFound")),
        "conflict": (409, fault_body("SecurityGroupRuleExists")),
        "throttled": (429, {"overLimit": {"code": 429, "message": "slow down"}}),
        "unavailable": (503, fault_body("ServiceUnavailable")),
        "failed-after": (500, fault_body("HTTPInternalServerError")),
    }

    def __init__(self, double: NeutronProxy) -> None:
        super().__init__(double)
        self.cloud, self.project = double, double.project
        self.project.remembers = True
        self.account = {
            "endpoint": double.endpoint,
            "anonymous": True,
            "project_id": self.project.id,
        }
        self.port: Json | None = None
        self.theirs: str | None = None
        """The group of somebody else that the machine is under."""

    def settings(self, name: str) -> Mapping[str, Any]:
        return {"name": name}

    def put(self, name: str, rules: Sequence[Spelled], marker: Marker | None) -> None:
        group = self.project.add_group(name)
        self.project.tag(group["id"], "team-a", *([tag_of(marker)] if marker is not None else []))
        self.project.add_rules(group["id"], [one for rule in rules for one in by_hand(rule)])

    def edit(self, name: str, rules: Sequence[Spelled]) -> None:
        with self.cloud.lock:  # one edit, and not a row of states in between
            group = self._of(name)
            for rule in filter(is_network_rule, group["security_group_rules"]):
                self.project.delete_rule(rule["id"])
            self.project.add_rules(group["id"], [one for rule in rules for one in by_hand(rule)])

    def lets_in(self, name: str) -> RuleSet | None:
        group = self.project.group(name)
        return None if group is None else lets_in(group)

    def rules(self, name: str) -> Sequence[Spelled]:
        return [
            spelled(rule)
            for rule in self._of(name)["security_group_rules"]
            if is_network_rule(rule)
        ]

    def version(self, name: str) -> object:
        # A group's revision is not compared, but a write is about a single rule.
        return self.rules(name)

    def add_neighbour(self, name: str) -> str:
        network = self.project.add_network()
        for number, machine in enumerate(("web-1", "db-1"), 1):
            owner = {"device_id": f"{number:08}-0000-4000-8000-000000000000"}
            groups = {"device_owner": "compute:nova", "security_groups": [self._of(name)["id"]]}
            self.project.add_port(network, name=machine, **owner, **groups)
        return "db-1"

    def history(self, name: str) -> Sequence[RuleSet]:
        return [rules for of, rules in self.cloud.history if of == name]

    def put_other(self, name: str) -> None:
        group = self._of(name)["id"]
        body = {"address_group": {"name": "office", "addresses": ["203.0.113.0/24"]}}
        office = self.project.ask("POST", "address-groups", body)["address_group"]["id"]
        port = {"protocol": "tcp", "port_range_min": 5432, "port_range_max": 5432}
        more = [{"remote_group_id": group}, {"remote_address_group_id": office}]
        self.project.add_rules(group, [{"ethertype": "IPv4", **port, **one} for one in more])

    def others(self, name: str) -> int:
        rules = self._of(name)["security_group_rules"]
        inbound = [rule for rule in rules if rule["direction"] == "ingress"]
        return sum(not is_network_rule(rule) for rule in inbound) // 2

    def limit(self, beyond: int) -> Sequence[str]:
        # A new group has two rules for what goes out, and SSH has two; one that is there has them.
        group = self.project.group("web")
        stays = 4 if group is None else -len(_besides_ssh(group))
        used = self.project.details()["security_group_rule"]["used"]
        self.project.quota(security_group_rule=used + stays + SINGLES)
        return [f"tcp/{10000 + 2 * n} from 203.0.113.0/24" for n in range(SINGLES + beyond)]

    def boundary(self, beyond: int) -> None:
        self.cloud.page = len(self.project.groups()) - beyond

    def answer_only(self, name: str) -> None:
        self.answer_more("security_groups")

    def attaching_missing(self, name: str) -> Mapping[str, Any]:
        return {"ports": ["nowhere-1"]}

    def attached(self, name: str) -> int:
        ports = self.project.ports_of(self._of(name)["id"])
        return sum(port["port_security_enabled"] for port in ports)

    def attaching(self, name: str) -> Mapping[str, Any]:
        if self.port is None:
            more = {"port_security_enabled": False, "security_groups": []}
            self.port = self.project.add_port(self.project.add_network(), name="web-1", **more)
        return {"ports": ["web-1"]}

    def put_under_another(self, name: str, rules: Sequence[Spelled]) -> None:
        self.theirs = self.project.add_group("theirs")["id"]
        self.project.add_rules(self.theirs, [one for rule in rules for one in by_hand(rule)])
        network = self.project.add_network("203.0.113.0/24")  # the Internet reaches it
        self.port = self.project.add_port(network, name="web-1", security_groups=[self.theirs])

    def under_another(self, name: str) -> bool:
        assert self.port is not None
        port = self.project.get_port(self.port["id"])
        return port["port_security_enabled"] and self.theirs in port["security_groups"]

    def _of(self, name: str) -> Json:
        group = self.project.group(name)
        assert group is not None
        return group


def _besides_ssh(group: Json) -> list[Json]:
    """Its rules for what comes in, without SSH's: what goes makes room."""
    return [
        rule
        for rule in group["security_group_rules"]
        if rule["direction"] == "ingress" and rule["port_range_min"] != 22
    ]
