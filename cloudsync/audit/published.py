"""Findings about published ports: who publishes what, and who reaches it (CS001, CS002, CS016,
CS027, CS032 to CS035, CS042)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from cloudsync.audit import tables
from cloudsync.audit.findings import Finding, Reachable, Severity, graded
from cloudsync.audit.hints import NOWHERE, Edit, of_port
from cloudsync.audit.reachability import is_narrowed, of_publish, of_workload, worst
from cloudsync.model.machine_facts import Facts, Publish, Workload
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.networks import ANY


def find(facts: Facts) -> Iterator[Finding]:
    """Every finding of this family."""
    for workload in facts.workloads:
        explained: set[tuple[str, str]] = set()
        for finding in _about(facts, workload):
            explained.add((finding.protocol or "", finding.ports or ""))
            yield finding
        explained |= {(p.protocol, p.ports) for p in workload.published if _is_random(workload, p)}
        yield from _unwanted(facts, workload, explained)
        yield from _dormant(facts, workload)
        yield from _random(facts, workload)
        yield from _loopback(facts, workload)


def _about(facts: Facts, workload: Workload) -> Iterator[Finding]:
    """The first that applies to each port: one finding a cause."""
    once: set[str] = set()
    for publishes in by_port(workload.outward).values():
        # Kibana keeps no data: that it is an admin interface says more than that 5601 is sensitive.
        first, second = _sensitive, _admin
        if tables.is_interface(workload, publishes[0]):
            first, second = second, first
        for rule in (_debugger, first, _dashboard, second, _past_proxy):
            finding = rule(facts, workload, publishes)
            if finding is None or (finding.id == "CS034" and finding.id in once):
                continue
            once.add(finding.id)
            yield finding
            break


def by_port(publishes: tuple[Publish, ...]) -> dict[tuple[str, str, int], tuple[Publish, ...]]:
    """Publishes that differ in their address only, together: both families of one `-p`."""
    grouped: dict[tuple[str, str, int], tuple[Publish, ...]] = {}
    for publish in publishes:
        key = (publish.protocol, publish.ports, publish.container_port)
        grouped[key] = (*grouped.get(key, ()), publish)
    return grouped


def finding_of(
    kind: str, severity: Severity, facts: Facts, workload: Workload, publish: Publish, reason: str
) -> Finding:
    """A finding about one published port."""
    return Finding(
        id=kind,
        severity=severity,
        host=facts.host,
        object=workload.name,
        reason=reason,
        reachable=of_publish(facts, publish),
        protocol=publish.protocol,
        ports=publish.ports,
        file=publish.file or workload.file,
        line=publish.line or workload.line,
        hint=of_port(kind, publish),
    )


def about_workload(
    kind: str,
    severity: Severity,
    facts: Facts,
    workload: Workload,
    reason: str,
    edit: Edit = NOWHERE,
) -> Finding:
    """A finding about a container or service as a whole; `edit`: the line of it that is wrong."""
    known = edit if edit.line is not None else Edit(workload.file, workload.line)
    return Finding(
        id=kind,
        severity=severity,
        host=facts.host,
        object=workload.name,
        reason=reason,
        reachable=of_workload(facts, workload),
        file=known.file,
        line=known.line,
        hint=known.hint,
    )


def is_meant(workload: Workload) -> bool:
    """Whether its user asked, by a label of their own, for its ports to be open."""
    return any(
        workload.labels.get(key) not in (None, "false") and key not in workload.image_labels
        for key in ("cloudsync.expose", "cloudsync.ports")
    )


def _reach(facts: Facts, publishes: tuple[Publish, ...]) -> tuple[Reachable, Publish]:
    """Who reaches them, and the one of them that lets in most."""
    verdicts: list[tuple[Reachable, Publish]] = [
        (of_publish(facts, publish), publish) for publish in publishes
    ]
    reachable = worst([verdict for verdict, _ in verdicts])
    return reachable, next(publish for verdict, publish in verdicts if verdict == reachable)


def _sensitive(facts: Facts, workload: Workload, publishes: tuple[Publish, ...]) -> Finding | None:
    everywhere = tuple(p for p in publishes if not p.is_private)
    if not everywhere or not tables.is_sensitive(everywhere[0]):
        return None
    if tables.is_image(workload, tables.PROXIES):
        return None
    reachable, publish = _reach(facts, everywhere)
    if facts.policy is not None and _within(publish, facts.policy.allow_sensitive):
        return None
    severity = graded(reachable, "critical", "high", "medium")
    reason = (
        f"publishes {publish.ports or 'a random port'}/{publish.protocol}"
        f"{_behind(publish)} on {_where(everywhere)}"
    )
    return finding_of("CS002", severity, facts, workload, publish, reason)


def _dashboard(facts: Facts, workload: Workload, publishes: tuple[Publish, ...]) -> Finding | None:
    insecure = any("api.insecure" in word and "false" not in word for word in workload.command)
    if not (insecure and publishes[0].container_port == 8080):
        return None
    reachable, publish = _reach(facts, publishes)
    severity = graded(reachable, "high", "high", "medium")
    return finding_of(
        "CS033", severity, facts, workload, publish,
        f"publishes the proxy's insecure API on {publish.ports}/{publish.protocol}",
    )  # fmt: skip


def _admin(facts: Facts, workload: Workload, publishes: tuple[Publish, ...]) -> Finding | None:
    if publishes[0].first == 0 or not tables.is_admin_port(workload, publishes[0]):
        return None
    if is_meant(workload) or is_narrowed(facts, publishes[0].protocol, publishes[0].ports):
        return None
    reachable, publish = _reach(facts, publishes)
    if reachable in ("host", "none"):
        return None
    severity = graded(reachable, "high", "high", "medium")
    return finding_of(
        "CS034",
        severity,
        facts,
        workload,
        publish,
        f"{workload.image or workload.name} is an admin interface, published on"
        f" {_where(publishes)}",
    )


def _debugger(facts: Facts, workload: Workload, publishes: tuple[Publish, ...]) -> Finding | None:
    by_argument = any(tables.DEBUG_ARGUMENTS.search(word) for word in workload.command)
    port = publishes[0].container_port
    if port not in tables.DEBUG_PORTS or (port in (4000, 5678) and not by_argument):
        return None
    if is_meant(workload) or is_narrowed(facts, publishes[0].protocol, publishes[0].ports):
        return None
    reachable, publish = _reach(facts, publishes)
    severity = graded(reachable, "high", "high", "medium")
    return finding_of(
        "CS035", severity, facts, workload, publish,
        f"publishes the debug or metrics port {port} on {_where(publishes)}",
    )  # fmt: skip


def _past_proxy(facts: Facts, workload: Workload, publishes: tuple[Publish, ...]) -> Finding | None:
    route = tables.is_routed_to(workload)
    everywhere = tuple(p for p in publishes if not p.is_private)
    if route is None or not everywhere or tables.is_image(workload, tables.PROXIES):
        return None
    served, port = set(_served(workload)), everywhere[0].container_port
    if everywhere[0].protocol != "tcp" or port in tables.NOT_HTTP:
        return None
    if served and str(port) not in served:
        return None  # a second port, which the proxy does not serve
    reachable, publish = _reach(facts, everywhere)
    severity = graded(reachable, "high", "high", "medium")
    return finding_of(
        "CS032", severity, facts, workload, publish,
        f"a proxy routes to it ({route}), and it is also published on {_where(everywhere)}",
    )  # fmt: skip


def _served(workload: Workload) -> Iterator[str]:
    """The container ports that labels have a proxy route to."""
    for key, value in workload.labels.items():
        if key.startswith("traefik.http.services.") and key.endswith(".server.port"):
            yield value
        elif key.startswith("caddy") and key.endswith(".reverse_proxy"):
            yield from _UPSTREAM.findall(value)


_UPSTREAM = re.compile(r"upstreams\s+(?:https?\s+)?(\d+)")
"""caddy-docker-proxy's `{{upstreams 8080}}`."""


def _unwanted(
    facts: Facts, workload: Workload, explained: set[tuple[str, str]]
) -> Iterator[Finding]:
    """What the configuration does not want open. Without a configuration nothing is known of what
    is wanted."""
    if facts.policy is None:
        return
    for publishes in by_port(workload.outward).values():
        publish = publishes[0]
        if publish.first == 0 or (publish.protocol, publish.ports) in explained:
            continue
        if _within(publish, facts.policy.required) or all(p.is_private for p in publishes):
            continue
        reachable, publish = _reach(facts, publishes)
        severity = graded(reachable, "critical", "high", "medium")
        yield finding_of(
            "CS001", severity, facts, workload, publish,
            f"publishes {publish.ports}/{publish.protocol} on {_where(publishes)}; nothing in the "
            "configuration asks for it",
        )  # fmt: skip


def _dormant(facts: Facts, workload: Workload) -> Iterator[Finding]:
    if workload.published or not workload.asked or workload.state not in ("running", "declared"):
        return
    if workload.network_mode == "host" or workload.network_mode.startswith("container:"):
        return
    publish = workload.asked[0]
    ports = ", ".join(f"{p.ports or 'random'}/{p.protocol}" for p in workload.asked[:5])
    networks = ", ".join(workload.networks) or "no network"
    yield finding_of(
        "CS027", "medium", facts, workload, publish,
        f"asks to publish {ports}, without effect while it is on {networks} only; "
        "connecting it to another network opens it",
    )  # fmt: skip


def _is_random(workload: Workload, publish: Publish) -> bool:
    """Whether the engine picked its host port, which CS042 is about."""
    return any(
        (asked.protocol, asked.container_port) == (publish.protocol, publish.container_port)
        for asked in workload.asked
        if asked.first == 0
    )


def _random(facts: Facts, workload: Workload) -> Iterator[Finding]:
    if workload.state == "restarting":
        return
    for publish in workload.asked:
        if publish.first == 0 and not publish.is_loopback and workload.published:
            yield finding_of(
                "CS042", "low", facts, workload, publish,
                f"the engine picks a host port for {publish.container_port}/{publish.protocol}",
            )  # fmt: skip


def _loopback(facts: Facts, workload: Workload) -> Iterator[Finding]:
    """Before Docker 28, and on a rootful Podman, a neighbour that routes to the machine reaches a
    container behind a loopback publish."""
    engine = facts.engine
    loopback = tuple(p for p in workload.published if p.is_loopback and not p.file)
    if engine is None or not loopback or workload not in engine.containers:
        return
    if engine.rootless or (engine.kind == "docker" and not engine.is_before(28)):
        return
    if not facts.neighbours or (facts.host_table is not None and facts.host_table.enforces):
        return
    publish = loopback[0]
    finding = finding_of(
        "CS016", "medium", facts, workload, publish,
        f"{publish.address}:{publish.ports}/{publish.protocol} is meant for this machine only; "
        f"{engine.kind} {engine.version} lets machines of the same network reach it",
    )  # fmt: skip
    yield replace(finding, reachable="neighbours")


def _within(publish: Publish, rules: RuleSet) -> bool:
    """Whether anything of `rules` is about the port: narrower sources are somebody's decision."""
    if publish.first == 0:
        return False
    return bool(RuleSet.of((Rule.of(publish.protocol, publish.ports, ANY),)) & rules)


def _behind(publish: Publish) -> str:
    same = publish.first == publish.container_port
    return "" if same else f" (container port {publish.container_port})"


def _where(publishes: tuple[Publish, ...]) -> str:
    if any(not publish.address for publish in publishes):
        return "all addresses"
    everywhere = {publish.address for publish in publishes if publish.is_everywhere}
    if everywhere == {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        return "all addresses"
    return ", ".join(dict.fromkeys(publish.address for publish in publishes))
