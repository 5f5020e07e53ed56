"""Inventories in the store of the state: which hosts there are, and what they published."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from cloudsync.config.configuration import Configuration
from cloudsync.config.load import with_published
from cloudsync.model.inventory import Published
from cloudsync.runtime.pools import side_by_side
from cloudsync.state.engines import hosts_remembered, remembered
from cloudsync.state.store.contract import Store, StoreError

_AT_ONCE = 32


def folder_of(owner: str) -> str:
    """What the names of an owner's inventories begin with."""
    return f"inventories/{owner}/"


def name_of(owner: str, host: str) -> str:
    """The object of one host."""
    return f"{folder_of(owner)}{host}.json"


def with_hosts_from_store(
    configuration: Configuration, inventories: Inventories | None = None
) -> Configuration:
    """The configuration with every published host that `[hosts-from-store]` takes. A list may lag
    behind: hosts that an apply read before are hosts all the same, until they are retired.
    `inventories`: of the runs of a service, which expand it again only for other hosts. Raises
    `StateError`, and `ConfigError` as `with_published` does."""
    if configuration.hosts_from_store is None:
        return configuration
    from cloudsync.state.store.opened import open_store

    state, owner, match = configuration.state, configuration.owner, configuration.hosts_from_store
    listed = {
        entry.name.removeprefix(folder_of(owner)).removesuffix(".json")
        for entry in open_store(state).list(folder_of(owner))
    }
    earlier = {name for name in hosts_remembered(state, owner) if fnmatchcase(name, match)} - listed
    known = remembered(state, owner, earlier) if earlier else {}
    published = sorted(
        listed | {name for name in earlier if name in known and known[name].sequence}
    )
    if inventories is None:
        return with_published(configuration, published)
    return inventories.expanded(configuration, published)


@dataclass(slots=True)
class Inventories:
    """Reads inventories; one that is kept for several runs reads only what changed."""

    _known: dict[str, tuple[str, Published]] = field(default_factory=dict)
    """By object, its version and what it held."""
    _asked: set[str] = field(default_factory=set)
    """The objects that were ever to be read."""
    _looked: set[str] = field(default_factory=set)
    """Those that were ever in a list that was looked through for changes."""
    _expanded: tuple[Configuration, list[str], Configuration] | None = None
    """A configuration, the published hosts, and what it came to with them."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(
        self, configuration: Configuration, names: Iterable[str], until: float
    ) -> Mapping[str, Published]:
        """What the hosts among `names` published that are read from the store. `until`: when that
        must be over (`time.monotonic()`)."""
        hosts = [name for name in names if configuration.hosts[name].inventory]
        if not hosts:
            return {}
        from cloudsync.state.store.opened import open_store

        with self._lock:
            self._asked |= {name_of(configuration.owner, host) for host in hosts}
        try:
            store = open_store(configuration.state)
            versions = self._versions(store, configuration.owner)
        except StoreError as error:
            return {name: Published(None, str(error), error.temporary) for name in hosts}

        def one_host(host: str) -> Published:
            name = name_of(configuration.owner, host)
            if (known := self._known.get(name)) is not None and versions.get(name) == known[0]:
                return known[1]
            return self._fresh(store, name, until)

        with side_by_side(min(_AT_ONCE, len(hosts)), "store") as pool:
            return dict(zip(hosts, pool.map(one_host, hosts), strict=True))

    def expanded(self, configuration: Configuration, published: list[str]) -> Configuration:
        """The configuration with these published hosts. Raises `ConfigError`."""
        known = self._expanded
        if known is None or known[0].source is not configuration.source or known[1] != published:
            known = (configuration, published, with_published(configuration, published))
            self._expanded = known
        return replace(configuration, hosts=known[2].hosts, firewalls=known[2].firewalls)

    def changed(self, configuration: Configuration) -> frozenset[str]:
        """The hosts that published something new since their last read; of those that were never
        asked for, such as another shard's, each once after it appeared. One that only says again
        what it said is not new: its inventory is read here. Raises `StateError`."""
        from cloudsync.state.store.opened import open_store

        folder, store = folder_of(configuration.owner), open_store(configuration.state)
        versions = self._listed(store, configuration.owner)
        with self._lock:
            known = {name: self._known[name][0] for name in self._known}
            asked, appeared = set(self._asked), versions.keys() - self._asked - self._looked
            self._looked |= versions.keys()
        changed = {name for name in asked if versions.get(name) != known.get(name)}
        hosts = {
            name: name.removeprefix(folder).removesuffix(".json") for name in changed | appeared
        }
        again = {name: hosts[name] for name in changed & known.keys() & versions.keys()}
        for name in self._repeated(configuration, store, again):
            del hosts[name]
        return frozenset(hosts.values())

    def _repeated(
        self, configuration: Configuration, store: Store, hosts: Mapping[str, str]
    ) -> Iterable[str]:
        """The objects, of those of `hosts`, that say what was read before. What says something else
        is left for a run to read."""
        if not hosts:
            return ()
        from cloudsync.sources.inventory.reading import Expected, says_the_same

        of = (self._expanded[2] if self._expanded is not None else configuration).hosts

        def is_repeated(name: str) -> bool:
            before, host = self._known.get(name), of.get(hosts[name])
            if before is None or host is None:
                return False
            try:
                stored = store.get(name)
            except StoreError:
                return False
            if stored is None:
                return False
            after = Published(stored.data)
            expected = Expected(configuration.owner, host.name, host.trusted_keys)
            if not says_the_same(before[1], after, expected):
                return False
            with self._lock:
                # A run may have read a later one meanwhile.
                if self._known.get(name) is before:
                    self._known[name] = (stored.version, after)
            return True

        with side_by_side(min(_AT_ONCE, len(hosts)), "store") as pool:
            return [
                name
                for name, repeated in zip(hosts, pool.map(is_repeated, hosts), strict=True)
                if repeated
            ]

    def _versions(self, store: Store, owner: str) -> Mapping[str, str]:
        return self._listed(store, owner) if self._known else {}

    def _listed(self, store: Store, owner: str) -> dict[str, str]:
        return {entry.name: entry.version for entry in store.list(folder_of(owner))}

    def _fresh(self, store: Store, name: str, until: float) -> Published:
        if time.monotonic() >= until:
            return Published(None, "the run's time was over before its inventory was read")
        try:
            stored = store.get(name)
        except StoreError as error:
            return Published(None, str(error), error.temporary)
        if stored is None:
            with self._lock:
                self._known.pop(name, None)
            return Published()
        published = Published(stored.data)
        with self._lock:
            self._known[name] = (stored.version, published)
        return published
