"""Whether the ports that containers publish are opened at one firewall. Pure.

`wishes` sorts out what is not asked for there at all: a label names other firewalls, the address is
not reached, nothing labels it. `judge` decides about the rest, once it is known what the firewall
is asked for in all.

Ports are gone through in groups that differ in nothing but their numbers, so that a container with
thousands of them costs one decision.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from cloudsync.model.plan import Refused
from cloudsync.model.ports import Complete, Origin, Partial, RequiredPort, name_of
from cloudsync.planning.sensitive_ports import ADMIN, sensitive
from cloudsync.planning.verdicts import Bounds, Verdict, Wanted, refusals
from cloudsync.rules import NOTHING, Rule, RuleSet
from cloudsync.rules.address_classes import classify
from cloudsync.rules.networks import ANY, ANY4, ANY6

_ADMIN = RuleSet.of(Rule("tcp", number, number, ANY) for number in ADMIN)
_UNLABELLED = 'no cloudsync label asks for it, and policy.expose = "labelled"'


@dataclass(frozen=True, slots=True)
class Group:
    """Ports that differ in nothing but their numbers."""

    port: RequiredPort
    """One of them."""
    published: RuleSet
    """All of them, from everywhere in the families they are published in."""
    rules: RuleSet
    """From where their labels let them be reached."""
    narrowed: RuleSet = NOTHING
    """What labels of the image take away of them: never opened, but asked for."""

    @property
    def asked(self) -> RuleSet:
        """All that is asked for, as if labels of images had said nothing."""
        return self.rules | self.narrowed if self.narrowed else self.rules

    @property
    def offset(self) -> int | None:
        """How much higher the container's ports are; None if no port is behind."""
        port = self.port
        return None if port.container_first is None else port.container_first - port.first


def wishes(
    firewall: str, read: Iterable[Complete | Partial], expose: str, bounds: Bounds
) -> tuple[tuple[Group, ...], Verdict]:
    """What containers ask for at a firewall, and what becomes of the rest. `expose`: as
    `policy.expose`."""
    asked: list[Group] = []
    rest: list[Verdict] = []
    for discovery in read:
        for group in _groups(discovery):
            verdict = _not_asked(firewall, group, expose, bounds)
            if verdict is None:
                asked.append(group)
            else:
                rest.append(verdict)
    return tuple(asked), Verdict.all(rest)


def judge(
    groups: Sequence[Group], world: RuleSet, allowed: RuleSet, bounds: Bounds, own: RuleSet
) -> Verdict:
    """What is opened of what containers ask for. `world`: the ports that the world would reach by
    all that is asked for. `allowed`: what `policy.allow_sensitive` names. `own`: what the
    configuration itself opens: a container's wish within it changes nothing."""
    admin = world & _ADMIN
    return Verdict.all(
        _judged(group, (world & _sensitive(group)) - allowed - own, admin, bounds)
        for group in groups
    )


def matters(groups: Iterable[Group]) -> RuleSet:
    """The ports about which it matters whether the world reaches them."""
    return _matters(frozenset((group.port.protocol, group.offset) for group in groups))


@lru_cache(maxsize=256)
def _matters(behind: frozenset[tuple[str, int | None]]) -> RuleSet:
    """`behind`: protocols, and how far off container ports are."""
    sets = (
        _ADMIN,
        sensitive("tcp", None),
        sensitive("udp", None),
        *(sensitive(protocol, offset) for protocol, offset in behind),
    )
    return RuleSet.union(sets)


def _sensitive(group: Group) -> RuleSet:
    return sensitive(group.port.protocol, group.offset)


def _judged(group: Group, closed: RuleSet, admin: RuleSet, bounds: Bounds) -> Verdict:
    """One group. `closed`: the sensitive ports, from where they are not opened. `admin`: the admin
    ports that the world would reach."""
    port, origin = group.port, group.port.origin
    cut = closed & group.rules if closed else NOTHING
    refused: list[Refused] = []
    for rule in cut:
        reason = (
            f'sensitive, so not for everyone: allow_sensitive = ["{rule.ports}/{rule.protocol}"] '
            "opens it, the label cloudsync.sources narrows it"
        )
        refused += refusals((rule,), "sensitive", reason, origin)
    opened, beyond = bounds.within(group.rules - cut if cut else group.rules, origin)
    wanted: tuple[Wanted, ...] = ()
    if opened:
        reason = f"{name_of(origin)} on {origin.host} ({_how(origin)})"
        wanted = (Wanted(opened, reason, port.description or name_of(origin), (origin,)),)
    observed = port.observed
    return Verdict(
        wanted=wanted,
        refused=(*refused, *beyond),
        warnings=_admin_pages(admin & opened, origin),
        engines=((origin.host, opened),) if observed else (),
        deliberate=tuple(group.published - opened) if observed else (),
    )


def _not_asked(firewall: str, group: Group, expose: str, bounds: Bounds) -> Verdict | None:
    """What becomes of ports that the firewall is not asked for; None if it is."""
    port = group.port
    engines = ((port.origin.host, NOTHING),) if port.observed else ()
    if port.firewalls is not None and firewall not in port.firewalls:
        deliberate = tuple(group.published) if port.observed else ()
        return Verdict(engines=engines, deliberate=deliberate)
    if (reason := _unreachable(port, bounds)) is not None:
        refused = refusals(group.rules, "private-address", reason, port.origin) if reason else ()
        return Verdict(refused=refused, engines=engines)
    if expose == "labelled" and not port.asked:
        refused = refusals(group.rules, "not-labelled", _UNLABELLED, port.origin)
        unlabelled = tuple(group.published) if port.observed else ()
        return Verdict(refused=refused, engines=engines, unlabelled=unlabelled)
    return None


def _unreachable(port: RequiredPort, bounds: Bounds) -> str | None:
    """Why the address that a port is bound to cannot be reached from the Internet at this provider;
    None if it can, "" for loopback, which needs no words."""
    if port.address is None:
        return None
    kind = classify(port.address)
    if kind in ("wildcard", "public"):
        return None
    if kind == "private" and bounds.capabilities.private_is_public:
        return None
    if kind == "loopback":
        return ""
    shown = {"private": "a private address", "shared": "a shared (100.64.0.0/10) address"}
    what = shown.get(kind, f"a {kind} address")
    return f"bound to {port.address}, {what}: the Internet does not reach it"


def _groups(discovery: Complete | Partial) -> list[Group]:
    parts: dict[tuple[object, ...], _Parts] = {}
    for port in discovery.required:
        if not port.declared:
            parts.setdefault(_key(port), _Parts(port)).rules.append(_rule(port))
    for port in discovery.narrowed:
        parts.setdefault(_key(port), _Parts(port)).narrowed.append(_rule(port))
    return [members.group() for members in parts.values()]


@dataclass(slots=True)
class _Parts:
    """A group while its ports are collected."""

    port: RequiredPort
    rules: list[Rule] = field(default_factory=list)
    narrowed: list[Rule] = field(default_factory=list)

    def group(self) -> Group:
        address = self.port.address
        family = ANY if address is None else ANY4 if address.version == 4 else ANY6
        rules = (*self.rules, *self.narrowed)
        return Group(
            self.port,
            RuleSet.of(Rule(rule.protocol, rule.first, rule.last, family) for rule in rules),
            RuleSet.of(self.rules),
            RuleSet.of(self.narrowed),
        )


def _rule(port: RequiredPort) -> Rule:
    return Rule(port.protocol, port.first, port.last, port.sources)


def _key(port: RequiredPort) -> tuple[object, ...]:
    """Everything but the numbers and the sources."""
    offset = None if port.container_first is None else port.container_first - port.first
    return offset, replace(port, first=0, last=0, container_first=None, sources=ANY)


def _admin_pages(opened: RuleSet, origin: Origin) -> tuple[str, ...]:
    return tuple(
        f"tcp/{number} of {name_of(origin)} on {origin.host} is often an admin page, and is open to"
        " the world"
        for rule in opened
        for number in range(rule.first, rule.last + 1)
    )


def _how(origin: Origin) -> str:
    how = f"label {origin.label}" if origin.label else "published"
    return f"{how}, {origin.file}:{origin.line}" if origin.file else how
