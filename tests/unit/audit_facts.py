"""Machines as an audit knows them, by hand."""

from __future__ import annotations

from datetime import date

from cloudsync.audit.report import of_machine
from cloudsync.model.machine_facts import (
    Cloud,
    Engine,
    Facts,
    HostTable,
    Listener,
    Mount,
    Network,
    Nftables,
    Policy,
    Publish,
    Tables,
    Ufw,
    Workload,
    Zone,
)
from cloudsync.rules import NOTHING, Rule, RuleSet
from cloudsync.rules.networks import ANY
from cloudsync.sources.machine.iptables import parse

TODAY = date(2026, 11, 28)
OPEN_TO_ALL = Cloud(protected=True, reachable=RuleSet.of((Rule.of("all", "", ANY),)))
SHUT = Cloud(protected=True)


def publish(port: int, inside: int | None = None, address: str = "0.0.0.0") -> Publish:
    return Publish("tcp", port, port, inside or port, address)


def container(name: str = "app", *published: Publish, **more: object) -> Workload:
    values: dict[str, object] = {
        "id": name.ljust(64, "0"),
        "image": "shop/app:1",
        "networks": ("bridge",),
        "published": published,
        "asked": published,
        **more,
    }
    return Workload(name, **values)  # type: ignore[arg-type]


def docker(*containers: Workload, version: str = "28.5.2", **more: object) -> Engine:
    networks = (Network("bridge", bridge="docker0"),)
    return Engine("docker", version, containers, **{"networks": networks, **more})  # type: ignore[arg-type]


def machine(engine: Engine | None = None, **more: object) -> Facts:
    return Facts("web-1", engine=engine, **more)  # type: ignore[arg-type]


def chain(*rules: str, forward: str = "-A FORWARD -j DOCKER-USER") -> Tables:
    lines = ["*filter", ":FORWARD DROP [0:0]", ":DOCKER-USER - [0:0]", forward]
    return parse("\n".join([*lines, *(f"-A DOCKER-USER {rule}" for rule in rules), "COMMIT"]))


def nat(*rules: str) -> Tables:
    lines = ["*nat", ":DOCKER - [0:0]", *(f"-A DOCKER {rule}" for rule in rules), "COMMIT"]
    return parse("\n".join(lines))


ACCEPT_REPLIES = "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
ENFORCED = Nftables(HostTable(enforces=True, lets_in=NOTHING))
WEB = container("web", publish(8080, 80))
DATABASE = container("db", publish(5432), image="postgres:16")
SOCKET = Mount("/var/run/docker.sock", read_only=True)
INTERNAL = Network("back", internal=True, bridge="br-1")
UFW = Ufw(enabled=True)
ACCEPTING = Zone("docker", "ACCEPT", ("docker0",))
LISTENING = Listener("tcp", "0.0.0.0", 9999, "python3")
WANTS = Policy(required=RuleSet.of((Rule.of("tcp", "80", ANY),)))
TRAEFIK = container("proxy", publish(80), image="traefik:v3", command=("--api.insecure=true",))
IMDS = "IMDSv2 answers over 2 hops"


def ids(facts: Facts) -> list[str]:
    """The ids of everything that is found on a machine."""
    return [finding.id for finding in of_machine(facts)]
