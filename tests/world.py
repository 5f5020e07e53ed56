"""A small world for tests of the decisions: a configuration built by hand, and a provider that
lives in memory.

The memory provider keeps the rule set after every write, so that a law can be checked at every
instant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any, ClassVar

from cloudsync.config.configuration import (
    AccountTable,
    Allow,
    Configuration,
    Firewall,
    Host,
    Place,
    PolicySettings,
    PortRange,
    RunSettings,
    Ssh,
)
from cloudsync.model.ports import (
    Complete,
    Discovery,
    Origin,
    RequiredPort,
)
from cloudsync.provider.contract import (
    API_VERSION,
    Absent,
    Account,
    AccountModel,
    Attachment,
    Capabilities,
    FirewallModel,
    FirewallSpec,
    Machine,
    Observation,
    Pending,
    Present,
    Refusal,
    Step,
    StepKind,
    Target,
    Unreadable,
)
from cloudsync.provider.errors import ProviderError
from cloudsync.provider.guarded import guarded
from cloudsync.provider.marker import Marker, host_digest
from cloudsync.provider.settings import AccountSettings, FirewallSettings
from cloudsync.rules import NOTHING, Rule, RuleSet
from cloudsync.rules.networks import (
    ANY,
    ANY4,
    ANY6,
    NetworkSet,
)

PLACE = Place("config.toml", 1, 1)


def rules(*texts: str) -> RuleSet:
    """`rules("tcp/443", "udp/53 from 10.0.0.0/8,::/0")`; without `from`: any."""
    found = []
    for text in texts:
        what, _, sources = text.partition(" from ")
        protocol, _, ports = what.partition("/")
        found.append(Rule.of(protocol, ports, _networks(sources) if sources else ANY))
    return RuleSet.of(found)


@cache
def _networks(listed: str) -> NetworkSet:
    return NetworkSet.of(listed.split(","))


def ports(*texts: str) -> tuple[PortRange, ...]:
    return tuple(
        PortRange(r.protocol, r.first, r.last, PLACE)
        for r in rules(*(_with_protocol(t) for t in texts))
    )


def _with_protocol(text: str) -> str:
    number, _, protocol = text.partition("/")
    return f"{protocol or 'tcp'}/{number}"


def required(
    text: str,
    *,
    host: str = "web-1",
    address: str | None = "0.0.0.0",
    behind: int | None = None,
    **more: Any,
) -> RequiredPort:
    """A published port: `required("443/tcp", container="shop-web-1")`; origin fields may be given
    by name."""
    (only,) = rules(_with_protocol(text))
    where = {
        name: more.pop(name)
        for name in ("project", "service", "container", "label")
        if name in more
    }
    family = ANY if address is None else ANY4 if ip_address(address).version == 4 else ANY6
    sources = more.pop("sources", None)
    sources = family if sources is None else NetworkSet.of(sources) & family
    return RequiredPort(
        only.protocol,
        only.first,
        only.last,
        sources,
        Origin(host, **({"container": "app"} | where)),
        address=None if address is None else ip_address(address),
        container_first=only.first if behind is None else behind,
        **more,
    )


def both(text: str, **more: Any) -> tuple[RequiredPort, RequiredPort]:
    """The same port published on `0.0.0.0` and `::`."""
    return required(text, address="0.0.0.0", **more), required(text, address="::", **more)


@dataclass
class Cloud:
    """What the memory provider keeps. `history`: the rules of a firewall after every write."""

    firewalls: dict[str, RuleSet] = field(default_factory=dict)
    markers: dict[str, Marker | None] = field(default_factory=dict)
    listed: dict[str, tuple[Rule, ...]] = field(default_factory=dict)
    machines: dict[str, Machine] = field(default_factory=dict)
    attached: dict[str, set[str]] = field(default_factory=dict)
    pending: dict[str, tuple[Pending, ...]] = field(default_factory=dict)
    history: list[tuple[str, RuleSet]] = field(default_factory=list)
    unreadable: ProviderError | None = None
    failing: Callable[[Step], ProviderError | None] = lambda _: None
    applies_then_fails: bool = False
    writers: int = 0


class MemorySettings(FirewallSettings):
    name: str = "web"
    servers: tuple[str, ...] = ()


class MemoryProvider:
    """Widen, narrow, attach and mark as separate steps: the shape with the most intermediate
    states."""

    api_version: ClassVar[str] = API_VERSION
    type: ClassVar[str] = "memory"
    sdk: ClassVar[str | None] = None
    extra: ClassVar[str | None] = None
    account_settings: ClassVar[AccountModel] = AccountSettings
    firewall_settings: ClassVar[FirewallModel] = MemorySettings
    capabilities: Capabilities = Capabilities(
        frozenset({"tcp", "udp", "icmp", "icmpv6", "esp"}),
        icmp_types=False,
        private_is_public=False,
        attaches=True,
        descriptions=False,
    )

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.order: Callable[[tuple[Step, ...]], tuple[Step, ...]] = lambda steps: steps

    def identity(self, spec: FirewallSpec) -> str:
        return _settings(spec).name

    def endpoint(self, account: Account) -> str:
        return "memory"

    def plan_steps(self, observed: Present | Absent, target: Target) -> tuple[Step, ...] | Refusal:
        if len(target.rules.fewest()) > 20:
            return Refusal("20 rules at most")
        before = observed.rules if isinstance(observed, Present) else NOTHING
        name = _settings(target.spec).name
        steps = []
        if target.marker is not None:
            steps.append(
                Step("write the marker", StepKind.MARK, before, native=(name, target.marker, None))
            )
        if target.rules - before:
            steps.append(
                Step("open", StepKind.WIDEN, before | target.rules, native=(name, None, None))
            )
        if before - target.rules:
            steps.append(Step("close", StepKind.NARROW, target.rules, native=(name, None, None)))
        if target.attach or target.reapply:
            names = tuple(a.target for a in target.attach)
            steps.append(
                Step("attach", StepKind.ATTACH, target.rules, names, native=(name, None, names))
            )
        return self.order(tuple(steps))

    def open_reader(self, account: Account) -> MemoryReader:
        return MemoryReader(self.cloud)

    def open_writer(self, account: Account) -> MemoryWriter:
        self.cloud.writers += 1
        return MemoryWriter(self.cloud)


@dataclass
class MemoryReader:
    cloud: Cloud

    def read(self, specs: Sequence[FirewallSpec]) -> Mapping[str, Observation]:
        return {spec.name: self._one(spec) for spec in specs}

    def _one(self, spec: FirewallSpec) -> Observation:
        if self.cloud.unreadable is not None:
            return Unreadable(self.cloud.unreadable)
        name = _settings(spec).name
        attachments = tuple(
            Attachment(f"server {m.id}", m.id in self.cloud.attached.get(name, set()), (m,))
            for m in (self.cloud.machines[server] for server in _settings(spec).servers)
        )
        if name not in self.cloud.firewalls:
            return Absent(attachments)
        return Present(
            id=name,
            rules=self.cloud.firewalls[name],
            marker=self.cloud.markers.get(name),
            listed=self.cloud.listed.get(name, ()),
            attachments=attachments,
            pending=self.cloud.pending.get(name, ()),
        )


@dataclass
class MemoryWriter:
    cloud: Cloud

    def run(self, step: Step) -> None:
        error = self.cloud.failing(step)
        if error is not None and not self.cloud.applies_then_fails:
            raise error
        name, marker, attach = step.native  # type: ignore[misc]
        self.cloud.firewalls[name] = step.after
        self.cloud.history.append((name, step.after))
        if marker is not None:
            self.cloud.markers[name] = marker
        if attach is not None:
            self.cloud.attached.setdefault(name, set()).update(
                target.removeprefix("server ") for target in attach
            )
            self.cloud.pending.pop(name, None)
        if error is not None:
            raise error


def _settings(spec: FirewallSpec) -> MemorySettings:
    assert isinstance(spec.settings, MemorySettings)
    return spec.settings


@dataclass
class World:
    """A configuration, its hosts' discoveries and the cloud behind it."""

    configuration: Configuration
    discoveries: dict[str, Discovery]
    cloud: Cloud
    provider: MemoryProvider

    def has(self, *texts: str, mine: bool = True, name: str = "web") -> None:
        """The vendor's firewall exists with these rules; `mine`: with the right marker."""
        self.cloud.firewalls[name] = rules(*texts)
        self.cloud.markers[name] = self.marker_of(name) if mine else None

    @property
    def marker(self) -> Marker:
        return self.marker_of("web")

    def marker_of(self, name: str) -> Marker:
        firewall = self.configuration.firewalls[name]
        return Marker(self.configuration.owner, name, host_digest(firewall.marker_hosts))

    def add(self, *names: str, host: str = "web-1") -> None:
        """Further firewalls of the same host, nothing at the vendor yet."""
        web = self.configuration.firewalls["web"]
        more = {
            name: replace(
                web,
                name=name,
                hosts=(host,),
                marker_hosts=(host,),
                settings=MemorySettings(name=name),
            )
            for name in names
        }
        self.configuration = replace(
            self.configuration, firewalls={**self.configuration.firewalls, **more}
        )

    def policy(self, **values: Any) -> None:
        self.configuration = replace(
            self.configuration, policy=replace(self.configuration.policy, **values)
        )

    def firewall(self, **values: Any) -> None:
        web = replace(self.configuration.firewalls["web"], **values)
        self.configuration = replace(
            self.configuration, firewalls={**self.configuration.firewalls, "web": web}
        )

    def ssh(self, *sources: str, numbers: tuple[int, ...] = (22,)) -> None:
        self.configuration = replace(self.configuration, ssh=ssh(numbers, NetworkSet.of(sources)))

    def allow(self, *texts: str) -> None:
        self.firewall(allow=(Allow(rules(*texts), None, PLACE),))

    def needs(self, *texts: str, **more: Any) -> None:
        """Host web-1 publishes exactly these, on every address."""
        self.discoveries["web-1"] = Complete(
            tuple(port for text in texts for port in both(text, **more))
        )


def ssh(numbers: tuple[int, ...], sources: NetworkSet) -> Ssh:
    return Ssh(numbers, sources, RuleSet.of(Rule("tcp", n, n, sources) for n in numbers))


def build(state: Path, **policy: Any) -> World:
    """Host web-1 feeds firewall web; SSH on 22 from anywhere; nothing published; nothing at the
    vendor."""
    cloud = Cloud()
    provider = MemoryProvider(cloud)
    settings = {
        "expose": "published",
        "mode": "sync",
        "grace": timedelta(0),
        "max_close": 5,
        "deny": (),
        "allow_sensitive": (),
        "icmp": "keep",
        "private": "keep",
        "foreign": "report",
        "plan_max_age": timedelta(hours=24),
    }
    configuration = Configuration(
        file="config.toml",
        base=state,
        owner="shop",
        state=state / "state",
        ssh=ssh((22,), ANY),
        networks={},
        policy=PolicySettings(**(settings | policy)),  # type: ignore[arg-type]
        run=RunSettings(10.0, 60.0, 4),
        accounts={
            "memory": AccountTable(
                "memory", "memory", guarded(provider, "memory"), AccountSettings()
            )
        },
        hosts={"web-1": Host("web-1", ("unix:///nowhere",), (), retired=False, place=PLACE)},
        firewalls={
            "web": Firewall(
                "web",
                "memory",
                ("web-1",),
                ("web-1",),
                static=False,
                allow=(),
                settings=MemorySettings(),
                place=PLACE,
            ),
        },
        places={},
    )
    return World(configuration, {"web-1": Complete()}, cloud, provider)
