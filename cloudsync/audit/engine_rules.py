"""Findings about rules that Docker or a boot writes: forwarding, stale NAT, saved files, switches
of the daemon, and our own table (CS015, CS018 to CS021, CS025, CS026)."""

from __future__ import annotations

from collections.abc import Iterator

from cloudsync.audit.findings import Finding, Severity, about
from cloudsync.audit.hints import deletion, of_flush, of_switches
from cloudsync.model.machine_facts import Facts, FilterRule, Tables
from cloudsync.provider.phrases import first_of

_TABLE = "table inet cloudsync"


def find(facts: Facts) -> Iterator[Finding]:
    """Every finding of this family."""
    yield from _forwarding(facts)
    yield from _stale(facts)
    yield from _at_boot(facts)
    yield from _daemon(facts)
    yield from _host_table(facts)


def _forwarding(facts: Facts) -> Iterator[Finding]:
    engine = facts.engine
    if engine is None or engine.kind != "docker" or not engine.is_before(28):
        return
    chain = facts.ip4.chain("filter", "FORWARD") if facts.ip4 else None
    by_ufw = facts.ufw is not None and facts.ufw.enabled and facts.ufw.forward_policy == "ACCEPT"
    if by_ufw or (chain is not None and chain.policy == "ACCEPT"):
        file = "/etc/default/ufw" if by_ufw else None
        what = "DEFAULT_FORWARD_POLICY" if by_ufw else "chain FORWARD"
        yield about(
            facts, "CS015", "high" if facts.neighbours else "low", what,
            f"it accepts, and Docker {engine.version} leaves unpublished ports open to machines "
            "that route", reachable="neighbours" if facts.neighbours else "none", file=file,
            line=facts.ufw.lines.get(what) if by_ufw and facts.ufw else None,
            hint='DEFAULT_FORWARD_POLICY="DROP"' if by_ufw else None,
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
            yield about(
                facts, "CS019", "critical", container.name,
                f"port {port} leads to it although it does not publish it: the rule is of an "
                "earlier container",
                reachable="unknown", protocol=rule.value("-p"), ports=port,
            )  # fmt: skip


def _covers(ports: str, port: str) -> bool:
    first, _, last = ports.partition("-")
    return ports == port or (bool(last) and int(first) <= int(port) <= int(last))


def _at_boot(facts: Facts) -> Iterator[Finding]:
    for saved in facts.saved:
        if _is_dockers(saved.tables):
            severity: Severity = "high" if saved.loaded_at_boot else "low"
            yield about(
                facts, "CS018", severity, saved.path,
                "it restores Docker's own rules, with addresses that containers had when it was "
                "saved",
                file=saved.path, line=next(iter(saved.docker_lines), None),
                hint=deletion(saved.docker_lines) if saved.docker_lines else None,
            )  # fmt: skip
    for file in facts.nft_files:
        others = facts.engine is not None or facts.host_table is not None
        if file.flushes and file.loaded_at_boot and others:
            yield about(
                facts, "CS020", "medium", file.path,
                "flush ruleset deletes the rules of Docker and of every other table too",
                file=file.path, line=file.line, hint=of_flush(file),
            )  # fmt: skip


def _is_dockers(tables: Tables) -> bool:
    """Whether Docker's own chains are among them, or NAT to a container's address."""
    return any(
        (name == "DOCKER" and (chain.rules or table == "nat"))
        or any(rule.target == "DNAT" and _to_bridge(rule) for rule in chain.rules)
        for (table, name), chain in tables.chains.items()
    )


def _to_bridge(rule: FilterRule) -> bool:
    """Whether it leads to the default range of container networks."""
    address = (rule.value("--to-destination") or "").partition(":")[0]
    first, _, rest = address.partition(".")
    second = rest.partition(".")[0]
    return first == "172" and second.isdigit() and 17 <= int(second) <= 31


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
        edit = of_switches(daemon, disabled, value=True)
        yield about(
            facts, "CS026", "high", "dockerd",
            f"{' and '.join(disabled)} off: nothing isolates containers, and published ports work "
            "by accident",
            file=edit.file, line=edit.line, hint=edit.hint,
        )  # fmt: skip
    direct = [
        name
        for name, value in (
            ("allow-direct-routing", daemon.direct_routing),
            ("DOCKER_INSECURE_NO_IPTABLES_RAW", daemon.raw_disabled),
        )
        if value
    ]
    if direct and facts.neighbours:
        edit = of_switches(daemon, direct, value=False)
        yield about(
            facts, "CS025", "medium", "dockerd",
            f"machines that route to container networks reach them: {', '.join(direct)}",
            reachable="neighbours", file=edit.file, line=edit.line, hint=edit.hint,
        )  # fmt: skip


def _host_table(facts: Facts) -> Iterator[Finding]:
    """Our own table against what was applied, and against what the next boot loads."""
    firewall = facts.policy.host_firewall if facts.policy else None
    if firewall is None:
        return
    fix = None
    if not firewall.exists:
        reason = f"the configuration has the host firewall {firewall.name}; its table is not there"
    elif strange := (
        *(f"others put into it: {it}" for it in firewall.strangers),
        *firewall.differs,
    ):
        reason = first_of(strange, 3, "; ")
        if firewall.strangers:
            fix = _TAKE_OUT + ("; then cloudsync apply" if firewall.differs else "")
    elif facts.host_unit in _NOT_AT_BOOT:
        reason, fix = _NOT_AT_BOOT[facts.host_unit]
    else:
        return
    yield about(facts, "CS021", "high", _TABLE, reason, fix=fix)


_TAKE_OUT = (
    "an apply leaves what others put there: nft -a list table inet cloudsync; "
    "nft delete rule inet cloudsync CHAIN handle N, or for a set or chain of theirs "
    "nft delete set|chain inet cloudsync NAME"
)
_NOT_AT_BOOT = {
    "missing": (
        "no unit loads it at boot: cloudsync-host.service is not installed",
        (
            "install deploy/systemd/cloudsync-host.service to /etc/systemd/system; "
            "systemctl enable cloudsync-host.service"
        ),
    ),
    "disabled": (
        "no unit loads it at boot: cloudsync-host.service is not enabled",
        "systemctl enable cloudsync-host.service",
    ),
    "late": (
        (
            "cloudsync-host.service is not ordered before network-pre.target: the network comes up"
            " first"
        ),
        (
            "Before=network-pre.target in cloudsync-host.service, as deploy/systemd has it; "
            "systemctl daemon-reload"
        ),
    ),
}
"""Why the unit does not load the table in time, and what to do."""
