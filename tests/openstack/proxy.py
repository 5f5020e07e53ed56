"""A proxy of ours between the provider and the real Neutron: it counts, drops, delays, kills, and
notes what every group lets in after each write that took effect.

It is the shell of the doubles with a real server behind it. One request at a time goes through, so
that the states it notes are all states there were.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from cloudsync.rules import RuleSet
from tests.doubles.http import ApiError, Double, Request
from tests.openstack.cloud import Json, Project, call, lets_in

FORWARDED = ("x-project-id", "x-user-id", "x-roles", "x-auth-token", "if-match")


@dataclass(frozen=True)
class Named:
    name: str


class NeutronProxy(Double):
    """`page`: the most items the operator gives in one answer. `roles`: those of the login, instead
    of what the client says. `without`: keys that the server's answers lack, as on an old cloud.
    `watching`: whether it notes what groups let in. `given`: rules that a new group has from its
    creation, as the operator's templates give them; Neutron's own templates are for every project
    of its tests at once. A client that names no project means ours."""

    def __init__(self, server: int) -> None:
        super().__init__()
        self.server, self.project = server, Project(server)
        self.history: list[tuple[str, RuleSet]] = []
        self.page: int | None = None
        self.roles: str | None = None
        self.without: frozenset[str] = frozenset()
        self.watching = True
        self.given: tuple[Json, ...] = ()
        self.project.groups()  # the project's first call, which creates its group `default`

    @property
    def groups(self) -> Mapping[str, Named]:
        return {group["id"]: Named(group["name"]) for group in self.project.groups()}

    def handle(self, request: Request) -> tuple[int, Any]:
        query = {key: values[0] for key, values in request.query.items()}
        if self.page is not None and request.path.endswith("/security-groups"):
            query.setdefault("limit", str(self.page))
        path = request.path + (f"?{urlencode(query)}" if query else "")
        headers = {k: v for k, v in request.headers.items() if k.lower() in FORWARDED}
        headers.setdefault("X-Project-Id", self.project.id)
        headers.setdefault("X-User-Id", "somebody")
        headers.setdefault("X-Roles", "member,reader")
        if self.roles is not None:
            headers = {k: v for k, v in headers.items() if k.lower() != "x-roles"}
            headers["X-Roles"] = self.roles
        try:
            status, answer, _ = call(self.server, request.method, path, request.body, headers)
        finally:
            self.project.forget(request.method, request.path)
        if status == 400:
            self.violations.append(f"{request.method} {request.path}: {json.dumps(answer)[:300]}")
        if status >= 400:
            raise ApiError(status, answer)
        if self.given and (request.method, request.path) == ("POST", "/v2.0/security-groups"):
            created = answer["security_group"]["id"]
            self.project.add_rules(created, self.given)
            answer = self.project.ask("GET", f"security-groups/{created}")
        if request.method != "GET" and self.watching:
            self._note()
        return status, self._older(answer)

    def encode(self, answer: Any) -> bytes:
        return b"" if answer is None else json.dumps(answer).encode()

    def _note(self) -> None:
        self.history += [(group["name"], lets_in(group)) for group in self.project.groups()]

    def _older(self, answer: Any) -> Any:
        if isinstance(answer, dict):
            return {k: self._older(v) for k, v in answer.items() if k not in self.without}
        return [self._older(one) for one in answer] if isinstance(answer, list) else answer


def fault_body(type_: str, message: str = "told to fail") -> dict[str, Any]:
    """An error as Neutron words it."""
    return {"NeutronError": {"type": type_, "message": message, "detail": ""}}
