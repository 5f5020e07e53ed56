"""A loaded configuration: frozen values with everything resolved but the secrets. What the rest of
the house reads.

`models.py` holds the strict models of the file itself, `load.py` turns one into the other and knows
every value's place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

from cloudsync.config.engines import TlsEngine
from cloudsync.provider.contract import Provider
from cloudsync.provider.settings import AccountSettings, FirewallSettings, SecretRef
from cloudsync.rules import RuleSet
from cloudsync.rules.networks import NOWHERE, NetworkSet

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: 1-based line and column in `file` (as the user named it)."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class MovingNetwork:
    """One entry of `[networks]` whose addresses are read from somewhere."""

    name: str
    kind: Literal["file", "url", "dns"]
    origins: tuple[str, ...]
    """The path as written, the https addresses or the DNS names; their answers are united."""
    refresh: float
    """Seconds for which a remembered answer is used without asking again."""
    place: Place

    @property
    def source(self) -> str:
        """Where it comes from, for people; without the query of an address, which may be a
        secret."""
        return (
            f"{_KINDS[self.kind]}{', '.join(origin.partition('?')[0] for origin in self.origins)}"
        )


_KINDS = {"file": "file ", "url": "", "dns": "DNS "}


@dataclass(frozen=True, slots=True)
class Sources:
    """Who may reach something, as the configuration says it: networks as written, and the names of
    those that move."""

    fixed: NetworkSet = NOWHERE
    moving: tuple[str, ...] = ()

    def resolved(self, networks: Mapping[str, NetworkSet]) -> NetworkSet:
        """All of it. `networks`: by name."""
        return NetworkSet.union((self.fixed, *(networks[name] for name in self.moving)))


@dataclass(frozen=True, slots=True)
class Ssh:
    """The declared SSH: `rules` is its ports (tcp) from its sources."""

    ports: tuple[int, ...]
    sources: NetworkSet
    rules: RuleSet
    written: Sources = Sources()
    """The sources as written: `sources` is what they come to."""


@dataclass(frozen=True, slots=True)
class PortRange:
    """One entry of a port list: `443/tcp`, `8000-8010/udp`, inclusive."""

    protocol: str
    first: int
    last: int
    place: Place


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """Which required ports may be opened, and what may close."""

    expose: Literal["published", "labelled"]
    mode: Literal["sync", "additive"]
    grace: timedelta
    max_close: int
    deny: tuple[PortRange, ...]
    allow_sensitive: tuple[PortRange, ...]
    icmp: Literal["keep", "none", "all", "echo"]
    private: Literal["keep", "manage"]
    foreign: Literal["report", "fail", "ignore"]
    plan_max_age: timedelta


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Seconds, and how many requests at once."""

    host_timeout: float
    deadline: float
    concurrency: int


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """Who is told how runs ended. `metrics_file` is as written, relative to
    `Configuration.base`."""

    health: SecretRef | None = None
    webhook: SecretRef | None = None
    webhook_secret: SecretRef | None = None
    metrics_file: str | None = None


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """The rhythm of `watch`, in seconds. `listen`: a loopback address and a port, None =
    nowhere."""

    interval: float = 300.0
    debounce_min: float = 2.0
    debounce_max: float = 30.0
    listen: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class AccountTable:
    """One `[providers.X]`."""

    name: str
    type: str
    provider: Provider
    settings: AccountSettings


@dataclass(frozen=True, slots=True)
class ComposeTable:
    """The Compose keys of a `[hosts.X]`: paths as written, relative to `Configuration.base`.
    `profiles`: None where the key is left out."""

    paths: tuple[str, ...]
    env_files: tuple[str, ...]
    profiles: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Host:
    """One `[hosts.X]`. `docker`: its engines, as `config/engines.py` says they are written."""

    name: str
    docker: tuple[str | TlsEngine, ...]
    ports: tuple[PortRange, ...]
    retired: bool
    place: Place
    compose: ComposeTable | None = None


@dataclass(frozen=True, slots=True)
class Allow:
    """One `[[firewalls.X.allow]]`: `rules` already crossed with its sources; `place` for the
    origin."""

    rules: RuleSet
    description: str | None
    place: Place
    ports: tuple[tuple[str, int, int], ...] = ()
    """Its ports as (protocol, first, last)."""
    written: Sources = Sources()
    """Its sources as written."""


@dataclass(frozen=True, slots=True)
class Firewall:
    """One `[firewalls.X]`. `account`: the provider table's name. `settings`: the plugin's own
    model. `hosts`: sorted, retired ones left out of `hosts` but not of the marker's digest
    (`marker_hosts`)."""

    name: str
    account: str
    hosts: tuple[str, ...]
    marker_hosts: tuple[str, ...]
    static: bool
    allow: tuple[Allow, ...]
    settings: FirewallSettings
    place: Place
    shared_with: tuple[str, ...] = ()
    """Machines that the firewall also acts on and that need nothing of their own: names, ids, or
    `*` for all of them."""


@dataclass(frozen=True, slots=True)
class AuditIgnore:
    """One `[[audit.ignore]]`."""

    id: str
    object: str
    reason: str
    until: date | None


@dataclass(frozen=True, slots=True)
class Configuration:
    """A whole file. `base` is its folder. `state` is the state directory. `places`: every key's and
    element's place."""

    file: str
    base: Path
    owner: str
    state: Path
    ssh: Ssh
    networks: Mapping[str, NetworkSet]
    policy: PolicySettings
    run: RunSettings
    accounts: Mapping[str, AccountTable]
    hosts: Mapping[str, Host]
    firewalls: Mapping[str, Firewall]
    places: Mapping[KeyPath, Place]
    report: ReportSettings = ReportSettings()
    watch: WatchSettings = WatchSettings()
    audit_ignores: tuple[AuditIgnore, ...] = ()
    moving: Mapping[str, MovingNetwork] = field(default_factory=dict)
    """The `networks` that are read from somewhere; empty in `networks` until they were read (see
    `cloudsync.reconcile.networks`)."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """By name, why one of `moving` could not be read now: `networks` has its last good answer, or
    nothing if there never was one. What may come from it is unknown (law 1)."""
    identities: Mapping[str, str] = field(default_factory=dict)
    """By host, who answers at its local sockets: read from the engines, not from the file (see
    `cloudsync.reconcile.identities`)."""
