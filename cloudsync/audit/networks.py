"""Findings about container networks: who shares them, and what leads into them (CS024, CS025,
CS028, CS029, CS040)."""

from __future__ import annotations

from collections.abc import Iterator

from cloudsync.audit import tables
from cloudsync.audit.findings import Finding, Severity
from cloudsync.audit.hints import place_of
from cloudsync.audit.published import about_workload
from cloudsync.audit.reachability import of_port
from cloudsync.model.machine_facts import Engine, Facts, Network, classify_word


def find(facts: Facts) -> Iterator[Finding]:
    """Every finding of this family."""
    yield from _shared_networks(facts)
    if facts.engine is not None:
        yield from _internal(facts, facts.engine)
        yield from _rootless(facts, facts.engine)
        yield from _routed(facts, facts.engine)
        yield from _ingress(facts, facts.engine)


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
                yield about_workload(
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
        if listener.is_everywhere
        and not listener.container
        and listener.protocol == "tcp"
        and not listener.process.startswith(tables.ENGINES)
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
            reason=(
                f"its containers reach what listens on the machine ({ports}) at the gateway's"
                " address"
            ),
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
                    reason=(
                        f"{publish.ports}/{publish.protocol} reads 0.0.0.0, and IPv6 reaches it too"
                    ),
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
        public = any(
            classify_word(subnet.partition("/")[0]) == "public" for subnet in network.subnets
        )
        if open_options and (public or facts.neighbours):
            severity: Severity = "high" if public else "medium"
            yield Finding(
                id="CS025",
                severity=severity,
                host=facts.host,
                object=f"network {network.name}",
                reason="machines that route to its subnet reach its containers: "
                + ", ".join(open_options),
                reachable="internet" if public else "neighbours",
            )


def _ingress(facts: Facts, engine: Engine) -> Iterator[Finding]:
    daemon = facts.daemon
    if daemon is None or not daemon.address.startswith("127."):
        return
    place = place_of(daemon, "ip")
    for publish in engine.ingress_ports:
        yield Finding(
            id="CS040",
            severity="low",
            host=facts.host,
            object=f"port {publish.ports}/{publish.protocol}",
            reason=(
                f"Swarm publishes it on every address, although the daemon's ip is {daemon.address}"
            ),
            reachable=of_port(facts, publish.protocol, publish.ports),
            protocol=publish.protocol,
            ports=publish.ports,
            file=place.file,
            line=place.line,
        )
