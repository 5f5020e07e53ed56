"""Findings about the machine itself and the cloud around it."""

from __future__ import annotations

from collections.abc import Iterator

from cloudsync.audit import tables
from cloudsync.audit.findings import Finding, about, graded
from cloudsync.audit.hints import NOWHERE, of_address
from cloudsync.audit.reachability import of_port
from cloudsync.model.machine_facts import Facts, Listener, version_of
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.address_classes import NOT_PUBLIC
from cloudsync.rules.networks import ANY, ANY4, is_loopback

_EXPECTED = ("sshd", "dhclient", "dhcpcd", "systemd-network", "systemd-resolve", "chronyd", "ntpd")
_EPHEMERAL = 32768
SWARM = (("tcp", 2377), ("tcp", 7946), ("udp", 7946), ("udp", 4789))


def find(facts: Facts) -> Iterator[Finding]:
    """Every finding of this family."""
    yield from _engine_api(facts)
    yield from _services(facts)
    yield from _cloud(facts)
    yield from _ssh(facts)
    yield from _swarm(facts)
    yield from _versions(facts)


def _engine_api(facts: Facts) -> Iterator[Finding]:
    daemon = facts.daemon
    for address in daemon.hosts if daemon else ():
        scheme, _, rest = address.partition("://")
        name = rest.rpartition(":")[0].strip("[]")
        if scheme == "tcp" and not _is_local(name) and not daemon.verifies_clients:  # type: ignore[union-attr]
            port = rest.rpartition(":")[2] or "2375"
            yield _api(facts, port, address)
            return
    listening = [
        listener
        for listener in facts.listeners
        if listener.process.startswith("dockerd")
        and not is_loopback(listener.address)
        and listener.protocol == "tcp"
        and listener.port in (2375, 2376)
    ]
    verified = daemon is not None and daemon.verifies_clients
    if listening and not verified:
        yield _api(facts, str(listening[0].port))


def _is_local(name: str) -> bool:
    """dockerd takes an address without a host for localhost."""
    return name in ("", "localhost") or is_loopback(name)


def _api(facts: Facts, port: str, address: str = "") -> Finding:
    """`address`: the entry of `hosts`, if one is known."""
    edit = of_address(facts.daemon, address) if facts.daemon and address else NOWHERE
    return Finding(
        id="CS003",
        severity="critical",
        host=facts.host,
        object="dockerd",
        reason=(
            f"anyone who reaches {port}/tcp is root on the machine: no client certificate is"
            " required"
        ),
        reachable=of_port(facts, "tcp", port) if port.isdigit() else "unknown",
        protocol="tcp",
        ports=port,
        file=edit.file,
        line=edit.line,
        hint=edit.hint,
    )


def _services(facts: Facts) -> Iterator[Finding]:
    required = facts.policy.required if facts.policy else RuleSet.of(())
    reported: set[tuple[str, int]] = set()
    for listener in facts.listeners:
        key = (listener.protocol, listener.port)
        if key in reported or not _is_a_service(listener, facts):
            continue
        if RuleSet.of((Rule.of(listener.protocol, str(listener.port), ANY),)) & required:
            continue
        reachable = of_port(facts, listener.protocol, str(listener.port))
        if reachable == "none":
            continue
        reported.add(key)
        yield Finding(
            id="CS023",
            severity=graded(reachable, "medium", "medium", "low"),
            host=facts.host,
            object=listener.process or f"{listener.port}/{listener.protocol}",
            reason=f"listens on {listener.port}/{listener.protocol} at every address",
            reachable=reachable,
            protocol=listener.protocol,
            ports=str(listener.port),
        )


def _is_a_service(listener: Listener, facts: Facts) -> bool:
    if not listener.is_everywhere or listener.container:
        return False
    if listener.process.startswith((*_EXPECTED, *tables.ENGINES)):
        return False
    if facts.sshd is not None and listener.port in facts.sshd.ports and listener.protocol == "tcp":
        return False
    if listener.protocol == "udp" and (listener.port >= _EPHEMERAL or listener.port in (68, 546)):
        return False
    swarm = facts.engine is not None and facts.engine.swarm
    if swarm and (listener.protocol, listener.port) in SWARM:
        return False
    published = facts.engine.containers if facts.engine else ()
    return not any(
        publish.protocol == listener.protocol and publish.first <= listener.port <= publish.last
        for container in published
        for publish in container.published
    )


def _cloud(facts: Facts) -> Iterator[Finding]:
    cloud = facts.cloud
    if cloud is None:
        return
    if not cloud.protected:
        yield about(
            facts,
            "CS037",
            "critical",
            "cloud firewall",
            "no firewall of the cloud acts on the machine: everything is open",
            reachable="internet",
        )
        return
    for protocol, ports, through in cloud.beyond:
        everything = protocol == "all" or ports == "1-65535"
        what = "everything" if everything else f"{ports or 'all'}/{protocol}"
        yield Finding(
            id="CS037",
            severity="critical" if everything else "high",
            host=facts.host,
            object=through,
            reason=f"it lets the Internet reach {what}, which nothing requires",
            reachable="internet",
            protocol=protocol,
            ports=ports,
        )


def _ssh(facts: Facts) -> Iterator[Finding]:
    sshd = facts.sshd
    if sshd is None or not sshd.password_login:
        return
    for port in sshd.ports:
        reachable = of_port(facts, "tcp", str(port))
        if facts.cloud is not None and reachable != "internet":
            continue
        if reachable in ("none", "neighbours", "host") or not _by_everybody(facts, port):
            continue
        yield Finding(
            id="CS038",
            severity="medium",
            host=facts.host,
            object="sshd",
            reason=f"anyone may try passwords on {port}/tcp",
            reachable=reachable,
            protocol="tcp",
            ports=str(port),
            file=sshd.file,
            line=sshd.line,
            hint="PasswordAuthentication no",
        )
        return


def _by_everybody(facts: Facts, port: int) -> bool:
    """Whether the cloud lets more than some networks reach the port; True if that is not known."""
    if facts.cloud is None:
        return True
    public = ANY4 - NOT_PUBLIC
    return facts.cloud.reachable.covers(RuleSet.of((Rule.of("tcp", str(port), public),)))


def _swarm(facts: Facts) -> Iterator[Finding]:
    engine = facts.engine
    if engine is None or not engine.swarm or engine.swarm_nodes < 2:
        return
    verdicts = {
        f"{port}/{protocol}": of_port(facts, protocol, str(port)) for protocol, port in SWARM
    }
    open_ports = [port for port, verdict in verdicts.items() if verdict in ("internet", "unknown")]
    if not open_ports:
        return
    internet = any(verdicts[port] == "internet" for port in open_ports)
    yield about(
        facts, "CS039", "high", "swarm",
        f"machines other than the nodes reach {', '.join(open_ports)}",
        reachable="internet" if internet else "unknown",
    )  # fmt: skip


def _versions(facts: Facts) -> Iterator[Finding]:
    engine = facts.engine
    if engine is not None and engine.kind == "docker" and version_of(engine.version)[:2] == (27, 3):
        yield about(
            facts, "CS045", "medium", f"Docker {engine.version}",
            "27.3 puts its rules before DOCKER-USER, so rules there do not apply to all traffic",
        )  # fmt: skip
    nft = version_of(facts.nft_version)
    if (
        nft
        and nft <= (1, 0, 6)
        and engine is not None
        and engine.firewall_backend.startswith("nftables")
    ):
        yield about(
            facts,
            "CS045",
            "medium",
            f"nft {facts.nft_version}",
            "it crashes on sets that nftables 1.1.2 and later make, as Docker's nftables backend"
            " does",
        )
