"""All hosts of a run read side by side, each by its sources and within its own time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from cloudsync.config.configuration import Configuration, Host
from cloudsync.provider.contract import Progress, silent
from cloudsync.sources.discovery import Discovery, LabelScope


def read_hosts(configuration: Configuration, names: Iterable[str], progress: Progress = silent) -> Mapping[str, Discovery]:
    """What every named host needs. Never raises for a host: what cannot be read is `Failed` or `Partial`."""
    hosts = [configuration.hosts[name] for name in names]
    if not hosts:
        return {}
    with ThreadPoolExecutor(min(len(hosts), configuration.run.concurrency), thread_name_prefix="host") as pool:
        readings = pool.map(lambda host: _read(configuration, host, progress), hosts)
        return {host.name: discovery for host, discovery in zip(hosts, readings, strict=True)}


def label_scope(configuration: Configuration, host: str) -> LabelScope:
    """What the labels of one host's containers may name."""
    firewalls = frozenset(f.name for f in configuration.firewalls.values() if host in f.hosts)
    return LabelScope(dict(configuration.networks), firewalls)


def _read(configuration: Configuration, host: Host, progress: Progress) -> Discovery:
    discoveries: list[Discovery] = []
    if host.ports:
        from cloudsync.sources.static import read_static

        discoveries.append(read_static(host))
    if host.compose is not None:
        from cloudsync.sources.compose import read_compose

        progress(f"reading the Compose files of {host.name}")
        discoveries.append(read_compose(host.name, host.compose, configuration.base, label_scope(configuration, host.name)))
    if host.docker:
        from cloudsync.sources.engine import read_engine

        scope = label_scope(configuration, host.name)
        for endpoint in host.docker:
            progress(f"reading {host.name}")
            run = configuration.run
            discoveries.append(read_engine(host.name, endpoint, scope, timeout=run.host_timeout, concurrency=run.concurrency))
    from cloudsync.sources import united

    return united(discoveries)
