"""Whether people can still log in once the machine drops what its list does not name: a declared
SSH port is good for nothing where no server listens on it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv6Address, ip_address

from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import NetworkSet

FORWARDERS = ("docker-proxy", "rootlesskit", "rootlessport", "pasta", "passt", "slirp4netns")
"""Programs that listen for a container: what answers behind them is not the machine's sshd."""
_PROGRAM = re.compile(r'users:\(\("([^"]*)"')


@dataclass(frozen=True, slots=True)
class Listener:
    """A TCP socket of the machine that listens. `program`: empty where it is not known."""

    port: int
    loopback: bool
    program: str = ""


@dataclass(frozen=True, slots=True)
class WaysIn:
    """What was seen of them. `listeners`: None where they could not be read. `login`: the ssh
    connection that cloudsync itself came in by (the peer, and the port it went to); None on this
    machine."""

    listeners: tuple[Listener, ...] | None
    login: tuple[str, int] | None = None


def listeners_from(listing: str) -> tuple[Listener, ...]:
    """Of the lines of `ss -Hltnp`. Raises `ValueError`."""
    listeners = []
    for line in listing.splitlines():
        fields = line.split()
        if len(fields) < 5 or fields[0] != "LISTEN":
            raise ValueError("not a line of ss")
        address, _, port = fields[3].rpartition(":")
        plain = address.strip("[]").partition("%")[0].strip("[]")
        loopback = plain not in ("*", "") and ip_address(plain).is_loopback
        program = _PROGRAM.search(line)
        listeners.append(Listener(int(port), loopback, program[1] if program else ""))
    return tuple(listeners)


def login_from(words: Sequence[str]) -> tuple[str, int] | None:
    """Of the words of `SSH_CONNECTION`: `peer port server port`."""
    if len(words) != 4 or not words[3].isascii() or not words[3].isdigit():
        return None
    try:
        peer = ip_address(words[0].partition("%")[0])
    except ValueError:
        return None
    mapped = peer.ipv4_mapped if isinstance(peer, IPv6Address) else None
    return str(mapped or peer), int(words[3])


def no_server(ways: WaysIn, ssh: RuleSet) -> str | None:
    """Why the declared SSH leads to no server; None where it does."""
    if ways.listeners is None:
        return "whether an SSH server listens on a port of [ssh] could not be read (ss -Hltn)"
    reached = [listener for listener in ways.listeners if not listener.loopback]
    declared = [rule for rule in ssh if rule.protocol == "tcp"]
    if any(_serves(listener, declared) for listener in reached):
        return None
    ports = ", ".join(dict.fromkeys(rule.ports for rule in declared)) or "none"
    others = sorted({listener.port for listener in reached if listener.program == "sshd"})
    where = f"; sshd listens on {', '.join(map(str, others))}" if others else ""
    behind = [listener for listener in reached if _is_among(listener, declared)]
    what = f"only {behind[0].program} for a container" if behind else "nothing"
    return f"{what} listens on the port that [ssh] declares ({ports}){where}"


def shuts_out(ways: WaysIn, lets_in: RuleSet, peers: Iterable[str]) -> str | None:
    """Why cloudsync's own ssh connection would be the last of its kind; None where it would not.
    `lets_in`: what the list names."""
    if ways.login is None:
        return None
    peer, port = ways.login
    source = NetworkSet.of([peer])
    if lets_in.covers(RuleSet.of((Rule("tcp", port, port, source),))):
        return None
    if any(not source - NetworkSet.of([network]) for network in peers):
        return None
    return (
        f"cloudsync itself comes in by ssh from {peer} to port {port}, and that would not be let in"
        f" any more: let [ssh] name that port and a source that covers {peer}"
    )


def _serves(listener: Listener, declared: Iterable[Rule]) -> bool:
    return listener.program not in FORWARDERS and _is_among(listener, declared)


def _is_among(listener: Listener, declared: Iterable[Rule]) -> bool:
    return any(rule.first <= listener.port <= rule.last for rule in declared)
