"""Findings about containers: what they hold, what they share, what they listen on."""

from __future__ import annotations

from collections.abc import Iterator

from cloudsync.audit import tables
from cloudsync.audit.findings import Finding, Reachable, Severity, graded
from cloudsync.audit.reachability import of_port, of_workload
from cloudsync.model.machine_facts import Engine, Facts, Network, Workload
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.networks import ANY


def find(facts: Facts) -> Iterator[Finding]:
    """Every finding of this family."""
    for workload in facts.workloads:
        reachable = of_workload(facts, workload)
        if reachable in ("internet", "unknown", "neighbours"):
            yield from _reachable(facts, workload, reachable)
        yield from _proxy(facts, workload)
        yield from _image_labels(facts, workload)
        yield from _silent(facts, workload)
    yield from _host_network(facts)
    yield from _shared_networks(facts)
    if facts.engine is not None:
        yield from _internal(facts, facts.engine)
        yield from _rootless(facts, facts.engine)
        yield from _routed(facts, facts.engine)
        yield from _ingress(facts, facts.engine)


def _finding(
    kind: str, severity: Severity, facts: Facts, workload: Workload, reason: str
) -> Finding:
    return Finding(
        id=kind,
        severity=severity,
        host=facts.host,
        object=workload.name,
        reason=reason,
        reachable=of_workload(facts, workload),
        file=workload.file,
        line=workload.line,
    )


def _reachable(facts: Facts, workload: Workload, reachable: Reachable) -> Iterator[Finding]:
    if (socket := tables.socket_of(workload)) is not None:
        yield _finding(
            "CS004", graded(reachable, "critical", "high", "medium"), facts, workload,
            f"others reach it, and {socket} is mounted: whoever takes it over is root on the machine",
        )  # fmt: skip
    powers = _powers(workload)
    if powers:
        yield _finding(
            "CS043", graded(reachable, "high", "high", "medium"), facts, workload,
            f"others reach it, and it has power over the machine: {', '.join(powers)}",
        )  # fmt: skip
    secrets = [
        name
        for name in workload.environment
        if tables.SECRET_NAME.search(name) and not name.upper().endswith("_FILE")
    ]
    if secrets:
        yield _finding(
            "CS044", "medium", facts, workload,
            f"others reach it, and its environment holds {', '.join(sorted(secrets)[:5])}",
        )  # fmt: skip


def _powers(workload: Workload) -> list[str]:
    powers = ["privileged"] if workload.privileged else []
    powers += sorted(tables.POWERS & {capability.upper() for capability in workload.capabilities})
    return [*powers, "pid: host"] if workload.host_pid else powers


def _proxy(facts: Facts, workload: Workload) -> Iterator[Finding]:
    if not tables.is_image(workload, tables.PROXIES):
        return
    words = (*workload.command, *workload.labels, *workload.environment)
    certificates = any("acme" in word.lower() or "letsencrypt" in word.lower() for word in words)
    serving = [publish for publish in workload.published if publish.container_port in (80, 443)]
    if certificates and serving and all(publish.is_loopback for publish in serving):
        yield _finding(
            "CS031", "low", facts, workload,
            "it asks for certificates from the Internet, and is published on loopback only",
        )  # fmt: skip
    missing = _missing_middlewares(facts, workload)
    if missing:
        yield _finding(
            "CS033", "high", facts, workload,
            f"its dashboard's router names {missing}, which is not defined: nothing asks for a password",
        )  # fmt: skip


def _missing_middlewares(facts: Facts, workload: Workload) -> str | None:
    """A middleware that the router of the dashboard names and no label of any container defines."""
    routers = {
        key.split(".")[3]
        for key, value in workload.labels.items()
        if key.startswith("traefik.http.routers.")
        and key.endswith(".service")
        and value == "api@internal"
    }
    defined = {
        key.split(".")[3]
        for other in facts.workloads
        for key in other.labels
        if key.startswith("traefik.http.middlewares.") and len(key.split(".")) > 3
    }
    for router in sorted(routers):
        names = workload.labels.get(f"traefik.http.routers.{router}.middlewares", "")
        for name in filter(None, (word.strip() for word in names.split(","))):
            if "@" not in name and name not in defined:
                return name
    return None


def _image_labels(facts: Facts, workload: Workload) -> Iterator[Finding]:
    asking = sorted(
        key
        for key in workload.image_labels
        if key == "cloudsync.ports"
        or (key == "cloudsync.expose" and workload.labels.get(key) == "true")
    )
    for key in asking:
        yield _finding(
            "CS036", "high", facts, workload,
            f"the label {key} comes from the image {workload.image}: its author chose your ports",
        )  # fmt: skip


def _silent(facts: Facts, workload: Workload) -> Iterator[Finding]:
    ports = [publish for publish in workload.asked if publish.first and not publish.is_loopback]
    if not ports:
        return
    if workload.state == "restarting":
        yield _finding(
            "CS041", "low", facts, workload,
            f"it crashes over and over, and holds {ports[0].ports}/{ports[0].protocol}",
        )  # fmt: skip
        return
    if workload.listening is None or not workload.published:
        return
    for publish in dict.fromkeys(
        (p.protocol, p.ports, p.container_port) for p in workload.published
    ):
        protocol, number, inside = publish
        if (protocol, inside) not in workload.listening:
            yield _finding(
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
        if asked & allowed:
            continue
        reachable = of_port(facts, listener.protocol, str(listener.port))
        if reachable == "none":
            continue
        yield Finding(
            id="CS022",
            severity=graded(reachable, "high", "high", "medium"),
            host=facts.host,
            object=workload.name,
            reason=f"on the host's network it listens on {listener.port}/{listener.protocol} of "
            "every address",
            reachable=reachable,
            protocol=listener.protocol,
            ports=str(listener.port),
        )


def _shared_networks(facts: Facts) -> Iterator[Finding]:
    networks = {network.name: network for network in facts.service_networks}
    if facts.engine is not None:
        networks |= {network.name: network for network in facts.engine.networks}
    public: dict[str, str] = {}
    for workload in facts.workloads:
        if workload.outward and not tables.is_image(workload, tables.DATABASE_IMAGES):
            for name in workload.networks:
                public.setdefault(name, workload.name)
    for workload in facts.workloads:
        if workload.outward or not tables.is_image(workload, tables.DATABASE_IMAGES):
            continue
        for name in workload.networks:
            if name in public and not _is_internal(networks.get(name)):
                yield _finding(
                    "CS028", "note", facts, workload,
                    f"it shares the network {name}, which leads outside, with {public[name]}",
                )  # fmt: skip
                break


def _is_internal(network: Network | None) -> bool:
    return network is not None and network.internal


def _internal(facts: Facts, engine: Engine) -> Iterator[Finding]:
    services = [
        listener
        for listener in facts.listeners
        if listener.is_everywhere and not listener.container and listener.protocol == "tcp"
    ]
    used = {name for container in engine.containers for name in container.networks}
    for network in engine.networks:
        if not network.internal or network.name not in used or not services:
            continue
        if _drops_bridge(facts, network.bridge):
            continue
        ports = ", ".join(str(port) for port in sorted({service.port for service in services})[:5])
        yield Finding(
            id="CS029",
            severity="low",
            host=facts.host,
            object=f"network {network.name}",
            reason=f"its containers reach what listens on the machine ({ports}) by the gateway's address",
            reachable="host",
        )


def _drops_bridge(facts: Facts, bridge: str) -> bool:
    """Whether INPUT drops what comes from the bridge, or everything that nothing accepts."""
    chain = facts.ip4.chain("filter", "INPUT") if facts.ip4 else None
    if chain is None:
        return False
    dropped = any(
        rule.value("-i") == bridge and rule.target in ("DROP", "REJECT") for rule in chain.rules
    )
    return chain.policy == "DROP" or (bool(bridge) and dropped)


def _rootless(facts: Facts, engine: Engine) -> Iterator[Finding]:
    if engine.kind != "podman" or not engine.rootless:
        return
    helpers = ("pasta", "passt", "rootlessport", "slirp4netns")
    open6 = {
        listener.port
        for listener in facts.listeners
        if listener.process.startswith(helpers) and listener.address in ("*", "::")
    }
    for container in engine.containers:
        for publish in container.published:
            if publish.address == "0.0.0.0" and publish.first in open6:  # noqa: S104 - compared
                yield Finding(
                    id="CS024",
                    severity="medium",
                    host=facts.host,
                    object=container.name,
                    reason=f"{publish.ports}/{publish.protocol} reads 0.0.0.0, and IPv6 reaches it too",
                    reachable=of_port(facts, publish.protocol, publish.ports, (6,)),
                    protocol=publish.protocol,
                    ports=publish.ports,
                )


_ROUTING = {
    "com.docker.network.bridge.gateway_mode_ipv4": ("routed", "nat-unprotected"),
    "com.docker.network.bridge.gateway_mode_ipv6": ("routed", "nat-unprotected"),
}


def _routed(facts: Facts, engine: Engine) -> Iterator[Finding]:
    for network in engine.networks:
        open_options = [
            f"{key.rpartition('.')[2]}={network.options[key]}"
            for key, values in _ROUTING.items()
            if network.options.get(key) in values
        ]
        trusted = network.options.get("com.docker.network.bridge.trusted_host_interfaces")
        if trusted:
            open_options.append(f"trusted_host_interfaces={trusted}")
        if open_options:
            yield Finding(
                id="CS025",
                severity="medium",
                host=facts.host,
                object=f"network {network.name}",
                reason=f"machines that route to its subnet reach its containers: {', '.join(open_options)}",
                reachable="neighbours",
            )


def _ingress(facts: Facts, engine: Engine) -> Iterator[Finding]:
    daemon = facts.daemon
    if daemon is None or not daemon.address.startswith("127."):
        return
    for publish in engine.ingress_ports:
        yield Finding(
            id="CS040",
            severity="low",
            host=facts.host,
            object=f"port {publish.ports}/{publish.protocol}",
            reason=f"Swarm publishes it on every address, although the daemon's ip is {daemon.address}",
            reachable=of_port(facts, publish.protocol, publish.ports),
            protocol=publish.protocol,
            ports=publish.ports,
            file=daemon.file,
        )
