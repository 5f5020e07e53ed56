"""A machine behind a cloud firewall, and what is on the way of a packet to its containers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.doubles.hetzner import HetznerDouble

COMPOSE = """\
name: shop
services:
  web: {ports: ["443:8443"]}
  db: {ports: ["5432:5432"]}
  admin: {ports: ["127.0.0.1:8081:80"]}
"""
CONFIGURATION = """\
version = 1
owner = "shop"
state = "file://{folder}/state"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
[providers.hetzner]
token = {{ env = "HCLOUD_TOKEN" }}
endpoint = "{endpoint}"
[hosts.web-1]
compose = ["compose.yaml"]
[hosts.web-2]
compose = ["nothing.yaml"]
[firewalls.web]
provider = "hetzner"
hosts = ["web-1"]
servers = ["web-1"]
[firewalls.other]
provider = "hetzner"
hosts = ["web-2"]
"""


@contextmanager
def shop_in(folder: Path) -> Iterator[str]:
    """The configuration and the Compose file are in the folder; the token of the cloud, which is
    there as long as the block runs."""
    with HetznerDouble() as cloud:
        server = cloud.add_server("web-1")
        rules = [
            {"direction": "in", "protocol": "tcp", "port": port, "source_ips": ["0.0.0.0/0"]}
            for port in ("22", "443", "8080")
        ]
        cloud.add_firewall("cloudsync-web", rules, servers=[server])
        (folder / "compose.yaml").write_text(COMPOSE)
        (folder / "cloudsync.toml").write_text(
            CONFIGURATION.format(folder=folder, endpoint=cloud.endpoint)
        )
        yield cloud.token
