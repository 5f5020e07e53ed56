"""What the Internet reaches on machines: the same sentences for the terminal and for Markdown, not
yet harmless."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from cloudsync.model.plan import Beyond, FirewallPlan, Halted, MachineExposure, Orphan, Plan
from cloudsync.model.sharing import Shared
from cloudsync.planning.two_walls import KERNEL
from cloudsync.provider.phrases import count
from cloudsync.render import words
from cloudsync.render.blocks import BLANK, Block, Line, Row, Table
from cloudsync.render.escape import plain
from cloudsync.render.words import PLAIN, Vocabulary
from cloudsync.rules import Rule
from cloudsync.rules.networks import NetworkSet

Weight = Literal["title", "beyond", "warning", "error", "quiet", "plain"]
_SHOWN = 10


class Remark(NamedTuple):
    """One sentence about machines."""

    text: str
    weight: Weight = "plain"
    depth: int = 0
    """How far it is indented."""


def troubles(
    firewall: FirewallPlan, *, everything: bool = False, vocabulary: Vocabulary = PLAIN
) -> Iterator[Remark]:
    """What somebody should look at on a firewall's machines. `everything`: also what is open on
    machines that share the firewall, and what was not evaluated."""
    standing = firewall.standing
    if unread := tuple(_unread(firewall)):
        yield from unread
        return
    coming = {change.target for change in firewall.changes if change.action == "attach"}
    if not coming:
        yield from _idle(firewall)
    for machine in standing.machines:
        yield from _machine(machine, coming=machine.target in coming, vocabulary=vocabulary)
    if everything:
        yield from _shared(firewall.shared.entries(), vocabulary)
        yield from (Remark(f"not evaluated: {text}", "quiet") for text in standing.not_evaluated)


def gaps(firewall: FirewallPlan) -> Iterator[Remark]:
    """Where the firewall keeps nothing out now, whatever its rules are."""
    if unread := tuple(_unread(firewall)):
        yield from unread
        return
    yield from _idle(firewall)
    for machine in firewall.standing.machines:
        yield from _unprotected(machine)


def _unread(firewall: FirewallPlan) -> Iterator[Remark]:
    read = firewall.standing.read
    if read is not None and read.status != "complete":
        why = read.reason or read.status
        yield Remark(f"what the Internet reaches on its machines is not known: {why}", "warning")


def _idle(firewall: FirewallPlan) -> Iterator[Remark]:
    if firewall.standing.read is not None and not firewall.standing.machines:
        yield Remark(
            "not attached to any machine, so it protects nothing: attach it, or remove it "
            "from the configuration",
            "warning",
        )


def _unprotected(machine: MachineExposure) -> Iterator[Remark]:
    if not machine.protected:
        pending = " yet" if machine.pending else ""
        yield Remark(
            f"{_name(machine)} is NOT protected{pending}: no firewall is in effect on it, "
            f"everything on it is open",
            "beyond",
        )
    elif not machine.attached:
        yield Remark(f"{_name(machine)} does not have this firewall, only others", "warning")


def _machine(machine: MachineExposure, *, coming: bool, vocabulary: Vocabulary) -> Iterator[Remark]:
    """`coming`: this plan puts the firewall on it, which ends what no firewall keeps out now."""
    if not coming:
        yield from _unprotected(machine)
    groups: dict[str, list[Beyond]] = {}
    for beyond in machine.beyond:
        if beyond.firewall is not None:
            groups.setdefault(str(beyond.firewall), []).append(beyond)
        elif not coming and machine.protected:
            groups.setdefault(beyond.through, []).append(beyond)
    for firewall, several in sorted(groups.items()):
        ports = _by_sources([beyond.rule for beyond in several], vocabulary)
        yield Remark(
            f"{machine.machine} is open beyond the configuration, through {firewall}: {ports}",
            "beyond",
        )
        yield from (Remark(_fix(advice), "quiet", 1) for advice in _advices(several))
    yield from _apart(machine, vocabulary)
    yield from (Remark(f"{machine.machine}: {text}", "warning") for text in machine.pending)
    yield from (
        Remark(f"{machine.machine}: more may be open: {text}", "warning")
        for text in machine.unknown
    )


def _apart(machine: MachineExposure, vocabulary: Vocabulary) -> Iterator[Remark]:
    """What only one of two walls will let in, said once: at the firewall that stops it."""
    for halted in machine.halted_after:
        if (halted.stopped_by == KERNEL) == machine.inside:
            outage = ", so it cannot be reached although it is needed" if halted.needed else ""
            weight: Weight = "warning" if halted.needed else "plain"
            yield Remark(f"{machine.machine}: {_sentence(halted, vocabulary)}{outage}", weight)


def _advices(several: Iterable[Beyond]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(beyond.advice for beyond in several))


def _fix(advice: str) -> str:
    return f"fix: {advice}"


def _by_sources(rules: Iterable[Rule], vocabulary: Vocabulary) -> str:
    """`22, 3389/tcp from everyone; 53/udp from 203.0.113.0/24`."""
    return "; ".join(
        f"{words.port_list(several, _SHOWN)} from {vocabulary.sources(sources)}"
        for sources, several in _grouped(rules).items()
    )


def _grouped(rules: Iterable[Rule]) -> dict[NetworkSet, list[Rule]]:
    groups: dict[NetworkSet, list[Rule]] = {}
    for rule in sorted(rules, key=lambda rule: (rule.protocol, rule.first, rule.last)):
        groups.setdefault(rule.sources, []).append(rule)
    return groups


def _shared(shared: Iterable[Shared], vocabulary: Vocabulary) -> Iterator[Remark]:
    """Once for each machine: what is open there only because another host needs it."""
    groups: dict[tuple[str, tuple[str, ...]], list[Rule]] = {}
    for each in shared:
        groups.setdefault((each.host, each.needed_by), []).append(each.rule)
    for (host, needed_by), rules in groups.items():
        verb = "needs" if len(needed_by) == 1 else "need"
        yield Remark(
            f"open on {host} too, which does not need it: {_by_sources(rules, vocabulary)} "
            f"({', '.join(needed_by)} behind the same firewall {verb} it)",
            "warning",
        )


def reached(shown: Plan, *, vocabulary: Vocabulary = PLAIN) -> Iterator[Block]:
    """What the Internet reaches, for `cloudsync exposure` on a terminal."""
    beyond = 0
    for firewall in shown.firewalls:
        yield BLANK
        title = f"{plain(firewall.name)}  ({plain(firewall.provider)}: {plain(firewall.identity)})"
        yield Line(title, "title")
        for machine in firewall.standing.machines:
            yield Line(plain(_heading(machine), 1500), indent=2)
            yield Table(tuple(_reach(machine, vocabulary)), indent=4)
            beyond += bool(machine.beyond) or not machine.protected
        for remark in remarks(firewall, vocabulary):
            mark = "! " if remark.weight in ("warning", "beyond", "error") else ""
            yield Line(words.message(remark.text), remark.weight, mark, 2 + 2 * remark.depth)
    for orphan in orphans(shown.orphans):
        yield BLANK
        yield Line(plain(orphan.text), "warning", "! ")
    yield BLANK
    machines = sum(len(firewall.standing.machines) for firewall in shown.firewalls)
    if beyond:
        verb = "is" if beyond == 1 else "are"
        yield Line(
            f"{beyond} of {count(machines, 'machine')} {verb} open beyond the configuration.",
            "beyond",
        )
    elif machines:
        yield Line("Nothing is open beyond the configuration.", "title")


def remarks(firewall: FirewallPlan, vocabulary: Vocabulary = PLAIN) -> Iterator[Remark]:
    """Everything there is to say about a firewall's machines, except what reaches them."""
    standing = firewall.standing
    if firewall.read.status != "complete":
        why = firewall.read.reason or firewall.read.status
        yield Remark(f"the firewall could not be read: {why}", "error")
        if standing.read is not None and standing.read.reason == firewall.read.reason:
            return  # one reason for both: what reaches its machines is not known either
    elif standing.read is None:
        yield Remark(f"the provider {firewall.type} does not report what acts on machines", "quiet")
    yield from troubles(firewall, everything=True, vocabulary=vocabulary)


def report(shown: Plan) -> Iterator[Remark]:
    """The whole exposure, firewall by firewall and machine by machine, for Markdown."""
    for firewall in shown.firewalls:
        yield Remark(f"{firewall.name}  ({firewall.provider}: {firewall.identity})", "title")
        for machine in firewall.standing.machines:
            yield Remark(_heading(machine), "plain", 1)
            if not machine.reachable:
                yield Remark("nothing reaches it from the Internet", "plain", 2)
            for sources, rules in _grouped(machine.reachable).items():
                text = f"{words.port_list(rules)} from {words.sources(sources)}"
                yield Remark(text, "plain", 2)
            yield from (Remark(text, "quiet", 2) for text in _halted(machine, PLAIN))
            yield from (Remark(f"{text}: not the Internet", "quiet", 2) for text in machine.kept)
        yield from (
            Remark(remark.text, remark.weight, remark.depth + 1) for remark in remarks(firewall)
        )
    yield from orphans(shown.orphans)


def _heading(machine: MachineExposure) -> str:
    addresses = ", ".join(machine.addresses) or "no public address"
    firewalls = ", ".join(machine.firewalls) or "no firewall"
    return f"{_name(machine)}: {addresses}; {firewalls}"


def _reach(machine: MachineExposure, vocabulary: Vocabulary) -> Iterator[Row]:
    for rule in machine.reachable:
        yield Row((words.port(rule.protocol, rule.ports), vocabulary.sources(rule.sources)))
    if not machine.reachable:
        yield Row(("nothing", "reaches it from the Internet"))
    yield from (Row(("stopped", text), "quiet") for text in _halted(machine, vocabulary))
    yield from (Row(("not public", plain(text)), "quiet") for text in machine.kept)


def _halted(machine: MachineExposure, vocabulary: Vocabulary) -> Iterator[str]:
    """What only one of two walls lets in."""
    return (_sentence(halted, vocabulary) for halted in machine.halted)


def _sentence(halted: Halted, vocabulary: Vocabulary) -> str:
    port = words.port(halted.rule.protocol, halted.rule.ports)
    return (
        f"{port} from {vocabulary.sources(halted.rule.sources)}: {halted.let_in_by} lets it in, "
        f"{halted.stopped_by} stops it"
    )


def orphans(orphans: tuple[Orphan, ...]) -> Iterator[Remark]:
    """Firewalls of ours that the configuration does not name."""
    for orphan in orphans:
        yield Remark(
            f'{orphan.provider}: the firewall "{orphan.name}" ({orphan.id}) carries this owner\'s '
            f'marker, as "{orphan.firewall}", and the configuration does not name it: left over, '
            f"or another configuration's. It is left as it is",
            "warning",
        )


def _name(machine: MachineExposure) -> str:
    return f"{machine.machine} ({machine.target})"
