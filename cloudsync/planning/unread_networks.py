"""What hangs on networks of the configuration that could not be read now (law 1). Pure.

The last good answer is asked for as ever. Beyond it, whatever such a network may reach stays as it
is: nobody knows who is in it by now.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from cloudsync.config.configuration import Configuration, Firewall
from cloudsync.config.networks import allowed_rules, ssh_rules
from cloudsync.model.plan import Refused
from cloudsync.model.ports import Complete, Origin, Partial, Uncertain, port_rules
from cloudsync.planning.verdicts import refusals
from cloudsync.rules import NOTHING, Rule, RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import ANY


@dataclass(frozen=True, slots=True)
class Unread:
    """What may be needed of one firewall."""

    rules: RuleSet | None
    """It, from everywhere; None: anything may be."""
    reason: str = ""
    """Which networks could not be read, and why."""

    def __bool__(self) -> bool:
        return self.rules is None or bool(self.rules)


NOTHING_UNREAD = Unread(NOTHING)


def unread_needs(
    firewall: Firewall, configuration: Configuration, read: Sequence[Complete | Partial]
) -> Unread:
    """What may be needed of a firewall by those networks. `read`: its hosts."""
    unread = configuration.unread
    if not unread:
        return NOTHING_UNREAD
    rules: list[Rule] = []
    names: set[str] = set()
    if missing := unread.keys() & configuration.ssh.written.moving:
        names |= missing
        rules += ssh_rules(configuration.ssh.ports, ANY)
    for allow in firewall.allow:
        if missing := unread.keys() & allow.written.moving:
            names |= missing
            rules += allowed_rules(allow.ports, ANY)
    anything = False
    for container in _uncertain(read):
        names |= set(container.networks)
        anything = anything or container.ports is None
        rules += [Rule(port.protocol, port.first, port.last, ANY) for port in container.ports or ()]
    reason = "; ".join(f"@{name} could not be read: {unread[name]}" for name in sorted(names))
    return Unread(None if anything else RuleSet.of(rules), reason)


def unread_ssh(configuration: Configuration) -> str | None:
    """Why the declared SSH is not known: it names a network that was never read; None if it is."""
    for name in configuration.ssh.written.moving:
        if name in configuration.unread and not configuration.networks[name]:
            return (
                f"[ssh] lets @{name} in, which was never read: {configuration.unread[name]}. "
                "Without it SSH cannot be kept open"
            )
    return None


def never_read(
    firewall: Firewall, configuration: Configuration, read: Sequence[Complete | Partial]
) -> Iterator[Refused]:
    """What is not opened, since a network that it is for has no answer yet."""
    missing = {name for name in configuration.unread if not configuration.networks[name]}
    for allow in firewall.allow:
        if names := missing.intersection(allow.written.moving):
            origin = Origin(host="", file=allow.place.file, line=allow.place.line)
            rules = allowed_rules(allow.ports, ANY)
            yield from refusals(rules, "unread-network", _why(names), origin)
    for container in _uncertain(read):
        if names := missing.intersection(container.networks):
            for port in container.ports or ():
                why = _why(names)
                yield from refusals(port_rules(port), "unread-network", why, container.origin)


def _uncertain(read: Iterable[Complete | Partial]) -> Iterator[Uncertain]:
    for discovery in read:
        yield from discovery.uncertain


def _why(names: Iterable[str]) -> str:
    listed = ", ".join(f"@{name}" for name in sorted(names))
    return f"{listed} was never read, so nothing opens to it yet"
