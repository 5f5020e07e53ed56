"""A loaded configuration: frozen values with everything resolved but the secrets. What the rest of
the house reads.

`models.py` holds the strict models of the file itself, `load.py` turns one into the other and knows
every value's place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

from cloudsync.config.engines import TlsEngine
from cloudsync.model.state_url import StatePlace
from cloudsync.provider.contract import Provider
from cloudsync.provider.settings import AccountSettings, FirewallSettings, SecretRef
from cloudsync.rules import RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import NOWHERE, NetworkSet

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: 1-based line and column in `file` (as the user named it). Line 0 is the
    file as a whole."""

    file: str
    """As the user named it."""
    line: int
    """1-based."""
    column: int
    """1-based."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class MovingNetwork:
    """One entry of `[networks]` whose addresses are read from somewhere."""

    name: str
    """As in `@name`."""
    kind: Literal["file", "url", "dns"]
    """Where it is read from."""
    origins: tuple[str, ...]
    """The path as written, the https addresses or the DNS names; their answers are united."""
    refresh: float
    """Seconds for which a remembered answer is used without asking again."""
    place: Place
    """File and line."""

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
    """As written."""
    moving: tuple[str, ...] = ()
    """Names of `[networks]`."""
    lists: tuple[str, ...] = ()
    """Ids of the vendor's own lists of addresses; only the vendor knows their networks."""

    def resolved(self, networks: Mapping[str, NetworkSet]) -> NetworkSet:
        """All of it. `networks`: by name."""
        return NetworkSet.union((self.fixed, *(networks[name] for name in self.moving)))


@dataclass(frozen=True, slots=True)
class Ssh:
    """The declared SSH: `rules` is its ports (tcp) from its sources."""

    ports: tuple[int, ...]
    """tcp."""
    sources: NetworkSet
    """Who may connect."""
    rules: RuleSet
    written: Sources = Sources()
    """The sources as written: `sources` is what they come to."""


@dataclass(frozen=True, slots=True)
class PortRange:
    """One entry of a port list: `443/tcp`, `8000-8010/udp`, inclusive."""

    protocol: str
    """tcp, udp or sctp."""
    first: int
    """Inclusive."""
    last: int
    """Inclusive."""
    place: Place
    """Where it is written."""


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """Which required ports may be opened, and what may close."""

    expose: Literal["published", "labelled"]
    """Whether a published port is opened by itself, or only if a label asks for it."""
    mode: Literal["sync", "additive"]
    """`additive` closes nothing."""
    grace: timedelta
    """How long a port stays open after its container disappeared."""
    max_close: int
    """How many rules one run may close unasked."""
    deny: tuple[PortRange, ...]
    """Ports that are never opened."""
    allow_sensitive: tuple[PortRange, ...]
    """Ports of databases and the like that may be opened to everyone."""
    icmp: Literal["keep", "none", "all", "echo"]
    """What becomes of ICMP."""
    private: Literal["keep", "manage"]
    """Whether rules for private sources are left alone or kept in step too."""
    foreign: Literal["report", "fail", "ignore"]
    """What is done about rules of others that let in more than is required."""
    plan_max_age: timedelta
    """How old a plan file may be when it is applied."""


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Seconds, and how many requests at once."""

    host_timeout: float
    """For one host's engine."""
    deadline: float
    """For the whole run."""
    concurrency: int
    """How many requests are under way at once."""


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """Who is told how runs ended. `metrics_file` is as written, relative to
    `Configuration.base`."""

    health: SecretRef | None = None
    """The URL that is called after each run."""
    webhook: SecretRef | None = None
    """The URL that gets a message about changes and failures."""
    webhook_secret: SecretRef | None = None
    """What its messages are signed with."""
    metrics_file: str | None = None


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """The rhythm of `watch`, in seconds. `listen`: a loopback address and a port, None =
    nowhere."""

    interval: float = 300.0
    """Between runs without an event."""
    debounce_min: float = 2.0
    """Quiet time after an event before a run starts."""
    debounce_max: float = 30.0
    """The longest that a run is put off while events keep coming."""
    listen: tuple[str, int] | None = None
    poll: float = 30.0
    """How often a store is asked."""
    audit: float | None = 3600.0
    """Between audits; None: there is none."""
    token: SecretRef | None = None
    """What a reader of the status page must know; None: nothing."""


@dataclass(frozen=True, slots=True)
class PublishSettings:
    """What `publish` writes."""

    valid_for: float
    """Seconds after which what was published counts no more."""
    sign_with: str | None = None
    """The file of an OpenSSH private key, relative to `Configuration.base`."""


@dataclass(frozen=True, slots=True)
class Source:
    """The files that a configuration was made of, as read."""

    file: str
    """Its path, for people."""
    base: Path
    """What relative paths begin at."""
    raw: Mapping[str, Any] = field(hash=False)
    """As parsed, before any model."""
    places: Mapping[KeyPath, Place] = field(hash=False)
    """Where each key stands."""
    included: tuple[Path, ...] = ()
    """The files that `include` named."""


@dataclass(frozen=True, slots=True)
class AccountTable:
    """One `[providers.X]`."""

    name: str
    """X."""
    type: str
    """The provider's type: `aws`, `hetzner`, ..."""
    provider: Provider
    """The plugin."""
    settings: AccountSettings
    """The plugin's own keys, checked by its model."""


@dataclass(frozen=True, slots=True)
class ComposeTable:
    """The Compose keys of a `[hosts.X]`: paths as written, relative to `Configuration.base`.
    `profiles`: None where the key is left out."""

    paths: tuple[str, ...]
    """Files or folders, globs allowed."""
    env_files: tuple[str, ...]
    """As `docker compose --env-file`."""
    profiles: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Host:
    """One `[hosts.X]`. `docker`: its engines, as `config/engines.py` says they are written."""

    name: str
    """X."""
    docker: tuple[str | TlsEngine, ...]
    ports: tuple[PortRange, ...]
    """Ports that it needs although no container publishes them."""
    retired: bool
    """It is gone: its ports close, and its engine is not read."""
    place: Place
    """Where the table is."""
    compose: ComposeTable | None = None
    """Compose files that say what it needs."""
    inventory: bool = False
    """Its engines are not asked: the machine publishes what they answer."""
    trusted_keys: tuple[str, ...] | None = None
    """Who may sign its inventory; None: whoever may write it is believed."""


@dataclass(frozen=True, slots=True)
class Allow:
    """One `[[firewalls.X.allow]]`: `rules` already crossed with its sources; `place` for the
    origin."""

    rules: RuleSet
    description: str | None
    """The text for the vendor's rule."""
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
    """X."""
    account: str
    hosts: tuple[str, ...]
    marker_hosts: tuple[str, ...]
    static: bool
    """It has no hosts: only its own `allow` and SSH count."""
    allow: tuple[Allow, ...]
    """Openings beyond what containers need."""
    settings: FirewallSettings
    place: Place
    """Where the table is."""
    shared_with: tuple[str, ...] = ()
    """Machines that the firewall also acts on and that need nothing of their own: names, ids, or
    `*` for all of them."""
    table: str = ""
    """The table of the file that it was made from by `per_host`; empty if that has its name."""


@dataclass(frozen=True, slots=True)
class AuditIgnore:
    """One `[[audit.ignore]]`."""

    id: str
    """A finding's id, such as CS004."""
    object: str
    """What it is about, with globs; `*` for everything."""
    reason: str
    """Why it is accepted."""
    until: date | None
    """The last day on which it is ignored."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """A whole file. `base` is its folder. `state` is the state directory, or the object store.
    `places`: every key's and element's place."""

    file: str
    """As the user named it."""
    base: Path
    owner: str
    """Who the firewalls' markers say they belong to."""
    state: StatePlace
    ssh: Ssh
    """What never closes."""
    networks: Mapping[str, NetworkSet]
    """Named source networks."""
    policy: PolicySettings
    """`[policy]`."""
    run: RunSettings
    """`[run]`."""
    accounts: Mapping[str, AccountTable]
    """`[providers.X]` by name."""
    hosts: Mapping[str, Host]
    """`[hosts.X]` by name."""
    firewalls: Mapping[str, Firewall]
    """`[firewalls.X]` by name."""
    places: Mapping[KeyPath, Place]
    report: ReportSettings = ReportSettings()
    """`[report]`."""
    watch: WatchSettings = WatchSettings()
    """`[watch]`."""
    audit_ignores: tuple[AuditIgnore, ...] = ()
    """`[[audit.ignore]]`."""
    moving: Mapping[str, MovingNetwork] = field(default_factory=dict)
    """The `networks` that are read from somewhere; empty in `networks` until they were read (see
    `cloudsync.reconcile.networks`)."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """By name, why one of `moving` could not be read now: `networks` has its last good answer, or
    nothing if there never was one. What may come from it is unknown (law 1)."""
    publish: PublishSettings | None = None
    """`[publish]`."""
    hosts_from_store: str | None = None
    """Which published hosts are hosts of it, as a pattern; None: those with a table only."""
    source: Source | None = None
    """What it was made of; None for one that was not read from a file."""
    identities: Mapping[str, str] = field(default_factory=dict)
    """By host, who answers at its local sockets: read from the engines, not from the file (see
    `cloudsync.reconcile.identities`)."""

    def named(self, names: Iterable[str]) -> tuple[str, ...]:
        """The firewalls that are meant, each once: a table with `per_host` stands for all that were
        made from it. A name that is neither stays as it is."""
        made: dict[str, list[str]] = {}
        for firewall in self.firewalls.values():
            if firewall.table:
                made.setdefault(firewall.table, []).append(firewall.name)
        return tuple(dict.fromkeys(each for name in names for each in made.get(name, (name,))))
