"""A cloud with a login: Keystone's tokens and Nova's list of servers, written from their API
references, in front of the real Neutron.

https://docs.openstack.org/api-ref/identity/v3/ and https://docs.openstack.org/api-ref/compute/.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.doubles.http import ApiError, Request
from tests.openstack.proxy import NeutronProxy

PASSWORD = "correct-horse-battery"
TOKENS = "/identity/v3/auth/tokens"


class Cloud(NeutronProxy):
    """`servers`: names by id. `network_suffix`: what follows Neutron's root in the catalog.
    `scoped`: whether a login is for a project. `services`: what the catalog has."""

    def __init__(self, server: int) -> None:
        super().__init__(server)
        self.servers: dict[str, str] = {}
        self.network_suffix, self.scoped = "", True
        self.services = ["network", "compute"]
        self.tokens: set[str] = set()
        self.issued = 0

    @property
    def auth_url(self) -> str:
        return f"{self.endpoint}/identity/v3"

    def headers(self) -> dict[str, str]:
        return {"X-Subject-Token": f"token-{self.issued}"}

    def handle(self, request: Request) -> tuple[int, Any]:
        if request.path == "/identity/v3":
            links = [{"rel": "self", "href": f"{self.auth_url}/"}]
            return 200, {"version": {"id": "v3.14", "status": "stable", "links": links}}
        if request.path == TOKENS:
            return self._login(request.body["auth"])
        if request.headers.get("X-Auth-Token") not in self.tokens:
            raise ApiError(401, {"error": {"code": 401, "title": "Unauthorized"}})
        if request.path.startswith("/compute/v2.1/servers"):
            servers = [{"id": id_, "name": name} for id_, name in self.servers.items()]
            return 200, {"servers": servers}
        who = {"X-Project-Id": self.project.id, "X-User-Id": "u", "X-Roles": "member,reader"}
        return super().handle(replace(request, headers={**request.headers, **who}))

    def _login(self, auth: dict[str, Any]) -> tuple[int, Any]:
        identity = auth["identity"]
        secret = (
            identity["application_credential"]["secret"]
            if identity["methods"] == ["application_credential"]
            else identity["password"]["user"]["password"]
        )
        if secret != PASSWORD:
            raise ApiError(401, {"error": {"code": 401, "title": "Unauthorized"}})
        self.issued += 1
        self.tokens.add(f"token-{self.issued}")
        urls = {
            "network": f"{self.endpoint}{self.network_suffix}",
            "compute": f"{self.endpoint}/compute/v2.1",
        }
        token: dict[str, Any] = {
            "methods": identity["methods"],
            "user": {"id": "u", "name": "deploy", "domain": {"id": "default", "name": "Default"}},
            "issued_at": "2026-01-01T00:00:00.000000Z",
            "expires_at": "2099-01-01T00:00:00.000000Z",
            "audit_ids": ["a"],
        }
        if self.scoped:
            endpoints = {
                name: {
                    "id": name,
                    "interface": "public",
                    "region": "RegionOne",
                    "region_id": "RegionOne",
                    "url": url,
                }
                for name, url in urls.items()
            }
            token |= {
                "project": {
                    "id": self.project.id,
                    "name": "shop",
                    "domain": {"id": "default", "name": "Default"},
                },
                "roles": [{"id": "1", "name": "member"}, {"id": "2", "name": "reader"}],
                "catalog": [
                    {"id": name, "type": name, "name": name, "endpoints": [endpoints[name]]}
                    for name in self.services
                ],
            }
        return 201, {"token": token}
