"""The second part of the demo: one configuration for four clouds, against doubles of their APIs on
127.0.0.1. Only in a checkout.

Nothing leaves this machine: the real providers, with their vendors' SDKs, talk to the doubles that
the tests use. Every command is printed before it runs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.doubles.compute import ComputeDouble  # noqa: E402 - found by the path above
from tests.doubles.digitalocean import DigitalOceanDouble  # noqa: E402
from tests.doubles.ec2 import Ec2Double  # noqa: E402
from tests.doubles.hetzner import HetznerDouble, fault_body  # noqa: E402
from tests.doubles.http import Fault  # noqa: E402

CONFIGURATION = """\
version = 1
owner = "demo"
state = "file://{folder}/state"

[ssh]
ports = [22]
sources = ["any"]

[policy]
expose = "published"
grace = "0s"

[providers.aws]
region = "eu-central-1"
endpoint = "{aws}"

[providers.digitalocean]
token = {{ env = "DIGITALOCEAN_TOKEN" }}
endpoint = "{digitalocean}"

[providers.gcp]
project = "demo"
anonymous = true
endpoint = "{gcp}"

[providers.hetzner]
token = {{ env = "HCLOUD_TOKEN" }}
endpoint = "{hetzner}"

[hosts.web-1]
ports = ["80/tcp", "443/tcp"]

[hosts.vpn]
ports = ["51820/udp"]

[firewalls.frankfurt]
provider = "aws"
hosts = ["web-1", "vpn"]
vpc_id = "{vpc}"

[firewalls.amsterdam]
provider = "digitalocean"
hosts = ["web-1"]
droplets = ["web-1"]

[firewalls.belgium]
provider = "gcp"
hosts = ["web-1"]
target_tags = ["web"]
enforce = "allow"

[firewalls.falkenstein]
provider = "hetzner"
hosts = ["vpn"]
servers = ["vpn"]
"""


def say(text: str) -> None:
    """What comes next, for the reader."""
    print(f"\n# {text}", flush=True)


class Demo:
    """A folder with the configuration; commands are typed in it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment

    def run(self, code: int, *words: str) -> None:
        """Print the command, run it, and see that it ends with `code`."""
        print(f"\n\033[1m$ {' '.join(words)}\033[0m", flush=True)
        ended = subprocess.run(  # noqa: S603 - words of this file
            [sys.executable, "-m", *words], cwd=self.folder, env=self.environment, check=False
        ).returncode
        if ended != code:
            sys.exit(f"the demo expected exit code {code}, got {ended}")


def main() -> None:
    """Four clouds, from nothing to done; then one of them is down."""
    with ExitStack() as started:
        aws, gcp = (
            started.enter_context(Ec2Double()),
            started.enter_context(ComputeDouble(project="demo")),
        )
        digitalocean, hetzner = (
            started.enter_context(DigitalOceanDouble()),
            started.enter_context(HetznerDouble()),
        )
        digitalocean.add_droplet("web-1")
        hetzner.add_server("vpn")
        folder = Path(started.enter_context(tempfile.TemporaryDirectory(prefix="cloudsync-demo-")))
        endpoints = {
            "aws": aws.endpoint,
            "digitalocean": digitalocean.endpoint,
            "gcp": gcp.endpoint,
            "hetzner": hetzner.endpoint,
        }
        file = folder / "cloudsync.toml"
        file.write_text(CONFIGURATION.format(folder=folder, vpc=aws.vpc, **endpoints))
        demo = Demo(
            folder,
            {
                **os.environ,
                "AWS_ACCESS_KEY_ID": aws.access_key,
                "AWS_SECRET_ACCESS_KEY": "any",
                "AWS_EC2_METADATA_DISABLED": "true",
                "DIGITALOCEAN_TOKEN": digitalocean.token,
                "HCLOUD_TOKEN": hetzner.token,
            },
        )
        say(
            "Part two: two hosts, four firewalls, four clouds (doubles of their APIs, on this"
            " machine). What would be done?"
        )
        print(
            "# 3 = a guard refuses: two machines are under no firewall yet; to put them under one"
            " closes everything else on them."
        )
        demo.run(3, "cloudsync", "plan")
        demo.run(
            0,
            "cloudsync",
            "apply",
            "--auto-approve",
            "--allow-attach",
            "amsterdam",
            "--allow-attach",
            "falkenstein",
        )
        say("A second plan finds nothing to do, at any of them.")
        demo.run(0, "cloudsync", "plan", "--detailed-exitcode")
        say(
            "A port more on web-1, which feeds three of the firewalls; one of the three APIs is"
            " down. 75 = try again later."
        )
        file.write_text(file.read_text().replace('"443/tcp"]', '"443/tcp", "8443/tcp"]'))
        digitalocean.fail(
            Fault(
                "GET", "/firewalls", status=503, body=fault_body("service_unavailable"), times=1000
            )
        )
        demo.run(75, "cloudsync", "apply", "--auto-approve")
        say("It is up again: the next run does the rest.")
        digitalocean.faults.clear()
        demo.run(0, "cloudsync", "apply", "--auto-approve")


if __name__ == "__main__":
    main()
