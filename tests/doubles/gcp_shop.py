"""A configuration with firewalls in one Google Cloud project, planned and applied by the engine
against the double."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cloudsync import exit_codes
from cloudsync.config import load
from cloudsync.config.configuration import Configuration
from cloudsync.model.plan import Granted, Plan
from cloudsync.reconcile import run as reconcile
from tests.doubles.compute import ComputeDouble

RULES = "/projects/p/global/firewalls"
WAITS = "/projects/p/global/operations/.*/wait"
TARGET = 'target_tags = ["web"]'


class Shop:
    """One host, whose ports are those of every firewall, and SSH. What a test sets is in the file
    when it plans next."""

    def __init__(self, folder: Path, cloud: ComputeDouble) -> None:
        self.folder, self.cloud = folder, cloud
        self.ports: tuple[str, ...] = ("443/tcp",)
        self.firewalls: tuple[str, ...] = ("web",)
        self.keys, self.policy, self.more, self.account = TARGET, "", "", "anonymous = true"
        self.host = ""
        self.enforce, self.deadline, self.foreign = "allow", "60s", "ignore"

    def write(self) -> Path:
        tables = "".join(
            f'[firewalls.{name}]\nprovider = "gcp"\nhosts = ["web-1"]\nenforce ='
            f' "{self.enforce}"\n{self.keys}\n{self.more}\n'
            for name in self.firewalls
        )
        ports = ", ".join(f'"{port}"' for port in self.ports)
        path = self.folder / "cloudsync.toml"
        path.write_text(f"""version = 1
owner = "shop"
state = "file://{self.folder}/state"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
grace = "0s"
foreign = "{self.foreign}"
{self.policy}
[run]
deadline = "{self.deadline}"
[providers.gcp]
project = "{self.cloud.project}"
endpoint = "{self.cloud.endpoint}"
{self.account}
[hosts.web-1]
ports = [{ports}]
{self.host}
{tables}
""")
        return path

    def configuration(self) -> Configuration:
        return load(self.write())

    def plan(self, **granted: Any) -> Plan:
        return reconcile.plan(
            self.configuration(), reconcile.Options(granted=Granted(**granted))
        ).plan

    def changes(self) -> list[str]:
        """What the plan would do, in words."""
        return [
            f"{one.action} {one.rule or one.target or ''}: {one.reason}"
            for firewall in self.plan().firewalls
            for one in firewall.changes
        ]

    def apply(self, **granted: Any) -> tuple[int, str]:
        """Its exit code, and what it said."""
        report = reconcile.apply(
            self.configuration(),
            reconcile.Options(granted=Granted(**({"allow_close": 1000} | granted))),
        )
        said = [one.message or one.status for one in report.outcomes] + [
            guard.message for guard in report.plan.guards
        ]
        return exit_codes.of_report(report), "; ".join(said)

    def applies(self, **granted: Any) -> None:
        outcome = self.apply(**granted)
        assert outcome == (0, "; ".join(["done"] * len(self.firewalls))), outcome

    def rules(self) -> dict[str, dict[str, Any]]:
        return self.cloud.firewalls()

    def written(self) -> list[tuple[str, str]]:
        """Every call that could write, in order: method, and the rule's name or `wait`."""
        found = []
        for call in self.cloud.writes():
            name = (
                "wait"
                if call.path.endswith("/wait")
                else (call.body or {}).get("name") or call.path.rsplit("/", 1)[-1]
            )
            found.append((call.method, name))
        return found

    def calls(self) -> tuple[int, int, int]:
        """Lists, writes of rules, waits; there is no other call."""
        lists, waits = self.cloud.count("GET", RULES), self.cloud.count("POST", WAITS)
        writes = sum(
            self.cloud.count(method, f"{RULES}(/.*)?") for method in ("POST", "PUT", "DELETE")
        )
        assert lists + writes + waits == len(self.cloud.calls)
        return lists, writes, waits
