"""A strict double of the VPC firewall part of the Compute Engine v1 API, written from the vendor's
discovery document.

Stricter than that document where the vendor is known to be: names, networks, address families,
ports, tags and service accounts, one operation at a time per firewall. What a test is to tell apart
from a success at once takes effect only when its operation is done. Every request and answer is
held against the document (`../shared/specs`) where it is at hand; what does not fit is in
`violations`.

`python -m tests.doubles.compute --port 4130 --project p` runs it for a person.
"""

from __future__ import annotations

import argparse
import base64
import copy
import ipaddress
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from tests.doubles.http import (
    ApiError,
    Double,
    Fault,
    Request,
    openapi,
    until_interrupted,
)

SPEC = "gcp-compute-firewalls.discovery.json"
BASE = "https://www.googleapis.com/compute/v1"
CREATED = "2026-01-02T03:04:05.678-08:00"
PROTOCOLS = {
    "1": "icmp",
    "4": "ipip",
    "6": "tcp",
    "17": "udp",
    "50": "esp",
    "51": "ah",
    "132": "sctp",
}
LIMITS = {
    "sourceRanges": 256,
    "destinationRanges": 256,
    "sourceTags": 30,
    "targetTags": 70,
    "sourceServiceAccounts": 10,
    "targetServiceAccounts": 10,
}
Resource = dict[str, Any]
Failure = tuple[int, str, str]
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"[1-9][0-9]{0,19}")
_ACCOUNT = re.compile(r"[^@\s]+@[^@\s]+")
_CIDR = re.compile(r"[0-9a-fA-F:.]+/(0|[1-9][0-9]{0,2})")
_PROTOCOL = re.compile(r"0|[1-9][0-9]{0,2}")
_PORTS = re.compile(r"(0|[1-9][0-9]{0,4})(?:-(0|[1-9][0-9]{0,4}))?")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NETWORK = re.compile(
    r"(?:(?:https://(?:www|compute)\.googleapis\.com/compute/v1/)?projects/([^/]+)/)?global/networks/([^/]+)"
)
_USAGE = {
    "rateLimitExceeded",
    "userRateLimitExceeded",
    "dailyLimitExceeded",
    "quotaExceeded",
    "accessNotConfigured",
}
_OUTPUT_ONLY = {"kind", "id", "creationTimestamp", "selfLink"}


def fault_body(code: int, reason: str, message: str = "told to fail") -> dict[str, Any]:
    one = {
        "message": message,
        "domain": "usageLimits" if reason in _USAGE else "global",
        "reason": reason,
    }
    status = {"status": "UNAUTHENTICATED"} if code == 401 else {}
    return {"error": {"code": code, "message": message, "errors": [one]} | status}


def error(code: int, reason: str, message: str) -> ApiError:
    return ApiError(code, fault_body(code, reason, message))


def invalid(field: str, value: Any, why: str) -> ApiError:
    return error(400, "invalid", f"Invalid value for field '{field}': '{value}'. {why}")


def not_found(path: str) -> ApiError:
    return error(404, "notFound", f"The resource '{path}' was not found")


@dataclass
class Operation:
    """`request`: what its client sent, to tell a repetition from another write under the same id.
    `born`: the call that began it."""

    number: int
    type: str
    firewall: str
    target: str
    body: Resource
    request: tuple[str, str, Any]
    request_id: str | None
    polls: int
    born: int
    failure: Failure | None
    done: bool = False

    @property
    def id(self) -> str:
        return str(7000000000000000000 + self.number)

    @property
    def name(self) -> str:
        return f"operation-{1767323045678 + self.number}-{self.number:08x}"


class ComputeDouble(Double):
    """`polls`: how often a get shows an operation running before it is done. A wait ends it, except
    for the next `slow_waits` ones; it ends by itself once `settle_calls` further calls were made.
    `fail_operations`: how the next writes that are accepted end. `odd_spelling`: IPv6 is answered
    with all its zeros; by hand it is always seen short. `policies`: by network, what acts on it
    beside its VPC rules; `regional`: the same by network and region. `denied`: permissions the
    caller does not have. `unreachable`: zones.
    """

    base_path = ""

    def __init__(self, port: int = 0, *, project: str = "p", polls: int = 1) -> None:
        super().__init__(port)
        self.project, self.polls, self.slow_waits, self.settle_calls = project, polls, 0, 20
        self.page, self.quota, self.odd_spelling = 500, 500, True
        self.require_token: str | None = None
        self.fail_operations: list[Failure] = []
        self.history: list[dict[str, Resource]] = []
        self.operations: list[Operation] = []
        self.networks: dict[str, Resource] = {}
        self.instances: list[Resource] = []
        self.policies: dict[str, list[Resource]] = {}
        self.regional: dict[tuple[str, str], list[Resource]] = {}
        self.denied: set[str] = set()
        self.unreachable: list[str] = []
        self._state: dict[str, Resource] = {}
        self._last_id, self._clock = 0, 0
        self.add_network("default")

    # What a test does by hand

    def add_network(self, name: str) -> None:
        with self.lock:
            self.networks[name] = {
                "kind": "compute#network",
                "id": self._id(),
                "creationTimestamp": CREATED,
                "name": name,
                "mtu": 1460,
                "selfLink": f"{BASE}/{self._path('networks', name)}",
                "autoCreateSubnetworks": True,
                "routingConfig": {"routingMode": "REGIONAL"},
                "networkFirewallPolicyEnforcementOrder": "AFTER_CLASSIC_FIREWALL",
            }

    def add_instance(
        self,
        name: str,
        *nics: tuple[str, str | None, str | None],
        tags: Iterable[str] = (),
        account: str | None = None,
        scopes: Iterable[str] = (),
        zone: str = "europe-west1-b",
        project: str | None = None,
    ) -> str:
        """`nics`: network, public IPv4, public IPv6. `scopes`: of the service account. `project`:
        of its networks, where that is another one (shared VPC)."""
        interfaces: list[Resource] = []
        for number, (network, v4, v6) in enumerate(nics or (("default", "198.51.100.1", None),)):
            one: Resource = {
                "kind": "compute#networkInterface",
                "name": f"nic{number}",
                "networkIP": f"10.0.{number}.2",
                "stackType": "IPV4_ONLY",
                "network": f"{BASE}/projects/{project or self.project}/global/networks/{network}",
                # One that waits for its address is listed without it.
                "accessConfigs": [
                    {"name": "external-nat", "type": "ONE_TO_ONE_NAT"}
                    | ({"natIP": v4} if v4 else {})
                ],
            }
            if v6:
                one |= {"stackType": "IPV4_IPV6", "ipv6AccessType": "EXTERNAL"}
                one["ipv6AccessConfigs"] = [
                    {"type": "DIRECT_IPV6", "externalIpv6": v6, "externalIpv6PrefixLength": 96}
                ]
            interfaces.append(one)
        with self.lock:
            instance: Resource = {
                "kind": "compute#instance",
                "id": self._id(),
                "name": name,
                "status": "RUNNING",
                "zone": f"{BASE}/projects/{self.project}/zones/{zone}",
                "tags": {"fingerprint": "AAAA"},
                "networkInterfaces": interfaces,
            }
            if tags:
                instance["tags"]["items"] = sorted(tags)
            if account:
                instance["serviceAccounts"] = [{"email": account, "scopes": list(scopes)}]
            self.instances.append(instance)
            return str(instance["id"])

    def add_firewall(self, name: str, **fields: Any) -> None:
        with self.lock:
            body = self._by_hand(fields | {"name": name})
            if name in self._state:
                raise self._exists(name)
            self._state[name] = self._normal(body, None)

    def set_by_hand(self, name: str, **fields: Any) -> None:
        with self.lock:
            there = self._state[name]
            self._state[name] = self._normal(_sendable(there) | self._by_hand(fields), there)

    def remove_by_hand(self, name: str) -> None:
        with self.lock:
            del self._state[name]

    def firewalls(self, project: str | None = None) -> dict[str, Resource]:
        with self.lock:
            if project not in (None, self.project):
                raise KeyError(project)
            return copy.deepcopy(self._state)

    def settle(self) -> None:
        """All operations that run are done."""
        with self.lock:
            for operation in self.operations:
                self._finish(operation)

    # The API

    def named(self, request: Request) -> Request:
        inside = request.path.startswith("/compute/v1/")
        return replace(
            request,
            path=request.path.removeprefix("/compute/v1") if inside else f"/outside{request.path}",
        )

    def handle(self, request: Request) -> tuple[int, Any]:
        self._clock += 1
        for operation in self.operations:
            if self._clock - operation.born > self.settle_calls:
                self._finish(operation)
        if self.require_token is not None and request.token != self.require_token:
            raise error(
                401,
                "authError",
                "Request had invalid authentication credentials. Expected OAuth 2 access token.",
            )
        resource, methods, arguments = _route(request.path)
        if not methods:
            self.violations.append(f"request {request.method} {request.path}: not in this double")
            raise error(404, "notFound", "The requested URL was not found on this server.")
        if request.method not in methods:
            raise error(405, "httpMethodNotAllowed", "HTTP method not allowed")
        project, *names = arguments
        permission = PERMISSIONS.get((resource, methods[request.method]))
        if permission in self.denied:
            raise error(
                403,
                "forbidden",
                f"Required '{permission}' permission for 'projects/{self.project}'",
            )
        if project != self.project:
            raise error(404, "notFound", f"Failed to find project {project}")
        for name in names:
            if not _NAME.fullmatch(name) and not _NUMBER.fullmatch(name):
                raise error(400, "invalid", f"Invalid value '{name}'. Must be a name or an id.")
        method = methods[request.method]
        if problems := _problems_of(request, resource, method):
            self.violations += [f"request {resource}.{method}: {text}" for text in problems]
            raise error(400, "invalid", f"Invalid request: {'; '.join(problems)}")
        if method in ("insert", "patch", "update", "delete"):
            return 200, self._write(request, method, *names)
        return 200, getattr(self, f"{resource}_{method}")(request, *names)

    def objects(self, answer: Mapping[str, Any], list_of: str) -> list[Resource]:
        """A list is under `items`, whatever it lists, and a single resource is the whole answer:
        `kind` says which it is."""
        kind = f"compute#{list_of.removesuffix('s')}"
        if answer.get("kind") == kind:
            return [answer] if isinstance(answer, dict) else []
        if answer.get("kind") == f"{kind}List":
            return super().objects({list_of: answer.get("items")}, list_of)
        return super().objects(answer, list_of)  # in effect on a network

    def check(self, request: Request, status: int, answer: Any) -> None:
        resource, methods, _ = _route(request.path)
        if status < 300 and request.method in methods and (description := openapi(SPEC)):
            method = methods[request.method]
            if resource not in description["resources"]:
                return
            schema = description["resources"][resource]["methods"][method]["response"]
            self.violations += [
                f"answer of {resource}.{method}: {text}"
                for text in _problems(answer, schema, "answer")
            ]

    def firewalls_list(self, request: Request) -> Resource:
        return self._list(
            request,
            "firewalls",
            "firewallList",
            [self._spelled(one) for one in self._state.values()],
        )

    def firewalls_get(self, _request: Request, ref: str) -> Resource:
        return self._spelled(self._found("firewalls", self._state.values(), ref))

    def networks_list(self, request: Request) -> Resource:
        return self._list(request, "networks", "networkList", list(self.networks.values()))

    def networks_get(self, _request: Request, ref: str) -> Resource:
        return self._found("networks", self.networks.values(), ref)

    def networks_getEffectiveFirewalls(self, _request: Request, ref: str) -> Resource:
        network = self._found("networks", self.networks.values(), ref)
        return self._effective(network, self.policies.get(network["name"], []))

    def regionNetworkFirewallPolicies_getEffectiveFirewalls(
        self, request: Request, region: str
    ) -> Resource:
        """It repeats what acts on the whole network."""
        network = self.networks[self._network(request.first("network")).rsplit("/", 1)[-1]]
        regional = [
            *self.policies.get(network["name"], []),
            *self.regional.get((network["name"], region), []),
        ]
        return self._effective(network, [one for one in regional if one["type"] != "SYSTEM"])

    def instances_aggregatedList(self, request: Request) -> Resource:
        size, token = request.first("maxResults") or "500", request.first("pageToken") or "0"
        if not size.isdecimal() or not 1 <= int(size) <= 500 or not token.isdecimal():
            raise invalid("maxResults", size, "Must be 1 to 500.")
        first, last = int(token), int(token) + min(int(size), self.page)
        scopes: Resource = {
            f"zones/{zone}": {
                "warning": {
                    "code": "NO_RESULTS_ON_PAGE",
                    "message": "There are no results for scope on this page.",
                }
            }
            for zone in ("europe-west1-b", "us-central1-a")
        }
        for instance in self.instances[first:last]:
            scope = scopes.setdefault("zones/" + instance["zone"].rsplit("/", 1)[-1], {})
            scope.pop("warning", None)
            scope.setdefault("instances", []).append(copy.deepcopy(instance))
        answer: Resource = {
            "kind": "compute#instanceAggregatedList",
            "id": "projects/p/aggregated/instances",
            "items": scopes,
        }
        if last < len(self.instances):
            answer["nextPageToken"] = str(last)
        for zone in self.unreachable:
            scopes[f"zones/{zone}"] = {
                "warning": {"code": "UNREACHABLE", "message": f"zones/{zone} cannot be reached"}
            }
        return answer

    def firewalls_testIamPermissions(self, request: Request, ref: str) -> Resource:
        self._found("firewalls", self._state.values(), ref)
        granted = [one for one in request.body.get("permissions") or () if one not in self.denied]
        return {"permissions": granted} if granted else {}

    def projects_get(self, _request: Request) -> Resource:
        return {
            "name": self.project,
            "quotas": [
                {
                    "metric": "FIREWALLS",
                    "limit": float(self.quota),
                    "usage": float(len(self._state)),
                }
            ],
        }

    def globalOperations_list(self, request: Request) -> Resource:
        return self._list(
            request,
            "operations",
            "operationList",
            [self._operation(one) for one in self.operations],
        )

    def globalOperations_get(self, _request: Request, ref: str) -> Resource:
        operation = self._known(ref)
        operation.polls -= 1
        if operation.polls < 0:
            self._finish(operation)
        return self._operation(operation)

    def globalOperations_wait(self, _request: Request, ref: str) -> Resource:
        operation = self._known(ref)
        if self.slow_waits > 0 and not operation.done:
            self.slow_waits -= 1
        else:
            self._finish(operation)
        return self._operation(operation)

    # What they are made of

    def _effective(self, network: Resource, policies: list[Resource]) -> Resource:
        rules = [
            self._spelled(one)
            for one in self._state.values()
            if one["network"] == network["selfLink"]
        ]
        return {
            key: one
            for key, one in (("firewalls", rules), ("firewallPolicys", copy.deepcopy(policies)))
            if one
        }

    def _write(self, request: Request, method: str, ref: str | None = None) -> Resource:
        request_id, sent = request.first("requestId"), (request.method, request.path, request.body)
        if request_id is not None:
            if not _UUID.fullmatch(request_id) or not request_id.strip("0-"):
                raise invalid("requestId", request_id, "Must be a UUID that is not zero.")
            if again := next(
                (one for one in self.operations if one.request_id == request_id.lower()), None
            ):
                if again.request != sent:
                    self.violations.append(
                        f"request {method}: the request id of another write, {request_id}"
                    )
                return self._operation(again)
        if method != "delete" and not isinstance(request.body, dict):
            raise error(
                400,
                "parseError" if request.body is not None else "required",
                "Required field 'resource' not specified",
            )
        given = {} if method == "delete" else request.body
        body = {key: value for key, value in given.items() if key not in _OUTPUT_ONLY}
        name = self._name_of(ref) if ref is not None else body.get("name")
        if any(one.firewall == name and not one.done for one in self.operations):
            raise error(
                400,
                "resourceNotReady",
                f"The resource '{self._path('firewalls', name)}' is not ready",
            )
        there = self._found("firewalls", self._state.values(), ref) if ref is not None else None
        if method != "insert" and "params" in body:
            raise invalid("resource.params", "", "Allowed for insert only.")
        target = self._changed(method, body, there)
        if there is None and target is not None:
            if name in self._state:
                raise self._exists(str(name))
            body = target
        failure = self.fail_operations.pop(0) if self.fail_operations else None
        operation = Operation(
            len(self.operations) + 1,
            method,
            str(name),
            (there or body)["id"],
            body,
            sent,
            request_id and request_id.lower(),
            self.polls,
            self._clock,
            failure,
        )
        self.operations.append(operation)
        return self._operation(operation)

    def _changed(self, method: str, body: Resource, there: Resource | None) -> Resource | None:
        """What a firewall is after a write; None: it is gone."""
        if method == "delete":
            return None
        if method == "patch" and there is not None:
            return self._normal(_sendable(there) | body, there)
        return self._normal(body if there is None else {"name": there["name"]} | body, there)

    def _finish(self, operation: Operation) -> None:
        if operation.done:
            return
        operation.done = True
        there = self._state.get(operation.firewall)
        try:
            if operation.failure is not None:
                return
            if operation.type == "insert":
                if there is not None:
                    raise self._exists(operation.firewall)
                if len(self._state) >= self.quota:
                    operation.failure = (
                        403,
                        "QUOTA_EXCEEDED",
                        f"Quota 'FIREWALLS' exceeded.  Limit: {self.quota:.1f} globally.",
                    )
                    return
                self._state[operation.firewall] = copy.deepcopy(operation.body)
            elif there is None or there["id"] != operation.target:
                raise not_found(self._path("firewalls", operation.firewall))
            elif (after := self._changed(operation.type, operation.body, there)) is None:
                del self._state[operation.firewall]
            else:
                self._state[operation.firewall] = after
        except ApiError as problem:
            codes = {404: "RESOURCE_NOT_FOUND", 409: "RESOURCE_ALREADY_EXISTS"}
            operation.failure = (
                problem.status,
                codes.get(problem.status, "INVALID_USAGE"),
                problem.body["error"]["message"],
            )
        else:
            self.history.append(copy.deepcopy(self._state))

    def _operation(self, operation: Operation) -> Resource:
        answer: Resource = {
            "kind": "compute#operation",
            "id": operation.id,
            "name": operation.name,
            "operationType": operation.type,
            "targetLink": f"{BASE}/{self._path('firewalls', operation.firewall)}",
            "targetId": operation.target,
            "status": "DONE" if operation.done else "RUNNING",
            "progress": 100 if operation.done else 0,
            "user": "tester@example.com",
            "insertTime": CREATED,
            "startTime": CREATED,
            "selfLink": f"{BASE}/{self._path('operations', operation.name)}",
        }
        if operation.request_id is not None:
            answer["clientOperationId"] = operation.request_id
        if operation.done:
            answer["endTime"] = CREATED
        if operation.done and operation.failure is not None:
            status, code, message = operation.failure
            answer |= {
                "httpErrorStatusCode": status,
                "httpErrorMessage": HTTPStatus(status).phrase.upper(),
            }
            if code:  # without a list of errors only the status says that it failed
                answer["error"] = {"errors": [{"code": code, "message": message}]}
        return answer

    def _normal(self, given: Resource, mine: Resource | None) -> Resource:
        """A firewall as the vendor keeps it: defaults filled in, or refused."""
        body = {
            key: value
            for key, value in given.items()
            if value is not None and value != [] and key not in _OUTPUT_ONLY
        }
        name, direction, priority = (
            body.get("name"),
            body.get("direction", "INGRESS"),
            body.get("priority", 1000),
        )
        if (
            not isinstance(name, str)
            or not _NAME.fullmatch(name)
            or (mine is not None and name != mine["name"])
        ):
            raise invalid(
                "resource.name", name, f"Must be a match of regex '{_NAME.pattern}', and stay."
            )
        network = self._network(body.get("network", "global/networks/default"))
        if direction not in ("INGRESS", "EGRESS"):
            raise invalid("resource.direction", direction, "Must be INGRESS or EGRESS.")
        if mine is not None and (network, direction) != (mine["network"], mine["direction"]):
            raise invalid("resource", name, "Network and direction cannot change.")
        if (
            not isinstance(priority, int)
            or isinstance(priority, bool)
            or not 0 <= priority <= 65535
        ):
            raise invalid("resource.priority", priority, "Must be 0 to 65535.")
        description, disabled, log = (
            body.get("description", ""),
            body.get("disabled", False),
            body.get("logConfig", {}),
        )
        if not isinstance(description, str) or len(description) > 2048:
            raise invalid("resource.description", description, "At most 2048 characters.")
        if not isinstance(disabled, bool):
            raise invalid("resource.disabled", disabled, "Must be a boolean.")
        if not isinstance(log, dict) or (log.get("metadata") and not log.get("enable")):
            raise invalid("resource.logConfig", log, "Metadata only with logging.")
        lists = {key: _strings(body, key) for key in LIMITS}
        _check_parties(direction, lists)
        for key in ("sourceRanges", "destinationRanges"):
            lists[key] = [_cidr(f"resource.{key}[{n}]", text) for n, text in enumerate(lists[key])]
        if direction == "INGRESS" and not any(
            lists[key] for key in lists if key.startswith("source")
        ):
            lists["sourceRanges"] = ["0.0.0.0/0"]
        if direction == "EGRESS" and not lists["destinationRanges"]:
            lists["destinationRanges"] = ["0.0.0.0/0"]
        if (
            len(
                {
                    ":" in text
                    for key in ("sourceRanges", "destinationRanges")
                    for text in lists[key]
                }
            )
            > 1
        ):
            raise invalid(
                "resource.sourceRanges",
                lists["sourceRanges"],
                "IPv4 and IPv6 ranges cannot be in one rule.",
            )
        if ("allowed" in body) == ("denied" in body):
            raise error(
                400,
                "invalid",
                "Exactly one of 'resource.allowed' and 'resource.denied' must be specified.",
            )
        action = "allowed" if "allowed" in body else "denied"
        if not isinstance(body[action], list):
            raise invalid(f"resource.{action}", body[action], "Must be a list.")
        result: Resource = {
            "kind": "compute#firewall",
            "id": self._id() if mine is None else mine["id"],
            "creationTimestamp": CREATED if mine is None else mine["creationTimestamp"],
            "selfLink": f"{BASE}/{self._path('firewalls', name)}",
            "name": name,
            "network": network,
            "direction": direction,
            "priority": priority,
            action: [
                _traffic(f"resource.{action}[{n}]", one) for n, one in enumerate(body[action])
            ],
            "disabled": disabled,
            "logConfig": {"enable": bool(log.get("enable"))},
        }
        if log.get("enable"):
            result["logConfig"]["metadata"] = log.get("metadata") or "INCLUDE_ALL_METADATA"
        elif mine is not None and (metadata := mine["logConfig"].get("metadata")):
            # Seen at Google: logging that was on once is answered with metadata it does not take
            # (hashicorp/terraform-provider-google#7220, #7322).
            result["logConfig"]["metadata"] = metadata
        return result | {
            key: one for key, one in (lists | {"description": description}).items() if one
        }

    def _network(self, text: Any) -> str:
        match = _NETWORK.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise invalid("resource.network", text, "The URL is malformed.")
        project, name = match.group(1) or self.project, match.group(2)
        if project != self.project or name not in self.networks:
            raise not_found(f"projects/{project}/global/networks/{name}")
        return str(self.networks[name]["selfLink"])

    def _spelled(self, firewall: Resource) -> Resource:
        answer = copy.deepcopy(firewall)
        for key in ("sourceRanges", "destinationRanges"):
            if key in answer and self.odd_spelling:
                answer[key] = [_odd(text) for text in answer[key]]
        return answer

    def _list(
        self, request: Request, collection: str, kind: str, items: list[Resource]
    ) -> Resource:
        size, order, token = (
            request.first("maxResults") or "500",
            request.first("orderBy") or "name",
            request.first("pageToken"),
        )
        if not re.fullmatch("[0-9]{1,9}", size) or not 1 <= int(size) <= 500:
            raise invalid("maxResults", size, "Must be 1 to 500.")
        if request.first("filter"):
            raise invalid("filter", request.first("filter"), "This double does not filter.")
        if order not in ("name", "creationTimestamp desc"):
            raise invalid("orderBy", order, "Must be name or creationTimestamp desc.")

        def place(item: Resource) -> list[Any]:
            return [order, item["name"] if order == "name" else -int(item["id"])]

        left = sorted(items, key=place)
        if token:
            try:
                last = json.loads(base64.urlsafe_b64decode(token))
                left = [item for item in left if place(item) > last]
            except (ValueError, TypeError):
                raise invalid("pageToken", token, "The page token is malformed.") from None
        now = left[: min(int(size), self.page)]
        path = f"projects/{self.project}/global/{collection}"
        answer: Resource = {"kind": f"compute#{kind}", "id": path, "selfLink": f"{BASE}/{path}"}
        if now:
            answer["items"] = now
        if len(now) < len(left):
            answer["nextPageToken"] = base64.urlsafe_b64encode(
                json.dumps(place(now[-1])).encode()
            ).decode()
        return answer

    def _found(self, collection: str, items: Iterable[Resource], ref: str) -> Resource:
        for item in items:
            if ref in (item["name"], item["id"]):
                return item
        raise not_found(self._path(collection, ref))

    def _known(self, ref: str) -> Operation:
        for operation in self.operations:
            if ref in (operation.name, operation.id):
                return operation
        raise not_found(self._path("operations", ref))

    def _name_of(self, ref: str) -> str:
        return next((name for name, one in self._state.items() if one["id"] == ref), ref)

    def _exists(self, name: str) -> ApiError:
        return error(
            409, "alreadyExists", f"The resource '{self._path('firewalls', name)}' already exists"
        )

    def _by_hand(self, fields: Resource) -> Resource:
        if problems := _problems(fields, {"$ref": "Firewall"}, "resource"):
            raise error(400, "invalid", "; ".join(problems))
        return fields

    def _path(self, collection: str, name: Any) -> str:
        return f"projects/{self.project}/global/{collection}/{name}"

    def _id(self) -> str:
        self._last_id += 1
        return str(4000000000000000000 + self._last_id)


_ONE_FIREWALL = {"GET": "get", "PATCH": "patch", "PUT": "update", "DELETE": "delete"}
ROUTES: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("/global/firewalls", "firewalls", {"GET": "list", "POST": "insert"}),
    ("/global/firewalls/([^/]+)", "firewalls", _ONE_FIREWALL),
    ("/global/firewalls/([^/]+)/testIamPermissions", "firewalls", {"POST": "testIamPermissions"}),
    ("/global/networks", "networks", {"GET": "list"}),
    ("/global/networks/([^/]+)", "networks", {"GET": "get"}),
    (
        "/global/networks/([^/]+)/getEffectiveFirewalls",
        "networks",
        {"GET": "getEffectiveFirewalls"},
    ),
    ("/aggregated/instances", "instances", {"GET": "aggregatedList"}),
    ("/global/operations", "globalOperations", {"GET": "list"}),
    ("/global/operations/([^/]+)", "globalOperations", {"GET": "get"}),
    ("/global/operations/([^/]+)/wait", "globalOperations", {"POST": "wait"}),
    # Not in the part of the vendor's description that is at hand; paths, parameters and answers are
    # those of the vendor's SDK.
    (
        "/regions/([^/]+)/firewallPolicies/getEffectiveFirewalls",
        "regionNetworkFirewallPolicies",
        {"GET": "getEffectiveFirewalls"},
    ),
    ("", "projects", {"GET": "get"}),
)
PERMISSIONS = {
    ("firewalls", "list"): "compute.firewalls.list",
    ("networks", "get"): "compute.networks.get",
    ("networks", "getEffectiveFirewalls"): "compute.networks.getEffectiveFirewalls",
    (
        "regionNetworkFirewallPolicies",
        "getEffectiveFirewalls",
    ): "compute.networks.getRegionEffectiveFirewalls",
    ("instances", "aggregatedList"): "compute.instances.list",
    ("projects", "get"): "compute.projects.get",
}


def _route(path: str) -> tuple[str, dict[str, str], tuple[str, ...]]:
    for pattern, resource, methods in ROUTES:
        if match := re.fullmatch(f"/projects/([^/]+){pattern}", path):
            return resource, methods, match.groups()
    return "", {}, ()


def _sendable(there: Resource) -> Resource:
    """A rule as a write may say it: without metadata of logging that is off."""
    log = there["logConfig"]
    return there if log["enable"] else there | {"logConfig": {"enable": False}}


def _strings(body: Resource, key: str) -> list[str]:
    values = body.get(key, [])
    if (
        not isinstance(values, list)
        or not all(isinstance(one, str) for one in values)
        or len(values) > LIMITS[key]
    ):
        raise invalid(f"resource.{key}", values, f"Must be a list of at most {LIMITS[key]} texts.")
    return list(values)


def _check_parties(direction: str, lists: dict[str, list[str]]) -> None:
    for kinds, pattern in (("Tags", _NAME), ("ServiceAccounts", _ACCOUNT)):
        for key in (f"source{kinds}", f"target{kinds}"):
            for text in lists[key]:
                if not pattern.fullmatch(text):
                    raise invalid(f"resource.{key}", text, "Is malformed.")
            if key.startswith("source") and lists[key] and direction == "EGRESS":
                raise invalid(f"resource.{key}", lists[key], "Cannot be specified for EGRESS.")
    tags, accounts = (
        lists[f"source{kind}"] + lists[f"target{kind}"] for kind in ("Tags", "ServiceAccounts")
    )
    if tags and accounts:
        raise error(400, "invalid", "Tags and service accounts cannot be used at the same time.")


def _cidr(field: str, text: str) -> str:
    try:
        if not _CIDR.fullmatch(text):
            raise ValueError
        return str(ipaddress.ip_network(text, strict=True))
    except ValueError:
        raise invalid(field, text, "Must be an address range in CIDR notation.") from None


def _odd(text: str) -> str:
    network = ipaddress.ip_network(text)
    if network.version == 4:
        return text
    return (
        ":".join(f"{int(part, 16):x}" for part in network.network_address.exploded.split(":"))
        + f"/{network.prefixlen}"
    )


def _traffic(field: str, one: Any) -> Resource:
    text = one.get("IPProtocol") if isinstance(one, dict) else None
    if not isinstance(text, str):
        raise invalid(f"{field}.IPProtocol", text, "Is required.")
    protocol = PROTOCOLS.get(text, text.lower())
    if protocol not in ("all", *PROTOCOLS.values()) and not (
        _PROTOCOL.fullmatch(protocol) and int(protocol) <= 255
    ):
        raise invalid(f"{field}.IPProtocol", text, "Must be a well known protocol or its number.")
    ports = one.get("ports") or []
    if ports and protocol not in ("tcp", "udp", "sctp"):
        raise invalid(f"{field}.ports", ports, "Ports are for tcp, udp and sctp.")
    for port in ports:
        match = _PORTS.fullmatch(port) if isinstance(port, str) else None
        if (
            match is None
            or not int(match.group(1)) <= int(match.group(2) or match.group(1)) <= 65535
        ):
            raise invalid(f"{field}.ports", port, "Must be a port or a range of ports, 0 to 65535.")
    return {"IPProtocol": protocol} | ({"ports": list(ports)} if ports else {})


def _problems_of(request: Request, resource: str, method: str) -> list[str]:
    """What of a request is not in the vendor's description."""
    description = openapi(SPEC)
    if description is None:
        return []
    if resource not in description["resources"]:
        return []  # of the SDK's own request messages
    known = description["resources"][resource]["methods"][method]
    parameters = description["parameters"] | {
        key: one for key, one in known["parameters"].items() if one["location"] == "query"
    }
    parameters["$alt"] = {"type": "string", "enum": ["json", "json;enum-encoding=int"]}
    problems = []
    for key, values in request.query.items():
        if key not in parameters:
            problems.append(f"unknown parameter {key}")
        elif len(values) > 1 and not parameters[key].get("repeated"):
            problems.append(f"parameter {key} more than once")
        else:
            for value in values:
                problems += _problems(
                    _from_query(value, parameters[key]["type"]), parameters[key], f"parameter {key}"
                )
    if "request" in known:
        return problems + (
            _problems(request.body, known["request"], "resource")
            if isinstance(request.body, dict)
            else []
        )
    return problems + (["a body where none is known"] if request.body not in (None, {}) else [])


def _from_query(value: str, kind: str) -> Any:
    if kind == "boolean":
        return {"true": True, "false": False}.get(value, value)
    return int(value) if kind == "integer" and re.fullmatch("-?[0-9]{1,20}", value) else value


_TYPES: dict[str, Any] = {
    "string": str,
    "boolean": bool,
    "array": list,
    "object": dict,
    "integer": int,
    "number": (int, float),
}
_RANGES = {
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
}


def _problems(value: Any, schema: dict[str, Any], where: str) -> list[str]:
    """What of a value does not fit a schema of the discovery document; nothing does not where there
    is none."""
    description = openapi(SPEC)
    if description is None:
        return []
    if "$ref" in schema:
        schema = description["schemas"][schema["$ref"]]
    kind, format_ = schema.get("type", "any"), schema.get("format")
    if kind == "any":
        return []
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return [f"{where}: {value!r:.80} is no {kind}"]
    if kind == "object":
        known, more = schema.get("properties", {}), schema.get("additionalProperties")
        problems = []
        for key, one in value.items():
            if key not in known and more is None:
                problems.append(f"{where}: unknown field {key}")
            elif one is not None:
                problems += _problems(one, known.get(key, more), f"{where}.{key}")
        return problems
    if kind == "array":
        return [
            text
            for n, one in enumerate(value)
            for text in _problems(one, schema["items"], f"{where}[{n}]")
        ]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{where}: {value!r:.80} is none of {', '.join(schema['enum'])}"]
    if kind == "string" and "pattern" in schema and not re.fullmatch(schema["pattern"], value):
        return [f"{where}: {value!r:.80} does not match {schema['pattern']}"]
    if format_ in _RANGES:
        low, high = _RANGES[format_]
        if (kind == "string" and not re.fullmatch("-?[0-9]{1,20}", value)) or not low <= int(
            value
        ) <= high:
            return [f"{where}: {value!r:.80} is no {format_}"]
    return []


def main() -> None:
    parser = argparse.ArgumentParser(
        description="A double of the Compute Engine API on 127.0.0.1, until it is interrupted"
    )
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--project", default="p")
    options = parser.parse_args()
    with ComputeDouble(options.port, project=options.project) as double:
        print(f"endpoint = {double.endpoint}\nproject = {double.project}", flush=True)
        until_interrupted()


if __name__ == "__main__":
    main()

__all__ = ["ComputeDouble", "Fault", "fault_body"]
