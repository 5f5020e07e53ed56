"""Brook Cloud on 127.0.0.1, from its description: strict about what it takes, and with everything
that goes wrong by `cloudsync.testing.http`."""

from __future__ import annotations

import copy
import hashlib
import ipaddress
import itertools
import json
import re
from typing import Any

from cloudsync.testing.http import ApiError, Double, Request

PAGE, MAX_RULES, MAX_PIECES, MAX_ADDRESSES, MAX_LABEL = 50, 25, 15, 255, 100
Json = dict[str, Any]
NO_OUTBOUND: Json = {"outbound": [], "outbound_policy": "ACCEPT"}


def error(status: int, code: str, reason: str) -> ApiError:
    return ApiError(status, fault_body(code, reason))


def fault_body(code: str, reason: str = "told to fail") -> Json:
    return {"error": {"code": code, "reason": reason}}


class BrookDouble(Double):
    """One account. `lag`: how often a firewall is read as pending after a write."""

    base_path = "/v1"
    token = "brook-secret-token-0123456789"

    def __init__(self) -> None:
        super().__init__()
        self.firewalls: dict[int, Json] = {}
        self.machines: dict[int, Json] = {}
        self._ids = itertools.count(1)

    # By hand

    def add_machine(self, label: str) -> int:
        id_ = next(self._ids)
        self.machines[id_] = {"id": id_, "label": label, "ipv4": [f"203.0.113.{id_}"], "ipv6": []}
        return id_

    def add_firewall(self, label: str, inbound: list[Json], tags: list[str], **rules: Any) -> int:
        id_ = next(self._ids)
        whole = {"inbound": inbound, "inbound_policy": "DROP", **NO_OUTBOUND, **rules}
        self.firewalls[id_] = {
            "id": id_,
            "label": label,
            "status": "enabled",
            "tags": tags,
            "rules": copy.deepcopy(whole),
            "machines": [],
        }
        return id_

    def firewall(self, label: str) -> Json | None:
        return next((f for f in self.firewalls.values() if f["label"] == label), None)

    # The API

    def handle(self, request: Request) -> tuple[int, Any]:
        if request.token != self.token:
            raise error(401, "unauthorized", "no such token")
        routes = (
            ("GET", r"/firewalls", lambda: self._list(request, "firewalls")),
            ("GET", r"/machines", lambda: self._list(request, "machines")),
            ("POST", r"/firewalls", lambda: self._create(request.body)),
            ("GET", r"/firewalls/(\d+)", lambda id_: self._answer(self._known(id_))),
            ("PUT", r"/firewalls/(\d+)", lambda id_: self._update(id_, request.body)),
            ("PUT", r"/firewalls/(\d+)/rules", lambda id_: self._replace(id_, request.body)),
            ("POST", r"/firewalls/(\d+)/machines", lambda id_: self._attach(id_, request.body)),
            ("POST", r"/firewalls/(\d+)/apply", lambda id_: self._apply(id_)),
        )
        for method, path, answer in routes:
            match = re.fullmatch(path, request.path)
            if match is not None and method == request.method:
                return answer(*map(int, match.groups()))  # type: ignore[operator, no-any-return]
        raise error(404, "not_found", "no such path")

    def _list(self, request: Request, name: str) -> tuple[int, Json]:
        page, size = int(request.first("page") or 1), int(request.first("page_size") or 25)
        if size > PAGE:
            raise error(400, "invalid", "page_size")
        everything = list(getattr(self, name).values())
        items = everything[(page - 1) * size : page * size]
        if name == "firewalls":
            items = [self.shown(firewall) for firewall in items]
        pages = max(1, -(-len(everything) // size))
        return 200, {name: items, "page": page, "pages": pages, "results": len(everything)}

    def _create(self, body: Json) -> tuple[int, Json]:
        if self.firewall(body["label"]) is not None:
            raise error(409, "label_taken", "a firewall of this label exists")
        self._check(body["rules"])
        machines = [self._machine(id_) for id_ in body["machines"]]
        id_ = self.add_firewall(body["label"], [], list(body["tags"]))
        firewall = self.firewalls[id_]
        firewall["rules"] = copy.deepcopy(body["rules"])
        firewall["machines"] = [{"id": machine, "status": "applied"} for machine in machines]
        return self._written(firewall)

    def _update(self, id_: int, body: Json) -> tuple[int, Json]:
        firewall = self._known(id_)
        if unknown := set(body) - {"tags", "status", "label"}:
            raise error(400, "invalid", f"unknown {unknown}")
        firewall |= copy.deepcopy(body)
        return self._written(firewall)

    def _replace(self, id_: int, body: Json) -> tuple[int, Json]:
        firewall = self._known(id_)
        # Who sends no fingerprint writes whatever is there.
        if body.get("fingerprint", _fingerprint(firewall)) != _fingerprint(firewall):
            raise error(409, "changed", "the firewall was changed since it was read")
        self._check(body)
        firewall["rules"] = {k: copy.deepcopy(v) for k, v in body.items() if k != "fingerprint"}
        return self._written(firewall)

    def _attach(self, id_: int, body: Json) -> tuple[int, Json]:
        firewall, machine = self._known(id_), self._machine(body["machine"])
        if body.get("move"):
            for other in self.firewalls.values():
                other["machines"] = [on for on in other["machines"] if on["id"] != machine]
        if machine not in [on["id"] for on in firewall["machines"]]:
            firewall["machines"].append({"id": machine, "status": "applied"})
        return self._written(firewall)

    def _apply(self, id_: int) -> tuple[int, Json]:
        return self._written(self._known(id_))

    def _written(self, firewall: Json) -> tuple[int, Json]:
        for on in firewall["machines"]:
            on["status"] = "applied"
        self.snapshot(firewall["label"], copy.deepcopy(firewall["rules"]))
        return self._answer(firewall)

    def _answer(self, firewall: Json) -> tuple[int, Json]:
        return 200, {"firewall": self.shown(firewall)}

    def shown(self, firewall: Json) -> Json:
        return copy.deepcopy(firewall) | {"fingerprint": _fingerprint(firewall)}

    def _known(self, id_: int) -> Json:
        if id_ not in self.firewalls:
            raise error(404, "not_found", "no such firewall")
        return self.firewalls[id_]

    def _machine(self, id_: int) -> int:
        if id_ not in self.machines:
            raise error(404, "not_found", "no such machine")
        return id_

    def _check(self, rules: Json) -> None:
        """What the vendor does not take."""
        whole = [*rules["inbound"], *rules["outbound"]]
        if len(whole) > MAX_RULES:
            raise error(400, "too_many_rules", f"at most {MAX_RULES} rules")
        for rule in whole:
            if rule["protocol"] not in ("TCP", "UDP", "ICMP", "IPENCAP"):
                raise error(400, "invalid", "protocol")
            if (rule["protocol"] in ("TCP", "UDP")) != bool(rule.get("ports")):
                raise error(400, "invalid", "ports")
            pieces = (rule.get("ports") or "").split(",")
            if sum(2 if "-" in piece else 1 for piece in pieces) > MAX_PIECES:
                raise error(400, "too_many_ports", f"at most {MAX_PIECES} pieces of ports a rule")
            addresses = rule["addresses"]
            networks = [*addresses.get("ipv4", ()), *addresses.get("ipv6", ())]
            if len(networks) > MAX_ADDRESSES:
                raise error(400, "too_many_addresses", f"at most {MAX_ADDRESSES} a rule")
            for network in networks:
                ipaddress.ip_network(network, strict=False)
            if len(rule.get("label", "")) > MAX_LABEL:
                raise error(400, "invalid", "label")


def _fingerprint(firewall: Json) -> str:
    """Of the rules and the tags: a write of either changes it."""
    whole = json.dumps([firewall["rules"], firewall["tags"]], sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()[:8]
