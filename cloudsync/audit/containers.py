"""Findings about containers: what they hold and what they listen on (CS004, CS022, CS036, CS041,
CS043, CS044)."""

from __future__ import annotations

from collections.abc import Iterator

from cloudsync.audit import tables
from cloudsync.audit.findings import Finding, Reachable, graded
from cloudsync.audit.hints import NOWHERE, Edit, of_powers
from cloudsync.audit.published import about_workload, is_meant
from cloudsync.audit.reachability import of_port, of_workload
from cloudsync.model.machine_facts import Facts, Workload
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.networks import ANY


def find(facts: Facts) -> Iterator[Finding]:
    """Every finding of this family."""
    for workload in facts.workloads:
        reachable = of_workload(facts, workload)
        if reachable in ("internet", "unknown", "neighbours"):
            yield from _reachable(facts, workload, reachable)
        yield from _image_labels(facts, workload)
        yield from _silent(facts, workload)
    yield from _host_network(facts)


def _reachable(facts: Facts, workload: Workload, reachable: Reachable) -> Iterator[Finding]:
    if (socket := tables.socket_of(workload)) is not None:
        yield about_workload(
            "CS004", graded(reachable, "critical", "high", "medium"), facts, workload,
            f"other machines reach it, and {socket.source} is mounted"
            f"{' (read-only, which does not help)' if socket.read_only else ''}: anyone who takes "
            "it over is root on the machine", _place(workload, f"volumes {socket.source}"),
        )  # fmt: skip
    powers = _powers(workload)
    if powers:
        yield about_workload(
            "CS043", graded(reachable, "high", "high", "medium"), facts, workload,
            f"other machines reach it, and it has power over this one: {', '.join(powers)}",
            of_powers(workload, [power.removesuffix(": host") for power in powers]),
        )  # fmt: skip
    secrets = [name for name in workload.environment if tables.is_secret(name)]
    if secrets:
        yield about_workload(
            "CS044", "medium", facts, workload,
            f"other machines reach it, and its environment holds {', '.join(sorted(secrets)[:5])}",
            _place(workload, f"environment {min(secrets)}"),
        )  # fmt: skip


def _place(workload: Workload, key: str) -> Edit:
    place = workload.places.get(key)
    return NOWHERE if place is None else Edit(place.file, place.line)


def _powers(workload: Workload) -> list[str]:
    powers = ["privileged"] if workload.privileged else []
    granted = workload.granted
    if tables.is_image(workload, tables.NETWORK_TOOLS):
        granted -= {"NET_ADMIN"}  # what it is for
    powers += sorted(tables.POWERS & granted)
    return [*powers, "pid: host"] if workload.host_pid else powers


def _image_labels(facts: Facts, workload: Workload) -> Iterator[Finding]:
    asking = sorted(
        key
        for key in workload.image_labels
        if key == "cloudsync.ports"
        or (key == "cloudsync.expose" and workload.labels.get(key) == "true")
    )
    for key in asking:
        yield about_workload(
            "CS036", "high", facts, workload,
            f"the label {key} comes from the image {workload.image}: its author chose your ports",
        )  # fmt: skip


def _silent(facts: Facts, workload: Workload) -> Iterator[Finding]:
    ports = [publish for publish in workload.asked if publish.first and not publish.is_loopback]
    if not ports:
        return
    if workload.state == "restarting":
        yield about_workload(
            "CS041", "low", facts, workload,
            f"it keeps crashing, and holds {ports[0].ports}/{ports[0].protocol}",
        )  # fmt: skip
        return
    if workload.listening is None or not workload.published:
        return
    for publish in dict.fromkeys(
        (p.protocol, p.ports, p.container_port) for p in workload.published
    ):
        protocol, number, inside = publish
        if (protocol, inside) not in workload.listening:
            yield about_workload(
                "CS041", "low", facts, workload,
                f"{number}/{protocol} is published, and nothing listens on {inside} inside",
            )  # fmt: skip


def _host_network(facts: Facts) -> Iterator[Finding]:
    by_id = {workload.id: workload for workload in facts.workloads if workload.id}
    allowed = facts.policy.required if facts.policy else RuleSet.of(())
    for listener in facts.listeners:
        workload = by_id.get(listener.container)
        if workload is None or not workload.on_host_network or not listener.is_everywhere:
            continue
        asked = RuleSet.of((Rule.of(listener.protocol, str(listener.port), ANY),))
        if asked & allowed or is_meant(workload):
            continue
        reachable = of_port(facts, listener.protocol, str(listener.port))
        if reachable == "none":
            continue
        yield Finding(
            id="CS022",
            severity=graded(reachable, "high", "high", "medium"),
            host=facts.host,
            object=workload.name,
            reason=(
                f"on the host's network, it listens on {listener.port}/{listener.protocol} at "
                "every address"
            ),
            reachable=reachable,
            protocol=listener.protocol,
            ports=str(listener.port),
        )
