"""What DOCKER-USER and the chains it jumps to let the Internet reach. The chain sees forwarded
packets after NAT: `--dport` is the container's port, `--ctorigdstport` the published one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from cloudsync.model.machine_facts import Chain, Facts, FilterRule, Publish, Tables

NAME = "DOCKER-USER"
DROPS = ("DROP", "REJECT")
_DEEPEST = 8
"""Jumps; iptables takes no loop."""
_INSIDE = ("docker", "br-", "veth", "lo", "podman", "cni")
"""Beginnings of interfaces that lead to containers."""
_PORTS = ("--dport", "--dports", "--ctorigdstport")
_KNOWN = frozenset(
    ("-i", "-o", "-j", "-g", "-m", "-p", "--comment", "--reject-with", "--ctdir", "--ctstate",
     "--state", "!", "-s", "-d", "--src-range", *_PORTS)
)  # fmt: skip
_CONTAINERS = ("172.16.0.0/12", "0.0.0.0/0", "::/0")
"""Destinations that every published port of a default network has."""
Verdict = Literal["accept", "drop"]


def is_called(facts: Facts) -> bool:
    """Whether FORWARD jumps to DOCKER-USER."""
    forward = facts.ip4.chain("filter", "FORWARD") if facts.ip4 else None
    return forward is not None and any(rule.target == NAME for rule in forward.rules)


def stops_the_rest(tables: Tables, name: str = NAME) -> bool:
    """Whether new connections from the Internet that no rule is about in particular are dropped."""
    return _verdict(tables, name, None) == "drop"


def stops(facts: Facts, publish: Publish) -> bool:
    """Whether new IPv4 connections from the Internet to a published port are dropped."""
    if facts.ip4 is None or 4 not in publish.families or not is_called(facts):
        return False
    return _verdict(facts.ip4, NAME, publish) == "drop"


def filters(tables: Tables) -> bool:
    """Whether any port is closed to the Internet; a list of addresses to block closes none."""
    for rule in rules_of(tables):
        if rule.is_bare and rule.target in ("RETURN", "ACCEPT"):
            return False
        if rule.target in DROPS and _is_for_the_internet(rule):
            return True
    return False


def rules_of(tables: Tables, name: str = NAME, deepest: int = _DEEPEST) -> Iterator[FilterRule]:
    """The rules of a chain and of the chains it jumps to, but for those that a tool keeps."""
    chain = tables.chain("filter", name)
    for rule in chain.rules if chain else ():
        yield rule
        if deepest and not rule.target.startswith(("ufw", "f2b-")):
            yield from rules_of(tables, rule.target, deepest - 1)


def _verdict(
    tables: Tables, name: str, publish: Publish | None, deepest: int = _DEEPEST
) -> Verdict | None:
    """What happens to a connection; None if the chain does not decide. From DOCKER-USER itself
    Docker's own rules follow, which accept."""
    chain = tables.chain("filter", name)
    for rule in chain.rules if chain else ():
        if not _matches(rule, publish):
            continue
        if rule.target in DROPS:
            return "drop"
        if rule.target == "ACCEPT":
            return "accept"
        if rule.target == "RETURN":
            return "accept" if name == NAME else None
        if deepest and (verdict := _verdict(tables, rule.target, publish, deepest - 1)):
            return verdict
    return None


def _matches(rule: FilterRule, publish: Publish | None) -> bool:
    """Whether a rule is about a new connection from anywhere to a publish, or to any port."""
    if not _is_for_the_internet(rule):
        return False
    if rule.value("-d") is not None and rule.value("-d") not in _CONTAINERS:
        return False
    if publish is None:
        return not any(map(rule.has, _PORTS)) and rule.value("-p") in (None, "all", "tcp")
    return rule.value("-p") in (None, "all", publish.protocol) and _is_about(rule, publish)


def _is_for_the_internet(rule: FilterRule) -> bool:
    """Whether new connections from anywhere meet it, to some port. A condition that is not known
    here (a set, a rate, a country) is one that most of the Internet may not meet."""
    options = {word for word in rule.words if word.startswith("-") or word == "!"}
    if not options <= _KNOWN or _is_about_replies(rule) or _is_from_some(rule):
        return False
    interface = rule.value("-i")
    return interface is None or interface.startswith(_INSIDE) == rule.is_negated("-i")


def _is_about(rule: FilterRule, publish: Publish) -> bool:
    """Whether its ports are the publish's, if it names some."""
    inside = (rule.value("--dport"), publish.container_port)
    several = (rule.value("--dports"), publish.container_port)
    outside = (rule.value("--ctorigdstport"), publish.first)
    return all(
        words is None or any(_covers(word, port) for word in words.split(","))
        for words, port in (inside, several, outside)
    )


def _covers(word: str, port: int) -> bool:
    first, _, last = word.replace("-", ":").partition(":")
    if not first.isdigit() or not (last or first).isdigit():
        return False
    return int(first) <= port <= int(last or first)


def _is_about_replies(rule: FilterRule) -> bool:
    states = (rule.value("--ctstate") or rule.value("--state") or "NEW").upper()
    return "NEW" not in states.split(",")


def _is_from_some(rule: FilterRule) -> bool:
    """Whether only some networks meet it; all but some is as good as all."""
    for option in ("-s", "--src-range"):
        source = rule.value(option)
        if source not in (None, "0.0.0.0/0", "::/0") and not rule.is_negated(option):
            return True
    return False


def drops_replies(chain: Chain | tuple[FilterRule, ...]) -> FilterRule | None:
    """The rule of a chain that drops packets of connections that containers opened; None without
    one."""
    for rule in chain.rules if isinstance(chain, Chain) else chain:
        if rule.matches_replies and rule.target in ("ACCEPT", "RETURN"):
            return None
        if rule.target in DROPS and _takes_replies(rule):
            return rule
    return None


def _takes_replies(rule: FilterRule) -> bool:
    """Whether replies from anywhere meet it: it names no ports, sources, states or sets."""
    options = {word for word in rule.words if word.startswith("-") or word == "!"}
    plain = {"-i", "-o", "-j", "-m", "-p", "--comment", "--reject-with"}
    interface = rule.value("-i")
    return options <= plain and not (interface is not None and interface.startswith(_INSIDE))
