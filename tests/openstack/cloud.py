"""One project of the real Neutron: what a person does in it by hand, and what is there; told by
Neutron's own API through code that has nothing of the provider's."""

from __future__ import annotations

import http.client
import json
import uuid
from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from typing import Any

from cloudsync.provider.marker import Marker
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.networks import NetworkSet
from cloudsync.testing import Spelled

SECONDS = 60.0
Json = dict[str, Any]


def call(
    port: int, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
) -> tuple[int, Any, Mapping[str, str]]:
    """One request to the server itself: status, JSON, headers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        raw = None if body is None else json.dumps(body).encode()
        more = {} if raw is None else {"Content-Type": "application/json"}
        connection.request(method, path, raw, {**more, **(headers or {})})
        response = connection.getresponse()
        data = response.read()
        return response.status, json.loads(data) if data else None, dict(response.headers)
    finally:
        connection.close()


class Project:
    """A project with nothing in it but the group `default`."""

    def __init__(self, port: int) -> None:
        self.port, self.id = port, uuid.uuid4().hex
        self.remembers = False
        """Whether groups and ports are listed once after a write that may change them, instead of
        each time they are looked at. Only if every write is one of these or goes through a
        `NeutronProxy`."""
        self._listed: list[Json] | None = None
        self._ports: list[Json] | None = []  # a new project has none

    def ask(self, method: str, path: str, body: Any = None, *, roles: str = "member,reader") -> Any:
        status, answer, _ = call(self.port, method, f"/v2.0/{path}", body, self.headers(roles))
        self.forget(method, path)
        assert 200 <= status < 300, f"{method} {path}: {status} {answer}"
        return answer

    def forget(self, method: str, path: str) -> None:
        """A call has ended: what was listed before a write is not what is there. A write to groups
        or their rules changes no port, as Neutron deletes no group that a port has."""
        if method != "GET":
            self._listed = None
            if "security-group" not in path:
                self._ports = None

    def headers(self, roles: str) -> dict[str, str]:
        return {"X-Project-Id": self.id, "X-User-Id": "a-person", "X-Roles": roles}

    def groups(self) -> list[Json]:
        if self._listed is not None:
            return self._listed
        groups: list[Json] = self.ask("GET", f"security-groups?project_id={self.id}")[
            "security_groups"
        ]
        if self.remembers:
            self._listed = groups
        return groups

    def group(self, name: str) -> Json | None:
        named = [group for group in self.groups() if group["name"] == name]
        assert len(named) < 2, f"{len(named)} groups are named {name}"
        return named[0] if named else None

    def add_group(self, name: str, description: str = "by hand") -> Json:
        body = {"security_group": {"name": name, "description": description}}
        group: Json = self.ask("POST", "security-groups", body)["security_group"]
        return group

    def tag(self, group: str, *tags: str) -> None:
        self.ask("PUT", f"security-groups/{group}/tags", {"tags": list(tags)})

    def add_rules(self, group: str, rules: Sequence[Json]) -> None:
        bodies = [{"security_group_id": group, "direction": "ingress", **rule} for rule in rules]
        if bodies:
            self.ask("POST", "security-group-rules", {"security_group_rules": bodies})

    def delete_rule(self, rule: str) -> None:
        """It may be gone already: a run may be deleting at the same time."""
        path = f"/v2.0/security-group-rules/{rule}"
        status, answer, _ = call(self.port, "DELETE", path, headers=self.headers("member,reader"))
        self.forget("DELETE", path)
        assert status in (204, 404), answer

    def quota(self, **limits: int) -> None:
        self.ask("PUT", f"quotas/{self.id}", {"quota": limits}, roles="admin,member,reader")

    def details(self) -> Json:
        found: Json = self.ask("GET", f"quotas/{self.id}/details.json")["quota"]
        return found

    def add_network(self, cidr: str = "10.20.0.0/16") -> str:
        network: str = self.ask("POST", "networks", {"network": {"name": "net"}})["network"]["id"]
        subnet = {"network_id": network, "cidr": cidr, "ip_version": 4}
        self.ask("POST", "subnets", {"subnet": subnet})
        return network

    def add_port(self, network: str, **more: Any) -> Json:
        port: Json = self.ask("POST", "ports", {"port": {"network_id": network, **more}})["port"]
        return port

    def get_port(self, id_: str) -> Json:
        port: Json = self.ask("GET", f"ports/{id_}")["port"]
        return port

    def ports_of(self, group: str) -> list[Json]:
        ports = self._ports
        if ports is None or not self.remembers:
            ports = self.ask("GET", f"ports?project_id={self.id}")["ports"]
            self._ports = ports
        return [port for port in ports if group in port["security_groups"]]


def by_hand(rule: Spelled) -> list[Json]:
    """A rule as a person types it for the command line: one for each network; any IPv4 address by
    leaving the prefix out, any IPv6 address by naming it."""
    found = []
    for source in rule.sources:
        one: Json = {"ethertype": "IPv6" if ":" in source else "IPv4"}
        if rule.protocol != "all":
            one["protocol"] = rule.protocol
        if source != "0.0.0.0/0":
            one["remote_ip_prefix"] = source
        if rule.ports and rule.protocol in ("icmp", "icmpv6"):
            kind, _, code = rule.ports.partition("/")
            one |= {"port_range_min": int(kind)} | ({"port_range_max": int(code)} if code else {})
        elif rule.ports:
            first, _, last = rule.ports.partition("-")
            one |= {"port_range_min": int(first), "port_range_max": int(last or first)}
        if rule.description:
            one["description"] = rule.description
        found.append(one)
    return found


def is_network_rule(rule: Json) -> bool:
    return (
        rule["direction"] == "ingress"
        and rule["remote_group_id"] is None
        and rule["remote_address_group_id"] is None
    )


def lets_in(group: Json) -> RuleSet:
    """What a group lets in from networks."""
    rules = map(spelled, filter(is_network_rule, group["security_group_rules"]))
    return RuleSet.of(
        Rule.of(
            rule.protocol,
            rule.ports,
            NetworkSet.of(str(ip_network(source, strict=False)) for source in rule.sources),
        )
        for rule in rules
    )


def spelled(rule: Json) -> Spelled:
    """One rule as Neutron's documents say it."""
    six = rule["ethertype"] == "IPv6"
    source = rule["remote_ip_prefix"] or ("::/0" if six else "0.0.0.0/0")
    protocol = {"ipv6-icmp": "icmpv6", None: "all"}.get(rule["protocol"], rule["protocol"])
    low, high = rule["port_range_min"], rule["port_range_max"]
    if protocol in ("icmp", "icmpv6"):
        ports = "" if low is None else f"{low}" if high is None else f"{low}/{high}"
    else:
        ports = "" if low is None else f"{low}" if low == high else f"{low}-{high}"
    return Spelled(protocol, ports, (source,), rule.get("description") or "")


def tag_of(marker: Marker) -> str:
    return f"cloudsync:{marker.owner}:{marker.firewall}:{marker.hosts}"
