"""A strict double of the Cloud Firewall part of the DigitalOcean API, written from the vendor's
description and what its users met.

Stricter than that description where the vendor is known to be: ports, addresses, limits, names,
tags and droplets that must exist. What is not known of the vendor is a switch: `ports_era`,
`strict_delete`. Every request and answer is held against the description (`../shared/specs`) where
it is at hand; what does not fit is in `violations`.

`python -m tests.doubles.digitalocean --port 4120 --droplets web-1,web-2` runs it for a person.
"""

from __future__ import annotations

import argparse
import copy
import ipaddress
import random
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Literal
from urllib.parse import unquote, urlencode

from tests.doubles.http import (
    ApiError,
    Double,
    Fault,
    Request,
    held_to,
    openapi,
    until_interrupted,
)

SPEC = "digitalocean-firewalls.openapi.json"
CREATED = "2026-01-02T03:04:05Z"
SIDES = {"inbound_rules": "sources", "outbound_rules": "destinations"}
ANYWHERE = ["0.0.0.0/0", "::/0"]
Rules = dict[str, list[dict[str, Any]]]
ALLOW_ALL: list[dict[str, Any]] = [
    {"protocol": "tcp", "ports": "1-65535", "destinations": {"addresses": ANYWHERE}},
    {"protocol": "udp", "ports": "1-65535", "destinations": {"addresses": ANYWHERE}},
    {"protocol": "icmp", "destinations": {"addresses": ANYWHERE}},
]
_TARGETS = {
    "addresses": str,
    "droplet_ids": int,
    "load_balancer_uids": str,
    "kubernetes_ids": str,
    "tags": str,
}
_ALL_PORTS = ("0", "all", "1-65535")
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9.-]+")
_TAG = re.compile(r"[a-zA-Z0-9_:-]{1,255}")
_PORTS = re.compile(r"([1-9][0-9]{0,4})(?:-([1-9][0-9]{0,4}))?")
_FORBIDDEN = {"id": "forbidden", "message": "You are not authorized to perform this operation"}
_ADDRESS = re.compile(r"[0-9a-fA-F:.]+(/[0-9]{1,3})?")


def fault_body(id_: str, message: str = "told to fail") -> dict[str, Any]:
    return {"id": id_, "message": message, "request_id": "4d9d8375-3c56-4925-a3e7-eb137fed17e9"}


def error(status: int, id_: str, message: str) -> ApiError:
    return ApiError(status, fault_body(id_, message))


def unprocessable(message: str) -> ApiError:
    return error(422, "unprocessable_entity", message)


def not_found() -> ApiError:
    return error(404, "not_found", "The resource you were accessing could not be found.")


@dataclass
class Droplet:
    id: int
    name: str
    tags: list[str]
    gpu: bool
    v4: bool = True
    v6: bool = False


@dataclass
class Firewall:
    """`rules`: by side; all ports are kept as "0" whatever way they were written."""

    id: str
    name: str
    rules: Rules
    droplets: list[int]
    tags: list[str]
    status: str = "waiting"
    pending: list[dict[str, Any]] = field(default_factory=list)
    polls: int = 0


class DigitalOceanDouble(Double):
    """`polls`: how often a firewall is read as waiting before a write is done. `failing_droplets`:
    a write that reaches them fails."""

    base_path = "/v2"

    def __init__(self, port: int = 0, *, polls: int = 1, seed: int = 7) -> None:
        super().__init__(port)
        self.token = "double-token-everything"
        self.scopes: dict[str, set[str]] = {}
        self.droplets: dict[int, Droplet] = {}
        self.tags: list[str] = []
        self.firewalls: dict[str, Firewall] = {}
        self.history: list[tuple[str, list[dict[str, Any]]]] = []
        self.failing_droplets: set[int] = set()
        self.ports_era: Literal["spec", "strict"] = "spec"
        self.strict_delete = False
        self.polls, self.shuffle, self.random, self.next_droplet = (
            polls,
            True,
            random.Random(seed),
            1001,
        )
        self.remaining: int | None = None

    # What a test does by hand

    def add_droplet(
        self,
        name: str,
        tags: tuple[str, ...] | list[str] = (),
        gpu: bool = False,
        *,
        v4: bool = True,
        v6: bool = False,
    ) -> int:
        """`v4`, `v6`: its public addresses."""
        with self.lock:
            droplet = Droplet(self.next_droplet, name, list(tags), gpu, v4, v6)
            self.next_droplet += 1
            self.droplets[droplet.id] = droplet
            for tag in tags:
                self.add_tag(tag)
            return droplet.id

    def add_tag(self, name: str) -> None:
        with self.lock:
            if name not in self.tags:
                self.tags.append(name)

    def add_firewall(
        self,
        name: str,
        inbound: list[dict[str, Any]] | None = None,
        outbound: list[dict[str, Any]] | None = None,
        droplets: list[int] | None = None,
        tags: list[str] | None = None,
        status: str = "succeeded",
    ) -> str:
        with self.lock:
            body = {
                "inbound_rules": inbound or [],
                "outbound_rules": ALLOW_ALL if outbound is None else outbound,
            }
            rules = {side: self._rules(body, side, by_hand=True) for side in SIDES}
            for tag in tags or []:
                self.add_tag(tag)
            firewall = Firewall(
                self._uuid(), name, rules, sorted(set(droplets or [])), list(tags or [])
            )
            self.firewalls[firewall.id] = firewall
            self._begin(firewall, set())
            firewall.status = status
            if status == "succeeded":
                firewall.pending = []
            return firewall.id

    def set_rules_by_hand(self, id_: str, inbound: list[dict[str, Any]]) -> None:
        with self.lock:
            self.firewalls[id_].rules["inbound_rules"] = self._rules(
                {"inbound_rules": inbound}, "inbound_rules", by_hand=True
            )

    def firewall(self, name: str) -> dict[str, Any] | None:
        with self.lock:
            return next(
                (self._firewall(one, None) for one in self.firewalls.values() if one.name == name),
                None,
            )

    def covered(self, id_: str) -> set[int]:
        with self.lock:
            firewall = self.firewalls[id_]
            return {
                one.id
                for one in self.droplets.values()
                if one.id in firewall.droplets or set(one.tags) & set(firewall.tags)
            }

    # The API

    def headers(self) -> dict[str, str]:
        left = 4999 if self.remaining is None else max(self.remaining, 0)
        return {
            "ratelimit-limit": "5000",
            "ratelimit-remaining": str(left),
            "ratelimit-reset": str(int(time.time()) + 3600),
        }

    def named(self, request: Request) -> Request:
        return replace(request, path=request.path.rstrip("/") or "/")

    def handle(self, request: Request) -> tuple[int, Any]:
        if request.token != self.token and request.token not in self.scopes:
            raise ApiError(401, {"id": "Unauthorized", "message": "Unable to authenticate you"})
        if self.remaining is not None:
            if self.remaining <= 0:
                raise error(429, "too_many_requests", "API Rate limit exceeded.")
            self.remaining -= 1
        found = _route(request.path)
        if found is None:
            raise not_found()
        _, methods, arguments = found
        if request.method not in methods:
            raise error(405, "method_not_allowed", "Method not allowed")
        name, scope = methods[request.method]
        if not self._may(request, scope):
            raise ApiError(403, _FORBIDDEN)
        if (
            request.method != "GET"
            and name != "delete_firewall"
            and not isinstance(request.body, dict)
        ):
            more = {"error": "bad request", "root_causes": []} if name == "create_tag" else {}
            raise ApiError(
                400,
                fault_body("bad_request", "Unable to process request body, check for syntax errors")
                | more,
            )
        answer = getattr(self, name)(request, *arguments)
        self._settle()
        return answer  # type: ignore[no-any-return]

    def check(self, request: Request, status: int, answer: Any) -> None:
        found = _route(request.path)
        if found is None or request.method not in found[1]:
            return
        template, what = found[0], f"{request.method} {found[0]}"
        if status < 400:
            known = _BODIES.get((request.method, template), set())
            self.violations += [
                f"request {what}: unknown or read-only {name}"
                for name in _strange(template, request, known)
            ]
            if request.body is not None and (
                checker := _checker(template, request.method, "request")
            ):
                self.violations += [
                    f"request {what}: {text}"
                    for text in checker(_with_icmp_ports(request.body, known))
                ]
        if answer is not None and (checker := _checker(template, request.method, str(status))):
            self.violations += [f"answer {status} to {what}: {text}" for text in checker(answer)]

    def list_firewalls(self, request: Request) -> tuple[int, Any]:
        return self._page(
            request, "firewalls", [self._firewall(one, request) for one in self.firewalls.values()]
        )

    def create_firewall(self, request: Request) -> tuple[int, Any]:
        self._may_send_tags(request)
        firewall = Firewall(self._uuid(), *self._whole(request.body, None))
        self.firewalls[firewall.id] = firewall
        self._begin(firewall, set())
        self._record(firewall)
        return 202, {"firewall": self._firewall(firewall, request)}

    def get_firewall(self, request: Request, id_: str) -> tuple[int, Any]:
        firewall = self._known(self.firewalls, id_)
        answer = self._firewall(firewall, request)
        firewall.polls -= 1
        return 200, {"firewall": answer}

    def update_firewall(self, request: Request, id_: str) -> tuple[int, Any]:
        firewall = self._known(self.firewalls, id_)
        attached = {"droplet:read": firewall.droplets, "tag:read": firewall.tags}
        if any(ids and not self._may(request, scope) for scope, ids in attached.items()):
            raise ApiError(403, _FORBIDDEN)
        self._may_send_tags(request)
        before = self.covered(id_)
        firewall.name, firewall.rules, firewall.droplets, firewall.tags = self._whole(
            request.body, firewall
        )
        self._begin(firewall, before)
        self._record(firewall)
        return 200, {"firewall": self._firewall(firewall, request)}

    def delete_firewall(self, _request: Request, id_: str) -> tuple[int, Any]:
        del self.firewalls[self._known(self.firewalls, id_).id]
        return 204, None

    def add_rules(self, request: Request, id_: str) -> tuple[int, Any]:
        firewall = self._known(self.firewalls, id_)
        self._may_send_tags(request)
        rules = {}
        for side, more in self._both(request.body).items():
            there = {_meaning(rule, side) for rule in firewall.rules[side]}
            rules[side] = firewall.rules[side] + [
                rule for rule in more if _meaning(rule, side) not in there
            ]
        _at_most_50(rules)
        return self._written(firewall, rules=rules)

    def remove_rules(self, request: Request, id_: str) -> tuple[int, Any]:
        firewall = self._known(self.firewalls, id_)
        rules = {}
        for side, fewer in self._both(request.body, exist=False).items():
            named = {_meaning(rule, side) for rule in fewer}
            if self.strict_delete and named - {
                _meaning(rule, side) for rule in firewall.rules[side]
            }:
                raise not_found()
            rules[side] = [
                rule for rule in firewall.rules[side] if _meaning(rule, side) not in named
            ]
        return self._written(firewall, rules=rules)

    def change_droplets(self, request: Request, id_: str) -> tuple[int, Any]:
        firewall, named = (
            self._known(self.firewalls, id_),
            self._droplet_ids(_given(request.body, "droplet_ids")),
        )
        kept = [one for one in firewall.droplets if one not in named]
        return self._written(
            firewall, droplets=self._droplet_ids(kept + named) if request.method == "POST" else kept
        )

    def change_tags(self, request: Request, id_: str) -> tuple[int, Any]:
        if request.method == "POST":
            self._may_send_tags(request)
        firewall, named = (
            self._known(self.firewalls, id_),
            self._tag_names(_given(request.body, "tags")),
        )
        kept = [one for one in firewall.tags if one not in named]
        return self._written(
            firewall, tags=self._tag_names(kept + named) if request.method == "POST" else kept
        )

    def list_droplets(self, request: Request) -> tuple[int, Any]:
        kind, name, tag = (request.first(key) for key in ("type", "name", "tag_name"))
        if kind not in (None, "droplets", "gpus") or (
            tag is not None and (kind is not None or name is not None)
        ):
            raise unprocessable("type is unknown, or tag_name is combined with name or type")
        if tag is not None and not self._may(request, "tag:read"):
            raise ApiError(403, _FORBIDDEN)
        found = [one for one in self.droplets.values() if one.gpu is (kind == "gpus")]
        found = [one for one in found if name is None or one.name.lower() == name.lower()]
        found = [one for one in found if tag is None or tag in one.tags]
        return self._page(request, "droplets", [self._droplet(one) for one in found])

    def get_droplet(self, _request: Request, id_: str) -> tuple[int, Any]:
        return 200, {"droplet": self._droplet(self._known(self.droplets, int(id_)))}

    def list_droplet_firewalls(self, request: Request, id_: str) -> tuple[int, Any]:
        droplet = self._known(self.droplets, int(id_))
        found = [one for one in self.firewalls.values() if droplet.id in self.covered(one.id)]
        return self._page(request, "firewalls", [self._firewall(one, request) for one in found])

    def list_tags(self, request: Request) -> tuple[int, Any]:
        return self._page(request, "tags", [self._tag(name, request) for name in self.tags])

    def create_tag(self, request: Request) -> tuple[int, Any]:
        name = request.body.get("name")
        if not isinstance(name, str) or not _TAG.fullmatch(name):
            raise unprocessable("name is invalid")
        self.add_tag(name)
        return 201, {"tag": self._tag(name, request)}

    def get_tag(self, request: Request, name: str) -> tuple[int, Any]:
        return 200, {
            "tag": self._tag(self._known({one: one for one in self.tags}, unquote(name)), request)
        }

    # How the vendor behaves

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def _known(self, where: dict[Any, Any], id_: Any) -> Any:
        if id_ not in where:
            raise not_found()
        return where[id_]

    def _may(self, request: Request, scope: str) -> bool:
        return request.token == self.token or scope in self.scopes.get(request.token or "", ())

    def _may_send_tags(self, request: Request) -> None:
        rules = [rule for side in SIDES for rule in _list(request.body.get(side), side)]
        targets = [
            rule.get(key) for rule in rules if isinstance(rule, dict) for key in SIDES.values()
        ]
        sent = request.body.get("tags") or any(
            target.get("tags") for target in targets if isinstance(target, dict)
        )
        if sent and not (self._may(request, "tag:read") and self._may(request, "tag:create")):
            raise ApiError(403, _FORBIDDEN)

    def _whole(
        self, body: dict[str, Any], mine: Firewall | None
    ) -> tuple[str, Rules, list[int], list[str]]:
        name = body.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise unprocessable("name is invalid")
        rules = self._both(body)
        droplets, tags = (
            self._droplet_ids(body.get("droplet_ids")),
            self._tag_names(body.get("tags")),
        )
        if any(one.name == name and one is not mine for one in self.firewalls.values()):
            raise error(409, "conflict", "duplicate name")
        return name, rules, droplets, tags

    def _both(self, body: dict[str, Any], *, exist: bool = True) -> Rules:
        rules = {side: self._rules(body, side, exist=exist) for side in SIDES}
        if not any(rules.values()):
            raise unprocessable("must contain at least one rule")
        _at_most_50(rules)
        return rules

    def _rules(
        self, body: dict[str, Any], side: str, *, exist: bool = True, by_hand: bool = False
    ) -> list[dict[str, Any]]:
        rules: dict[Any, dict[str, Any]] = {}
        for rule in _list(body.get(side), side):
            if not isinstance(rule, dict):
                raise unprocessable(f"{side} is invalid")
            protocol = rule.get("protocol")
            if protocol not in ("tcp", "udp", "icmp"):
                raise unprocessable("protocol must be one of tcp, udp, icmp")
            ports = self._ports(
                protocol, rule.get("ports"), strict=self.ports_era == "strict" and not by_hand
            )
            target = self._target(rule.get(SIDES[side]), side, exist=exist and not by_hand)
            one = {"protocol": protocol, "ports": ports, SIDES[side]: target}
            rules.setdefault(_meaning(one, side), one)
        return list(rules.values())

    def _ports(self, protocol: str, ports: Any, *, strict: bool) -> str:
        if protocol == "icmp":
            if ports is None or (ports == "0" and not strict):
                return "0"
            raise unprocessable("You must specify a positive value for ports")
        if not isinstance(ports, str) or (strict and ports in ("0", "all")):
            raise unprocessable("ports is invalid")
        if ports in _ALL_PORTS:
            return "0"
        match = _PORTS.fullmatch(ports)
        if not match or not 1 <= int(match[1]) <= int(match[2] or match[1]) <= 65535:
            raise unprocessable("ports is invalid")
        return ports

    def _target(self, target: Any, side: str, *, exist: bool) -> dict[str, list[Any]]:
        if not isinstance(target, dict):
            raise unprocessable(f"{side}: {SIDES[side]} is missing")
        kept = {
            kind: list(values) for kind in _TARGETS if (values := _list(target.get(kind), kind))
        }
        if not kept or sum(map(len, kept.values())) > 1000:
            raise unprocessable(f"{side}: {SIDES[side]} must have 1 to 1000 entries")
        for kind, values in kept.items():
            if any(type(value) is not _TARGETS[kind] for value in values):
                raise unprocessable(f"{side}: {kind} is invalid")
        if not all(_is_address(value) for value in kept.get("addresses", [])):
            raise unprocessable("invalid address")
        if exist and not (
            set(kept.get("tags", [])) <= set(self.tags)
            and set(kept.get("droplet_ids", [])) <= set(self.droplets)
        ):
            raise unprocessable(f"{side}: a tag or droplet does not exist")
        return kept

    def _droplet_ids(self, ids: Any) -> list[int]:
        if any(
            type(id_) is not int or id_ not in self.droplets for id_ in _list(ids, "droplet_ids")
        ):
            raise unprocessable("droplet does not exist")
        if len(set(ids or [])) > 10:
            raise unprocessable("must have no more than 10 droplets")
        return sorted(set(ids or []))

    def _tag_names(self, names: Any) -> list[str]:
        if any(name not in self.tags for name in _list(names, "tags")):
            raise unprocessable("tag does not exist")
        if len(set(names or [])) > 5:
            raise unprocessable("must have no more than 5 tags")
        return list(dict.fromkeys(names or []))

    def _written(self, firewall: Firewall, **changes: Any) -> tuple[int, Any]:
        before = self.covered(firewall.id)
        for name, value in changes.items():
            setattr(firewall, name, value)
        self._begin(firewall, before)
        if "rules" in changes:
            self._record(firewall)
        return 204, None

    def _begin(self, firewall: Firewall, before: set[int]) -> None:
        after = self.covered(firewall.id)
        firewall.status, firewall.polls = "waiting", self.polls
        firewall.pending = [
            {"droplet_id": id_, "removing": id_ not in after, "status": "waiting"}
            for id_ in sorted(before | after)
        ]

    def _settle(self) -> None:
        for firewall in self.firewalls.values():
            if firewall.status == "waiting" and firewall.polls <= 0:
                firewall.pending = [
                    one for one in firewall.pending if one["droplet_id"] in self.failing_droplets
                ]
                firewall.status = "failed" if firewall.pending else "succeeded"

    def _record(self, firewall: Firewall) -> None:
        self.history.append(
            (firewall.name, [self._echo(rule) for rule in firewall.rules["inbound_rules"]])
        )

    def _echo(self, rule: dict[str, Any]) -> dict[str, Any]:
        all_ports = (
            self.ports_era == "strict" and rule["protocol"] != "icmp" and rule["ports"] == "0"
        )
        return copy.deepcopy(rule) | ({"ports": "1-65535"} if all_ports else {})

    def _firewall(self, firewall: Firewall, request: Request | None) -> dict[str, Any]:
        """As the bearer of the request's token sees it; without a request: in full and in order."""
        answer: dict[str, Any] = {
            "id": firewall.id,
            "name": firewall.name,
            "status": firewall.status,
            "created_at": CREATED,
            "pending_changes": copy.deepcopy(firewall.pending),
            "droplet_ids": (
                list(firewall.droplets)
                if request is None or self._may(request, "droplet:read")
                else []
            ),
            "tags": (
                list(firewall.tags) if request is None or self._may(request, "tag:read") else []
            ),
        }
        for side, rules in firewall.rules.items():
            mixed = (
                self.random.sample(rules, len(rules))
                if self.shuffle and request is not None
                else rules
            )
            answer[side] = [self._echo(rule) for rule in mixed]
        return answer

    def _droplet(self, droplet: Droplet) -> dict[str, Any]:
        more = (
            {
                "gpu_info": {
                    "count": 1,
                    "model": "nvidia_h100",
                    "vram": {"amount": 80, "unit": "gib"},
                }
            }
            if droplet.gpu
            else {}
        )
        nets = _DROPLET["networks"]
        networks = {
            "v4": nets["v4"] if droplet.v4 else nets["v4"][:1],
            "v6": [_V6] if droplet.v6 else [],
        }
        return (
            _DROPLET
            | {
                "id": droplet.id,
                "name": droplet.name,
                "tags": list(droplet.tags),
                "networks": networks,
            }
            | more
        )

    def _tag(self, name: str, request: Request) -> dict[str, Any]:
        ids = [
            one.id
            for one in self.droplets.values()
            if name in one.tags and self._may(request, "droplet:read")
        ]
        used = {"count": len(ids)} | (
            {"last_tagged_uri": f"{self.endpoint}/droplets/{ids[-1]}"} if ids else {}
        )
        return {"name": name, "resources": used | {"droplets": used}}

    def _page(self, request: Request, key: str, items: list[Any]) -> tuple[int, Any]:
        page, size = _number(request, "page", 1, 10**9), _number(request, "per_page", 20, 200)
        last = max(1, -(-len(items) // size))
        numbers = ({"first": 1, "prev": page - 1} if page > 1 else {}) | (
            {"next": page + 1, "last": last} if page < last else {}
        )
        rest = {name: values[0] for name, values in request.query.items()}
        pages = {
            name: f"{self.endpoint}{request.path}?"
            + urlencode(rest | {"page": number, "per_page": size})
            for name, number in numbers.items()
        }
        links = {"pages": pages} if pages else {}
        return 200, {
            key: items[(page - 1) * size : page * size],
            "links": links,
            "meta": {"total": len(items)},
        }


ROUTES: tuple[tuple[str, dict[str, tuple[str, str]]], ...] = (
    (
        "/firewalls",
        {
            "GET": ("list_firewalls", "firewall:read"),
            "POST": ("create_firewall", "firewall:create"),
        },
    ),
    (
        "/firewalls/{firewall_id}",
        {
            "GET": ("get_firewall", "firewall:read"),
            "PUT": ("update_firewall", "firewall:update"),
            "DELETE": ("delete_firewall", "firewall:delete"),
        },
    ),
    (
        "/firewalls/{firewall_id}/rules",
        {"POST": ("add_rules", "firewall:update"), "DELETE": ("remove_rules", "firewall:update")},
    ),
    (
        "/firewalls/{firewall_id}/droplets",
        {
            "POST": ("change_droplets", "firewall:update"),
            "DELETE": ("change_droplets", "firewall:update"),
        },
    ),
    (
        "/firewalls/{firewall_id}/tags",
        {"POST": ("change_tags", "firewall:update"), "DELETE": ("change_tags", "firewall:update")},
    ),
    ("/droplets", {"GET": ("list_droplets", "droplet:read")}),
    ("/droplets/{droplet_id}", {"GET": ("get_droplet", "droplet:read")}),
    ("/droplets/{droplet_id}/firewalls", {"GET": ("list_droplet_firewalls", "firewall:read")}),
    ("/tags", {"GET": ("list_tags", "tag:read"), "POST": ("create_tag", "tag:create")}),
    ("/tags/{tag_id}", {"GET": ("get_tag", "tag:read")}),
)
_WHOLE = {"name", "droplet_ids", "tags", *SIDES}
_BODIES: dict[tuple[str, str], set[str]] = {
    ("POST", "/firewalls"): _WHOLE,
    ("PUT", "/firewalls/{firewall_id}"): _WHOLE,
    ("POST", "/tags"): {"name"},
    **{(method, "/firewalls/{firewall_id}/rules"): {*SIDES} for method in ("POST", "DELETE")},
    **{
        (method, "/firewalls/{firewall_id}/droplets"): {"droplet_ids"}
        for method in ("POST", "DELETE")
    },
    **{(method, "/firewalls/{firewall_id}/tags"): {"tags"} for method in ("POST", "DELETE")},
}
_PATTERNS = {"{firewall_id}": r"([^/]+)", "{droplet_id}": r"([0-9]+)", "{tag_id}": r"([^/]+)"}

_DROPLET: dict[str, Any] = {
    "memory": 1024,
    "vcpus": 1,
    "disk": 25,
    "disk_info": [{"type": "local", "size": {"amount": 25, "unit": "gib"}}],
    "locked": False,
    "status": "active",
    "kernel": None,
    "created_at": CREATED,
    "features": ["private_networking"],
    "backup_ids": [],
    "next_backup_window": None,
    "snapshot_ids": [],
    "volume_ids": [],
    "size_slug": "s-1vcpu-1gb",
    "image": {
        "id": 63663980,
        "name": "24.04 (LTS) x64",
        "distribution": "Ubuntu",
        "slug": "ubuntu-24-04-x64",
        "public": True,
        "regions": ["nyc3"],
        "created_at": CREATED,
        "type": "snapshot",
        "min_disk_size": 20,
        "size_gigabytes": 2.36,
        "description": "",
        "tags": [],
        "status": "available",
        "error_message": "",
    },
    "size": {
        "slug": "s-1vcpu-1gb",
        "memory": 1024,
        "vcpus": 1,
        "disk": 25,
        "transfer": 1.0,
        "price_monthly": 5.0,
        "price_hourly": 0.00744,
        "regions": ["nyc3"],
        "available": True,
        "description": "Basic",
    },
    "networks": {
        "v4": [
            {
                "ip_address": "10.128.192.124",
                "netmask": "255.255.0.0",
                "gateway": "nil",
                "type": "private",
            },
            {
                "ip_address": "198.51.100.10",
                "netmask": "255.255.255.0",
                "gateway": "198.51.100.1",
                "type": "public",
            },
        ],
        "v6": [],
    },
    "region": {
        "name": "New York 3",
        "slug": "nyc3",
        "features": ["metadata"],
        "available": True,
        "sizes": ["s-1vcpu-1gb"],
    },
    "vpc_uuid": "760e09ef-dc84-11e8-981e-3cfdfeaae000",
}


_V6 = {"ip_address": "2001:db8::10", "netmask": 64, "gateway": "2001:db8::1", "type": "public"}


def _route(path: str) -> tuple[str, dict[str, tuple[str, str]], tuple[str, ...]] | None:
    for template, methods in ROUTES:
        pattern = re.sub(r"{\w+}", lambda part: _PATTERNS[part[0]], template)
        if match := re.fullmatch(pattern, path):
            return template, methods, match.groups()
    return None


def _operation(template: str, method: str) -> dict[str, Any] | None:
    return (openapi(SPEC) or {"paths": {}})["paths"].get("/v2" + template, {}).get(method.lower())  # type: ignore[no-any-return]


def _strange(template: str, request: Request, keys: set[str]) -> list[str]:
    """Names that the description does not refuse and does not know."""
    known = {
        one["name"] for one in (_operation(template, request.method) or {}).get("parameters", [])
    }
    found = (
        [name for name in request.query if name not in known] if openapi(SPEC) else []
    )  # without it nobody can say
    found += ["body"] if request.body is not None and not keys else set(request.body or ()) - keys
    for side in SIDES.keys() & keys:
        for rule in request.body.get(side) or []:
            found += rule.keys() - {"protocol", "ports", SIDES[side]}
            found += rule[SIDES[side]].keys() - _TARGETS.keys()
    return found


@cache
def _checker(template: str, method: str, where: str) -> Callable[[Any], list[str]] | None:
    """Like `validator`, for a description whose schemas refer to each other."""
    from openapi_schema_validator import OAS30Validator

    operation = _operation(template, method)
    if operation is None:
        return None
    answers = operation["responses"]
    part = (
        operation.get("requestBody")
        if where == "request"
        else answers.get(where) or answers["default"]
    )
    schema = (part or {}).get("content", {}).get("application/json", {}).get("schema")
    if schema is None:
        return None
    components = (openapi(SPEC) or {})["components"]
    return held_to(OAS30Validator({"allOf": [schema], "components": components}))


def _with_icmp_ports(body: Any, known: set[str]) -> Any:
    """The description wants `ports` for icmp too; the vendor is known to do without."""
    body = copy.deepcopy(body)
    for side in SIDES.keys() & known:
        for rule in body.get(side) or []:
            if rule.get("protocol") == "icmp":
                rule.setdefault("ports", "0")
    return body


def _list(value: Any, name: str) -> list[Any]:
    if value is not None and not isinstance(value, list):
        raise unprocessable(f"{name} is invalid")
    return value or []


def _given(body: dict[str, Any], name: str) -> Any:
    if body.get(name) is None:
        raise unprocessable(f"{name} is missing")
    return body[name]


def _number(request: Request, name: str, default: int, most: int) -> int:
    text = request.first(name) or str(default)
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise unprocessable(f"{name} must be between 1 and {most}")
    return int(text)


def _at_most_50(rules: Rules) -> None:
    if sum(map(len, rules.values())) > 50:
        raise unprocessable("firewall must not have more than 50 rules")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=True)
    except ValueError:
        return False
    return _ADDRESS.fullmatch(text) is not None


def _meaning(rule: dict[str, Any], side: str) -> Any:
    """Ports by meaning; targets letter by letter, in any order: the vendor is not known to bring
    addresses into one spelling."""
    first, _, last = rule["ports"].partition("-")
    targets = frozenset(
        (kind, value) for kind, values in rule[SIDES[side]].items() for value in values
    )
    return rule["protocol"], first, last or first, targets


def main() -> None:
    parser = argparse.ArgumentParser(
        description="A double of the DigitalOcean API on 127.0.0.1, until it is interrupted"
    )
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--droplets", default="web-1", help="names, separated by commas")
    options = parser.parse_args()
    with DigitalOceanDouble(options.port) as double:
        for name in options.droplets.split(","):
            double.add_droplet(name)
        print(f"endpoint = {double.endpoint}\ntoken = {double.token}", flush=True)
        until_interrupted()


if __name__ == "__main__":
    main()

__all__ = ["DigitalOceanDouble", "Fault", "fault_body"]
