"""From a TOML file to a `Configuration`: found, read, checked, every mistake named with its line
and column."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cloudsync.config.configuration import (
    AccountTable,
    Allow,
    AuditIgnore,
    ComposeTable,
    Configuration,
    Firewall,
    Host,
    KeyPath,
    MovingNetwork,
    Place,
    PolicySettings,
    PortRange,
    PublishSettings,
    ReportSettings,
    RunSettings,
    Source,
    Sources,
    Ssh,
    WatchSettings,
)
from cloudsync.config.engines import TlsEngine, engine_problem
from cloudsync.config.expansion import Expansion, expanded
from cloudsync.config.include import with_included
from cloudsync.config.models import (
    ENDPOINT_VARIABLES,
    PATTERNS,
    AllowTable,
    File,
    FirewallTable,
    HostTable,
    NetworkTable,
    StateTable,
    TlsEngineTable,
    allowed,
    duration,
    endpoint_problem,
    listen_address,
    port_range,
)
from cloudsync.config.networks import allowed_rules, ssh_rules
from cloudsync.config.places import place_of, places
from cloudsync.config.problems import ConfigError, Problem, unknown_key
from cloudsync.config.reading import read_text, syntax_problem
from cloudsync.config.specs import engines_of
from cloudsync.model.state_url import StatePlace, StateUrl
from cloudsync.provider import registry
from cloudsync.provider.contract import FirewallSpec, Provider
from cloudsync.provider.errors import ProviderError
from cloudsync.provider.guarded import Unusable
from cloudsync.provider.marker import Marker, host_digest
from cloudsync.provider.settings import AccountSettings, FirewallSettings
from cloudsync.rules.networks import NOWHERE, NetworkSet

Model = TypeVar("Model", bound=BaseModel)


def load(
    path: Path, *, name: str | None = None, environ: Mapping[str, str] = os.environ
) -> Configuration:
    """The configuration in `path`. `name`: how messages call the file. Raises `ConfigError` with
    everything that is wrong."""
    file = name or str(path)
    text = read_text(path, file)
    try:
        raw = tomllib.loads(text)
        known = places(text, file)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([syntax_problem(error, file, text)]) from None
    except RecursionError:
        raise ConfigError([Problem(Place(file, 1, 1), "", "is nested too deeply")]) from None
    whole = with_included(raw, known, path, file)
    source = Source(file, path.resolve().parent, whole.raw, whole.places, whole.included)
    return _loaded(source, (), environ)


def with_published(configuration: Configuration, published: Iterable[str]) -> Configuration:
    """The same configuration with the hosts that its store knows. Raises `ConfigError`: a published
    host may make what the file leaves open into something wrong."""
    if configuration.source is None:
        return configuration
    fresh = _loaded(configuration.source, published, os.environ)
    return replace(configuration, hosts=fresh.hosts, firewalls=fresh.firewalls)


def _loaded(source: Source, published: Iterable[str], environ: Mapping[str, str]) -> Configuration:
    expansion = expanded(source.raw, published)
    loader = _Loader(source, expansion, environ)
    configuration = loader.load(expansion.raw)
    if loader.problems or configuration is None:
        raise ConfigError(loader.problems)
    return configuration


class _Loader:
    """Collects problems while one file is turned into values."""

    def __init__(self, source: Source, expansion: Expansion, environ: Mapping[str, str]) -> None:
        self.source, self.expansion, self.environ = source, expansion, environ
        self.file, self.base, self.known = source.file, source.base, source.places
        self.problems: list[Problem] = []
        self.networks: dict[str, NetworkSet] = {}
        self.moving: dict[str, MovingNetwork] = {}

    def at(self, *path: str | int) -> Place:
        if len(path) > 1 and path[0] == "firewalls":
            path = ("firewalls", self.expansion.tables.get(str(path[1]), path[1]), *path[2:])
        return place_of(path, self.known, self.file)

    def problem(self, path: KeyPath, text: str) -> None:
        self.problems.append(Problem(self.at(*path), ".".join(str(key) for key in path), text))

    def load(self, raw: dict[str, Any]) -> Configuration | None:
        file = self.validate(File, raw, ())
        if file is None:
            return None
        for name, network in file.networks.items():
            if isinstance(network, NetworkTable):
                self.moving[name] = self.moving_network(name, network)
                self.networks[name] = NOWHERE  # until it is read
            else:
                self.networks[name] = NetworkSet.of(network)
        accounts = self.accounts(file)
        hosts = {name: self.host(name, table) for name, table in file.hosts.items()}
        firewalls = {
            name: self.firewall(name, table, file, accounts)
            for name, table in file.firewalls.items()
        }
        ssh_sources = self.sources(file.ssh.sources, ("ssh", "sources"))
        self.check_identities(
            {name: f for name, f in firewalls.items() if f is not None},
            accounts,
            file.owner,
            hosts,
        )
        if self.problems:
            return None
        return Configuration(
            file=self.file,
            base=self.base,
            owner=file.owner,
            state=self.state(file.state),
            ssh=Ssh(
                tuple(file.ssh.ports),
                ssh_sources.fixed,
                ssh_rules(file.ssh.ports, ssh_sources.fixed),
                ssh_sources,
            ),
            networks=self.networks,
            moving=self.moving,
            policy=self.policy(file),
            run=RunSettings(
                duration(file.run.host_timeout).total_seconds(),
                duration(file.run.deadline).total_seconds(),
                file.run.concurrency,
            ),
            accounts=accounts,
            hosts=hosts,
            firewalls={name: f for name, f in firewalls.items() if f is not None},
            places=self.known,
            report=ReportSettings(
                file.report.health,
                file.report.webhook,
                file.report.webhook_secret,
                file.report.metrics_file,
            ),
            watch=self.watch(file),
            publish=self.publish(file),
            source=self.source,
            hosts_from_store=None if file.hosts_from_store is None else file.hosts_from_store.match,
            audit_ignores=tuple(
                AuditIgnore(entry.id, entry.object, entry.reason, entry.until)
                for entry in file.audit.ignore
            ),
        )

    def validate(
        self, model: type[Model], value: object, path: KeyPath, more: Iterable[str] = ()
    ) -> Model | None:
        """`value` as the model, or None with its problems noted. `more`: further keys that are
        known at this level."""
        try:
            return model.model_validate(value)
        except ValidationError as error:
            for detail in error.errors(include_input=False, include_url=False):
                where = (*path, *_in_the_file(value, detail["loc"]))
                self.problem(
                    where,
                    _in_words(detail, model, where, path, more),
                )
            return None

    def state(self, state: str | StateTable | None) -> StatePlace:
        if state is not None:
            table = StateTable(url=state) if isinstance(state, str) else state
            if table.url.startswith("file://"):
                return Path(table.url.removeprefix("file://"))
            self.check_endpoint_variables(table)
            return StateUrl(
                table.url.rstrip("/"),
                table.endpoint,
                table.region,
                table.access_key_id,
                table.secret_access_key,
                self.base,
            )
        if os.geteuid() == 0:
            return Path("/var/lib/cloudsync")
        home = self.environ.get("XDG_STATE_HOME") or str(
            Path(self.environ.get("HOME", "~")).expanduser() / ".local" / "state"
        )
        return Path(home) / "cloudsync"

    def check_endpoint_variables(self, table: StateTable) -> None:
        """The variables of the AWS SDKs count like the key that they replace."""
        if table.endpoint is not None or not table.url.startswith("s3://"):
            return
        for variable in ENDPOINT_VARIABLES:
            if endpoint := self.environ.get(variable):
                if (problem := endpoint_problem(endpoint)) is not None:
                    self.problem(("state",), f"{variable} {problem}")
                return

    def policy(self, file: File) -> PolicySettings:
        table = file.policy
        return PolicySettings(
            expose=table.expose,
            mode=table.mode,
            grace=duration(table.grace),
            max_close=table.max_close,
            deny=self.ports(table.deny, ("policy", "deny")),
            allow_sensitive=self.ports(table.allow_sensitive, ("policy", "allow_sensitive")),
            icmp=table.icmp,
            private=table.private,
            foreign=table.foreign,
            plan_max_age=duration(table.plan_max_age),
        )

    def watch(self, file: File) -> WatchSettings:
        table = file.watch
        return WatchSettings(
            interval=duration(table.interval).total_seconds(),
            debounce_min=duration(table.debounce_min).total_seconds(),
            debounce_max=duration(table.debounce_max).total_seconds(),
            listen=listen_address(table.listen) if table.listen is not None else None,
            poll=duration(table.poll).total_seconds(),
            audit=None if table.audit == "off" else duration(table.audit).total_seconds(),
            token=table.token,
        )

    def publish(self, file: File) -> PublishSettings | None:
        if (table := file.publish) is None:
            return None
        return PublishSettings(duration(table.valid_for).total_seconds(), table.sign_with)

    def ports(self, texts: Iterable[str], path: KeyPath) -> tuple[PortRange, ...]:
        return tuple(
            PortRange(*port_range(text), self.at(*path, number))
            for number, text in enumerate(texts)
        )

    def moving_network(self, name: str, table: NetworkTable) -> MovingNetwork:
        origins = table.url or table.dns or ([table.file] if table.file is not None else [])
        return MovingNetwork(
            name, table.kind, tuple(origins), table.refresh_seconds, self.at("networks", name)
        )

    def sources(self, words: Iterable[str], path: KeyPath, list_ids: str | None = None) -> Sources:
        written, named = list[str](), list[NetworkSet]()
        moving, lists = list[str](), list[str]()
        for number, word in enumerate(words):
            name = word[1:]
            if list_ids is not None and re.fullmatch(list_ids, word):
                lists.append(word)
            elif not word.startswith("@"):
                written += self.networks_of(word, (*path, number))
            elif name in self.moving:
                moving.append(name)
            elif name in self.networks:
                named.append(self.networks[name])
            else:
                self.problem((*path, number), f'[networks] has no "{name[:40]}"')
        fixed = NetworkSet.union((NetworkSet.of(written), *named))
        if not (fixed or moving or lists or self.problems):
            self.problem(path, "name no address at all")
        return Sources(fixed, tuple(dict.fromkeys(moving)), tuple(dict.fromkeys(lists)))

    def networks_of(self, word: str, path: KeyPath) -> list[str]:
        """The word, unless it is not a network."""
        try:
            NetworkSet.of([word])
        except ValueError:  # looks like the id of a list
            self.problem(
                path,
                'must be a network such as "203.0.113.0/24", "any", "any4", "any6" or "@name"; '
                "this provider has no list of addresses with such an id",
            )
            return []
        return [word]

    def accounts(self, file: File) -> dict[str, AccountTable]:
        accounts = {}
        for name, table in file.providers.items():
            path: KeyPath = ("providers", name)
            rest = dict(table)
            kind = rest.pop("type", name)
            if not isinstance(kind, str):
                self.problem((*path, "type"), "must be text")
                continue
            try:
                plugin = _plugin(kind)
            except registry.PluginError as error:
                self.problem((*path, "type") if "type" in table else path, str(error))
                continue
            settings = self.validate(plugin.account_settings, rest, path, ("type",))
            if isinstance(settings, AccountSettings):
                accounts[name] = AccountTable(name, kind, plugin, settings)
        return accounts

    def host(self, name: str, table: HostTable) -> Host:
        path: KeyPath = ("hosts", name)
        written, at = table.docker, (*path, "docker")
        if isinstance(written, list):
            engines = tuple(
                self.engine(engine, (*at, number)) for number, engine in enumerate(written)
            )
        else:
            engines = () if written is None else (self.engine(written, at),)
        sources = (table.ports, table.compose, table.inventory, table.docker)
        if all(source is None for source in sources) and not table.retired:
            self.problem(path, "needs a source of ports: docker, compose, ports or inventory")
        self.check_inventory(table, path)
        ports = self.ports(table.ports or (), (*path, "ports"))
        return Host(
            name,
            engines,
            ports,
            table.retired,
            self.at(*path),
            self.compose(table, path),
            table.inventory is not None,
            None if table.trusted_keys is None else tuple(table.trusted_keys),
        )

    def check_inventory(self, table: HostTable, path: KeyPath) -> None:
        if table.inventory is not None and table.docker is not None:
            self.problem((*path, "inventory"), "stands for docker: leave one of them out")
        if table.inventory is None and table.trusted_keys is not None:
            self.problem((*path, "trusted_keys"), "belongs to inventory, which the host has not")

    def compose(self, table: HostTable, path: KeyPath) -> ComposeTable | None:
        if table.compose is None:
            for key, value in (("profiles", table.profiles), ("env_file", table.env_file)):
                if value is not None:
                    self.problem((*path, key), "belongs to compose, which the host does not have")
            return None
        profiles = None if table.profiles is None else tuple(table.profiles)
        return ComposeTable(tuple(table.compose), tuple(table.env_file or ()), profiles)

    def engine(self, written: str | TlsEngineTable, path: KeyPath) -> str | TlsEngine:
        text = written if isinstance(written, str) else written.host
        if (problem := engine_problem(text)) is not None:
            self.problem(path if isinstance(written, str) else (*path, "host"), problem)
        return (
            written
            if isinstance(written, str)
            else TlsEngine(written.host, written.ca, written.cert, written.key)
        )

    def firewall(
        self, name: str, raw: dict[str, object], file: File, accounts: Mapping[str, AccountTable]
    ) -> Firewall | None:
        path: KeyPath = ("firewalls", name)
        core = {key: value for key, value in raw.items() if key in FirewallTable.model_fields}
        rest = {key: value for key, value in raw.items() if key not in FirewallTable.model_fields}
        table = self.validate(FirewallTable, core, path)
        if table is None:
            return None
        if table.provider not in file.providers:
            self.problem(
                (*path, "provider"), f"there is no [providers.{table.provider[:40]}] table"
            )
            return None
        for number, host in enumerate(table.hosts):
            if host not in file.hosts:
                self.problem((*path, "hosts", number), f"there is no [hosts.{host[:40]}] table")
        self.check_hosts(path, table, file)
        if (account := accounts.get(table.provider)) is None:
            return None  # its own problem is noted already
        self.take_out_name(name, rest, account)
        settings = self.validate(
            account.provider.firewall_settings, rest, path, FirewallTable.model_fields
        )
        list_ids = account.provider.capabilities.list_ids
        allow = tuple(
            self.allow(entry, (*path, "allow", number), list_ids)
            for number, entry in enumerate(table.allow)
        )
        if not isinstance(settings, FirewallSettings):
            return None
        if settings.exactly_one_host and len(table.hosts) != 1:
            self.problem((*path, "hosts"), "must name exactly one host: the machine it acts on")
        living = sorted(
            {host for host in table.hosts if host in file.hosts and not file.hosts[host].retired}
        )
        return Firewall(
            name,
            table.provider,
            tuple(living),
            self.expansion.marker_hosts.get(name) or tuple(sorted(set(table.hosts))),
            table.static,
            allow,
            settings,
            self.at(*path),
            tuple(table.shared_with),
            self.expansion.tables.get(name, ""),
        )

    def take_out_name(self, name: str, rest: dict[str, object], account: AccountTable) -> None:
        """`name = "edge-{host}"` beside `per_host` at a provider whose firewalls have no name of
        their own: it says how the firewalls are called, which it cannot change."""
        if name not in self.expansion.tables or "name" not in rest:
            return
        if "name" in account.provider.firewall_settings.model_fields:
            return
        if rest.pop("name") != name:
            self.problem(
                ("firewalls", name, "name"),
                f"the firewall is called {name}, after its table and its host: leave name out, or "
                "rename the table",
            )

    def check_hosts(self, path: KeyPath, table: FirewallTable, file: File) -> None:
        if table.static and table.hosts:
            self.problem((*path, "hosts"), "must be left out where static = true")
        elif not table.static and not table.hosts:
            self.problem(path, "needs hosts (or static = true, where only its allow rules count)")
        elif table.hosts and all(
            host in file.hosts and file.hosts[host].retired for host in table.hosts
        ):
            self.problem((*path, "hosts"), "are all retired: nothing but SSH would stay open")

    def allow(self, table: AllowTable, path: KeyPath, list_ids: str | None) -> Allow:
        """`list_ids`: how the vendor's lists of addresses look; None if it has none."""
        sources = self.sources(table.sources, (*path, "sources"), list_ids)
        ports = tuple(allowed(word) for word in table.ports)
        rules = allowed_rules(ports, sources.fixed)
        return Allow(rules, table.description, self.at(*path), ports, sources)

    def check_identities(
        self,
        firewalls: Mapping[str, Firewall],
        accounts: Mapping[str, AccountTable],
        owner: str,
        hosts: Mapping[str, Host],
    ) -> None:
        """Two firewalls of one configuration must not name the same firewall at the vendor: they
        would undo each other."""
        seen: dict[tuple[str, str], str] = {}
        for firewall in firewalls.values():
            spec = FirewallSpec(
                firewall.name,
                firewall.settings,
                Marker(owner, firewall.name, host_digest(firewall.marker_hosts)),
                firewall.marker_hosts,
                engines_of(hosts, firewall.marker_hosts),
            )
            try:
                identity = (firewall.account, accounts[firewall.account].provider.identity(spec))
            except ProviderError:
                continue  # a defect of its plugin: this firewall cannot be planned, others can
            if (other := seen.setdefault(identity, firewall.name)) != firewall.name:
                self.problem(
                    ("firewalls", firewall.name),
                    f'names the same firewall at the vendor as "{other}"',
                )


def _plugin(kind: str) -> Provider:
    """The provider of that type; a stand-in that can do nothing if the plugin is broken, so that
    the firewalls of all others are managed all the same. Raises `PluginError`."""
    try:
        return registry.load(kind)
    except registry.PluginBroken as error:
        return cast("Provider", Unusable(kind, str(error)))


def _in_the_file(value: Any, path: Iterable[str | int]) -> KeyPath:
    """Where a pydantic error is, without the names that pydantic has for its own branches
    (`function-after[…]`, `engine-list`, `[key]`).

    What is no key of the file is a branch, but for the last part, which may be a key that is
    missing; a branch that comes last says nothing more than what is before it, and no branch is
    spelled like a key of ours.
    """
    parts, keys = tuple(path), list[str | int]()
    for number, key in enumerate(parts):
        below: Mapping[str | int, Any] = (
            dict(enumerate(value)) if isinstance(value, list) else value
        )
        if isinstance(below, dict) and key in below:
            value = below[key]
        elif number + 1 < len(parts) or not _is_key(key):
            continue
        keys.append(key)
    return tuple(keys)


def _is_key(key: str | int) -> bool:
    return isinstance(key, int) or (key.isidentifier() and key != "str")


def _in_words(
    details: ErrorDetails,
    model: type[BaseModel],
    where: KeyPath,
    path: KeyPath,
    more: Iterable[str],
) -> str:
    """A pydantic error for people, without the value."""
    kind, message, context = details["type"], details["msg"], details.get("ctx", {})
    if kind == "extra_forbidden":
        known = {
            *(_key(name) for name in _fields_at(model, where[len(path) : -1])),
            *(more if len(where) == len(path) + 1 else ()),
        }
        return unknown_key(str(where[-1]), known)
    if kind == "missing":
        return "is required"
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    if kind == "literal_error":
        return f"must be {context.get('expected', 'one of the known words')}"
    if kind == "string_pattern_mismatch":
        pattern = str(context.get("pattern"))
        return PATTERNS.get(pattern, f"must match {pattern}")
    names = {
        "string_type": "text",
        "int_type": "a whole number",
        "bool_type": "true or false",
        "list_type": "a list",
        "dict_type": "a table",
    }
    if kind in names or kind in ("model_type", "model_attributes_type"):
        return f"must be {names.get(kind, 'a table')}"
    return message[:1].lower() + message[1:]


def _fields_at(model: type[BaseModel], path: KeyPath) -> Iterable[str]:
    """The keys a model knows at a path below it."""
    for key in path:
        if isinstance(key, int):
            continue
        name = "hosts_from_store" if key == "hosts-from-store" else key
        field = model.model_fields.get(name)
        nested = None if field is None else _model_in(field.annotation)
        if nested is not None:
            model = nested
    return model.model_fields


def _key(field: str) -> str:
    """A field as the file spells it."""
    return "hosts-from-store" if field == "hosts_from_store" else field


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(
        (
            model
            for argument in getattr(annotation, "__args__", ())
            if (model := _model_in(argument)) is not None
        ),
        None,
    )
