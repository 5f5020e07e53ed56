"""Who reaches a port of the machine: cloud ∩ host, each family by itself."""

from __future__ import annotations

from collections.abc import Iterable

from cloudsync.audit import user_chain
from cloudsync.audit.findings import Reachable
from cloudsync.model.machine_facts import Facts, Publish, Workload
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.address_classes import NOT_PUBLIC
from cloudsync.rules.networks import ANY4, ANY6, Family

_WORLD: dict[Family, int] = {4: 5, 6: 6}
"""The largest network of the whole Internet without private and reserved ones is at least this
large; so is what is left of it when some networks are denied."""
_WORST_FIRST: tuple[Reachable, ...] = ("internet", "unknown", "neighbours", "host", "none")


def worst(verdicts: Iterable[Reachable]) -> Reachable:
    """The verdict that lets in most."""
    present = frozenset(verdicts)
    for verdict in _WORST_FIRST:
        if verdict in present:
            return verdict
    return "none"


def of_port(facts: Facts, protocol: str, ports: str, families: Iterable[int] = (4, 6)) -> Reachable:
    """Who reaches a port that is bound to every address of the families."""
    return worst(_of_family(facts, protocol, ports, family) for family in families)


def _of_family(facts: Facts, protocol: str, ports: str, family: int) -> Reachable:
    everybody = ANY4 if family == 4 else ANY6
    wanted = RuleSet.of((Rule.of(protocol, ports, everybody - NOT_PUBLIC),))
    table = facts.host_table
    if table is not None and table.enforces and not wanted & table.lets_in:
        return "none"
    if family == 6 and not facts.global_ipv6:
        return "neighbours"
    if facts.cloud is None:
        return "unknown"
    return "internet" if _is_wide(wanted & facts.cloud.reachable, family) else "neighbours"


def _is_wide(rules: RuleSet, family: int) -> bool:
    """Whether so much of the Internet gets in that it is no list of chosen networks."""
    kind: Family = 4 if family == 4 else 6
    prefixes = [rule.sources.shortest_prefix(kind) for rule in rules]
    return any(prefix is not None and prefix <= _WORLD[kind] for prefix in prefixes)


def is_narrowed(facts: Facts, protocol: str, ports: str) -> bool:
    """Whether the cloud lets in chosen networks only: somebody decided who may reach it."""
    if facts.cloud is None:
        return False
    reachable = RuleSet.of((Rule.of(protocol, ports, ANY4 | ANY6),)) & facts.cloud.reachable
    return bool(reachable) and not (_is_wide(reachable, 4) or _is_wide(reachable, 6))


def of_publish(facts: Facts, publish: Publish) -> Reachable:
    """Who reaches a published port."""
    if publish.is_loopback:
        return "host"
    if publish.is_private and facts.cloud is None:
        return "neighbours"
    if publish.first == 0:
        return "unknown" if facts.cloud is None or facts.cloud.reachable else "neighbours"
    families = publish.families
    if user_chain.stops(facts, publish):
        families = tuple(family for family in families if family == 6)
    return of_port(facts, publish.protocol, publish.ports, families)


def of_workload(facts: Facts, workload: Workload) -> Reachable:
    """Who reaches anything of a container: by its published ports, or by the host's network."""
    verdicts: list[Reachable] = []
    for publish in workload.published:
        verdicts.append(of_publish(facts, publish))  # noqa: PERF401 - pyright widens a comprehension to str
    if workload.on_host_network:
        listening = [
            listener
            for listener in facts.listeners
            if listener.is_everywhere and workload.id and listener.container == workload.id
        ]
        for socket in listening:
            verdicts.append(of_port(facts, socket.protocol, str(socket.port)))  # noqa: PERF401 - as above
        if not listening:
            verdicts.append("unknown")
    return worst(verdicts)
