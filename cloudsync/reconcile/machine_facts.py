"""The facts of an audit, put together: the machine's files, its engine, Compose files, the
cloud."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from cloudsync.config.configuration import Configuration, Host
from cloudsync.model.machine_facts import Blind, Cloud, Facts, HostFirewall, Policy
from cloudsync.model.plan import FirewallPlan
from cloudsync.planning.decide import Considered
from cloudsync.provider.contract import Present, Progress, silent
from cloudsync.reconcile import run
from cloudsync.reconcile.inventories import with_hosts_from_store
from cloudsync.rules import NOTHING, Rule, RuleSet
from cloudsync.rules.networks import ANY
from cloudsync.sources.machine import read as machine
from cloudsync.sources.machine.root import Root, Unreadable
from cloudsync.state import StateError

_CONTAINERS = "every container"
_NO_FIREWALL = "no firewall of the configuration has the host"
_ENGINE_SECONDS = 10.0
_ANOTHERS = ("foreign-owner", "ownership", "host-digest")
"""Guards of a table that this configuration did not apply."""


def of_copy(path: Path, compose: Sequence[str]) -> tuple[Facts, ...]:
    """The facts of a copied machine."""
    from cloudsync.sources.docker.machine_facts import from_dumps

    root = Root(path)
    facts = machine.read(path.name or str(path), root)
    try:
        facts = _attributed(replace(facts, engine=from_dumps(root)))
        if facts.engine is None:
            facts = _blind(facts, "engine", "dumps/inspect.json is not in the copy")
    except Unreadable as error:
        facts = _blind(facts, "engine", str(error))
    return (_with_compose(facts, Path(), compose),)


def _attributed(facts: Facts) -> Facts:
    """Sockets of a copied machine with the containers whose first process has them."""
    containers = facts.engine.containers if facts.engine else ()
    by_pid = {container.pid: container.id for container in containers if container.pid}
    listeners = (
        replace(listener, container=by_pid.get(listener.pid, listener.container))
        for listener in facts.listeners
    )
    return replace(facts, listeners=tuple(listeners))


def of_files(compose: Sequence[str]) -> tuple[Facts, ...]:
    """The facts of Compose files alone, as in a checkout: of the machine nothing is known."""
    return (_with_compose(Facts("files", global_ipv6=True), Path(), compose),)


def of_this_machine(compose: Sequence[str]) -> tuple[Facts, ...]:
    """The facts of this machine, without a configuration."""
    from cloudsync.sources.docker.endpoint import EndpointError, docker_endpoint

    facts = machine.read(socket.gethostname(), Root(Path("/")))
    try:
        facts = _with_engine(facts, docker_endpoint(os.environ), Path())
    except EndpointError as error:
        facts = _blind(facts, "engine", str(error))
    facts = _blind(facts, "cloud", "no configuration names a provider", absent=True)
    return (_with_compose(facts, Path(), compose),)


def of_hosts(
    configuration: Configuration,
    names: Sequence[str],
    compose: Sequence[str],
    progress: Progress = silent,
    planned: run.Planned | None = None,
) -> tuple[Facts, ...]:
    """The facts of the hosts of a configuration, with what the clouds let in. Only the firewalls of
    these hosts are read; none, if `planned` is a plan of them already."""
    configuration, unlisted = _with_published_hosts(configuration)
    chosen = names or [host.name for host in configuration.hosts.values() if not host.retired]
    plan = planned or _planned(configuration, chosen, progress)
    of_hosts = []
    for name in chosen:
        host = configuration.hosts[name]
        progress(f"looking at {name}")
        facts = _of_host(configuration, host)
        of_hosts.append(_with_plan(facts, configuration, host, plan))
    if compose and of_hosts:
        of_hosts[0] = _with_compose(of_hosts[0], Path(), compose)
    if not names:
        of_hosts += unlisted
    if not of_hosts:
        why = "the configuration has no host, or none of them has published yet"
        of_hosts.append(_blind(Facts("configuration"), "engine", why, hides=_CONTAINERS))
    return tuple(of_hosts)


def _with_published_hosts(configuration: Configuration) -> tuple[Configuration, list[Facts]]:
    """With the hosts that the store knows; or as it is, and the facts that say so."""
    try:
        return with_hosts_from_store(configuration), []
    except StateError as error:
        facts = _blind(
            Facts("hosts-from-store"),
            "inventory",
            str(error),
            hides="every host that publishes",
            temporary=error.temporary,
        )
        return configuration, [facts]


def _planned(
    configuration: Configuration, hosts: Sequence[str], progress: Progress
) -> run.Planned | str:
    """The plan of the hosts' firewalls, for what is required and what the clouds let in; or why
    there is none."""
    names = tuple(
        firewall.name
        for firewall in configuration.firewalls.values()
        if set(hosts) & set(firewall.hosts)
    )
    if not names:
        return _NO_FIREWALL
    policy = replace(configuration.policy, foreign="report")
    options = run.Options(firewalls=names)
    try:
        return run.plan(replace(configuration, policy=policy), options, progress)
    except StateError as error:
        return str(error)


def _of_host(configuration: Configuration, host: Host) -> Facts:
    local = any(isinstance(e, str) and e.startswith("unix://") for e in host.docker)
    facts = machine.read(host.name, Root(Path("/"))) if local else Facts(host.name)
    if host.docker and not local:
        facts = _blind(facts, "machine", "its files are read only by an audit that runs on it")
    if host.inventory:
        why = "its containers and files are looked at only by an audit that runs on it"
        facts = _blind(facts, "machine", why, hides=_CONTAINERS)
    for engine in host.docker[:1]:
        facts = _with_engine(facts, engine, configuration.base)
    if host.compose is not None:
        table = host.compose
        facts = _with_compose(
            facts, configuration.base, table.paths, table.env_files, table.profiles
        )
    return facts


def _with_engine(facts: Facts, engine: object, base: Path) -> Facts:
    from cloudsync.sources.docker.machine_facts import read

    try:
        return replace(facts, engine=read(engine, _ENGINE_SECONDS, base))
    except Unreadable as error:
        return _blind(facts, "engine", str(error), hides=_CONTAINERS, temporary=True)


def _with_compose(
    facts: Facts,
    base: Path,
    paths: Sequence[str],
    env_files: Sequence[str] = (),
    profiles: Sequence[str] | None = None,
) -> Facts:
    """Each path by itself: one that cannot be read hides no other."""
    from cloudsync.sources.compose.machine_facts import read

    together = [tuple(paths)] if env_files or profiles is not None else [(path,) for path in paths]
    for group in together:
        if not group:
            continue
        try:
            services, networks = read(base, group, env_files, profiles)
        except Unreadable as error:
            facts = _blind(
                facts, "compose", str(error), hides=f"the services of {', '.join(group)}"
            )
            continue
        facts = replace(
            facts,
            services=(*facts.services, *services),
            service_networks=(*facts.service_networks, *networks),
        )
    return facts


def _with_plan(
    facts: Facts, configuration: Configuration, host: Host, planned: run.Planned | str
) -> Facts:
    if isinstance(planned, str):
        return _blind(facts, "cloud", planned, absent=planned == _NO_FIREWALL)
    own = [judged for judged in planned.considered if host.name in judged.spec.hosts]
    required = [
        rule for judged in own if judged.desired is not None for rule in judged.desired.rules
    ]
    kernels = [judged for judged in own if judged.plan.type == "host"]
    policy = Policy(
        required=RuleSet.of(required),
        allow_sensitive=_ports(configuration.policy.allow_sensitive),
        host_firewall=next(filter(None, map(_host_firewall, kernels)), None),
    )
    facts = replace(facts, policy=policy)
    for judged in kernels:
        if judged.plan.read.status != "complete":
            facts = _blind(
                facts,
                "host table",
                judged.plan.read.reason or judged.plan.read.status,
                hides="whether the machine's own table is what was applied",
                temporary=judged.plan.read.temporary,
            )
    clouds = [judged.plan for judged in own if judged.plan.type != "host"]
    return _with_cloud(facts, clouds)


def _host_firewall(judged: Considered) -> HostFirewall | None:
    """None if it could not be read, or if the table belongs to another owner or firewall."""
    plan = judged.plan
    foreign = any(guard.id in _ANOTHERS for guard in judged.guards)
    if plan.exists is None or (foreign and plan.exists):
        return None
    changes = [
        f"an apply would {change.action} {change.rule.ports or 'all'}/{change.rule.protocol}"
        for change in plan.changes
        if change.action in ("open", "close") and change.rule is not None
    ]
    observed = judged.observed
    pending = [entry.reason for entry in observed.pending] if isinstance(observed, Present) else []
    if not plan.exists:
        return HostFirewall(plan.name, exists=False)
    return HostFirewall(
        plan.name,
        differs=(*pending, *changes),
        strangers=tuple(kept for kept in plan.kept if not kept.endswith("(peers)")),
    )


def _with_cloud(facts: Facts, firewalls: Iterable[FirewallPlan]) -> Facts:
    machines = []
    own: list[tuple[str, str, str]] = []
    for firewall in firewalls:
        read = firewall.standing.read
        if read is None and firewall.read.status == "complete":
            facts = _blind(facts, "cloud", "its provider cannot tell", absent=True)
        elif (read := read or firewall.read).status != "complete":
            facts = _blind(facts, "cloud", read.reason or read.status, temporary=read.temporary)
        own += [
            (change.rule.protocol, change.rule.ports, f"firewall {firewall.name}")
            for change in firewall.changes
            if change.action == "close" and change.rule is not None
        ]
        machines += [m for m in firewall.standing.machines if _is(m.machine, facts.host)]
    if not machines:
        return facts if _is_blind(facts, "cloud") else _blind(
            facts, "cloud", f"no machine of the cloud is known to be {facts.host}", absent=True
        )  # fmt: skip
    reachable = NOTHING
    for exposed in machines:
        reachable = reachable | RuleSet.of(exposed.reachable)
    cloud = Cloud(
        protected=all(exposed.protected for exposed in machines),
        reachable=reachable,
        beyond=(
            *(
                (beyond.rule.protocol, beyond.rule.ports, beyond.through)
                for exposed in machines
                for beyond in exposed.beyond
            ),
            *own,
        ),
        metadata=next((exposed.metadata for exposed in machines if exposed.metadata), ""),
    )
    return replace(facts, cloud=cloud)


def _is(machine_name: str, host: str) -> bool:
    return machine_name == host or machine_name.partition(".")[0] == host


def _ports(allowed: object) -> RuleSet:
    if isinstance(allowed, RuleSet):
        return allowed
    ranges = allowed if isinstance(allowed, tuple | list) else ()
    return RuleSet.of(Rule(r.protocol, r.first, r.last, ANY) for r in ranges)


def _is_blind(facts: Facts, name: str) -> bool:
    return any(spot.input == name for spot in facts.blind)


def _blind(
    facts: Facts,
    name: str,
    reason: str,
    *,
    hides: str = "",
    temporary: bool = False,
    absent: bool = False,
) -> Facts:
    return replace(facts, blind=(*facts.blind, Blind(name, reason, hides, temporary, absent)))
