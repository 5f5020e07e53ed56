"""Findings about DOCKER-USER, the chain that Docker leaves to people: CS008 to CS013."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cloudsync.audit import user_chain
from cloudsync.audit.findings import Finding, about
from cloudsync.audit.reachability import of_port, of_publish, worst
from cloudsync.audit.walls import (
    block_drops,
    block_of,
    is_enforced,
    published_everywhere,
    those_ports,
)
from cloudsync.model.machine_facts import Chain, Facts, FilterRule, Tables, Workload
from cloudsync.provider.phrases import count

_CHAIN = "chain DOCKER-USER"


def find(facts: Facts) -> Iterator[Finding]:
    """Every finding of this family."""
    yield from _user_chain(facts)
    yield from _other_family(facts)
    yield from _input_chain(facts)


def _user_chain(facts: Facts) -> Iterator[Finding]:
    if (idle := _idle_rules(facts)) is not None:
        yield about(facts, "CS010", "high", _CHAIN, idle)
        return
    chain = facts.docker_user
    own = _own_rules(chain)
    if chain is None or not own:
        return
    first = chain.rules[0]
    if first.is_bare and first.target == "RETURN":
        never = count(len(chain.rules) - 1, "rule never matches", "rules never match")
        unreached = f"an unconditional RETURN comes first: {never}"
        yield about(facts, "CS008", "high", _CHAIN, unreached)
        return
    called = tuple(user_chain.rules_of(facts.ip4)) if facts.ip4 else ()
    yield from _container_ports(facts, called)
    yield from _replies(facts, chain)


def _own_rules(chain: Chain | None) -> list[FilterRule]:
    """The rules that Docker did not write: its own is a bare RETURN."""
    rules = chain.rules if chain else ()
    return [rule for rule in rules if not (rule.is_bare and rule.target == "RETURN")]


def _idle_rules(facts: Facts) -> str | None:
    """Why rules in DOCKER-USER have no effect; None if they have, or without an engine: then they
    are leftovers."""
    if facts.engine is None:
        return None
    if facts.other4 is not None and _is_idle(facts.other4):
        return (
            "it has rules in the iptables backend that Docker does not use: nothing jumps to them"
        )
    if not _own_rules(facts.docker_user):
        return None
    if facts.engine.firewall_backend.startswith("nftables"):
        return "it has rules, and Docker writes nftables here: nothing jumps to it"
    if not user_chain.is_called(facts):
        return "it has rules, and nothing jumps to it: they have no effect"
    return None


def _is_idle(tables: Tables) -> bool:
    forward = tables.chain("filter", "FORWARD")
    called = forward is not None and any(rule.target == "DOCKER-USER" for rule in forward.rules)
    return bool(_own_rules(tables.chain("filter", "DOCKER-USER"))) and not called


def _container_ports(facts: Facts, rules: Sequence[FilterRule]) -> Iterator[Finding]:
    """Docker has rewritten the port before DOCKER-USER sees the packet."""
    published = published_everywhere(facts)
    for rule in rules:
        if rule.has("--ctorigdstport"):
            continue
        for port in (rule.value("--dport") or rule.value("--dports") or "").split(","):
            equal = [p for _, p in published if p.ports == port and str(p.container_port) == port]
            about_it = [p for _, p in published if port in (p.ports, str(p.container_port))]
            if len(equal) == len(about_it):
                continue
            yield about(
                facts, "CS009", "high", _CHAIN,
                f"--dport {port} is compared with the container's port, not with the published one",
                protocol=rule.value("-p"), ports=port,
            )  # fmt: skip


def _replies(facts: Facts, chain: Chain) -> Iterator[Finding]:
    if facts.ufw is not None and block_of(facts.ufw.after_rules):
        return  # CS014 is the cause
    if user_chain.drops_replies(chain) is not None:
        yield about(
            facts, "CS013", "medium", _CHAIN,
            "it drops before it accepts replies: containers cannot reach anything outside",
        )  # fmt: skip


def _other_family(facts: Facts) -> Iterator[Finding]:
    """What a wall in DOCKER-USER keeps out by IPv4 and lets in by IPv6."""
    if not _filters(facts, 4) or not facts.global_ipv6 or is_enforced(facts):
        return
    published = published_everywhere(facts, 6)
    proxied = [(w, p) for w, p in published if _is_ipv4_only(facts, w)]
    direct = [(w, p) for w, p in published if not _is_ipv4_only(facts, w)]
    if direct and not _filters(facts, 6):
        yield about(
            facts, "CS011", "high", _CHAIN,
            f"it filters IPv4 only; over IPv6 these are open: {those_ports(direct)}",
            reachable=worst(of_publish(facts, publish) for _, publish in direct),
        )  # fmt: skip
    if proxied and (facts.daemon is None or facts.daemon.userland_proxy):
        yield about(
            facts, "CS012", "high", "docker-proxy",
            "it serves IPv6 for IPv4-only networks, where no chain of FORWARD sees it: "
            f"{those_ports(proxied)}",
            reachable=worst(of_publish(facts, publish) for _, publish in proxied),
        )  # fmt: skip


def _filters(facts: Facts, family: int) -> bool:
    """Whether anything in DOCKER-USER of a family drops, live or by a block of ufw's."""
    tables = facts.ip4 if family == 4 else facts.ip6
    if tables is not None and user_chain.filters(tables):
        return True
    if facts.ufw is None or not facts.ufw.enabled:
        return False
    lines = facts.ufw.after_rules if family == 4 else facts.ufw.after6_rules
    return block_drops(block_of(lines))


def _is_ipv4_only(facts: Facts, workload: Workload) -> bool:
    engine = facts.engine
    known = [engine.network(name) for name in workload.networks] if engine else []
    return bool(known) and all(network is not None and not network.ipv6 for network in known)


def _input_chain(facts: Facts) -> Iterator[Finding]:
    """Services of the machine itself that INPUT keeps out by IPv4 only."""
    if not facts.global_ipv6 or is_enforced(facts) or not _input_stops(facts.ip4):
        return
    if facts.ip6 is None or _input_stops(facts.ip6):
        return
    # INPUT keeps no published port out by IPv4 either: the engine's proxies are not its matter.
    published = {(p.protocol, p.first) for _, p in published_everywhere(facts)}
    listening = sorted(
        {
            (socket.port, socket.protocol)
            for socket in facts.listeners
            if socket.address in ("*", "::")
            and not _is_expected(facts, socket.port)
            and (socket.protocol, socket.port) not in published
        }
    )
    if not listening:
        return
    by_ufw = facts.ufw is not None and facts.ufw.enabled and not facts.ufw.ipv6
    ports = ", ".join(f"{port}/{protocol}" for port, protocol in listening[:4])
    yield about(
        facts,
        "CS011",
        "high",
        "ufw" if by_ufw else "chain INPUT",
        ("IPV6=no: " if by_ufw else "")
        + f"it filters IPv4 only; over IPv6 these are open: {ports}",
        reachable=worst(of_port(facts, kind, str(port), (6,)) for port, kind in listening),
        file="/etc/default/ufw" if by_ufw else None,
        line=facts.ufw.lines.get("IPV6") if by_ufw and facts.ufw else None,
        hint="IPV6=yes" if by_ufw else None,
    )


def _is_expected(facts: Facts, port: int) -> bool:
    return port in (68, 546) or (facts.sshd is not None and port in facts.sshd.ports)


def _input_stops(tables: Tables | None) -> bool:
    chain = tables.chain("filter", "INPUT") if tables else None
    return (
        chain is not None
        and tables is not None
        and (chain.policy == "DROP" or user_chain.stops_the_rest(tables, "INPUT"))
    )
