"""A strict double of the firewall part of the Hetzner Cloud API, written from the vendor's
description.

Stricter than that description where the vendor is known to be: host bits, ports and protocols,
limits, names, labels. Every request and answer is held against the description (`../shared/specs`)
where it is at hand; what does not fit is in `violations`.

`python -m tests.doubles.hetzner --port 4110 --servers web-1,web-2` runs it for a person.
"""

from __future__ import annotations

import argparse
import ipaddress
import random
import re
import time
from dataclasses import dataclass, field
from typing import Any

from tests.doubles.http import (
    ApiError,
    Double,
    Fault,
    Request,
    strange_query,
    until_interrupted,
    validator,
)

SPEC = "hetzner-cloud-firewalls.openapi.json"
CREATED = "2026-01-02T03:04:05Z"
_LABEL_KEY = re.compile(
    r"([a-z0-9A-Z]([-a-z0-9A-Z.]{0,251}[a-z0-9A-Z])?/)?[a-z0-9A-Z]([-._a-z0-9A-Z]{0,61}[a-z0-9A-Z])?"
)
_LABEL_VALUE = re.compile(r"([a-z0-9A-Z]([-._a-z0-9A-Z]{0,61}[a-z0-9A-Z])?)?")
_PORT = re.compile(r"any|[0-9]{1,5}(-[0-9]{1,5})?")
_SELECTOR = re.compile(r"(!?)([^=!,() ]+)(?: *(==|=|!=) *([^=!,() ]*)| +(in|notin) +\(([^)]*)\))?")


def error(status: int, code: str, message: str, details: Any = None) -> ApiError:
    return ApiError(status, {"error": {"code": code, "message": message, "details": details or {}}})


def fault_body(code: str, message: str = "told to fail") -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "details": {}}}


@dataclass
class Server:
    id: int
    name: str
    labels: dict[str, str]
    public: bool = True
    v4: bool = True
    v6: bool = False
    floating: bool = False


@dataclass
class Firewall:
    id: int
    name: str
    labels: dict[str, str]
    rules: list[dict[str, Any]] = field(default_factory=list)
    servers: set[int] = field(default_factory=set)
    selectors: list[str] = field(default_factory=list)


@dataclass
class Action:
    id: int
    command: str
    resources: list[dict[str, Any]]
    polls: int
    status: str = "running"
    error: dict[str, str] | None = None
    server: int | None = None
    firewall: int | None = None


class HetznerDouble(Double):
    """`polls`: how often an action is seen running before it succeeds. `failing_servers`: applying
    to them fails."""

    base_path = "/v1"

    def __init__(self, port: int = 0, *, polls: int = 1, seed: int = 7) -> None:
        super().__init__(port)
        self.token, self.read_only_token = "double-token-read-write", "double-token-read-only"
        self.servers: dict[int, Server] = {}
        self.firewalls: dict[int, Firewall] = {}
        self.actions: dict[int, Action] = {}
        self.in_force: dict[tuple[int, int], str] = {}
        self.history: list[tuple[str, list[dict[str, Any]]]] = []
        self.failing_servers: set[int] = set()
        self.polls, self.shuffle, self.random, self.next_id = polls, True, random.Random(seed), 1
        self.remaining: int | None = None

    # What a test does by hand

    def add_server(self, name: str, *, labels: dict[str, str] | None = None, public: bool = True,
                   v4: bool = True, v6: bool = False, floating: bool = False) -> int:  # fmt: skip
        """`v4`, `v6`: its public addresses; `floating`: a floating one too."""
        with self.lock:
            server = Server(self._id(), name, labels or {}, public and (v4 or v6), v4, v6, floating)
            self.servers[server.id] = server
            self._settle()
            return server.id

    def add_firewall(
        self,
        name: str,
        rules: list[dict[str, Any]] | None = None,
        *,
        labels: dict[str, str] | None = None,
        servers: list[int] | None = None,
        selectors: list[str] | None = None,
    ) -> int:
        with self.lock:
            firewall = Firewall(
                self._id(),
                name,
                labels or {},
                [self._rule(rule) for rule in rules or []],
                set(servers or []),
                selectors or [],
            )
            self.firewalls[firewall.id] = firewall
            self._settle("applied")
            return firewall.id

    def set_rules_by_hand(self, id_: int, rules: list[dict[str, Any]]) -> None:
        with self.lock:
            self.firewalls[id_].rules = [self._rule(rule) for rule in rules]

    def firewall(self, name: str) -> dict[str, Any] | None:
        with self.lock:
            return next(
                (self._firewall(one) for one in self.firewalls.values() if one.name == name), None
            )

    def server(self, name: str) -> dict[str, Any]:
        with self.lock:
            return next(
                self._server_answer(one) for one in self.servers.values() if one.name == name
            )

    # The API

    def headers(self) -> dict[str, str]:
        left = 3600 if self.remaining is None else max(self.remaining, 0)
        return {
            "RateLimit-Limit": "3600",
            "RateLimit-Remaining": str(left),
            "RateLimit-Reset": str(int(time.time()) + 3600 - left),
        }

    def handle(self, request: Request) -> tuple[int, Any]:
        if request.token is None:
            raise error(401, "unauthorized", "token is required")
        if request.token not in (self.token, self.read_only_token):
            raise error(401, "unauthorized", "the token you have provided is invalid")
        if self.remaining is not None:
            if self.remaining <= 0:
                raise error(429, "rate_limit_exceeded", "limit of 3600 requests per hour reached")
            self.remaining -= 1
        for pattern, methods in ROUTES:
            if match := re.fullmatch(pattern, request.path):
                if request.method not in methods:
                    raise error(405, "method_not_allowed", "method not allowed")
                if request.method != "GET" and request.token == self.read_only_token:
                    raise error(
                        403, "token_readonly", "the token is only allowed to perform GET requests"
                    )
                if request.method in ("POST", "PUT") and not isinstance(request.body, dict):
                    raise error(400, "json_error", "invalid input in field json")
                return getattr(self, methods[request.method])(
                    request, *(int(group) for group in match.groups())
                )  # type: ignore[no-any-return]
        raise error(404, "not_found", "api route not found")

    def check(self, request: Request, status: int, answer: Any) -> None:
        path = re.sub(r"/\d+", "/{id}", request.path)
        self.violations += [
            f"request {request.method} {path}: {problem}"
            for problem in strange_query(SPEC, path, request)
        ]
        if (
            request.body is not None
            and status < 400
            and (checker := validator(SPEC, path, request.method, "request"))
        ):
            self.violations += [
                f"request {request.method} {path}: {text}" for text in checker(request.body)
            ]
        if answer is not None and (checker := validator(SPEC, path, request.method, str(status))):
            self.violations += [
                f"answer {status} to {request.method} {path}: {text}" for text in checker(answer)
            ]

    def list_servers(self, request: Request) -> tuple[int, Any]:
        found = [
            one
            for one in self.servers.values()
            if _matches(one.labels, request.first("label_selector"))
        ]
        found = [one for one in found if request.first("name") in (None, one.name)]
        return self._page(request, "servers", [self._server_answer(one) for one in found])

    def get_server(self, request: Request, id_: int) -> tuple[int, Any]:
        return 200, {"server": self._server_answer(self._known(self.servers, id_, "server"))}

    def list_firewalls(self, request: Request) -> tuple[int, Any]:
        found = [
            one
            for one in self.firewalls.values()
            if _matches(one.labels, request.first("label_selector"))
        ]
        found = [one for one in found if request.first("name") in (None, one.name)]
        return self._page(request, "firewalls", [self._firewall(one) for one in found])

    def get_firewall(self, request: Request, id_: int) -> tuple[int, Any]:
        return 200, {"firewall": self._firewall(self._known(self.firewalls, id_, "firewall"))}

    def create_firewall(self, request: Request) -> tuple[int, Any]:
        body = request.body
        name = self._name(body.get("name"), None)
        labels, rules = self._labels(body.get("labels", {})), self._rules(body.get("rules", []))
        if len(self.firewalls) >= 50:
            raise error(403, "resource_limit_exceeded", "firewall limit exceeded")
        firewall = Firewall(self._id(), name, labels, rules)
        self._attach(firewall, body.get("apply_to", []))
        self.firewalls[firewall.id] = firewall
        actions = [self._act("set_firewall_rules", firewall), *self._reapply(firewall)]
        self._record(firewall)
        return 201, {"firewall": self._firewall(firewall), "actions": actions}

    def update_firewall(self, request: Request, id_: int) -> tuple[int, Any]:
        firewall = self._known(self.firewalls, id_, "firewall")
        if "name" in request.body:
            firewall.name = self._name(request.body["name"], firewall)
        if "labels" in request.body:
            firewall.labels = self._labels(request.body["labels"])
        self._record(firewall)
        return 200, {"firewall": self._firewall(firewall)}

    def delete_firewall(self, request: Request, id_: int) -> tuple[int, Any]:
        firewall = self._known(self.firewalls, id_, "firewall")
        if firewall.servers or firewall.selectors:
            raise error(422, "resource_in_use", "firewall with ID is still in use")
        del self.firewalls[id_]
        return 204, None

    def set_rules(self, request: Request, id_: int) -> tuple[int, Any]:
        firewall = self._known(self.firewalls, id_, "firewall")
        if "rules" not in request.body:
            raise error(422, "invalid_input", "invalid input in field 'rules'")
        firewall.rules = self._rules(request.body["rules"])
        self._check_effective(firewall)
        actions = [self._act("set_firewall_rules", firewall), *self._reapply(firewall)]
        self._record(firewall)
        return 201, {"actions": actions}

    def apply_to_resources(self, request: Request, id_: int) -> tuple[int, Any]:
        firewall = self._known(self.firewalls, id_, "firewall")
        before = self._covered(firewall)
        self._attach(firewall, request.body.get("apply_to", []))
        actions = self._reapply(firewall, self._covered(firewall) - before)
        self._record(firewall)
        return 201, {"actions": actions}

    def remove_from_resources(self, request: Request, id_: int) -> tuple[int, Any]:
        firewall = self._known(self.firewalls, id_, "firewall")
        for resource in request.body.get("remove_from", []):
            if resource["type"] == "server":
                if resource["server"]["id"] not in firewall.servers:
                    code = (
                        "firewall_managed_by_label_selector"
                        if resource["server"]["id"] in self._covered(firewall)
                        else "firewall_resource_not_found"
                    )
                    raise error(422, code, "firewall is not applied to this server directly")
                firewall.servers.discard(resource["server"]["id"])
            else:
                firewall.selectors.remove(resource["label_selector"]["selector"])
        self._settle()
        return 201, {"actions": [self._act("remove_firewall", firewall)]}

    def list_actions(self, request: Request) -> tuple[int, Any]:
        ids = request.query.get("id")
        if not ids:
            raise error(400, "invalid_input", "id is required")
        found = [
            self._poll(self.actions[int(id_)])
            for id_ in ids
            if id_.isdigit() and int(id_) in self.actions
        ]
        return 200, {"actions": found}

    def get_action(self, request: Request, id_: int) -> tuple[int, Any]:
        return 200, {"action": self._poll(self._known(self.actions, id_, "action"))}

    # How the vendor behaves

    def _id(self) -> int:
        self.next_id += 1
        return self.next_id

    def _known(self, where: dict[int, Any], id_: int, what: str) -> Any:
        if id_ not in where:
            raise error(404, "not_found", f"{what} with ID '{id_}' not found")
        return where[id_]

    def _name(self, name: Any, mine: Firewall | None) -> str:
        if not isinstance(name, str) or not 1 <= len(name) <= 128:
            raise error(422, "invalid_input", "invalid input in field 'name'")
        if any(one.name == name and one is not mine for one in self.firewalls.values()):
            raise error(409, "uniqueness_error", "name is already used")
        return name

    def _labels(self, labels: Any) -> dict[str, str]:
        for key, value in labels.items():
            if (
                not _LABEL_KEY.fullmatch(key)
                or key.startswith("hetzner.cloud/")
                or not isinstance(value, str)
                or not _LABEL_VALUE.fullmatch(value)
            ):
                raise error(
                    422,
                    "invalid_input",
                    "invalid input in field 'labels'",
                    {"fields": [{"name": "labels", "messages": [key]}]},
                )
        return dict(labels)

    def _rules(self, rules: Any) -> list[dict[str, Any]]:
        if len(rules) > 50:
            raise error(
                422,
                "invalid_input",
                "invalid input in field 'rules'",
                {"fields": [{"name": "rules", "messages": ["at most 50 rules"]}]},
            )
        return [self._rule(rule) for rule in rules]

    def _rule(self, rule: dict[str, Any]) -> dict[str, Any]:
        direction, protocol, port = rule.get("direction"), rule.get("protocol"), rule.get("port")
        if direction not in ("in", "out") or protocol not in ("tcp", "udp", "icmp", "esp", "gre"):
            raise error(
                422, "invalid_input", "invalid input in field 'rules': direction or protocol"
            )
        if protocol in ("tcp", "udp"):
            if not isinstance(port, str) or not _PORT.fullmatch(port) or not _port_range(port):
                raise error(422, "invalid_input", "invalid input in field 'rules': port")
        elif port is not None:
            raise error(
                422,
                "invalid_input",
                "invalid input in field 'rules': port is not allowed for this protocol",
            )
        mine, other = (
            ("source_ips", "destination_ips")
            if direction == "in"
            else ("destination_ips", "source_ips")
        )
        if not rule.get(mine) or rule.get(other) or len(rule[mine]) > 100:
            raise error(422, "invalid_input", f"invalid input in field 'rules': {mine}")
        try:
            if any("/" not in cidr for cidr in rule[mine]):
                raise ValueError
            networks = [str(ipaddress.ip_network(cidr, strict=True)) for cidr in rule[mine]]
        except ValueError:
            raise error(
                422, "invalid_input", f"invalid input in field 'rules': {mine} is no CIDR"
            ) from None
        description = rule.get("description")
        if description is not None and (not isinstance(description, str) or len(description) > 255):
            raise error(422, "invalid_input", "invalid input in field 'rules': description")
        return {
            "description": description,
            "direction": direction,
            mine: networks,
            other: [],
            "protocol": protocol,
            "port": port,
        }

    def _attach(self, firewall: Firewall, resources: list[dict[str, Any]]) -> None:
        servers, selectors = set(firewall.servers), list(firewall.selectors)
        for resource in resources:
            if resource.get("type") == "server":
                id_ = resource["server"]["id"]
                if id_ not in self.servers:
                    raise error(404, "firewall_resource_not_found", f"server {id_} not found")
                if id_ in servers:
                    raise error(
                        422,
                        "firewall_already_applied",
                        f"firewall is already applied to server {id_}",
                    )
                if not self.servers[id_].public:
                    raise error(422, "private_net_only_server", "server has no public interface")
                servers.add(id_)
            elif resource.get("type") == "label_selector":
                if resource["label_selector"]["selector"] in selectors:
                    raise error(
                        422, "firewall_already_applied", "label selector is already applied"
                    )
                selectors.append(resource["label_selector"]["selector"])
            else:
                raise error(422, "invalid_input", "invalid input in field 'apply_to'")
        for id_ in servers:
            others = sum(
                id_ in self._covered(one) for one in self.firewalls.values() if one is not firewall
            )
            if others >= 5:
                raise error(422, "invalid_input", f"server {id_} has too many firewalls")
        firewall.servers, firewall.selectors = servers, selectors

    def _check_effective(self, firewall: Firewall) -> None:
        """The vendor counts to 500; how is not written down: here rules times CIDRs over all
        firewalls of a server."""
        for id_ in self._covered(firewall):
            rules = [
                rule
                for one in self.firewalls.values()
                if id_ in self._covered(one)
                for rule in one.rules
            ]
            if sum(len(rule["source_ips"]) + len(rule["destination_ips"]) for rule in rules) > 500:
                raise error(
                    422, "invalid_input", f"server {id_} would have more than 500 effective rules"
                )

    def _covered(self, firewall: Firewall) -> set[int]:
        by_label = {
            one.id
            for one in self.servers.values()
            if one.public and any(_matches(one.labels, s) for s in firewall.selectors)
        }
        return firewall.servers | by_label

    def _act(self, command: str, firewall: Firewall, server: int | None = None) -> dict[str, Any]:
        resources = [{"id": firewall.id, "type": "firewall"}] + (
            [{"id": server, "type": "server"}] if server else []
        )
        action = Action(
            self._id(), command, resources, self.polls, server=server, firewall=firewall.id
        )
        self.actions[action.id] = action
        return self._action(action)

    def _reapply(self, firewall: Firewall, servers: set[int] | None = None) -> list[dict[str, Any]]:
        servers = self._covered(firewall) if servers is None else servers
        for id_ in servers:
            self.in_force[firewall.id, id_] = "pending"
        return [self._act("apply_firewall", firewall, id_) for id_ in sorted(servers)]

    def _settle(self, status: str = "pending") -> None:
        """Servers that come under a firewall without an action of ours (labels, by hand), and ones
        that leave it."""
        covered = {(one.id, id_) for one in self.firewalls.values() for id_ in self._covered(one)}
        self.in_force = {key: self.in_force.get(key, status) for key in covered}

    def _poll(self, action: Action) -> dict[str, Any]:
        if action.status == "running":
            action.polls -= 1
            if action.polls < 0:
                failed = (
                    action.server in self.failing_servers and action.command == "apply_firewall"
                )
                action.status = "error" if failed else "success"
                action.error = (
                    {"code": "action_failed", "message": "Action failed"} if failed else None
                )
                if (
                    action.server
                    and action.firewall
                    and not failed
                    and (action.firewall, action.server) in self.in_force
                ):
                    self.in_force[action.firewall, action.server] = "applied"
        return self._action(action)

    def _action(self, action: Action) -> dict[str, Any]:
        done = action.status != "running"
        return {
            "id": action.id,
            "command": action.command,
            "status": action.status,
            "progress": 100 if done else 0,
            "started": CREATED,
            "finished": CREATED if done else None,
            "resources": action.resources,
            "error": action.error,
        }

    def _record(self, firewall: Firewall) -> None:
        self.history.append((firewall.name, [dict(rule) for rule in firewall.rules]))

    def _mixed(self, values: list[Any]) -> list[Any]:
        return self.random.sample(values, len(values)) if self.shuffle else list(values)

    def _firewall(self, firewall: Firewall) -> dict[str, Any]:
        applied: list[dict[str, Any]] = [
            {"type": "server", "server": {"id": id_}} for id_ in sorted(firewall.servers)
        ]
        for selector in firewall.selectors:
            members = [
                {"type": "server", "server": {"id": one.id}}
                for one in self.servers.values()
                if one.public and _matches(one.labels, selector)
            ]
            applied.append(
                {
                    "type": "label_selector",
                    "label_selector": {"selector": selector},
                    "applied_to_resources": members,
                }
            )
        rules = [
            rule | {key: self._mixed(rule[key]) for key in ("source_ips", "destination_ips")}
            for rule in self._mixed(firewall.rules)
        ]
        return {
            "id": firewall.id,
            "name": firewall.name,
            "labels": dict(firewall.labels),
            "created": CREATED,
            "rules": rules,
            "applied_to": applied,
        }

    def _server_answer(self, server: Server) -> dict[str, Any]:
        covered = [
            (key[0], status) for key, status in sorted(self.in_force.items()) if key[1] == server.id
        ]
        answer = _SERVER | {"id": server.id, "name": server.name, "labels": server.labels}
        public = server.public
        nets: dict[str, Any] = {
            "ipv4": _IPV4 if public and server.v4 else None,
            "ipv6": _IPV6 if public and server.v6 else None,
            "floating_ips": [478] if server.floating else [],
            "firewalls": [],
        }
        nets["firewalls"] = [{"id": id_, "status": status} for id_, status in covered]
        return answer | {"public_net": nets}

    def _page(self, request: Request, name: str, items: list[Any]) -> tuple[int, Any]:
        page, size = int(request.first("page") or 1), int(request.first("per_page") or 25)
        if not 1 <= size <= 50 or page < 1:
            raise error(400, "invalid_input", "invalid input in field 'per_page'")
        last = max(1, -(-len(items) // size))
        pagination = {
            "page": page,
            "per_page": size,
            "previous_page": page - 1 if page > 1 else None,
            "next_page": page + 1 if page < last else None,
            "last_page": last,
            "total_entries": len(items),
        }
        return 200, {
            name: items[(page - 1) * size : page * size],
            "meta": {"pagination": pagination},
        }


ROUTES: tuple[tuple[str, dict[str, str]], ...] = (
    ("/servers", {"GET": "list_servers"}),
    (r"/servers/(\d+)", {"GET": "get_server"}),
    ("/firewalls", {"GET": "list_firewalls", "POST": "create_firewall"}),
    (
        r"/firewalls/(\d+)",
        {"GET": "get_firewall", "PUT": "update_firewall", "DELETE": "delete_firewall"},
    ),
    (r"/firewalls/(\d+)/actions/set_rules", {"POST": "set_rules"}),
    (r"/firewalls/(\d+)/actions/apply_to_resources", {"POST": "apply_to_resources"}),
    (r"/firewalls/(\d+)/actions/remove_from_resources", {"POST": "remove_from_resources"}),
    ("/actions", {"GET": "list_actions"}),
    (r"/actions/(\d+)", {"GET": "get_action"}),
)

_IPV4 = {"ip": "198.51.100.10", "blocked": False, "dns_ptr": "host.example", "id": 1}
_IPV6 = {"ip": "2001:db8::/64", "blocked": False, "dns_ptr": [], "id": 2}
_LOCATION = {
    "id": 1,
    "name": "fsn1",
    "description": "Falkenstein",
    "country": "DE",
    "city": "Falkenstein",
    "latitude": 50.4,
    "longitude": 12.3,
    "network_zone": "eu-central",
}
_SERVER: dict[str, Any] = {
    "status": "running",
    "created": CREATED,
    "private_net": [],
    "location": _LOCATION,
    "image": None,
    "iso": None,
    "server_type": {
        "id": 1,
        "name": "cx22",
        "description": "CX22",
        "cores": 2,
        "memory": 4,
        "disk": 40,
        "deprecated": False,
        "prices": [],
        "storage_type": "local",
        "cpu_type": "shared",
        "architecture": "x86",
        "locations": [],
    },
    "datacenter": {
        "id": 1,
        "name": "fsn1-dc14",
        "description": "Falkenstein DC14",
        "location": _LOCATION,
        "server_types": {"supported": [1], "available": [1], "available_for_migration": [1]},
    },
    "rescue_enabled": False,
    "locked": False,
    "backup_window": None,
    "outgoing_traffic": 0,
    "ingoing_traffic": 0,
    "included_traffic": 0,
    "protection": {"delete": False, "rebuild": False},
    "volumes": [],
    "load_balancers": [],
    "primary_disk_size": 40,
    "placement_group": None,
}


def _port_range(port: str) -> bool:
    if port == "any":
        return True
    first, _, last = port.partition("-")
    return 1 <= int(first) <= int(last or first) <= 65535


def _matches(labels: dict[str, str], selector: str | None) -> bool:
    """The vendor's label selector language."""
    if selector is None:
        return True
    parts = [match for match in _SELECTOR.finditer(selector) if match.group(2)]
    if not parts:
        raise error(400, "invalid_input", "invalid label selector")
    for match in parts:
        negated, key, operator, value, word, values = match.groups()
        among = [one.strip() for one in (values or "").split(",")]
        if operator in ("=", "=="):
            fits = labels.get(key) == value
        elif operator == "!=":
            fits = labels.get(key) != value
        elif word == "in":
            fits = labels.get(key) in among
        elif word == "notin":
            fits = labels.get(key) not in among
        else:
            fits = (key in labels) is not bool(negated)
        if not fits:
            return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(
        description="A double of the Hetzner Cloud API on 127.0.0.1, until it is interrupted"
    )
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--servers", default="web-1", help="names, separated by commas")
    options = parser.parse_args()
    with HetznerDouble(options.port) as double:
        for name in options.servers.split(","):
            double.add_server(name)
        print(f"endpoint = {double.endpoint}\ntoken = {double.token}", flush=True)
        until_interrupted()


if __name__ == "__main__":
    main()

__all__ = ["Fault", "HetznerDouble", "fault_body"]
