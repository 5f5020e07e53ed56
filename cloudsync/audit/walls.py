"""Findings about walls on the machine that published ports go round: ufw and firewalld (CS005 to
CS007, CS014, CS017)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from cloudsync.audit import user_chain
from cloudsync.audit.findings import DELETE, Finding, about
from cloudsync.audit.hints import Edit, deletion, together
from cloudsync.audit.reachability import of_publish, worst
from cloudsync.model.machine_facts import Facts, FilterRule, Publish, Tables, Ufw, Workload, Zone
from cloudsync.provider.phrases import first_of

_AFTER_RULES = "/etc/ufw/after.rules"
_FIREWALLD = "/etc/firewalld/firewalld.conf"


def find(facts: Facts) -> Iterator[Finding]:
    """Every finding of this family."""
    yield from _ufw(facts)
    yield from _firewalld(facts)


def published_everywhere(facts: Facts, family: int | None = None) -> list[tuple[Workload, Publish]]:
    """What containers publish on every address, of one family or of either."""
    return [
        (container, publish)
        for container in (facts.engine.containers if facts.engine else ())
        for publish in container.published
        if publish.is_everywhere and (family is None or family in publish.families)
    ]


def those_ports(publishes: Sequence[tuple[Workload, Publish]]) -> str:
    """At most four of them by name, and how many more."""
    named = dict.fromkeys(f"{p.ports}/{p.protocol} ({w.name})" for w, p in publishes)
    return first_of(named, 4)


def is_enforced(facts: Facts) -> bool:
    """Whether our own table stands before Docker's rules and drops."""
    return facts.host_table is not None and facts.host_table.enforces


def is_walled(facts: Facts) -> bool:
    """Whether something that works stands before Docker's rules."""
    return is_enforced(facts) or (
        facts.ip4 is not None
        and user_chain.is_called(facts)
        and user_chain.stops_the_rest(facts.ip4)
    )


def block_of(lines: Sequence[str]) -> tuple[FilterRule, ...]:
    """The rules for DOCKER-USER in after.rules."""
    words = (line.split() for line in lines)
    return tuple(FilterRule(tuple(w[2:])) for w in words if w[:2] == ["-A", "DOCKER-USER"])


def block_drops(block: tuple[FilterRule, ...]) -> bool:
    """Whether a block of after.rules ends in a drop of what nothing before let in."""
    return any(
        rule.target == "ufw-docker-logging-deny"
        or (rule.target in user_chain.DROPS and not rule.is_about_some_ports)
        for rule in block
    )


def _ufw(facts: Facts) -> Iterator[Finding]:
    ufw = facts.ufw
    if ufw is None or not ufw.enabled:
        return
    block = block_of(ufw.after_rules)
    foreign = any("UFW AND DOCKER" in line for line in ufw.after_rules)
    problems = [] if foreign else list(_block_problems(facts, ufw, block))
    if problems:
        edit = together([edit for _, edits in problems for edit in edits])
        yield about(
            facts, "CS014", "high", _AFTER_RULES, "; ".join(reason for reason, _ in problems),
            file=_AFTER_RULES, line=edit.line, hint=edit.hint,
        )  # fmt: skip
    published = published_everywhere(facts)
    if published and not is_walled(facts) and not (foreign and block_drops(block)):
        yield about(
            facts, "CS005", "high", "ufw", f"ufw is active and never sees {those_ports(published)}",
            reachable=worst(of_publish(facts, publish) for _, publish in published),
        )  # fmt: skip


def _block_problems(
    facts: Facts, ufw: Ufw, block: tuple[FilterRule, ...]
) -> Iterator[tuple[str, list[Edit]]]:
    """What is wrong, and the lines to change."""
    if (dropping := user_chain.drops_replies(block)) is not None:
        yield (
            "its block drops replies: containers cannot reach anything outside",
            _edits(ufw, _is_rule(dropping), _ABOVE)[:1],
        )
    flushed = any(line.split()[:2] in (["-F"], ["-F", "POSTROUTING"]) for line in ufw.after_rules)
    if not flushed and any(map(_repeats, ufw.after_rules)):
        times = _repeated_masquerade(facts.ip4)
        needed = facts.daemon is not None and not facts.daemon.iptables
        yield (
            "each reload adds its MASQUERADE line once more"
            + (f" (there are {times} now)" if times > 1 else ""),
            _edits(ufw, _repeats, None if needed else DELETE),
        )
    trusting = [rule for rule in block if rule.target == "RETURN" and _PRIVATE & set(rule.words)]
    if trusting:
        # Where a drop has no interface, these let containers' own traffic pass too.
        by_interface = all(rule.has("-i") for rule in block if rule.target in user_chain.DROPS)
        yield (
            "every private neighbour reaches all published ports",
            [
                edit
                for rule in trusting
                for edit in _edits(ufw, _is_rule(rule), DELETE if by_interface else None)
            ],
        )


_PRIVATE = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"}
_ABOVE = "-A DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN (a new line above it)"


def _repeats(line: str) -> bool:
    """Whether it is added to the chains of the table nat, which ufw never empties."""
    return line.startswith("-A ") and "MASQUERADE" in line.split()


def _is_rule(rule: FilterRule) -> Callable[[str], bool]:
    return lambda line: line.split() == ["-A", "DOCKER-USER", *rule.words]


def _edits(ufw: Ufw, is_meant: Callable[[str], bool], hint: str | None) -> list[Edit]:
    numbered = zip(ufw.after_lines, ufw.after_rules, strict=False)
    return [Edit(_AFTER_RULES, number, hint) for number, line in numbered if is_meant(line)]


def _repeated_masquerade(tables: Tables | None) -> int:
    chain = tables.chain("nat", "POSTROUTING") if tables else None
    rules = (rule.words for rule in (chain.rules if chain else ()) if rule.target == "MASQUERADE")
    return max(Counter(rules).values(), default=0)


def _needless(zone: Zone) -> str | None:
    return None if zone.line is None else deletion([zone.line, *zone.more_lines])


def _firewalld(facts: Facts) -> Iterator[Finding]:
    firewalld = facts.firewalld
    if firewalld is None or not firewalld.running:
        return
    engine = facts.engine
    bridges = (
        {"docker0", *(network.bridge for network in engine.networks)} if engine else {"docker0"}
    )
    published = published_everywhere(facts)
    strict = firewalld.strict_line  # None: this firewalld does not know the key
    accepting = [zone for zone in firewalld.zones if zone.target == "ACCEPT"]
    ours = [z for z in accepting if z.name == "docker" or set(z.interfaces) & bridges]
    if ours and published and not firewalld.strict_forward_ports and not is_walled(facts):
        yield about(
            facts, "CS006", "high", f"zone {ours[0].name}",
            "firewalld accepts everything for Docker's bridges and never sees "
            f"{those_ports(published)}",
            reachable=worst(of_publish(facts, publish) for _, publish in published),
            file=_FIREWALLD if strict else ours[0].file or None, line=strict,
            hint="StrictForwardPorts=yes" if strict else None,
        )  # fmt: skip
    for zone in accepting:
        if (zone.ports or zone.services) and not set(zone.interfaces) - bridges:
            opened = ", ".join((*zone.ports, *zone.services)[:5])
            yield about(
                facts, "CS007", "medium", f"zone {zone.name}",
                f"it accepts everything, so that adding {opened} changes nothing",
                file=zone.file or None, line=zone.line, hint=_needless(zone),
            )  # fmt: skip
    if engine is None or engine.kind != "docker" or not engine.is_before(28, 3, 3):
        return
    if "CVE-2025-54388" not in facts.backports:
        yield about(
            facts, "CS017", "medium", f"Docker {engine.version}",
            "a reload of firewalld removes Docker's rules, and published ports on loopback open",
        )  # fmt: skip
