"""What an audit knows of one machine. Every input that could not be read is in `blind`: None means
that a thing is not there or was not looked at, never that it is fine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from cloudsync.rules import NOTHING, RuleSet
from cloudsync.rules.address_classes import classify
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import is_loopback

Version = tuple[int, ...]
HostUnit = Literal["unknown", "missing", "disabled", "late", "ready"]
"""`late`: enabled, and not ordered before network-pre.target."""


def version_of(written: str) -> Version:
    """`28.5.2+dfsg1` as (28, 5, 2); () if it begins with no number."""
    numbers: list[int] = []
    for word in written.replace("+", ".").replace("~", ".").replace("-", ".").split("."):
        if not word.isdigit():
            break
        numbers.append(int(word))
    return tuple(numbers)


@dataclass(frozen=True, slots=True)
class FileLine:
    """A line of a file."""

    file: str
    """Its path."""
    line: int
    """From 1."""
    content: str = ""
    """As it is written; empty if it may hold what nobody should keep."""


@dataclass(frozen=True, slots=True)
class Publish:
    """A published port of a container or a Compose service."""

    protocol: str
    """`tcp`, `udp` or `sctp`."""
    first: int
    """The first host port; 0 if the engine picks one."""
    last: int
    """The last host port; `first` for a single one."""
    container_port: int
    """The container port behind `first`."""
    address: str
    """What it is bound to: `0.0.0.0`, `::`, an address; `` for every address of both families."""
    file: str | None = None
    """The Compose file that asks for it; None for a container."""
    line: int | None = None
    """Where in `file`, from 1; None if a line alone does not say it."""
    is_long: bool = False
    """Whether the file has it in the long form."""
    written: str = ""
    """The line of the file, variables and all; empty if it has more on it than ports."""

    @property
    def ports(self) -> str:
        """`8080` or `8000-8010`; `` if the engine picks one."""
        if self.first == 0:
            return ""
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.address)

    @property
    def is_everywhere(self) -> bool:
        """Whether it is bound to every address of a family, or of both."""
        return self.address in ("", "0.0.0.0", "::")  # noqa: S104 - compared, not bound

    @property
    def is_private(self) -> bool:
        """Whether it is bound to an address that the Internet does not reach by itself."""
        return (
            not self.is_everywhere
            and not self.is_loopback
            and classify_word(self.address) != "public"
        )

    @property
    def families(self) -> tuple[int, ...]:
        if not self.address:
            return (4, 6)
        return (6,) if ":" in self.address else (4,)


def classify_word(address: str) -> str:
    """The class of an address written as text; `public` for what is not an address."""
    from ipaddress import ip_address

    try:
        return classify(ip_address(address))
    except ValueError:
        return "public"


@dataclass(frozen=True, slots=True)
class Mount:
    """A path of the machine that a container sees."""

    source: str
    """The path on the machine."""
    read_only: bool
    """Whether the container cannot write to it."""


def capability_of(written: str) -> str:
    """`NET_ADMIN` of `cap_net_admin`."""
    return written.upper().removeprefix("CAP_")


@dataclass(frozen=True, slots=True)
class Workload:
    """A container of an engine, or a service of a Compose file."""

    name: str
    """As people know it: `project/service`, or the container's name."""
    image: str = ""
    """As asked for: `postgres:16`."""
    state: str = "running"
    """`running`, `restarting`, … ; `declared` for a service of a file."""
    id: str = ""
    """The container id, in full; empty for a service of a file."""
    pid: int = 0
    """Of its first process on the machine; 0 if that is not known."""
    network_mode: str = ""
    """As the engine has it: `bridge`, `host`, `none`, `container:…`; empty if a file does not
    say."""
    networks: tuple[str, ...] = ()
    """Names of the networks it is attached to."""
    published: tuple[Publish, ...] = ()
    """What is bound now; for a file, what would be."""
    asked: tuple[Publish, ...] = ()
    """What was asked for, bound or not."""
    addresses: tuple[str, ...] = ()
    """The container's own addresses."""
    mounts: tuple[Mount, ...] = ()
    """Bind mounts, sockets of the machine among them."""
    privileged: bool = False
    """Whether it runs with `privileged`."""
    capabilities: tuple[str, ...] = ()
    """`cap_add`, as written."""
    host_pid: bool = False
    """Whether it sees the machine's processes (`pid: host`)."""
    environment: tuple[str, ...] = ()
    """Names only, never values."""
    command: tuple[str, ...] = ()
    """What it runs, word by word."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """All of its labels, those of the image included."""
    image_labels: frozenset[str] = frozenset()
    """Keys of `cloudsync.*` labels that the image has with the same value."""
    listening: frozenset[tuple[str, int]] | None = None
    """Protocol and port of what listens inside; None if that is not known."""
    file: str | None = None
    """The Compose file it comes from; None if it was started another way."""
    line: int | None = None
    """Where the service begins in `file`, from 1."""
    places: Mapping[str, FileLine] = field(default_factory=dict)
    """Where a Compose file has `privileged`, `pid`, `cap_add`, each capability (`cap_add
    NET_ADMIN`), variable (`environment DB_PASSWORD`) and mount (`volumes /run/docker.sock`); the
    content only of a line that has nothing but a power."""

    @property
    def on_host_network(self) -> bool:
        return self.network_mode == "host"

    @property
    def image_name(self) -> str:
        """The image without registry, tag and digest, in lower case: `bitnami/redis`."""
        name = self.image.partition("@")[0]
        head, slash, last = name.rpartition("/")
        name = f"{head}{slash}{last.partition(':')[0]}".lower()
        registry, _, rest = name.partition("/")
        return (
            rest
            if rest and ("." in registry or ":" in registry or registry == "localhost")
            else name
        )

    @property
    def granted(self) -> frozenset[str]:
        """Its capabilities, as `NET_ADMIN`."""
        return frozenset(map(capability_of, self.capabilities))

    @property
    def outward(self) -> tuple[Publish, ...]:
        """What is published on more than loopback."""
        return tuple(publish for publish in self.published if not publish.is_loopback)


@dataclass(frozen=True, slots=True)
class Network:
    name: str
    """As the engine or the Compose file names it."""
    internal: bool = False
    """Whether it has no way out (`internal: true`)."""
    ipv6: bool = False
    """Whether it has IPv6 enabled."""
    subnets: tuple[str, ...] = ()
    """CIDRs."""
    bridge: str = ""
    """The name of its interface on the machine; `` if that is not known."""
    options: Mapping[str, str] = field(default_factory=dict)
    """The driver's options, such as `com.docker.network.bridge.gateway_mode_ipv4`."""


@dataclass(frozen=True, slots=True)
class Engine:
    kind: str
    """`docker` or `podman`."""
    version: str
    """As the engine reports it: `28.5.2+dfsg1`."""
    containers: tuple[Workload, ...] = ()
    """All that exist, stopped ones too."""
    networks: tuple[Network, ...] = ()
    """All that exist."""
    rootless: bool = False
    """Whether it runs as a plain user."""
    swarm: bool = False
    """Whether it is an active member of a Swarm."""
    swarm_nodes: int = 1
    """How many machines the Swarm has; 1 if the engine is no manager."""
    ingress_ports: tuple[Publish, ...] = ()
    """What the routing mesh publishes on every machine of the Swarm."""
    firewall_backend: str = ""
    """`iptables`, `nftables`, or `` if the engine does not say (before 29)."""

    def is_before(self, *version: int) -> bool:
        """Whether it is older than `version`; False if its version is not known."""
        return bool(version_of(self.version)) and version_of(self.version) < version

    def network(self, name: str) -> Network | None:
        return next((network for network in self.networks if network.name == name), None)


@dataclass(frozen=True, slots=True)
class Daemon:
    """dockerd's configuration: daemon.json and its arguments together."""

    iptables: bool = True
    """`iptables`: whether Docker writes IPv4 rules."""
    ip6tables: bool = True
    """`ip6tables`: whether Docker writes IPv6 rules."""
    userland_proxy: bool = True
    """`userland-proxy`: whether docker-proxy listens on published ports."""
    hosts: tuple[str, ...] = ()
    """`hosts` and `-H`: where the API listens."""
    verifies_clients: bool = False
    """`tlsverify`: whether the API asks for a certificate of the client."""
    address: str = ""
    """`ip`: the address that a publish without one is bound to."""
    direct_routing: bool = False
    """`allow-direct-routing`."""
    raw_disabled: bool = False
    """`DOCKER_INSECURE_NO_IPTABLES_RAW` in its environment."""
    file: str = "/etc/docker/daemon.json"
    """Where daemon.json is, or would be."""
    lines: Mapping[str, int] = field(default_factory=dict)
    """Where the keys of daemon.json stand."""
    text: tuple[str, ...] = ()
    """daemon.json, line by line."""
    arguments: Mapping[str, FileLine] = field(default_factory=dict)
    """Where options, addresses of `hosts` and variables stand that are not in daemon.json: in the
    unit, its drop-ins and its environment files."""


@dataclass(frozen=True, slots=True)
class FilterRule:
    """One rule as iptables-save prints it, without `-A CHAIN`."""

    words: tuple[str, ...]
    """Its options and values, quotes resolved."""

    @property
    def target(self) -> str:
        return self.value("-j") or self.value("-g") or ""

    def has(self, option: str) -> bool:
        return option in self.words

    def value(self, option: str) -> str | None:
        """The word after `option`."""
        if option not in self.words:
            return None
        after = self.words.index(option) + 1
        return self.words[after] if after < len(self.words) else None

    def is_negated(self, option: str) -> bool:
        """Whether `!` stands before an option that it has."""
        return self.words[max(self.words.index(option) - 1, 0)] == "!"

    @property
    def matches_replies(self) -> bool:
        """Whether it matches packets of connections that exist."""
        states = self.value("--ctstate") or self.value("--state") or ""
        return "ESTABLISHED" in states.upper()

    @property
    def is_about_some_ports(self) -> bool:
        """Whether it leaves other ports alone."""
        return any(map(self.has, ("--dport", "--dports", "--sport", "--ctorigdstport")))

    @property
    def is_bare(self) -> bool:
        """Whether it matches every packet."""
        return self.words[:1] == ("-j",)


@dataclass(frozen=True, slots=True)
class Chain:
    policy: str
    """`ACCEPT`, `DROP`, or `-` for a chain that is not built in."""
    rules: tuple[FilterRule, ...] = ()
    """In the order they are evaluated."""


@dataclass(frozen=True, slots=True)
class Tables:
    """One family's rules as iptables-save prints them, by table and chain."""

    chains: Mapping[tuple[str, str], Chain] = field(default_factory=dict)
    """By (table, chain): `("filter", "DOCKER-USER")`."""

    def chain(self, table: str, name: str) -> Chain | None:
        return self.chains.get((table, name))


@dataclass(frozen=True, slots=True)
class Nftables:
    """What matters of `nft -j list ruleset`."""

    host_table: HostTable | None = None
    """Our own table; None without it."""
    drops_metadata: bool = False
    """Whether a rule drops what is sent to 169.254.169.254."""


@dataclass(frozen=True, slots=True)
class HostTable:
    """Our own table, `inet cloudsync`."""

    enforces: bool
    """Whether it drops what it does not let in; False while it only observes."""
    lets_in: RuleSet = NOTHING
    """What its rules accept from outside."""


@dataclass(frozen=True, slots=True)
class Ufw:
    enabled: bool
    """Whether it starts at boot."""
    forward_policy: str = "DROP"
    """`DEFAULT_FORWARD_POLICY`."""
    ipv6: bool = True
    """`IPV6`: whether it filters IPv6 too."""
    after_rules: tuple[str, ...] = ()
    """The lines of after.rules that count."""
    after_lines: tuple[int, ...] = ()
    """Where each of them stands, from 1."""
    after6_rules: tuple[str, ...] = ()
    """The lines of after6.rules that count."""
    lines: Mapping[str, int] = field(default_factory=dict)
    """Where `DEFAULT_FORWARD_POLICY` and `IPV6` stand in /etc/default/ufw."""


@dataclass(frozen=True, slots=True)
class Zone:
    name: str
    """`public`, `docker`, …"""
    target: str = "default"
    """What happens to packets that no rule matches: `default`, `ACCEPT`, `DROP`, `%%REJECT%%`."""
    interfaces: tuple[str, ...] = ()
    """The interfaces bound to it."""
    ports: tuple[str, ...] = ()
    """As `8080/tcp`."""
    services: tuple[str, ...] = ()
    """firewalld's names for ports: `ssh`."""
    file: str = ""
    """Its XML file; empty if there is none."""
    line: int | None = None
    """Of the first port or service, if each stands on a line of its own."""
    more_lines: tuple[int, ...] = ()
    """Of the others."""


@dataclass(frozen=True, slots=True)
class Firewalld:
    running: bool
    """Whether it runs now."""
    strict_forward_ports: bool = False
    """`StrictForwardPorts`: whether ports that containers publish need a zone that allows them."""
    zones: tuple[Zone, ...] = ()
    """Every zone that a file describes."""
    strict_line: int | None = None
    """Of `StrictForwardPorts` in firewalld.conf; None if this firewalld does not know it."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket of the machine's own network namespace that waits for others."""

    protocol: str
    """`tcp` or `udp`."""
    address: str
    """`*` and `::` stand for every address."""
    port: int
    """1 to 65535."""
    process: str = ""
    """The name of the program; empty if that is not known."""
    container: str = ""
    """The id of the container whose process it is; `` for the machine's own."""
    pid: int = 0
    """Of the process; 0 if that is not known."""

    @property
    def is_everywhere(self) -> bool:
        return self.address in ("*", "0.0.0.0", "::", "")  # noqa: S104 - compared, not bound


@dataclass(frozen=True, slots=True)
class SavedRules:
    """A file that restores firewall rules at boot."""

    path: str
    """Of the file."""
    family: int
    """4 or 6."""
    tables: Tables
    """What it restores."""
    loaded_at_boot: bool
    """Whether a boot loads it."""
    docker_lines: tuple[int, ...] = ()
    """The lines that Docker wrote, from 1."""


@dataclass(frozen=True, slots=True)
class NftablesFile:
    path: str
    """Of the file."""
    flushes: bool
    """Whether it begins with `flush ruleset`."""
    loaded_at_boot: bool
    """Whether a boot loads it."""
    line: int | None = None
    """Where `flush ruleset` stands, from 1."""
    tables: tuple[str, ...] = ()
    """Those it makes, as `inet filter`."""


@dataclass(frozen=True, slots=True)
class Sshd:
    ports: tuple[int, ...] = (22,)
    """Where it listens."""
    password_login: bool = True
    """Whether a password is enough to log in."""
    file: str = "/etc/ssh/sshd_config"
    """Where `password_login` is decided."""
    line: int | None = None
    """Where in `file`, from 1; None if nothing there decides it."""


@dataclass(frozen=True, slots=True)
class Cloud:
    """What the cloud's firewalls let the Internet reach on the machine."""

    protected: bool
    """Whether any firewall acts on it."""
    reachable: RuleSet = NOTHING
    """What they let in from any address of the Internet."""
    beyond: tuple[tuple[str, str, str], ...] = ()
    """Protocol, ports and `firewall, rule` of what is open although nothing requires it."""
    metadata: str = ""
    """Why containers reach the vendor's metadata service, and whose credentials they get there; ``
    if they do not, or if the vendor's API does not say."""


@dataclass(frozen=True, slots=True)
class UserData:
    """What the machine was created with, and what the vendor's metadata service repeats to any
    process on it."""

    vendor: str
    """As cloud-init names it: `Hetzner`."""
    file: str
    """cloud-init's copy."""
    has_secrets: bool
    """Whether it mentions passwords, tokens or keys. What it says is never kept."""


@dataclass(frozen=True, slots=True)
class HostFirewall:
    """What a plan says of the firewall of the provider `host` that stands for the machine."""

    name: str
    """In the configuration."""
    exists: bool = True
    differs: tuple[str, ...] = ()
    """What is not as it was applied, a sentence each: rules that an apply would open or close, a
    trial that ran out, a file for the boot that is not the table."""
    strangers: tuple[str, ...] = ()
    """What others put into the table, a sentence each. An apply leaves it there."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the configuration wants open on the machine."""

    required: RuleSet = NOTHING
    """What containers, labels and the configuration need, within the bounds."""
    allow_sensitive: RuleSet = NOTHING
    """`[policy] allow_sensitive`."""
    host_firewall: HostFirewall | None = None
    """None without one, or if it belongs to another owner."""


def not_looked_at(input_: str) -> str:
    """What the reason of a blind spot comes after: `iptables could not be looked at: `."""
    return f"{input_} could not be looked at: "


@dataclass(frozen=True, slots=True)
class Blind:
    """An input that could not be looked at."""

    input: str
    """`engine`, `compose`, `iptables`, `nftables`, `ufw`, `firewalld`, `daemon`, `sockets`,
    `sshd`, `cloud`, …"""
    reason: str
    """Why, a sentence for people."""
    hides: str = ""
    """What stays unseen because of it."""
    temporary: bool = False
    """Whether it may work the next time."""
    absent: bool = False
    """There is nothing to ask: no cloud is configured, or it does not know the machine. Seen
    incompletely, though nothing failed."""


@dataclass(frozen=True, slots=True)
class Facts:
    """One machine."""

    host: str
    """Its name in the configuration, or its host name."""
    engine: Engine | None = None
    """None if there is no engine, or it did not answer."""
    services: tuple[Workload, ...] = ()
    """Of Compose files."""
    service_networks: tuple[Network, ...] = ()
    """Of Compose files."""
    daemon: Daemon | None = None
    """None if it could not be read."""
    ip4: Tables | None = None
    """Of the backend that Docker writes to."""
    ip6: Tables | None = None
    """Of the backend that Docker writes to."""
    other4: Tables | None = None
    """IPv4 rules of the other backend (iptables-legacy beside iptables-nft); None without any."""
    nft: Nftables | None = None
    """None if nft is missing or refused."""
    nft_version: str = ""
    """Of the `nft` program: `1.0.6`; empty if that is not known."""
    ufw: Ufw | None = None
    """None if it is not installed."""
    firewalld: Firewalld | None = None
    """None if it is not installed."""
    listeners: tuple[Listener, ...] = ()
    """In the machine's own network namespace."""
    saved: tuple[SavedRules, ...] = ()
    """Files of iptables rules: iptables-persistent and hand-made ones."""
    nft_files: tuple[NftablesFile, ...] = ()
    """Files of nftables rules."""
    sshd: Sshd | None = None
    """None if its configuration could not be read."""
    user_data: UserData | None = None
    """None if cloud-init left none."""
    cloud: Cloud | None = None
    """None if no cloud firewall was asked."""
    policy: Policy | None = None
    """None without a configuration."""
    host_unit: HostUnit = "unknown"
    """Whether a boot loads our own table before the network is up."""
    global_ipv6: bool = True
    """Whether the machine has a global IPv6 address; True if that is not known."""
    neighbours: bool = True
    """Whether other machines share a network with it, which can route to its containers; True if
    that is not known."""
    backports: frozenset[str] = frozenset()
    """Faults that the changelog of an installed package says are fixed: `CVE-2025-54388`."""
    blind: tuple[Blind, ...] = ()
    """What could not be looked at."""

    @property
    def workloads(self) -> tuple[Workload, ...]:
        """Containers and services."""
        return (*(self.engine.containers if self.engine else ()), *self.services)

    @property
    def host_table(self) -> HostTable | None:
        return self.nft.host_table if self.nft else None

    @property
    def docker_user(self) -> Chain | None:
        """The IPv4 chain DOCKER-USER."""
        return self.ip4.chain("filter", "DOCKER-USER") if self.ip4 else None
