"""The way of one port from the Internet to who answers it, hop by hop, with what decides at each.

| hop       | open if                                                            |
|-----------|--------------------------------------------------------------------|
| cloud     | any firewall of the cloud that acts on the machine lets it in      |
| host      | the machine's own table lets it in, is not there, or drops nothing |
| engine    | the engine publishes it on an address that packets arrive at       |
| container | somebody needs it                                                  |

Pure, over the trace that planning leaves. What was not read is `unknown`, never closed (law 1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from cloudsync.model.ports import Discovery, Failed, RequiredPort, UnopenedPort, name_of
from cloudsync.planning.decide import Considered
from cloudsync.planning.status_table import StatusRow
from cloudsync.provider.contract import Absent, Present
from cloudsync.provider.phrases import first_of
from cloudsync.rules import NOTHING, Rule, RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import ANY

Verdict = Literal["open", "closed", "unknown"]
Kind = Literal["internet", "cloud", "host", "engine", "container"]
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Hop:
    """One place a packet passes."""

    kind: Kind
    """What it is."""
    name: str
    """`cloud firewall web`, `host table web-host`, `engine of web-1`, `shop/web`."""
    verdict: Verdict
    """What becomes of the packet there."""
    rule: str = ""
    """What decides, for people."""


@dataclass(frozen=True, slots=True)
class Path:
    """The way to one machine."""

    host: str
    """Its name in the configuration."""
    hops: tuple[Hop, ...]
    """From outside to the container."""

    @property
    def verdict(self) -> Verdict:
        """Whether a packet arrives: at the first hop that stops it it does not."""
        verdicts = {hop.verdict for hop in self.hops}
        if "closed" in verdicts:
            return "closed"
        return "unknown" if "unknown" in verdicts else "open"


def paths(
    considered: Sequence[Considered],
    discoveries: Mapping[str, Discovery],
    asked: RuleSet,
    hosts: Iterable[str] = (),
) -> tuple[Path, ...]:
    """The ways of `asked` (one protocol, some ports) to each of `hosts`; without any to each host
    of the firewalls."""
    named = tuple(hosts) or tuple(
        dict.fromkeys(host for judged in considered for host in judged.spec.hosts)
    )
    return tuple(
        Path(host, _hops(considered, discoveries.get(host), asked, host)) for host in named
    )


def of_rows(
    considered: Sequence[Considered],
    discoveries: Mapping[str, Discovery],
    rows: Iterable[StatusRow],
) -> Mapping[StatusRow, tuple[Hop, ...]]:
    """The way of each row to the first of its machines; none for a port without a number."""
    by_host: dict[str, list[Considered]] = {}
    for judged in considered:
        for host in judged.spec.hosts:
            by_host.setdefault(host, []).append(judged)
    ways = {}
    for row in rows:
        host = row.machines[0] if row.machines else ""
        try:
            asked = RuleSet.of((Rule.of(row.protocol, row.ports, ANY),))
        except ValueError:
            continue
        (way,) = paths(by_host.get(host, ()), discoveries, asked, (host,))
        ways[row] = way.hops
    return ways


def _hops(
    considered: Sequence[Considered], discovery: Discovery | None, asked: RuleSet, host: str
) -> tuple[Hop, ...]:
    own = [judged for judged in considered if host in judged.spec.hosts]
    clouds = [judged for judged in own if judged.plan.type != "host"]
    kernels = [judged for judged in own if judged.plan.type == "host"]
    return (
        Hop("internet", "Internet", "open"),
        *((_cloud(clouds, asked, host),) if clouds or not kernels else ()),
        *(_kernel(judged, asked) for judged in kernels),
        *_machine(own, discovery, asked, host),
    )


def _cloud(clouds: Sequence[Considered], asked: RuleSet, host: str) -> Hop:
    if not clouds:
        return Hop("cloud", "cloud firewall", "unknown", "the configuration has none for the host")
    names = ", ".join(judged.plan.name for judged in clouds)
    hops = [_of_firewall(judged, asked) for judged in clouds]
    others = [
        f"{beyond.through} lets it in"
        for judged in clouds
        for machine in judged.plan.standing.machines
        if _is(machine.machine, host)
        for beyond in machine.beyond
        if RuleSet.of((beyond.rule,)) & asked
    ]
    verdicts = [verdict for verdict, _ in hops] + ["open"] * bool(others)
    verdict: Verdict = (
        "open" if "open" in verdicts else "unknown" if "unknown" in verdicts else "closed"
    )
    decides = [rule for kind, rule in hops if kind == verdict] + others
    return Hop("cloud", f"cloud firewall {names}", verdict, "; ".join(dict.fromkeys(decides)))


def _kernel(judged: Considered, asked: RuleSet) -> Hop:
    name = f"host table {judged.plan.name}"
    if isinstance(judged.observed, Absent):
        return Hop("host", name, "open", "it is not there: everything passes")
    if isinstance(judged.observed, Present) and not all(
        attachment.attached for attachment in judged.observed.attachments[:1]
    ):
        return Hop("host", name, "open", "it only observes: everything passes")
    verdict, rule = _of_firewall(judged, asked)
    return Hop("host", name, verdict, rule)


def _of_firewall(judged: Considered, asked: RuleSet) -> tuple[Verdict, str]:
    observed = judged.observed
    if isinstance(observed, Absent):
        return "unknown", f"{judged.plan.name} does not exist yet"
    if not isinstance(observed, Present):
        return "unknown", f"{judged.plan.name} could not be read: {observed.error.message}"
    if not observed.rules & asked:
        return "closed", "no rule lets it in"
    rules = [
        rule for rule in observed.listed or tuple(observed.rules) if RuleSet.of((rule,)) & asked
    ]
    return "open", first_of(rules, _SHOWN)


def _machine(
    own: Sequence[Considered], discovery: Discovery | None, asked: RuleSet, host: str
) -> tuple[Hop, ...]:
    """The engine and the container, or what else on the machine needs it."""
    name = f"engine of {host}"
    if discovery is None or isinstance(discovery, Failed):
        reason = discovery.reason if isinstance(discovery, Failed) else ""
        rule = f"it was not read: {reason}" if reason else "it was not read"
        return (Hop("engine", name, "unknown", rule),)
    needed = [port for port in discovery.required if _touches(port, asked)]
    if needed:
        who = ", ".join(dict.fromkeys(name_of(port.origin) for port in needed))
        if all(port.container_first is None for port in needed):
            return (Hop("container", who, "open", "on the machine's own network, or listed"),)
        return (
            Hop("engine", name, "open", _published(needed)),
            Hop("container", who, "open"),
        )
    local = [port for port in discovery.local if _touches(port, asked)]
    if local:
        return (Hop("engine", name, "closed", _published(local)),)
    for unopened in discovery.unopened:
        if _is_about(unopened, asked):
            published = "published, and not opened: " if unopened.code == "labelled-out" else ""
            verdict: Verdict = "open" if published else "closed"
            return (
                Hop("engine", name, verdict, f"{published}{unopened.reason}"),
                Hop("container", name_of(unopened.origin), "open"),
            )
    declared = _declared(own, asked)
    if declared:
        return (Hop("container", declared, "open"),)
    return (Hop("engine", name, "closed", "no container publishes it"),)


def _declared(own: Sequence[Considered], asked: RuleSet) -> str:
    """Who else the configuration says needs it."""
    wanted = [
        wanted
        for judged in own
        for wanted in (judged.desired.wanted if judged.desired is not None else ())
        if wanted.rules & asked
    ]
    return ", ".join(dict.fromkeys(entry.reason for entry in wanted))


def _published(ports: Sequence[RequiredPort]) -> str:
    """`publishes 443/tcp on every address to container port 8443`, both families as one."""
    addresses: dict[tuple[str, int, int, int | None], dict[str, None]] = {}
    for port in ports:
        key = (port.protocol, port.first, port.last, port.container_first)
        addresses.setdefault(key, {})[str(port.address or "")] = None
    return ", ".join(
        f"publishes {first if first == last else f'{first}-{last}'}/{protocol} on {_where(bound)}"
        + ("" if inside is None else f" to container port {inside}")
        for (protocol, first, last, inside), bound in addresses.items()
    )


def _where(addresses: Iterable[str]) -> str:
    bound = sorted(addresses)
    return "every address" if "" in bound or bound == ["0.0.0.0", "::"] else ", ".join(bound)  # noqa: S104 - compared


def _touches(port: RequiredPort, asked: RuleSet) -> bool:
    return bool(RuleSet.of((Rule(port.protocol, port.first, port.last, ANY),)) & asked)


def _is_about(unopened: UnopenedPort, asked: RuleSet) -> bool:
    try:
        rules = RuleSet.of((Rule.of(unopened.protocol, unopened.ports, ANY),))
    except ValueError:
        rules = NOTHING
    return bool(unopened.ports) and bool(rules & asked)


def _is(machine: str, host: str) -> bool:
    return machine == host or machine.partition(".")[0] == host
