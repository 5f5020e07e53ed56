"""A machine at a cloud: a router in front of it that filters as the cloud's double says, a real
engine on it, and `cloudsync` with both firewalls in its configuration."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cloudsync.rules import Rule, RuleSet
from tests.doubles.hetzner import HetznerDouble
from tests.doubles.http import Request
from tests.host.lab import PEER4, PEER6, Lab
from tests.host.scanner import EVERYTHING, Passed
from tests.host.site import NAME, Site

CLOUD = "web-1-cloud"


class RoutedCloud(HetznerDouble):
    """Hetzner's double, and a router that does what it has put into effect."""

    def __init__(self, lab: Lab) -> None:
        super().__init__()
        self.lab = lab
        self.effective: dict[int, list[dict[str, Any]]] = {}
        self.server_id = self.add_server("web-1", v6=True)
        self.route()

    def check(self, request: Request, status: int, answer: Any) -> None:
        super().check(request, status, answer)
        self.route()

    def route(self) -> None:
        """Load what is in effect into the router; nothing where it is what was loaded. What is
        pending is as it was before: a firewall that is being attached filters nothing yet."""
        now = {
            firewall: (
                [dict(rule) for rule in self.firewalls[firewall].rules]
                if status == "applied"
                else self.effective[firewall]
            )
            for (firewall, server), status in self.in_force.items()
            if server == self.server_id and (status == "applied" or firewall in self.effective)
        }
        if now == self.effective and now:
            return
        self.effective = now
        table = "table inet cloud\ndelete table inet cloud\n"
        if now:
            table += _TABLE.replace("RULES", "\n".join(_rules(now.values())))
        words = ["nsenter", f"--net=/run/netns/{self.lab.cloud}", "--", "nft", "-f", "-"]
        subprocess.run(words, input=table, text=True, check=True)

    def lets_in(self) -> RuleSet | None:
        """What the router lets in; None where it filters nothing."""
        if not self.effective:
            return None
        return RuleSet.of(
            Rule.of(rule["protocol"], rule.get("port") or "", rule["source_ips"])
            for rules in self.effective.values()
            for rule in rules
            if rule["direction"] == "in"
        )


_TABLE = """table inet cloud {
chain forward {
type filter hook forward priority 0; policy drop;
ct state established,related accept
iifname "out0" accept
icmpv6 type { 133-136 } accept
RULES
}
}
"""


def _rules(several: Iterable[Iterable[Mapping[str, Any]]]) -> Iterable[str]:
    for rules in several:
        for rule in rules:
            if rule["direction"] != "in":
                continue
            protocol = rule["protocol"]
            for source in rule["source_ips"]:
                family = "ip6" if ":" in source else "ip"
                match = f"{family} saddr {source} meta l4proto {protocol}"
                yield (
                    f"{match} th dport {rule['port']} accept"
                    if rule.get("port")
                    else f"{match} accept"
                )


class World(Site):
    """As `Site`, behind a cloud's firewall too."""

    def __init__(self, lab: Lab, cloud: RoutedCloud, folder: Path, **keys: object) -> None:
        super().__init__(lab, folder, **keys)
        self.cloud = cloud
        lab.reach(urlsplit(cloud.endpoint).port or 0)
        self.more_environment = {"CLOUDSYNC_DOUBLE_TOKEN": cloud.token}

    def document(self) -> dict[str, Any]:
        document = super().document()
        document["providers"]["hetzner"] = {
            "token": {"env": "CLOUDSYNC_DOUBLE_TOKEN"},
            "endpoint": self.cloud.endpoint,
        }
        document["firewalls"][CLOUD] = {
            "provider": "hetzner",
            "hosts": ["web-1"],
            "servers": ["web-1"],
        }
        return document

    def apply(self, *words: str, code: int = 0) -> str:
        return super().apply("--allow-attach", CLOUD, *words, code=code)


def passed(rules: RuleSet | None) -> Passed:
    """The ports that a scan finds open under these rules; None: all of them."""
    if rules is None:
        return EVERYTHING
    return Passed(
        *(
            frozenset(
                port
                for rule in rules & RuleSet.of((Rule.of(protocol, "1-65535", [source]),))
                for port in range(rule.first, rule.last + 1)
            )
            for source in (f"{PEER4}/32", f"{PEER6}/128")
            for protocol in ("tcp", "udp")
        )
    )


__all__ = ["CLOUD", "NAME", "RoutedCloud", "World", "passed"]
