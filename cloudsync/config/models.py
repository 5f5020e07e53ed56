"""The strict models of the configuration file itself (decision 0002), as written; `load.py` turns
them into a `Configuration`.

The provider's own keys of `[providers.X]` and `[firewalls.X]` are not here: the plugin's models
check those.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from ipaddress import ip_address
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from cloudsync.provider.settings import SecretRef, Settings, checked_url
from cloudsync.rules import Rule
from cloudsync.rules.networks import ANY, NetworkSet, is_loopback

_DURATION = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?", re.ASCII)
_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/([a-z]+))?")
_NAME = r"^[a-z0-9]([a-z0-9._-]{0,38}[a-z0-9])?$"
_OWNER = r"^[a-z]([a-z0-9-]{0,18}[a-z0-9])?$"
_NETWORK = r"^[a-z0-9_-]{1,40}$"
_PUBLIC_KEY = r"^ssh-ed25519 [A-Za-z0-9+/]{60,200}={0,2}( .*)?$"
_TCP = r"^tcp://.+"
_FINDING = r"^CS0(0[1-9]|[1-3][0-9]|4[0-6])$"
PATTERNS = {
    _NAME: (
        "must be made of a-z, 0-9, '.', '_' and '-', 40 at most, beginning and ending with a-z"
        " or 0-9"
    ),
    _OWNER: ("must be 1 to 20 of a-z, 0-9 and -, beginning with a letter and not ending with -"),
    _NETWORK: "must be named with a-z, 0-9, _ and -",
    _PUBLIC_KEY: 'must be an OpenSSH public key such as "ssh-ed25519 AAAA..."',
    _TCP: 'must be "tcp://address:port"',
    _FINDING: 'must be the id of a finding such as "CS004"',
}
"""What each pattern of a field asks for, in words."""
_LISTEN = 'must be a loopback address and a port, such as "127.0.0.1:9741" or "[::1]:9741"'
_STATE = re.compile(
    r"file:///.+|(?:s3|gs|az)://[A-Za-z0-9][A-Za-z0-9._-]{1,62}(?:/[A-Za-z0-9._-]+)*/?", re.DOTALL
)
_WITH_PORTS = ("tcp", "udp", "sctp")
_DNS_NAME = re.compile(
    r"(?=.{1,253}\.?$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)*\.?",
    re.ASCII | re.IGNORECASE,
)
_LIST_ID = re.compile(
    r"(?!any[46]?$)[a-z][a-z0-9_]*-[a-z0-9-]{1,60}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)
_DEFAULT_REFRESH = {"url": "1h"}
_LONGEST_WAIT = timedelta(days=7)
"""What a system waits for at once ends somewhere (25 days for a socket), and no run does so
long."""


def duration(text: str) -> timedelta:
    """`90s`, `10m`, `1h30m`, `2d`, `0s`. Raises `ValueError`."""
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError('must be a duration such as "90s", "10m", "1h30m" or "0s"')
    days, hours, minutes, seconds = (int(group or 0) for group in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def port_range(text: str) -> tuple[str, int, int]:
    """`443`, `443/tcp`, `8000-8010/udp` as (protocol, first, last); tcp where none is named. Raises
    `ValueError`."""
    match = _PORTS.fullmatch(text)
    if match is None:
        raise ValueError('must be a port such as "443/tcp" or "8000-8010/udp"')
    first, last, protocol = match.groups()
    low, high = int(first), int(last or first)
    if protocol is not None and protocol not in _WITH_PORTS:
        raise ValueError("has a protocol that is not tcp, udp or sctp")
    if not 1 <= low <= high <= 65535:
        raise ValueError("must lie in 1-65535, the first port not above the last")
    return protocol or "tcp", low, high


def allowed(text: str) -> tuple[str, int, int]:
    """As `port_range`, and `all`, `all/tcp`, `icmp`, `icmp/8`, `esp`, `ip/143`, … as (protocol,
    first, last of the selector)."""
    if _PORTS.fullmatch(text):
        return port_range(text)
    name, _, rest = text.partition("/")
    try:
        if name == "all" and rest in _WITH_PORTS:
            rule = Rule.of(rest, "", ANY)
        elif name == "ip" and rest.isascii() and rest.isdigit():
            rule = Rule.of(str(int(rest)), "", ANY)
        elif name.isdigit() or "-" in name or (rest and name not in ("icmp", "icmpv6")):
            raise ValueError("not a protocol")
        else:
            rule = Rule.of(name, rest, ANY)
    except ValueError:  # its text would quote the value
        kinds = '"all", "all/tcp", a protocol ("esp", "icmp", "ip/143") or an ICMP type ("icmp/8")'
        raise ValueError(f'must be ports ("443/tcp"), {kinds}') from None
    return rule.protocol, rule.first, rule.last


def listen_address(text: str) -> tuple[str, int]:
    """`127.0.0.1:9741` or `[::1]:9741` as (address, port); loopback only. Raises `ValueError`."""
    host, _, port = text.rpartition(":")
    try:
        address = ip_address(host.removeprefix("[").removesuffix("]"))
        number = int(port) if port.isascii() and port.isdigit() else -1
        bracketed = host.startswith("[") and host.endswith("]")
    except ValueError:
        raise ValueError(_LISTEN) from None
    if not 0 <= number <= 65535 or bracketed != (address.version == 6) or not address.is_loopback:
        raise ValueError(_LISTEN)
    return str(address), number


def _checked_duration(text: str) -> str:
    duration(text)
    return text


def _checked_wait(text: str) -> str:
    if duration(text) > _LONGEST_WAIT:
        raise ValueError(f"must be {_LONGEST_WAIT.days}d or less")
    return text


def _checked_ports(text: str) -> str:
    port_range(text)
    return text


def _checked_allow(text: str) -> str:
    allowed(text)
    return text


def _checked_network(text: str) -> str:
    try:
        NetworkSet.of([text])
    except ValueError:  # its text would quote the value
        raise ValueError(
            'must be a network such as "203.0.113.0/24" (no host bits), or "any", "any4", "any6"'
        ) from None
    return text


def _checked_path(text: str) -> str:
    if "\0" in text:
        raise ValueError("must be a path")
    return text


def _checked_source(text: str) -> str:
    return text if text.startswith("@") else _checked_network(text)


def _checked_state(text: str) -> str:
    if not _STATE.fullmatch(text) or ".." in text.split("/"):
        raise ValueError(
            'must be "file://" and an absolute path, or "s3://bucket/prefix" (gs://, az://)'
        )
    return text


def _checked_endpoint(text: str) -> str:
    if (problem := endpoint_problem(text)) is not None:
        raise ValueError(problem)
    return text.rstrip("/")


ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
"""Where S3 answers, for the AWS SDKs and for `state` without an endpoint; the first that is set."""


def endpoint_problem(endpoint: str) -> str | None:
    """What is wrong with the address of a store; None if nothing is."""
    try:
        parts = urlsplit(endpoint)
        host = parts.hostname
    except ValueError:
        return "must be an https:// URL"
    if parts.scheme not in ("https", "http") or not host:
        return "must be an https:// URL"
    if parts.username or parts.password or parts.query or parts.fragment:
        return "must be an address only, without credentials and query"
    if parts.scheme == "http" and not is_loopback(host):
        return "must be https:// (plain http only to loopback)"
    return None


def _checked_allow_source(text: str) -> str:
    """What is neither a network nor a name may be a list of the vendor: its provider knows."""
    return text if _LIST_ID.fullmatch(text) else _checked_source(text)


def _checked_listen(text: str) -> str:
    listen_address(text)
    return text


PathText = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_checked_path)]
Name = Annotated[str, Field(pattern=_NAME)]
Duration = Annotated[str, AfterValidator(_checked_duration)]
Wait = Annotated[str, AfterValidator(_checked_wait)]
Ports = Annotated[str, AfterValidator(_checked_ports)]
AllowPorts = Annotated[str, AfterValidator(_checked_allow)]
Network = Annotated[str, AfterValidator(_checked_network)]
Source = Annotated[str, AfterValidator(_checked_source)]
PublicKey = Annotated[
    str,
    Field(pattern=_PUBLIC_KEY, description="ssh-ed25519 AAAA…"),
]
AllowSource = Annotated[str, AfterValidator(_checked_allow_source)]
Port = Annotated[int, Field(ge=1, le=65535)]


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


class NetworkTable(Settings):
    """`[networks]`, a network whose addresses move: read again by every run that needs it."""

    file: Annotated[
        PathText | None,
        Field(description="a text file, one network a line, relative to this file"),
    ] = None
    url: Annotated[
        list[str] | None,
        BeforeValidator(_as_list, json_schema_input_type=str | list[str] | None),
        Field(
            min_length=1,
            max_length=16,
            description="https:// address of such a text, or several that are united",
        ),
    ] = None
    dns: Annotated[
        list[str] | None,
        BeforeValidator(_as_list, json_schema_input_type=str | list[str] | None),
        Field(
            min_length=1,
            max_length=16,
            description="a DNS name, or several: all of their IPv4 and IPv6 addresses",
        ),
    ] = None
    refresh: Annotated[
        Duration | None,
        Field(
            description=(
                "for so long an answer that an apply remembers is used without asking "
                "again; 1h for url, else 0s"
            )
        ),
    ] = None

    @field_validator("url")
    @classmethod
    def _https(cls, value: list[str] | None) -> list[str] | None:
        for url in value or ():
            problem = 'must be "https://" addresses without credentials or fragment'
            try:
                scheme, _ = checked_url(url)
            except ValueError:
                raise ValueError(problem) from None
            if scheme != "https" or "#" in url:
                raise ValueError(problem)
        return value

    @field_validator("dns")
    @classmethod
    def _names(cls, value: list[str] | None) -> list[str] | None:
        for name in value or ():
            if not _DNS_NAME.fullmatch(name) or name.rstrip(".").rpartition(".")[2].isdigit():
                raise ValueError('must be DNS names such as "home.example.net"')
        return value

    @model_validator(mode="after")
    def _one_origin(self) -> NetworkTable:
        if sum(value is not None for value in (self.file, self.url, self.dns)) != 1:
            raise ValueError("needs exactly one of file, url and dns")
        return self

    @property
    def kind(self) -> Literal["file", "url", "dns"]:
        """Which of the three it is read from."""
        return "file" if self.file is not None else "url" if self.url is not None else "dns"

    @property
    def refresh_seconds(self) -> float:
        """`refresh`, or its default, in seconds."""
        return duration(self.refresh or _DEFAULT_REFRESH.get(self.kind, "0s")).total_seconds()


def _kind_of_network(value: object) -> str:
    """So that a mistake is reported once, for the way of writing that was meant."""
    return "network-table" if isinstance(value, dict | NetworkTable) else "network-list"


NamedNetwork = Annotated[
    Annotated[list[Network], Tag("network-list")] | Annotated[NetworkTable, Tag("network-table")],
    Discriminator(_kind_of_network),
]


class SshTable(Settings):
    """`[ssh]`: what must stay reachable whatever happens."""

    ports: Annotated[list[Port], Field(min_length=1, max_length=64, description="TCP ports of SSH")]
    sources: Annotated[
        list[Source],
        Field(min_length=1, description='"any", "any4", "any6", CIDRs, or "@name" of [networks]'),
    ]


class PolicyTable(Settings):
    """`[policy]`: which required ports may be opened, and what may close."""

    expose: Annotated[
        Literal["published", "labelled"],
        Field(description="every published port, or only where a label says so"),
    ]
    mode: Annotated[
        Literal["sync", "additive"], Field(description='"additive" never closes anything')
    ] = "sync"
    grace: Annotated[
        Duration, Field(description="how long a port that vanished from an engine stays open")
    ] = "10m"
    max_close: Annotated[
        int, Field(ge=0, description="more closings at once than this need --allow-close")
    ] = 5
    deny: Annotated[list[Ports], Field(description="ports never opened")] = []
    allow_sensitive: Annotated[
        list[Ports], Field(description="host ports the built-in refusal does not apply to")
    ] = []
    icmp: Annotated[Literal["keep", "none", "all", "echo"], Field(description="ICMP")] = "keep"
    private: Annotated[
        Literal["keep", "manage"], Field(description="rules from private networks")
    ] = "keep"
    foreign: Annotated[
        Literal["report", "fail", "ignore"], Field(description="exposure through other firewalls")
    ] = "report"
    plan_max_age: Annotated[Duration, Field(description="how old a plan file may be")] = "24h"


class RunTable(Settings):
    """`[run]`: patience."""

    host_timeout: Annotated[Wait, Field(description="for one host")] = "10s"
    deadline: Annotated[Wait, Field(description="for the whole run")] = "5m"
    concurrency: Annotated[int, Field(ge=1, le=256, description="requests at once")] = 16


class ReportTable(Settings):
    """`[report]`: who is told how runs of `apply` and `watch` ended. Nothing of it ever fails a
    run."""

    health: Annotated[
        SecretRef | None,
        Field(description="reference to the URL of a health check (healthchecks.io style)"),
    ] = None
    webhook: Annotated[
        SecretRef | None,
        Field(description="reference to the URL that is notified of changes and failures"),
    ] = None
    webhook_secret: Annotated[
        SecretRef | None, Field(description="reference to the key its messages are signed with")
    ] = None
    metrics_file: Annotated[
        str | None,
        Field(
            min_length=1,
            description="Prometheus textfile, relative to this file; --metrics-file wins",
        ),
    ] = None

    @model_validator(mode="after")
    def _complete(self) -> ReportTable:
        if self.webhook_secret is not None and self.webhook is None:
            raise ValueError("webhook_secret needs webhook as well")
        return self


class WatchTable(Settings):
    """`[watch]`: the rhythm of `cloudsync watch`."""

    interval: Annotated[Duration, Field(description="a run at least so often")] = "5m"
    debounce_min: Annotated[
        Duration, Field(description="quiet time after an event before a run")
    ] = "2s"
    debounce_max: Annotated[
        Duration,
        Field(description="the longest an event waits, and the time between runs in a storm"),
    ] = "30s"
    poll: Annotated[
        Wait, Field(description="how often the store is asked what machines published")
    ] = "30s"
    listen: Annotated[
        str | None,
        AfterValidator(_checked_listen),
        Field(description="loopback address:port of /metrics, /healthz"),
    ] = None
    audit: Annotated[
        Literal["off"] | Duration,
        Field(description='time between audits, whose findings are metrics; "off": none'),
    ] = "1h"
    token: Annotated[
        SecretRef | None,
        Field(description="reference to the password of the status page, for a browser or a proxy"),
    ] = None

    @model_validator(mode="after")
    def _in_order(self) -> WatchTable:
        if (
            problem := rhythm_problem(
                *(duration(text) for text in (self.interval, self.debounce_min, self.debounce_max))
            )
        ) is not None:
            raise ValueError(problem)
        if duration(self.poll) < timedelta(seconds=1):
            raise ValueError("poll must be 1s or more")
        return self


def rhythm_problem(
    interval: timedelta, debounce_min: timedelta, debounce_max: timedelta
) -> str | None:
    """What is wrong with a rhythm; None where nothing is."""
    if interval < timedelta(seconds=10):
        return "interval must be 10s or more"
    if not timedelta(seconds=1) <= debounce_min <= debounce_max:
        return (
            "debounce_min must be 1s or more, and not above debounce_max: it is "
            f"{debounce_min.total_seconds():g}s, debounce_max {debounce_max.total_seconds():g}s"
        )
    if debounce_max <= interval:
        return None
    return (
        f"debounce_max must not be above interval: it is {debounce_max.total_seconds():g}s, "
        f"interval {interval.total_seconds():g}s"
    )


class TlsEngineTable(Settings):
    """An engine over TLS, as one of `hosts.X.docker`. Paths are relative to the configuration
    file."""

    host: Annotated[str, Field(pattern=_TCP, description="tcp://address:port")]
    ca: Annotated[
        str | None,
        Field(
            description=(
                "PEM file of who signs the engine's certificate; the machine's own authorities"
            )
        ),
    ] = None
    cert: Annotated[str, Field(min_length=1, description="PEM file of our certificate")]
    key: Annotated[str, Field(min_length=1, description="PEM file of its key")]


def _kind_of_engine(value: object) -> str:
    """So that a mistake is told once, for the way of writing that was meant."""
    if isinstance(value, list):
        return "engine-list"
    return "engine-table" if isinstance(value, dict | TlsEngineTable) else "engine-text"


Engine = Annotated[
    Annotated[str, Tag("engine-text")] | Annotated[TlsEngineTable, Tag("engine-table")],
    Discriminator(_kind_of_engine),
]
Engines = Annotated[
    Annotated[str, Tag("engine-text")]
    | Annotated[TlsEngineTable, Tag("engine-table")]
    | Annotated[list[Engine], Tag("engine-list")],
    Discriminator(_kind_of_engine),
]


class HostTable(Settings):
    """`[hosts.X]`: a machine with a container engine, or a list that stands for one."""

    docker: Annotated[
        Engines | None,
        Field(
            description=(
                "engine: unix:///path, ssh://user@host, tcp://address:port, a Docker context, or a"
                " table with TLS files; a list for several"
            )
        ),
    ] = None
    compose: Annotated[
        list[PathText] | None,
        Field(
            min_length=1,
            description="Compose files, merged in their order; a folder is a project of its own",
        ),
    ] = None
    profiles: Annotated[
        list[str] | None,
        Field(description="active Compose profiles; COMPOSE_PROFILES of .env without it"),
    ] = None
    env_file: Annotated[
        list[PathText] | None,
        Field(min_length=1, description="variables of the Compose files, instead of .env"),
    ] = None
    ports: Annotated[
        list[Ports] | None, Field(description="ports that are needed whatever containers say")
    ] = None
    inventory: Annotated[
        Literal["store"] | None,
        Field(description='"store": the machine publishes what its engines answer'),
    ] = None
    trusted_keys: Annotated[
        list[PublicKey] | None,
        Field(description="OpenSSH public keys that may sign its inventory"),
    ] = None
    retired: Annotated[bool, Field(description="the host is gone: out of the reckoning")] = False


class HostsFromStoreTable(Settings):
    """`[hosts-from-store]`: hosts without a table of their own."""

    match: Annotated[
        str, Field(min_length=1, max_length=100, description="which published hosts, with *")
    ] = "*"
    trusted_keys: Annotated[
        dict[str, list[PublicKey]] | None,
        Field(description="by host, or hosts with *: OpenSSH public keys that may sign for it"),
    ] = None


class PublishTable(Settings):
    """`[publish]`: what this machine writes into the store for others to read."""

    valid_for: Annotated[
        Duration, Field(description="how long it counts after it was written, 7d at most")
    ] = "15m"
    sign_with: Annotated[
        PathText | None,
        Field(description="an OpenSSH private key, such as /etc/ssh/ssh_host_ed25519_key"),
    ] = None

    @model_validator(mode="after")
    def _in_range(self) -> PublishTable:
        if not timedelta(minutes=1) <= duration(self.valid_for) <= timedelta(days=7):
            raise ValueError("valid_for must be 1m to 7d")
        return self


class AllowTable(Settings):
    """`[[firewalls.X.allow]]`: further rules the user wants, whatever containers say."""

    ports: Annotated[
        list[AllowPorts],
        Field(
            min_length=1, description='"443", "8000-8010/udp", "all", "all/tcp", "icmp", "esp", …'
        ),
    ]
    sources: Annotated[
        list[AllowSource],
        Field(
            min_length=1,
            description=(
                "as in [ssh]; also the vendor's own lists of addresses by their ids: "
                '"pl-…" (AWS prefix lists), an address group of OpenStack'
            ),
        ),
    ]
    description: Annotated[
        str | None, Field(max_length=200, description="the text of the rule at the vendor")
    ] = None


class FirewallTable(Settings):
    """The core's keys of `[firewalls.X]`."""

    provider: Annotated[str, Field(description="the name of a [providers.X] table")]
    hosts: Annotated[list[str], Field(description="whose required ports it opens, together")] = []
    static: Annotated[bool, Field(description="it has no hosts, only its own allow rules")] = False
    shared_with: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=255)]],
        Field(
            description=(
                "machines it also acts on that need nothing of their own: "
                'names, ids, or "*" for all'
            )
        ),
    ] = []
    allow: Annotated[
        list[AllowTable], Field(description="further rules, whatever containers say")
    ] = []
    per_host: Annotated[
        bool, Field(description="one firewall for each host; {host} in any text is its name")
    ] = False


def _as_date(value: object) -> object:
    """A day, a moment, or either in quotes, as a day."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError('must be a day such as 2027-06-30, or "2027-06-30"') from None
    return value.date() if isinstance(value, datetime) else value


class IgnoreTable(Settings):
    """`[[audit.ignore]]`: a finding of `cloudsync audit` that is accepted."""

    id: Annotated[str, Field(pattern=_FINDING, description="of the finding")]
    object: Annotated[
        str, Field(min_length=1, description='what it is about, as the audit names it, or "*"')
    ] = "*"
    reason: Annotated[str, Field(min_length=1, description="why it is accepted")]
    until: Annotated[
        date | None,
        BeforeValidator(_as_date),
        Field(description="the last day it is accepted; then it is a finding again"),
    ] = None


class AuditTable(Settings):
    """`[audit]`: what `cloudsync audit` leaves out."""

    ignore: Annotated[list[IgnoreTable], Field(description="accepted findings")] = []


class StateTable(Settings):
    """`state` as a table: an object store, and how it is reached."""

    url: Annotated[str, AfterValidator(_checked_state), Field(description="s3://, gs:// or az://")]
    endpoint: Annotated[
        str | None,
        AfterValidator(_checked_endpoint),
        Field(description="where the store answers, if it is not the vendor's own"),
    ] = None
    region: Annotated[str | None, Field(min_length=1, description="of S3")] = None
    access_key_id: Annotated[
        SecretRef | None, Field(description="of S3, instead of AWS_ACCESS_KEY_ID or a role")
    ] = None
    secret_access_key: Annotated[
        SecretRef | None, Field(description="of S3, beside access_key_id")
    ] = None

    @model_validator(mode="after")
    def _complete(self) -> StateTable:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key belong together")
        if self.url.startswith("file:") and self.model_fields_set != {"url"}:
            raise ValueError("a folder has a url only")
        return self


def _kind_of_state(value: object) -> str:
    return "state-table" if isinstance(value, dict | StateTable) else "state-url"


State = Annotated[
    Annotated[str, AfterValidator(_checked_state), Tag("state-url")]
    | Annotated[StateTable, Tag("state-table")],
    Discriminator(_kind_of_state),
]


class File(Settings):
    """A cloudsync configuration."""

    version: Annotated[Literal[1], Field(description="of this format")]
    owner: Annotated[
        str,
        Field(pattern=_OWNER, description="written into every marker"),
    ]
    state: Annotated[
        State | None,
        Field(
            description=(
                "file:// and the state directory, or an object store: s3://bucket/prefix, "
                "gs://bucket/prefix, az://container/prefix; a table adds its endpoint"
            )
        ),
    ] = None
    ssh: SshTable
    networks: Annotated[
        dict[Annotated[str, Field(pattern=_NETWORK)], NamedNetwork],
        Field(
            description=(
                'names for sources, used as "@name": lists of networks, or tables of '
                "networks that move"
            )
        ),
    ] = {}
    policy: PolicyTable
    run: RunTable = RunTable()
    report: ReportTable = ReportTable()
    watch: WatchTable = WatchTable()
    audit: AuditTable = AuditTable()
    include: Annotated[
        list[PathText],
        Field(description="further files, with *: their hosts, firewalls, networks, providers"),
    ] = []
    publish: Annotated[
        PublishTable | None, Field(description="what this machine writes into the store")
    ] = None
    hosts_from_store: Annotated[
        HostsFromStoreTable | None,
        Field(alias="hosts-from-store", description="hosts that publish, without a table"),
    ] = None
    providers: dict[Name, dict[str, object]] = {}
    hosts: dict[Name, HostTable] = {}
    firewalls: dict[Name, dict[str, object]] = {}
