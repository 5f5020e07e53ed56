"""What is said of machines: the same sentences for the terminal and for Markdown, not yet made
harmless."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from cloudsync.model.plan import (
    FirewallPlan,
    MachineExposure,
    Orphan,
    Plan,
    Shared,
)
from cloudsync.render import words
from cloudsync.rules import Rule
from cloudsync.rules.networks import NetworkSet

Weight = Literal["title", "warning", "error", "quiet", "plain"]
_SHOWN = 10


class Said(NamedTuple):
    """One sentence. `depth`: how far it is indented."""

    text: str
    weight: Weight = "plain"
    depth: int = 0


def troubles(firewall: FirewallPlan, *, everything: bool = False) -> Iterator[Said]:
    """What of a firewall's machines somebody should look at. `everything`: without end, and what
    was not evaluated."""
    standing = firewall.standing
    if standing.read is not None and standing.read.status != "complete":
        why = standing.read.reason or standing.read.status
        yield Said(f"what the Internet reaches on its machines is not known: {why}", "warning")
        return
    if standing.unattached:
        yield Said(
            "the firewall is attached to no machine: it protects nothing; attach it, or take it out",
            "warning",
        )
    coming = {change.target for change in firewall.changes if change.action == "attach"}
    for machine in standing.machines:
        yield from _machine(machine, coming=machine.target in coming, everything=everything)
    yield from (Said(_shared(one), "warning") for one in firewall.shared)
    if everything:
        yield from (Said(f"not evaluated: {text}", "quiet") for text in standing.not_evaluated)


def _machine(machine: MachineExposure, *, coming: bool, everything: bool) -> Iterator[Said]:
    """`coming`: this plan puts the firewall on it."""
    if not machine.protected:
        pending = " yet" if machine.pending or coming else ""
        yield Said(
            f"{_name(machine)} is NOT protected{pending}: no firewall is in force on it, all of it is open",
            "error",
        )
    elif not machine.attached and not coming:
        yield Said(
            f"{_name(machine)} does not have this firewall: only others act on it", "warning"
        )
    ways: dict[tuple[str, str, NetworkSet], list[Rule]] = {}
    for one in machine.beyond:
        ways.setdefault((one.through, one.advice, one.rule.sources), []).append(one.rule)
    for (through, advice, sources), rules in ways.items():
        shown = rules if everything else rules[:_SHOWN]
        what = ", ".join(words.port(rule.protocol, rule.ports) for rule in shown)
        what += f" and {len(rules) - len(shown)} more" if len(shown) < len(rules) else ""
        yield Said(
            f"beyond what is wanted, {machine.machine} lets in {what} from {words.sources(sources)}, through: {through}",
            "error",
        )
        yield Said(f"to do: {advice}", "quiet", 1)
    yield from (Said(f"{machine.machine}: {text}", "warning") for text in machine.pending)
    yield from (
        Said(f"{machine.machine}: more may be open: {text}", "warning") for text in machine.unknown
    )


def report(shown: Plan) -> Iterator[Said]:
    """The whole exposure, firewall by firewall and machine by machine, for `cloudsync exposure`."""
    for firewall in shown.firewalls:
        yield Said(f"{firewall.name}  ({firewall.provider}: {firewall.identity})", "title")
        standing = firewall.standing
        if firewall.read.status != "complete":
            yield Said(
                f"the firewall could not be read: {firewall.read.reason or firewall.read.status}",
                "error",
                1,
            )
        elif standing.read is None:
            yield Said(
                f"the provider {firewall.type} does not tell what acts on machines", "quiet", 1
            )
        for machine in standing.machines:
            yield from (Said(one.text, one.weight, one.depth + 1) for one in _whole(machine))
        yield from (
            Said(one.text, one.weight, one.depth + 1) for one in troubles(firewall, everything=True)
        )
        if (
            standing.read is not None
            and standing.read.status == "complete"
            and not standing.machines
            and not standing.unattached
        ):
            yield Said("no machine is behind it", "quiet", 1)
    yield from orphans(shown.orphans)


def _whole(machine: MachineExposure) -> Iterator[Said]:
    addresses = ", ".join(machine.addresses) or "no public address"
    yield Said(f"{_name(machine)}: {addresses}; {', '.join(machine.firewalls) or 'no firewall'}")
    yield from (Said(words.rule(rule), "plain", 1) for rule in machine.reachable)
    if not machine.reachable:
        yield Said("nothing reaches it from the Internet", "plain", 1)
    yield from (Said(f"{text}: not the Internet", "quiet", 1) for text in machine.kept)


def orphans(found: tuple[Orphan, ...]) -> Iterator[Said]:
    """Firewalls of ours that the configuration does not name."""
    for one in found:
        yield Said(
            f'{one.provider}: the firewall "{one.name}" ({one.id}) has this owner\'s marker, as "{one.firewall}", and the configuration '
            f"does not name it: left over, or another configuration's; nothing of it is touched",
            "warning",
        )


def _shared(one: Shared) -> str:
    by = ", ".join(one.needed_by)
    return f"{words.rule(one.rule)} is open on {one.host} too, which does not need it: {by} behind the same firewall does"


def _name(machine: MachineExposure) -> str:
    return f"{machine.machine} ({machine.target})"
