"""A VPC firewall rule as Google answers it, and what it means.

The name of a rule says nothing about what it does; every field that decides is read, and fields
that are not known here survive an update (`resource`) if the installed SDK knows them: a PUT has
no way to keep those that are newer than it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from typing import Any

from pydantic import AliasChoices, ConfigDict, Field, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from cloudsync.provider.answers import Answer, Echoed, networks_of
from cloudsync.provider.errors import Unsupported
from cloudsync.provider.marker import Marker, MarkerText
from cloudsync.rules import NOTHING, Rule, RuleSet, protocols
from cloudsync.rules.networks import ANY, ANY4, NOWHERE, NetworkSet
from cloudsync_gcp.settings import GcpFirewall

MAX_DESCRIPTION = 2048
MARKER = MarkerText(MAX_DESCRIPTION)
# What the API takes by name; everything else goes by its number.
_WRITTEN_BY_NAME = ("tcp", "udp", "icmp", "esp", "ah", "ipip", "sctp")
_WITH_PORTS = ("tcp", "udp", "sctp")
_OUTPUT_ONLY = ("id", "kind", "creationTimestamp", "selfLink", "selfLinkWithId")
Texts = tuple[str, ...]


class GoogleAnswer(Answer):
    """Base of the models of answers, whose fields Google spells in camel case."""

    model_config = ConfigDict(alias_generator=to_camel)


class Entry(Echoed):
    """Protocol and ports, as VPC rules (`IPProtocol`) and policies (`ipProtocol`) write them."""

    protocol: str = Field(
        validation_alias=AliasChoices("IPProtocol", "ipProtocol"),
        serialization_alias="IPProtocol",
    )
    ports: Texts = ()

    @property
    def exact(self) -> bool:
        """Whether `traffic` says all of it: ports of a protocol without ports count as all of
        it."""
        return not self.ports or protocols.name(*protocols.numbers(self.protocol)) in _WITH_PORTS

    def traffic(self, sources: NetworkSet) -> Iterable[Rule]:
        """As rules from these sources. Raises `ValueError`."""
        whole = Rule.of(self.protocol, "", sources)
        if not self.ports or not self.exact:
            return [whole]
        ends = (ports.partition("-") for ports in self.ports)
        bounds = ((int(first), int(last or first)) for first, _, last in ends)
        # Port 0 is never used; "0-65535" is how people write all ports.
        return [replace(whole, first=max(low, 1), last=high) for low, high in bounds if high >= 1]


def traffic_of(entries: Iterable[Entry], sources: NetworkSet) -> RuleSet:
    """What entries are about, from these sources. Raises `ValueError`."""
    return RuleSet.of(rule for entry in entries for rule in entry.traffic(sources))


class VpcRule(Echoed):
    """One resource of `firewalls.list`. Compare by `name`, which is unique in the project."""

    model_config = ConfigDict(alias_generator=to_camel)

    name: str
    network: str = "global/networks/default"
    direction: str = "INGRESS"
    priority: int = 1000
    disabled: bool = False
    allowed: tuple[Entry, ...] = ()
    denied: tuple[Entry, ...] = ()
    source_ranges: Texts = ()
    source_tags: Texts = ()
    source_service_accounts: Texts = ()
    target_tags: Texts = ()
    target_service_accounts: Texts = ()
    destination_ranges: Texts = ()
    description: str = ""
    log_config: dict[str, Any] = Field(default_factory=dict)

    @field_validator("log_config")
    @classmethod
    def _as_it_may_be_written(cls, answered: dict[str, Any]) -> dict[str, Any]:
        """Of logging that was switched off Google still answers the metadata, and refuses any write
        that says them (hashicorp/terraform-provider-google#7220, #7322)."""
        return answered if answered.get("enable") else {"enable": False}

    @property
    def network_name(self) -> str:
        """The name of its network, which is answered as a URL."""
        return self.network.rsplit("/", 1)[-1]

    @property
    def inbound(self) -> bool:
        """Whether it is about packets that arrive."""
        return self.direction == "INGRESS"

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Protocols and ports of what it allows or denies."""
        return *self.allowed, *self.denied

    @property
    def logs(self) -> bool:
        """Whether what it matches is logged."""
        return bool(self.log_config.get("enable"))

    @property
    def targets(self) -> Texts:
        """Tags or service accounts; none is every machine of the network."""
        return tuple(sorted((*self.target_tags, *self.target_service_accounts)))

    @property
    def other_sources(self) -> Texts:
        """Its sources that are not networks, in words."""
        return (
            *(f'the tag "{tag}"' for tag in self.source_tags),
            *(f'the service account "{account}"' for account in self.source_service_accounts),
        )

    @cached_property
    def sources(self) -> NetworkSet:
        """Its source networks; without any source it is open to the IPv4 Internet. Raises
        `ValueError`."""
        if self.source_ranges:
            return networks_of(self.source_ranges)
        return NOWHERE if self.other_sources else ANY4

    @cached_property
    def matches(self) -> RuleSet:
        """What it allows or denies, from networks, wherever it acts. Raises `ValueError`."""
        return traffic_of(self.entries, self.sources)

    @cached_property
    def understood(self) -> bool:
        """Whether `matches` is known; whatever else is said of a rule is only if it is."""
        try:
            return self.matches is not None
        except ValueError:
            return False

    @property
    def reaches(self) -> RuleSet:
        """Its protocols and ports, as if from everywhere."""
        return traffic_of(self.allowed, ANY)

    @property
    def lets_in(self) -> RuleSet:
        """What it lets in from networks, wherever it acts; counted in full if that is on some
        destinations only."""
        return NOTHING if self.disabled or self.denied or not self.inbound else self.matches

    @cached_property
    def marker(self) -> Marker | None:
        """The owner marker in its description."""
        return MARKER.read(self.description)

    @property
    def owner(self) -> str | None:
        """Whose marker it carries."""
        return self.marker.owner if self.marker else None

    @property
    def text(self) -> str:
        """Its description without the owner marker."""
        return MARKER.remove(self.description)

    def is_exactly_for(self, settings: GcpFirewall) -> bool:
        """Whether it acts on the machines of the firewall, on all of them and on no others."""
        here = self.inbound and self.network_name == settings.network
        return here and not self.destination_ranges and settings.targets == set(self.targets)

    def touches(self, settings: GcpFirewall) -> bool | None:
        """Whether it acts on some machine that the firewall may be for. None: it is by service
        account and the firewall by tag, or the other way round; a machine may have both."""
        if not self.inbound or self.network_name != settings.network:
            return False
        if self.targets and bool(self.target_tags) != bool(settings.target_tags):
            return None
        return not self.targets or not settings.targets.isdisjoint(self.targets)

    def covers(self, settings: GcpFirewall) -> bool:
        """Whether it acts on every machine that the firewall is for."""
        everywhere = not self.targets or settings.targets <= set(self.targets)
        return everywhere and self.touches(settings) is True and not self.destination_ranges

    def resource(self) -> dict[str, Any]:
        """The whole resource for an update (PUT), as it is now."""
        return {key: value for key, value in self.as_it_was().items() if key not in _OUTPUT_ONLY}


def parse(answer: dict[str, Any]) -> VpcRule:
    """Raises `Unsupported`."""
    try:
        return VpcRule.model_validate(answer)
    except ValidationError:
        raise Unsupported(f"the project has {unknown(str(answer.get('name')))}") from None


def unknown(name: str) -> str:
    """A rule that cannot be understood, for people."""
    return f"a rule that cannot be understood ({name[:63]!r})"


def new_resource(
    name: str, settings: GcpFirewall, priority: int, sources: Iterable[str], description: str
) -> dict[str, Any]:
    """A rule for exactly the firewall's machines, without what it allows or denies. Every field
    that decides is named, so that an update really clears lists."""
    by = "targetTags" if settings.target_tags else "targetServiceAccounts"
    return {
        "name": name,
        "network": f"global/networks/{settings.network}",
        "direction": "INGRESS",
        "priority": priority,
        "disabled": False,
        "sourceRanges": list(sources),
        "description": description,
        by: sorted(settings.targets),
    }


def allowed_entries(rules: RuleSet) -> list[dict[str, Any]]:
    """`allowed` for a rule whose sources are those of `rules`: all ports of a protocol together."""
    if rules.everything_from():
        return [{"IPProtocol": "all"}]
    entries: dict[str, dict[str, Any]] = {}
    for rule in rules:
        low, high = protocols.numbers(rule.protocol)
        for number in range(low, high + 1):
            name = protocols.name(number, number)
            protocol = name if name in _WRITTEN_BY_NAME else str(number)
            entry = entries.setdefault(protocol, {"IPProtocol": protocol})
            if rule.has_ports and (rule.first, rule.last) != protocols.EVERY_PORT:
                entry.setdefault("ports", []).append(rule.ports)
    return list(entries.values())
