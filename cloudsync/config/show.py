"""The configuration back as text (references, never secrets), and the JSON Schema editors use."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import tomlkit

from cloudsync.config.configuration import (
    Allow,
    AuditIgnore,
    ComposeTable,
    Configuration,
    Host,
    MovingNetwork,
    PortRange,
    ReportSettings,
    Sources,
    WatchSettings,
)
from cloudsync.config.engines import TlsEngine
from cloudsync.config.models import AllowTable, File, FirewallTable
from cloudsync.config.networks import allowed_rules
from cloudsync.model.state_url import StatePlace
from cloudsync.provider.settings import SecretRef
from cloudsync.rules import RuleSet
from cloudsync.rules.networks import ANY, NetworkSet


def show(configuration: Configuration) -> str:
    """The effective configuration with every default filled in, as TOML that can be loaded again.
    Secrets stay references."""
    policy, run = configuration.policy, configuration.run
    document: dict[str, Any] = {
        "version": 1,
        "owner": configuration.owner,
        "state": _state(configuration.state),
        "ssh": {
            "ports": list(configuration.ssh.ports),
            "sources": _written(configuration.ssh.written),
        },
        "networks": {
            name: (
                _moving(configuration.moving[name])
                if name in configuration.moving
                else list(networks.cidrs())
            )
            for name, networks in configuration.networks.items()
        },
        "policy": {
            "expose": policy.expose,
            "mode": policy.mode,
            "grace": _duration(policy.grace),
            "max_close": policy.max_close,
            "deny": _ports(policy.deny),
            "allow_sensitive": _ports(policy.allow_sensitive),
            "icmp": policy.icmp,
            "private": policy.private,
            "foreign": policy.foreign,
            "plan_max_age": _duration(policy.plan_max_age),
        },
        "run": {
            "host_timeout": _duration(timedelta(seconds=run.host_timeout)),
            "deadline": _duration(timedelta(seconds=run.deadline)),
            "concurrency": run.concurrency,
        },
        "report": _report(configuration.report),
        "watch": _watch(configuration.watch),
        **_audit(configuration.audit_ignores),
        **_fleet(configuration),
        "providers": {
            name: {"type": table.type} | table.settings.model_dump(exclude_none=True, mode="json")
            for name, table in configuration.accounts.items()
        },
        "hosts": {
            host.name: (
                ({"docker": [_engine(engine) for engine in host.docker]} if host.docker else {})
                | _inventory(host)
                | _compose(host.compose)
                | (
                    {"ports": _ports(host.ports)}
                    if host.ports or not (host.docker or host.compose or host.inventory)
                    else {}
                )
                | ({"retired": True} if host.retired else {})
            )
            for host in configuration.hosts.values()
        },
        "firewalls": {
            firewall.name: (
                {"provider": firewall.account}
                | ({"static": True} if firewall.static else {"hosts": list(firewall.marker_hosts)})
                | ({"shared_with": list(firewall.shared_with)} if firewall.shared_with else {})
                | firewall.settings.model_dump(exclude_none=True, mode="json")
                | (
                    {"allow": [table for allow in firewall.allow for table in _allows(allow)]}
                    if firewall.allow
                    else {}
                )
            )
            for firewall in configuration.firewalls.values()
        },
    }
    return tomlkit.dumps(_without_words(document))


_HIDDEN = "(its other words are not shown)"


def _without_words(value: Any) -> Any:
    """The same, of a secret's command the program alone: its words may be secrets themselves."""
    if isinstance(value, list):
        return [_without_words(item) for item in value]
    if not isinstance(value, dict):
        return value
    words = value.get("command")
    if len(value) == 1 and isinstance(words, list) and len(words) > 1:
        return {"command": [words[0], _HIDDEN]}
    return {key: _without_words(item) for key, item in value.items()}


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft-07) of the file. The keys of provider plugins are left open: only the
    plugin knows them."""
    schema = File.model_json_schema(ref_template="#/definitions/{model}")
    definitions = schema.pop("$defs", {})
    for model in (FirewallTable, AllowTable):
        more = model.model_json_schema(ref_template="#/definitions/{model}")
        definitions |= more.pop("$defs", {})
        definitions[model.__name__] = more
    definitions["FirewallTable"]["additionalProperties"] = True
    properties = schema["properties"]
    properties["firewalls"]["patternProperties"] = {
        pattern: {"$ref": "#/definitions/FirewallTable"}
        for pattern in properties["firewalls"].get("patternProperties", {".*": None})
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        **schema,
        "definitions": definitions,
    }


def _state(place: StatePlace) -> str | dict[str, Any]:
    if isinstance(place, Path):
        return f"file://{place}"
    table = {
        "url": place.url,
        "endpoint": place.endpoint,
        "region": place.region,
        "access_key_id": place.access_key_id,
        "secret_access_key": place.secret_access_key,
    }
    shown = {
        key: value.model_dump(exclude_none=True) if isinstance(value, SecretRef) else value
        for key, value in table.items()
        if value is not None
    }
    return shown if len(shown) > 1 else place.url


def _report(report: ReportSettings) -> dict[str, Any]:
    references = {
        "health": report.health,
        "webhook": report.webhook,
        "webhook_secret": report.webhook_secret,
    }
    shown: dict[str, Any] = {
        name: reference.model_dump(exclude_none=True)
        for name, reference in references.items()
        if reference is not None
    }
    return shown | (
        {"metrics_file": report.metrics_file} if report.metrics_file is not None else {}
    )


def _watch(watch: WatchSettings) -> dict[str, Any]:
    seconds = {
        "interval": watch.interval,
        "debounce_min": watch.debounce_min,
        "debounce_max": watch.debounce_max,
        "poll": watch.poll,
    }
    shown: dict[str, Any] = {
        name: _duration(timedelta(seconds=value)) for name, value in seconds.items()
    }
    if watch.listen is not None:
        host, port = watch.listen
        shown["listen"] = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    shown["audit"] = "off" if watch.audit is None else _duration(timedelta(seconds=watch.audit))
    if watch.token is not None:
        shown["token"] = watch.token.model_dump(exclude_none=True)
    return shown


def _audit(ignores: Iterable[AuditIgnore]) -> dict[str, Any]:
    accepted = [
        {"id": ignore.id, "object": ignore.object, "reason": ignore.reason}
        | ({} if ignore.until is None else {"until": ignore.until})
        for ignore in ignores
    ]
    return {"audit": {"ignore": accepted}} if accepted else {}


def _inventory(host: Host) -> dict[str, Any]:
    if not host.inventory:
        return {}
    keys = {} if host.trusted_keys is None else {"trusted_keys": list(host.trusted_keys)}
    return {"inventory": "store", **keys}


def _fleet(configuration: Configuration) -> dict[str, Any]:
    """`[publish]` and `[hosts-from-store]`, if there are any; what `include` brought is shown in
    its place."""
    shown: dict[str, Any] = {}
    if (publish := configuration.publish) is not None:
        shown["publish"] = {"valid_for": _duration(timedelta(seconds=publish.valid_for))}
        if publish.sign_with is not None:
            shown["publish"]["sign_with"] = publish.sign_with
    raw = {} if configuration.source is None else configuration.source.raw
    if configuration.hosts_from_store is not None:
        shown["hosts-from-store"] = dict(raw["hosts-from-store"])
    return shown


def _compose(table: ComposeTable | None) -> dict[str, Any]:
    if table is None:
        return {}
    return (
        {"compose": list(table.paths)}
        | ({} if table.profiles is None else {"profiles": list(table.profiles)})
        | ({"env_file": list(table.env_files)} if table.env_files else {})
    )


def _engine(engine: str | TlsEngine) -> object:
    if isinstance(engine, str):
        return engine
    files = {"ca": engine.ca, "cert": engine.cert, "key": engine.key}
    return {"host": engine.host} | {name: path for name, path in files.items() if path is not None}


def _ports(ranges: Iterable[PortRange]) -> list[str]:
    return [
        f"{r.first if r.first == r.last else f'{r.first}-{r.last}'}/{r.protocol}" for r in ranges
    ]


def _sources(sources: NetworkSet) -> list[str]:
    return ["any"] if sources == ANY else list(sources.cidrs())


def _written(sources: Sources) -> list[str]:
    fixed = _sources(sources.fixed) if sources.fixed else []
    return [*(f"@{name}" for name in sources.moving), *sources.lists, *fixed]


def _moving(network: MovingNetwork) -> dict[str, Any]:
    origins = list(network.origins)
    refresh = _duration(timedelta(seconds=network.refresh))
    return {network.kind: origins[0] if len(origins) == 1 else origins, "refresh": refresh}


def _duration(value: timedelta) -> str:
    seconds = int(value.total_seconds())
    parts = [(seconds // 3600, "h"), (seconds % 3600 // 60, "m"), (seconds % 60, "s")]
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"


def _allows(allow: Allow) -> Iterable[dict[str, Any]]:
    """An allow table back: one a source set (ICMP of both families has two). Networks that move
    stay names."""
    if allow.written.moving or allow.written.lists:
        words = [word for table in _tables(allowed_rules(allow.ports, ANY)) for word in table[1]]
        tables = [(_written(allow.written), list(dict.fromkeys(words)))]
    else:
        tables = list(_tables(allow.rules))
    for sources, ports in tables:
        described = {"description": allow.description} if allow.description else {}
        yield {"ports": ports, "sources": sources} | described


def _tables(rules: RuleSet) -> Iterable[tuple[list[str], list[str]]]:
    """Sources and the ports they reach."""
    by_sources: dict[NetworkSet, list[str]] = {}
    for rule in rules:
        text = f"{rule.ports}/{rule.protocol}" if rule.has_ports else rule.protocol_and_ports
        names = [text] if rule.has_ports or rule.ports or "-" not in text else _each(text)
        by_sources.setdefault(rule.sources, []).extend(
            f"ip/{name}" if name.isdigit() else name for name in names
        )
    for sources, ports in by_sources.items():
        yield _sources(sources), ports


def _each(protocols: str) -> list[str]:
    first, _, last = protocols.partition("-")
    return [str(number) for number in range(int(first), int(last) + 1)]
