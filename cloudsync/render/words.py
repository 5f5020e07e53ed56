"""The words all renderings share: what a rule opens, who needs it, what a plan comes to.

One notation everywhere, Docker's: `443/tcp`. `everyone` is every address of both families.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime

from cloudsync.model.plan import Change, Guard, Plan
from cloudsync.model.ports import Origin, name_of
from cloudsync.planning.policy import SSH_REASON
from cloudsync.planning.sensitive_ports import is_world
from cloudsync.provider.phrases import count, first_of
from cloudsync.render.escape import plain
from cloudsync.render.several_hosts import on_hosts
from cloudsync.rules import Rule, protocols
from cloudsync.rules.address_classes import PRIVATE
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import ANY, ANY4, ANY6, NetworkSet

EVERYONE = "everyone"
_RFC_1918 = NetworkSet.of(("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
_SHOWN_SOURCES = 4
_SHOWN_PORTS = 8
_MISSING_PROTOCOLS = 8
_PROTOCOL_FIRST = re.compile(r"\b(tcp|udp|sctp)/(\d{1,5}(?:-\d{1,5})?)(?![\d/])")
_EVERYONE = re.compile(r"from 0\.0\.0\.0/0, ::/0(?!\w)")


def listed(items: Iterable[str], most: int = _SHOWN_PORTS) -> str:
    """`a, b, c and 4 more`."""
    return first_of(items, most)


def port(protocol: str, ports: str) -> str:
    """`443/tcp`, `all tcp`, `icmp`, `icmp type 8`, `protocol 143`, `everything`."""
    if protocol == "all":
        return "everything"
    if protocol in ("icmp", "icmpv6") and ports:
        return f"{protocol} type {ports}"
    if not ports:
        if not protocol[:1].isdigit():
            return protocol
        return f"protocols {protocol}" if "-" in protocol else f"protocol {protocol}"
    return f"all {protocol}" if ports == "1-65535" else f"{ports}/{protocol}"


def port_list(rules: Iterable[Rule], most: int | None = None) -> str:
    """Many rules in one line, each protocol named once: `22, 80, 8000-8010/tcp, 443/udp, icmp`.
    `most`: how many are shown, followed by how many there are: `22, 80/tcp … (11)`."""
    selectors = tuple(dict.fromkeys((rule.protocol, rule.ports) for rule in rules))
    if (group := protocol_group(selectors)) is not None:
        return group
    selectors_by_protocol: dict[str, list[str]] = {}
    for protocol, selector in selectors[:most]:
        selectors_by_protocol.setdefault(protocol, []).append(selector)
    shown = []
    for protocol, chosen in selectors_by_protocol.items():
        if protocol in ("tcp", "udp", "sctp") and "1-65535" not in chosen:
            shown.append(f"{', '.join(chosen)}/{protocol}")
        else:
            shown += [port(protocol, selector) for selector in chosen]
    more = f" … ({len(selectors)})" if most is not None and len(selectors) > most else ""
    return ", ".join(shown) + more


def protocol_group(selectors: Sequence[tuple[str, str]]) -> str | None:
    """`everything but tcp, udp, icmp` for whole protocols that together are nearly all there are;
    None for anything else."""
    spans = []
    for protocol, selector in selectors:
        low, high = protocols.numbers(protocol)
        if protocols.selector(low, high, selector) != protocols.full_selector(low, high):
            return None
        spans.append((low, high))
    covered = {number for low, high in spans for number in range(low, high + 1)}
    missing = [number for number in range(256) if number not in covered]
    if len(spans) < 2 or len(missing) > _MISSING_PROTOCOLS:
        return None
    names = sorted((protocols.name(number, number) for number in missing), key=_protocol_order)
    return f"everything but {', '.join(names)}" if names else "everything"


def _protocol_order(name: str) -> tuple[int, str]:
    usual = ("tcp", "udp", "icmp", "icmpv6")
    return (usual.index(name) if name in usual else len(usual), name)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Words for rules, with the names that the configuration gives to networks."""

    networks: Mapping[str, NetworkSet] = field(default_factory=dict)
    """`[networks]` of the configuration; shown as `@name`."""

    @classmethod
    def of(cls, networks: Mapping[str, NetworkSet], plan: Plan) -> Vocabulary:
        """With the networks that move as the plan used them."""
        return cls({**networks, **{read.name: read.networks for read in plan.networks}})

    def sources(self, networks: NetworkSet) -> str:
        """`everyone`, `everyone (IPv4)`, `203.0.113.0/24`, `@office`, `@cloudflare (22 networks)`,
        `the Internet except 10.0.0.0/8`; whatever is shorter, never less exact unless it says how
        many networks are left out."""
        if networks == ANY:
            return EVERYONE
        if networks == _RFC_1918:
            return "private (RFC 1918)"
        if networks in (ANY4, ANY6):
            return f"{EVERYONE} (IPv{4 if networks == ANY4 else 6})"
        for name, known in self.networks.items():
            if known == networks:
                return _named(name, known)
        cidrs = networks.cidrs()
        universe = _universe(networks)
        missing = universe - networks
        if is_world(networks) and len(missing.cidrs()) < len(cidrs):
            only = "" if universe == ANY else f" (IPv{4 if universe == ANY4 else 6})"
            absent = "private networks" if missing == PRIVATE else self._networks(missing)
            return f"the Internet{only} except {absent}"
        shown = self._networks(networks)
        return f"{shown} (as good as everyone)" if is_world(networks) else shown

    def of_change(self, change: Change) -> str:
        """The sources of what opens or closes; `pl-0a1b (22 networks)` for a list of the vendor."""
        if change.rule is None:
            return ""
        if not change.list_id:
            return self.sources(change.rule.sources)
        networks = count(len(change.rule.sources.cidrs()), "network")
        return f"{plain(change.list_id)} ({networks})"

    def _networks(self, networks: NetworkSet) -> str:
        """A few CIDRs as they are; of many those that have names by their names."""
        cidrs = networks.written()
        if len(cidrs) <= _SHOWN_SOURCES:
            return ", ".join(cidrs)
        names, rest = self._names_in(networks)
        if names:
            return ", ".join((*names, *((listed(rest.cidrs(), _SHOWN_SOURCES),) if rest else ())))
        more = "networks" if len(cidrs) - _SHOWN_SOURCES > 1 else "network"
        return f"{listed(cidrs, _SHOWN_SOURCES)} {more}"

    def _names_in(self, networks: NetworkSet) -> tuple[list[str], NetworkSet]:
        """The named networks that `networks` covers, the largest first, and what they leave."""
        names, rest = [], networks
        for name, known in sorted(
            self.networks.items(), key=lambda item: (-len(item[1].cidrs()), item[0])
        ):
            if known and rest.covers(known):
                names.append(_named(name, known))
                rest -= known
        return names, rest

    def rule(self, rule: Rule) -> str:
        """`443/tcp from everyone`."""
        return f"{port(rule.protocol, rule.ports)} from {self.sources(rule.sources)}"


def _named(name: str, networks: NetworkSet) -> str:
    number = len(networks.cidrs())
    return f"@{name}" if number == 1 else f"@{name} ({number} networks)"


def _universe(networks: NetworkSet) -> NetworkSet:
    if networks.v4 and networks.v6:
        return ANY
    return ANY4 if networks.v4 else ANY6


PLAIN = Vocabulary()


def sources(networks: NetworkSet) -> str:
    """Who may reach something, without the names of a configuration."""
    return PLAIN.sources(networks)


def rule(rule: Rule) -> str:
    """`443/tcp from everyone`."""
    return PLAIN.rule(rule)


def who(change: Change, hosts: int = 1) -> str:
    """Who needs what a change opens: `shop/web`, `shop/web on web-1`, `SSH ([ssh])`. `hosts`: of
    the firewall; with several of them each name says where."""
    names = list(origin_names(change.origins, hosts))
    if SSH_REASON in change.reason.split("; "):
        names.insert(0, "SSH ([ssh])")
    return listed(dict.fromkeys(names), 4) if names else change.reason


def origin_names(origins: Iterable[Origin], hosts: int = 1) -> tuple[str, ...]:
    """Who needs something: `shop/web`, or `shop/web on web-1 and web-2` if there are several
    hosts; a file with its line for what a file declared."""
    return on_hosts(_name_host_place(origin, hosts) for origin in origins)


def origin_name(origin: Origin, hosts: int = 1) -> str:
    """`shop/web`, and ` on web-1` if there are several hosts; a file with its line for what a file
    declared."""
    return on_hosts((_name_host_place(origin, hosts),))[0]


def _name_host_place(origin: Origin, hosts: int) -> tuple[str, str, str]:
    name = name_of(origin)
    if name == origin.host:
        return f"declared for {origin.host}", "", ""
    if not (origin.container or origin.service):
        return f"declared ({name})", "", ""
    place = f" ({origin.file}:{origin.line})" if origin.file and origin.line else ""
    return name, origin.host if hosts > 1 else "", place


def change(change: Change, vocabulary: Vocabulary = PLAIN) -> str:
    """What one change does, as a phrase."""
    if change.rule is not None:
        verb = {"open": "opens to", "close": "closes to"}.get(change.action, "is rewritten:")
        what = port(change.rule.protocol, change.rule.ports)
        return f"{what} {verb} {vocabulary.of_change(change)}"
    if change.action == "reapply":
        return f"{'lift' if change.lifts_denial else 'put into effect on'} {change.target or ''}"
    if change.in_place:
        return f"put {change.target or ''} in place"
    phrase = {
        "create": "create the firewall",
        "adopt": "adopt the firewall",
        "attach": "attach to",
        "rewrite": "rewrite",
    }[change.action]
    return f"{phrase} {change.target or ''}".strip()


def message(text: str, limit: int = 1500) -> str:
    """A message of planning, of a provider or of a stranger's plugin, harmless and in the notation
    of the screens: `tcp/443 from 0.0.0.0/0, ::/0` is `443/tcp from everyone`."""
    text = _EVERYONE.sub(f"from {EVERYONE}", plain(text, limit))
    return _PROTOCOL_FIRST.sub(r"\2/\1", text)


def withheld(guard: Guard) -> str:
    """What a guard withholds: `its closings wait`."""
    what = {"closings": "its closings wait", "openings": "some of its openings wait"}
    return what.get(guard.withholds, "nothing of it is applied")


def until(moment: datetime | None, now: datetime) -> str:
    """` until 2026-03-01 03:10 UTC (9 min left)`; nothing if there is no such moment."""
    if moment is None:
        return ""
    left = max(0, round((moment - now).total_seconds()))
    for unit, seconds in (("days", 86400), ("h", 3600), ("min", 60)):
        if left >= 2 * seconds:
            return (
                f" until {moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC ({left // seconds} {unit}"
                " left)"
            )
    return f" until {moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC ({left} s left)"
