"""The facts of an audit, put together: the machine's files, its engine, Compose files, the cloud."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from cloudsync.config.configuration import Configuration, Host
from cloudsync.model.machine_facts import Blind, Cloud, Facts, Policy
from cloudsync.model.plan import Plan, ReadStatus
from cloudsync.provider.contract import Progress, silent
from cloudsync.reconcile import run
from cloudsync.rules import NOTHING, Rule, RuleSet
from cloudsync.rules.networks import ANY
from cloudsync.sources.machine import read as machine
from cloudsync.sources.machine.root import Root, Unreadable
from cloudsync.state import StateError

_ENGINE_SECONDS = 10.0


def of_copy(path: Path, compose: Sequence[str]) -> tuple[Facts, ...]:
    """The facts of a copied machine."""
    from cloudsync.sources.docker.machine_facts import from_dumps

    root = Root(path)
    facts = machine.read(path.name or str(path), root)
    try:
        facts = replace(facts, engine=from_dumps(root))
        if facts.engine is None:
            facts = _blind(facts, "engine", "dumps/inspect.json is not in the copy")
    except Unreadable as error:
        facts = _blind(facts, "engine", str(error))
    return (_with_compose(facts, Path(), compose),)


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
    facts = _blind(facts, "cloud", "no configuration names a provider")
    return (_with_compose(facts, Path(), compose),)


def of_hosts(
    configuration: Configuration,
    names: Sequence[str],
    compose: Sequence[str],
    progress: Progress = silent,
) -> tuple[Facts, ...]:
    """The facts of the hosts of a configuration, with what the clouds let in."""
    plan = _planned(configuration, progress)
    chosen = names or [host.name for host in configuration.hosts.values() if not host.retired]
    of_hosts = []
    for name in chosen:
        host = configuration.hosts[name]
        progress(f"looking at {name}")
        facts = _of_host(configuration, host)
        of_hosts.append(_with_plan(facts, configuration, host, plan))
    if compose and of_hosts:
        of_hosts[0] = _with_compose(of_hosts[0], Path(), compose)
    return tuple(of_hosts)


def _planned(configuration: Configuration, progress: Progress) -> run.Planned | str:
    """The plan, for what is required and what the clouds let in; or why there is none."""
    policy = replace(configuration.policy, foreign="report")
    try:
        return run.plan(replace(configuration, policy=policy), run.Options(), progress)
    except StateError as error:
        return str(error)


def _of_host(configuration: Configuration, host: Host) -> Facts:
    local = any(isinstance(e, str) and e.startswith("unix://") for e in host.docker)
    facts = machine.read(host.name, Root(Path("/"))) if local else Facts(host.name)
    if host.docker and not local:
        facts = _blind(facts, "machine", "its files are read only by an audit that runs on it")
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
        return _blind(facts, "engine", str(error), hides="every container", temporary=True)


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
        return _blind(facts, "cloud", planned)
    firewalls = [f for f in configuration.firewalls.values() if host.name in f.hosts]
    required = [
        rule
        for considered in planned.considered
        if considered.plan.name in {firewall.name for firewall in firewalls}
        and considered.desired is not None
        for rule in considered.desired.rules
    ]
    policy = Policy(
        required=RuleSet.of(required),
        allow_sensitive=_ports(configuration.policy.allow_sensitive),
        host_firewall=any(configuration.accounts[f.account].type == "host" for f in firewalls),
    )
    facts = replace(facts, policy=policy)
    return _with_cloud(facts, planned.plan, [firewall.name for firewall in firewalls])


def _with_cloud(facts: Facts, plan: Plan, firewalls: Iterable[str]) -> Facts:
    machines = []
    for firewall in plan.firewalls:
        if firewall.name not in firewalls:
            continue
        read = firewall.standing.read or ReadStatus("failed", "its provider cannot tell")
        if read.status != "complete":
            facts = _blind(facts, "cloud", read.reason or read.status, temporary=read.temporary)
        machines += [m for m in firewall.standing.machines if _is(m.machine, facts.host)]
    if not machines:
        return facts if _is_blind(facts, "cloud") else _blind(
            facts, "cloud", f"no machine of the cloud is known to be {facts.host}"
        )  # fmt: skip
    reachable = NOTHING
    for exposed in machines:
        reachable = reachable | RuleSet.of(exposed.reachable)
    cloud = Cloud(
        protected=all(exposed.protected for exposed in machines),
        reachable=reachable,
        beyond=tuple(
            (beyond.rule.protocol, beyond.rule.ports, beyond.through)
            for exposed in machines
            for beyond in exposed.beyond
        ),
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
    facts: Facts, name: str, reason: str, *, hides: str = "", temporary: bool = False
) -> Facts:
    return replace(facts, blind=(*facts.blind, Blind(name, reason, hides, temporary)))
