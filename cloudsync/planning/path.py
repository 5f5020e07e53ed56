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
from cloudsync.rules.index import RuleIndex
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
    """The ways of `asked` (one rule: a protocol, some ports) to each of `hosts`; without any to
    each host of the firewalls."""
    (port,) = asked
    named = tuple(hosts) or tuple(
        dict.fromkeys(host for judged in considered for host in judged.spec.hosts)
    )
    walls = [_Wall(judged) for judged in considered]

    def machine(host: str) -> _Machine:
        own = [wall for wall in walls if host in wall.judged.spec.hosts]
        return _Machine(host, own, discoveries.get(host))

    return tuple(Path(host, machine(host).way(port)) for host in named)


def of_rows(
    considered: Sequence[Considered],
    discoveries: Mapping[str, Discovery],
    rows: Iterable[StatusRow],
) -> Mapping[StatusRow, tuple[Hop, ...]]:
    """The way of each row to the first of its machines; none for a port without a number."""
    by_host: dict[str, list[_Wall]] = {}
    for wall in map(_Wall, considered):
        for host in wall.judged.spec.hosts:
            by_host.setdefault(host, []).append(wall)
    machines: dict[str, _Machine] = {}
    followed: dict[tuple[str, Rule], tuple[Hop, ...]] = {}
    ways = {}
    for row in rows:
        host = row.machines[0] if row.machines else ""
        try:
            asked = Rule.of(row.protocol, row.ports, ANY)
        except ValueError:
            continue
        if (host, asked) not in followed:
            if host not in machines:
                machines[host] = _Machine(host, by_host.get(host, ()), discoveries.get(host))
            followed[host, asked] = machines[host].way(asked)
        ways[row] = followed[host, asked]
    return ways


class _Wall:
    """A firewall, with its rules kept by port."""

    def __init__(self, judged: Considered) -> None:
        self.judged = judged
        rules: Sequence[Rule] = ()
        if isinstance(judged.observed, Present):
            rules = judged.observed.listed or tuple(judged.observed.rules)
        self._rules = RuleIndex((RuleSet.of((rule,)), rule) for rule in rules)
        wanted = judged.desired.wanted if judged.desired is not None else ()
        self._wanted = RuleIndex((wish.rules, wish) for wish in wanted)

    def verdict(self, asked: Rule) -> tuple[Verdict, str]:
        """Whether it lets the port in, and what decides."""
        observed = self.judged.observed
        if isinstance(observed, Absent):
            return "unknown", f"{self.judged.plan.name} does not exist yet"
        if not isinstance(observed, Present):
            return "unknown", f"{self.judged.plan.name} could not be read: {observed.error.message}"
        rules = self._rules.overlapping(asked)
        if not (rules or observed.rules & RuleSet.of((asked,))):
            return "closed", "no rule lets it in"
        return "open", first_of(rules, _SHOWN)

    def reasons(self, asked: Rule) -> Iterable[str]:
        """Why the configuration or a host says that it is needed."""
        return (wish.reason for wish in self._wanted.overlapping(asked))


class _Machine:
    """A host behind its own firewalls, with what its engine publishes kept by port."""

    def __init__(self, host: str, own: Sequence[_Wall], discovery: Discovery | None) -> None:
        self._host, self._own, self._discovery = host, own, discovery
        read = discovery if not isinstance(discovery, Failed | None) else None
        self._required = RuleIndex(map(_with_ports, read.required if read else ()))
        self._local = RuleIndex(map(_with_ports, read.local if read else ()))
        self._unopened = RuleIndex(
            (_ports_of(unopened), unopened) for unopened in (read.unopened if read else ())
        )

    def way(self, asked: Rule) -> tuple[Hop, ...]:
        """The hops of a port, from outside."""
        clouds = [wall for wall in self._own if wall.judged.plan.type != "host"]
        kernels = [wall for wall in self._own if wall.judged.plan.type == "host"]
        return (
            Hop("internet", "Internet", "open"),
            *((self._cloud(clouds, asked),) if clouds or not kernels else ()),
            *(_kernel(wall, asked) for wall in kernels),
            *self._inside(asked),
        )

    def _cloud(self, clouds: Sequence[_Wall], asked: Rule) -> Hop:
        if not clouds:
            reason = "the configuration has none for the host"
            return Hop("cloud", "cloud firewall", "unknown", reason)
        names = ", ".join(wall.judged.plan.name for wall in clouds)
        hops = [wall.verdict(asked) for wall in clouds]
        others = [
            f"{beyond.through} lets it in"
            for wall in clouds
            for machine in wall.judged.plan.standing.machines
            if _is(machine.machine, self._host)
            for beyond in machine.beyond
            if RuleSet.of((beyond.rule,)) & RuleSet.of((asked,))
        ]
        verdicts = [verdict for verdict, _ in hops] + ["open"] * bool(others)
        verdict: Verdict = (
            "open" if "open" in verdicts else "unknown" if "unknown" in verdicts else "closed"
        )
        decides = [rule for kind, rule in hops if kind == verdict] + others
        return Hop("cloud", f"cloud firewall {names}", verdict, "; ".join(dict.fromkeys(decides)))

    def _inside(self, asked: Rule) -> tuple[Hop, ...]:
        """The engine and the container, or what else on the machine needs it."""
        name, discovery = f"engine of {self._host}", self._discovery
        if discovery is None or isinstance(discovery, Failed):
            reason = discovery.reason if isinstance(discovery, Failed) else ""
            rule = f"it was not read: {reason}" if reason else "it was not read"
            return (Hop("engine", name, "unknown", rule),)
        if needed := self._required.overlapping(asked):
            who = ", ".join(dict.fromkeys(name_of(port.origin) for port in needed))
            if all(port.container_first is None for port in needed):
                return (Hop("container", who, "open", "on the machine's own network, or listed"),)
            return (
                Hop("engine", name, "open", _published(needed)),
                Hop("container", who, "open"),
            )
        if local := self._local.overlapping(asked):
            return (Hop("engine", name, "closed", _published(local)),)
        if about := self._unopened.overlapping(asked):
            unopened = about[0]
            published = "published, and not opened: " if unopened.code == "labelled-out" else ""
            verdict: Verdict = "open" if published else "closed"
            return (
                Hop("engine", name, verdict, f"{published}{unopened.reason}"),
                Hop("container", name_of(unopened.origin), "open"),
            )
        declared = dict.fromkeys(reason for wall in self._own for reason in wall.reasons(asked))
        if declared:
            return (Hop("container", ", ".join(declared), "open"),)
        return (Hop("engine", name, "closed", "no container publishes it"),)


def _kernel(wall: _Wall, asked: Rule) -> Hop:
    name, observed = f"host table {wall.judged.plan.name}", wall.judged.observed
    if isinstance(observed, Absent):
        return Hop("host", name, "open", "it is not there: everything passes")
    if isinstance(observed, Present) and not all(
        attachment.attached for attachment in observed.attachments[:1]
    ):
        return Hop("host", name, "open", "it only observes: everything passes")
    return Hop("host", name, *wall.verdict(asked))


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


def _with_ports(port: RequiredPort) -> tuple[RuleSet, RequiredPort]:
    return RuleSet.of((Rule(port.protocol, port.first, port.last, ANY),)), port


def _ports_of(unopened: UnopenedPort) -> RuleSet:
    """Nothing for one without a port, or whose port does not parse."""
    if not unopened.ports:
        return NOTHING
    try:
        return RuleSet.of((Rule.of(unopened.protocol, unopened.ports, ANY),))
    except ValueError:
        return NOTHING


def _is(machine: str, host: str) -> bool:
    return machine == host or machine.partition(".")[0] == host
