"""Findings about what was meant as a wall on the machine: iptables, ufw, firewalld, nftables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cloudsync.audit.findings import Finding, Severity
from cloudsync.audit.reachability import (
    final_drop,
    of_publish,
    user_chain_is_called,
    worst,
)
from cloudsync.model.machine_facts import Chain, Facts, FilterRule, Publish, Tables, Workload


def find(facts: Facts) -> Iterator[Finding]:
    """Every finding of this family."""
    yield from _user_chain(facts)
    yield from _ufw(facts)
    yield from _firewalld(facts)
    yield from _forwarding(facts)
    yield from _stale(facts)
    yield from _at_boot(facts)
    yield from _daemon(facts)
    yield from _host_table(facts)


def _finding(
    facts: Facts, kind: str, severity: Severity, what: str, reason: str, **place: object
) -> Finding:
    return Finding(kind, severity, facts.host, what, reason, **place)  # type: ignore[arg-type]


def _everywhere(facts: Facts, family: int | None = None) -> list[tuple[Workload, Publish]]:
    """What containers publish on every address, of one family or of either."""
    return [
        (container, publish)
        for container in (facts.engine.containers if facts.engine else ())
        for publish in container.published
        if publish.is_everywhere and (family is None or family in publish.families)
    ]


def _ports(publishes: Sequence[tuple[Workload, Publish]]) -> str:
    named = dict.fromkeys(f"{p.ports}/{p.protocol} ({w.name})" for w, p in publishes)
    more = f" and {len(named) - 4} more" if len(named) > 4 else ""
    return ", ".join(list(named)[:4]) + more


def _walled(facts: Facts) -> bool:
    """Whether something that works stands before Docker's rules."""
    if facts.host_table is not None and facts.host_table.enforces:
        return True
    chain = facts.docker_user
    return chain is not None and user_chain_is_called(facts) and final_drop(chain)


# DOCKER-USER


def _user_chain(facts: Facts) -> Iterator[Finding]:
    chain = facts.docker_user
    own = _own_rules(chain)
    if chain is None or not own:
        return
    if facts.engine is not None and not _is_used(facts):
        yield _finding(
            facts, "CS010", "high", "chain DOCKER-USER",
            "it has rules, and nothing jumps to it: they have no effect",
        )  # fmt: skip
        return
    first = chain.rules[0]
    if first.is_bare and first.target == "RETURN":
        yield _finding(
            facts, "CS008", "high", "chain DOCKER-USER",
            f"{len(chain.rules) - 1} rules come after an unconditional RETURN and never match",
        )  # fmt: skip
        return
    yield from _container_ports(facts, own)
    yield from _replies(facts, chain)
    yield from _other_family(facts, chain)


def _own_rules(chain: Chain | None) -> list[FilterRule]:
    """The rules that Docker did not write: its own is a bare RETURN."""
    rules = chain.rules if chain else ()
    return [rule for rule in rules if not (rule.is_bare and rule.target == "RETURN")]


def _is_used(facts: Facts) -> bool:
    backend = facts.engine.firewall_backend if facts.engine else ""
    return user_chain_is_called(facts) and not backend.startswith("nftables")


def _container_ports(facts: Facts, rules: Sequence[FilterRule]) -> Iterator[Finding]:
    """Docker has rewritten the port before DOCKER-USER sees the packet."""
    for rule in rules:
        port = rule.value("--dport")
        if port is None or rule.has("--ctorigdstport"):
            continue
        published = _everywhere(facts)
        equal = [p for _, p in published if p.ports == port and str(p.container_port) == port]
        other = [p for _, p in published if port in (p.ports, str(p.container_port))]
        if equal and len(equal) == len(other):
            continue
        yield _finding(
            facts, "CS009", "high", "chain DOCKER-USER",
            f"--dport {port} is compared with the container's port, not with the published one",
            protocol=rule.value("-p"), ports=port,
        )  # fmt: skip


def _replies(facts: Facts, chain: Chain) -> Iterator[Finding]:
    if any("DOCKER-USER" in line for line in (facts.ufw.after_rules if facts.ufw else ())):
        return  # CS014 is the cause
    for rule in chain.rules:
        if rule.matches_replies and rule.target in ("ACCEPT", "RETURN"):
            return
        if rule.target not in ("DROP", "REJECT"):
            continue
        only_new = "NEW" in (rule.value("--ctstate") or "").upper()
        if only_new or rule.has("!") or rule.has("--ctorigdstport") or rule.has("--dport"):
            continue
        yield _finding(
            facts, "CS013", "medium", "chain DOCKER-USER",
            "it drops before it accepts replies: containers cannot reach anything outside",
        )  # fmt: skip
        return


def _other_family(facts: Facts, chain: Chain) -> Iterator[Finding]:
    if not final_drop(chain) and not any(r.target in ("DROP", "REJECT") for r in chain.rules):
        return
    published = _everywhere(facts, 6)
    if not published or not facts.global_ipv6 or (facts.host_table and facts.host_table.enforces):
        return
    proxied = [(w, p) for w, p in published if _is_ipv4_only(facts, w)]
    direct = [(w, p) for w, p in published if not _is_ipv4_only(facts, w)]
    chain6 = facts.ip6.chain("filter", "DOCKER-USER") if facts.ip6 else None
    filtered6 = chain6 is not None and any(r.target in ("DROP", "REJECT") for r in chain6.rules)
    if direct and not filtered6:
        yield _finding(
            facts, "CS011", "high", "chain DOCKER-USER",
            f"it filters IPv4; by IPv6 these are open: {_ports(direct)}",
            reachable=worst(of_publish(facts, p) for _, p in direct),
        )  # fmt: skip
    if proxied and (facts.daemon is None or facts.daemon.userland_proxy):
        yield _finding(
            facts, "CS012", "high", "docker-proxy",
            f"it serves IPv6 for IPv4-only networks, where no chain of FORWARD sees it: {_ports(proxied)}",
            reachable=worst(of_publish(facts, p) for _, p in proxied),
        )  # fmt: skip


def _is_ipv4_only(facts: Facts, workload: Workload) -> bool:
    engine = facts.engine
    known = [engine.network(name) for name in workload.networks] if engine else []
    return bool(known) and all(network is not None and not network.ipv6 for network in known)


# ufw and firewalld


def _ufw(facts: Facts) -> Iterator[Finding]:
    ufw = facts.ufw
    if ufw is None or not ufw.enabled:
        return
    block = [line for line in ufw.after_rules if "DOCKER-USER" in line or "MASQUERADE" in line]
    foreign = any("UFW AND DOCKER" in line for line in ufw.after_rules)
    problems = [] if foreign else list(_block_problems(block))
    if problems:
        yield _finding(
            facts, "CS014", "high", "/etc/ufw/after.rules", "; ".join(problems),
            file="/etc/ufw/after.rules",
        )  # fmt: skip
    published = _everywhere(facts)
    if published and not _walled(facts) and not (foreign and final_drop_of_ufw(block)):
        yield _finding(
            facts, "CS005", "high", "ufw",
            f"ufw is active and never sees {_ports(published)}",
            reachable=worst(of_publish(facts, publish) for _, publish in published),
        )  # fmt: skip


def final_drop_of_ufw(block: Sequence[str]) -> bool:
    """Whether a block of after.rules ends in a drop of what nothing before let in."""
    return any("-j ufw-docker-logging-deny" in line or line.endswith("-j DROP") for line in block)


def _block_problems(block: Sequence[str]) -> Iterator[str]:
    drops = [line for line in block if "DOCKER-USER" in line and line.endswith("-j DROP")]
    if drops and not any("ESTABLISHED" in line for line in block):
        yield "its block drops replies: containers cannot reach anything outside"
    if any("MASQUERADE" in line for line in block):
        yield "each reload adds its MASQUERADE line once more"
    private = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
    if any("-j RETURN" in line and any(net in line for net in private) for line in block):
        yield "every private neighbour reaches all published ports"


def _firewalld(facts: Facts) -> Iterator[Finding]:
    firewalld = facts.firewalld
    if firewalld is None or not firewalld.running:
        return
    engine = facts.engine
    bridges = (
        {"docker0", *(network.bridge for network in engine.networks)} if engine else {"docker0"}
    )
    published = _everywhere(facts)
    accepting = [zone for zone in firewalld.zones if zone.target == "ACCEPT"]
    ours = [z for z in accepting if z.name == "docker" or set(z.interfaces) & bridges]
    if ours and published and not firewalld.strict_forward_ports and not _walled(facts):
        yield _finding(
            facts, "CS006", "high", f"zone {ours[0].name}",
            f"firewalld accepts everything for Docker's bridges and never sees {_ports(published)}",
            reachable=worst(of_publish(facts, publish) for _, publish in published),
            file=ours[0].file or None,
        )  # fmt: skip
    for zone in accepting:
        if (zone.ports or zone.services) and not set(zone.interfaces) - bridges:
            opened = ", ".join((*zone.ports, *zone.services)[:5])
            yield _finding(
                facts, "CS007", "medium", f"zone {zone.name}",
                f"it accepts everything, so that adding {opened} changes nothing",
                file=zone.file or None,
            )  # fmt: skip
    if engine is not None and engine.kind == "docker" and engine.is_before(28, 3, 3):
        yield _finding(
            facts, "CS017", "medium", f"Docker {engine.version}",
            "a reload of firewalld removes Docker's rules, and published ports on loopback open",
        )  # fmt: skip


# Forwarding, NAT, files


def _forwarding(facts: Facts) -> Iterator[Finding]:
    engine = facts.engine
    if engine is None or engine.kind != "docker" or not engine.is_before(28):
        return
    chain = facts.ip4.chain("filter", "FORWARD") if facts.ip4 else None
    by_ufw = facts.ufw is not None and facts.ufw.enabled and facts.ufw.forward_policy == "ACCEPT"
    if by_ufw or (chain is not None and chain.policy == "ACCEPT"):
        file = "/etc/default/ufw" if by_ufw else None
        what = "DEFAULT_FORWARD_POLICY" if by_ufw else "chain FORWARD"
        yield _finding(
            facts, "CS015", "high", what,
            f"it accepts, and Docker {engine.version} leaves unpublished ports open to machines that route",
            reachable="neighbours", file=file,
        )  # fmt: skip


def _stale(facts: Facts) -> Iterator[Finding]:
    if facts.engine is None or facts.ip4 is None:
        return
    owners = {
        address: container
        for container in facts.engine.containers
        for address in container.addresses
    }
    chain = facts.ip4.chain("nat", "DOCKER")
    for rule in chain.rules if chain else ():
        target, port = rule.value("--to-destination"), rule.value("--dport")
        if rule.target != "DNAT" or target is None or port is None:
            continue
        address, _, inside = target.rpartition(":")
        container = owners.get(address)
        if container is None or container.state != "running":
            continue
        published = {(p.ports, str(p.container_port)) for p in container.published}
        if not any(_covers(ports, port) and inner == inside for ports, inner in published):
            yield _finding(
                facts, "CS019", "critical", container.name,
                f"port {port} leads to it, and it does not publish it: a rule of an earlier container",
                reachable="unknown", protocol=rule.value("-p"), ports=port,
            )  # fmt: skip


def _covers(ports: str, port: str) -> bool:
    first, _, last = ports.partition("-")
    return ports == port or (bool(last) and int(first) <= int(port) <= int(last))


def _at_boot(facts: Facts) -> Iterator[Finding]:
    for saved in facts.saved:
        if _is_dockers(saved.tables):
            severity: Severity = "high" if saved.loaded_at_boot else "low"
            yield _finding(
                facts, "CS018", severity, saved.path,
                "it restores Docker's own rules, with addresses that containers had when it was saved",
                file=saved.path,
            )  # fmt: skip
    for file in facts.nft_files:
        others = facts.engine is not None or facts.host_table is not None
        if file.flushes and file.loaded_at_boot and others:
            yield _finding(
                facts, "CS020", "medium", file.path,
                "flush ruleset deletes the rules of Docker and of every other table too",
                file=file.path, line=file.line,
            )  # fmt: skip


def _is_dockers(tables: Tables) -> bool:
    return any(
        name == "DOCKER" and (chain.rules or table == "nat")
        for (table, name), chain in tables.chains.items()
    )


def _daemon(facts: Facts) -> Iterator[Finding]:
    daemon = facts.daemon
    if daemon is None:
        return
    rootless = facts.engine is not None and facts.engine.rootless
    disabled = [
        option
        for option, value in (("iptables", daemon.iptables), ("ip6tables", daemon.ip6tables))
        if not value
    ]
    if disabled and not rootless:
        yield _finding(
            facts, "CS026", "high", "dockerd",
            f"{' and '.join(disabled)} off: nothing isolates containers, and publishes work by accident",
            file=daemon.file,
        )  # fmt: skip
    direct = [
        name
        for name, value in (
            ("allow-direct-routing", daemon.direct_routing),
            ("DOCKER_INSECURE_NO_IPTABLES_RAW", daemon.raw_disabled),
        )
        if value
    ]
    if direct:
        yield _finding(
            facts, "CS025", "medium", "dockerd",
            f"machines that route to container networks reach them: {', '.join(direct)}",
            reachable="neighbours", file=daemon.file,
        )  # fmt: skip


def _host_table(facts: Facts) -> Iterator[Finding]:
    if facts.policy is None or not facts.policy.host_firewall or facts.nft is None:
        return
    table = facts.host_table
    if table is None:
        yield _finding(
            facts, "CS021", "high", "table inet cloudsync",
            "the configuration has a host firewall, and its table is not there",
        )  # fmt: skip
    elif facts.policy.required - table.lets_in:
        missing = ", ".join(
            f"{r.ports}/{r.protocol}" for r in facts.policy.required - table.lets_in
        )
        yield _finding(
            facts, "CS021", "high", "table inet cloudsync", f"it does not let in {missing}",
        )  # fmt: skip
