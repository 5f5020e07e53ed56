"""Every port that the hosts speak of, and what would happen to it: the table of `discover`. Pure;
no cloud is read.

| outcome    | meaning                                                                            |
|------------|------------------------------------------------------------------------------------|
| opened     | the firewall would let it in, from `sources`                                       |
| refused    | it would not, by `code` and `reason`; a port may be opened in part and refused in  |
|            | part                                                                               |
| loopback   | it is published on a loopback address: never opened                                |
| held       | its container's labels do not parse: what of it is open stays open, and nothing of |
|            | it opens                                                                           |
| elsewhere  | its label `cloudsync.firewall` names other firewalls                               |
| unassigned | its host feeds no firewall                                                         |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Literal

from cloudsync.config.configuration import (
    Configuration,
    Firewall,
    Place,
    PolicySettings,
    RunSettings,
    Ssh,
)
from cloudsync.model.plan import Refused, merged
from cloudsync.model.ports import (
    Discovery,
    Failed,
    Malformed,
    Origin,
    Partial,
    RequiredPort,
    Routed,
    UnopenedPort,
    Unpublished,
    port_rules,
)
from cloudsync.planning.policy import Desired, desire
from cloudsync.provider.contract import Capabilities
from cloudsync.provider.settings import FirewallSettings
from cloudsync.rules import NOTHING, RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import NOWHERE, NetworkSet

Outcome = Literal["opened", "refused", "loopback", "held", "elsewhere", "unassigned"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What would happen to a port at one firewall; `firewall` is None where it is the same at all
    of them. `sources`: CIDRs."""

    outcome: Outcome
    """Opened, refused, …"""
    firewall: str | None = None
    sources: tuple[str, ...] = ()
    code: str | None = None
    """Of a refusal: a word for programs."""
    reason: str = ""
    """A sentence for people."""


@dataclass(frozen=True, slots=True)
class Row:
    """One port or range of one container. `ports` as in the plan document, "" where not known.
    `addresses`: what it is bound to; empty = every address. `sources`: who may reach it as far as
    its own labels go; NOWHERE = the machine itself, or not known."""

    protocol: str
    """`tcp`, `udp`, `sctp`."""
    ports: str
    origin: Origin
    """The container or line of a file it comes from."""
    addresses: tuple[str, ...]
    sources: NetworkSet
    verdicts: tuple[Verdict, ...]
    """One for each firewall, or one for all."""


@dataclass(frozen=True, slots=True)
class HostInventory:
    """One host. `problems`: what was not read of it."""

    host: str
    """Its name in the configuration."""
    status: Literal["complete", "partial", "failed"]
    """How far its reading came."""
    problems: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    """In the order of containers and ports."""
    routed: tuple[Routed, ...] = ()
    """Ports that a reverse proxy serves."""
    malformed: tuple[Malformed, ...] = ()
    """Labels that cannot be read."""
    remarks: tuple[str, ...] = ()
    """Sentences for people."""
    unpublished: tuple[Unpublished, ...] = ()
    """Containers whose ports are not known because of their network."""


def inventory(
    configuration: Configuration, discoveries: Mapping[str, Discovery]
) -> tuple[HostInventory, ...]:
    """Every host with its ports. `discoveries`: of all hosts that are not retired."""
    desired = {
        firewall.name: (
            firewall,
            desire(firewall, configuration, _capabilities(configuration, firewall), discoveries),
        )
        for firewall in configuration.firewalls.values()
    }
    return tuple(
        _host(host, discovery, [pair for pair in desired.values() if host in pair[0].hosts])
        for host, discovery in discoveries.items()
    )


def without_configuration(host: str) -> Configuration:
    """What stands in where there is no configuration: everything published is to be opened, at a
    firewall that can express all of it."""
    place = Place("cloudsync", 1, 1)
    policy = PolicySettings(
        expose="published",
        mode="sync",
        grace=timedelta(0),
        max_close=0,
        deny=(),
        allow_sensitive=(),
        icmp="keep",
        private="keep",
        foreign="ignore",
        plan_max_age=timedelta(0),
    )
    firewall = Firewall(
        "", "", (host,), (host,), static=False, allow=(), settings=FirewallSettings(), place=place
    )
    return Configuration(
        file="",
        base=Path(),
        owner="",
        state=Path(),
        ssh=Ssh((), NOWHERE, NOTHING),
        networks={},
        policy=policy,
        run=RunSettings(10.0, 300.0, 16),
        accounts={},
        hosts={},
        firewalls={"": firewall},
        places={},
    )


def _capabilities(configuration: Configuration, firewall: Firewall) -> Capabilities:
    table = configuration.accounts.get(firewall.account)
    if table is not None:
        return table.provider.capabilities
    return Capabilities(
        None, icmp_types=True, private_is_public=False, attaches=False, descriptions=False
    )


def _host(
    host: str, discovery: Discovery, firewalls: list[tuple[Firewall, Desired]]
) -> HostInventory:
    if isinstance(discovery, Failed):
        return HostInventory(host, "failed", (discovery.reason,))
    rows = [_required(group, firewalls) for group in _groups(discovery.required)]
    rows += [
        replace(
            _required(group, []),
            verdicts=(Verdict("loopback", reason="published on a loopback address"),),
            sources=NOWHERE,
        )
        for group in _groups(discovery.local)
    ]
    rows += [_unopened(port) for port in discovery.unopened]
    for bad in discovery.malformed:
        verdict = Verdict("held", code="malformed", reason=bad.problem)
        rows += [
            replace(_required(group, []), verdicts=(verdict,)) for group in _groups(bad.ports or ())
        ]
    rows.sort(
        key=lambda row: (
            not row.ports,
            int(row.ports.partition("-")[0] or 0),
            row.protocol,
            row.origin.container or "",
        )
    )
    status: Literal["complete", "partial"] = (
        "partial" if isinstance(discovery, Partial) else "complete"
    )
    problems = discovery.reasons if isinstance(discovery, Partial) else ()
    return HostInventory(
        host,
        status,
        problems,
        tuple(rows),
        discovery.routed,
        discovery.malformed,
        discovery.remarks,
        discovery.unpublished,
    )


def _groups(ports: Iterable[RequiredPort]) -> list[list[RequiredPort]]:
    """The same port of the same container at several addresses (`0.0.0.0` and `::`) is one row."""
    groups: dict[tuple[object, ...], list[RequiredPort]] = {}
    for port in ports:
        key = (
            port.protocol,
            port.first,
            port.last,
            port.origin,
            port.firewalls,
            port.container_first,
        )
        groups.setdefault(key, []).append(port)
    return list(groups.values())


def _required(group: list[RequiredPort], firewalls: list[tuple[Firewall, Desired]]) -> Row:
    port = group[0]
    addresses = _addresses(port.address for port in group)
    sources = NetworkSet.union(port.sources for port in group)
    verdicts = tuple(verdict for pair in firewalls for verdict in _at(group, *pair))
    if not firewalls:
        verdicts = (Verdict("unassigned", reason="its host feeds no firewall"),)
    ports = str(port.first) if port.first == port.last else f"{port.first}-{port.last}"
    return Row(port.protocol, ports, port.origin, addresses, sources, verdicts)


def _addresses(addresses: Iterable[IPv4Address | IPv6Address | None]) -> tuple[str, ...]:
    named = {"" if address is None else str(address) for address in addresses}
    return () if "" in named or {"0.0.0.0", "::"} <= named else tuple(sorted(named))  # noqa: S104 - not bound here


def _at(group: list[RequiredPort], firewall: Firewall, desired: Desired) -> list[Verdict]:
    port = group[0]
    if port.firewalls is not None and firewall.name not in port.firewalls:
        return [
            Verdict(
                "elsewhere", firewall.name, reason="the label cloudsync.firewall does not name it"
            )
        ]
    rules = RuleSet.union(map(port_rules, group))
    wanted = RuleSet.of(
        rule for want in desired.wanted if port.origin in want.origins for rule in want.rules
    )
    verdicts = []
    if opened := rules & wanted:
        verdicts.append(
            Verdict(
                "opened", firewall.name, NetworkSet.union(rule.sources for rule in opened).cidrs()
            )
        )
    refused = merged(r for r in desired.refused if port.origin in r.origins and _overlaps(r, port))
    verdicts += [Verdict("refused", firewall.name, r.sources, r.code, r.reason) for r in refused]
    return verdicts


def _overlaps(refused: Refused, port: RequiredPort) -> bool:
    first, _, last = refused.ports.partition("-")
    return (
        refused.protocol == port.protocol
        and first.isdecimal()
        and int(first) <= port.last
        and int(last or first) >= port.first
    )


def _unopened(unopened_port: UnopenedPort) -> Row:
    outcome: Outcome = "loopback" if unopened_port.code == "loopback" else "refused"
    return Row(
        unopened_port.protocol,
        unopened_port.ports,
        unopened_port.origin,
        (),
        NOWHERE,
        (Verdict(outcome, None, (), unopened_port.code, unopened_port.reason),),
    )
