"""The shop that pictures and casts of the documentation show: a Compose file, and a double of
Hetzner's API. Everything in them is what the program really prints."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.doubles.hetzner import HetznerDouble  # noqa: E402 - found once the checkout is in the path

COMPOSE = """\
name: shop
services:
  proxy:
    image: traefik:v3.5
    ports: ["80:80", "443:443", "443:443/udp"]
  db:
    image: postgres:16
    ports: ["5432:5432"]
  grafana:
    image: grafana/grafana:11
    ports: ["3000:3000"]
  admin:
    image: shop/admin:3
    ports: ["127.0.0.1:8081:80"]
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

[firewalls.web]
provider = "hetzner"
hosts = ["web-1"]
servers = ["web-1"]
"""
ANYWHERE = ["0.0.0.0/0", "::/0"]


class Shop:
    """The folder of the shop, and the cloud it is in."""

    def __init__(self, folder: Path, cloud: HetznerDouble, columns: int) -> None:
        self.folder, self.cloud = folder, cloud
        self._environment = {
            **os.environ, "HCLOUD_TOKEN": cloud.token, "COLUMNS": str(columns),
            "CLOUDSYNC_CONFIG": str(folder / "cloudsync.toml"),
        }  # fmt: skip

    def types(self, *words: str, check: bool = False) -> str:
        """What `cloudsync …` prints, in colour. `check`: it must exit with 0."""
        command = [sys.executable, "-m", "cloudsync", *words, "--color", "always"]
        return subprocess.run(  # noqa: S603 - words of these files
            command, cwd=self.folder, env=self._environment, capture_output=True, text=True,
            check=check,
        ).stdout.replace(str(self.folder), "/srv/shop")  # fmt: skip

    def by_hand(self, *ports: str) -> None:
        """Somebody changes the rules at the vendor."""
        rules = [
            {"direction": "in", "protocol": "tcp", "port": port, "source_ips": ANYWHERE}
            for port in ports
        ]
        (firewall,) = self.cloud.firewalls
        self.cloud.set_rules_by_hand(firewall, rules)


@contextlib.contextmanager
def shop(columns: int) -> Iterator[Shop]:
    """A shop whose one machine is under no firewall yet."""
    with HetznerDouble() as cloud, tempfile.TemporaryDirectory() as folder:
        cloud.add_server("web-1", v6=True)
        (Path(folder) / "compose.yaml").write_text(COMPOSE)
        (Path(folder) / "cloudsync.toml").write_text(
            CONFIGURATION.format(folder=folder, endpoint=cloud.endpoint)
        )
        yield Shop(Path(folder), cloud, columns)
