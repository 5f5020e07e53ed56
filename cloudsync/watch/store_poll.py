"""Follow what machines publish: one list of the store every so often, whose ETags say what
changed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable

from cloudsync.config.configuration import Configuration
from cloudsync.reconcile.inventories import Inventories
from cloudsync.render.escape import plain
from cloudsync.state import StateError

log = logging.getLogger("cloudsync.watch")


class StorePoll:
    """A thread of its own while the configuration has hosts that are read from the store."""

    def __init__(self, inventories: Inventories, changed: Callable[[Iterable[str]], None]) -> None:
        """`changed`: called from the thread with the hosts that published something."""
        self._inventories, self._changed = inventories, changed
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def attend(self, configuration: Configuration) -> None:
        """Poll for this configuration from now on, and for no other."""
        self.stop()
        hosts = configuration.hosts.values()
        if configuration.hosts_from_store is None and not any(host.inventory for host in hosts):
            return
        self._over = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(configuration, self._over), name="store", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a request that is under way is left to its time-out."""
        self._over.set()
        self._thread = None

    def _run(self, configuration: Configuration, over: threading.Event) -> None:
        trouble = ""
        while not over.wait(configuration.watch.poll):
            try:
                if hosts := self._inventories.changed(configuration):
                    self._changed(hosts)
                trouble = ""
            except StateError as error:
                if str(error) != trouble:
                    trouble = str(error)
                    log.warning(
                        "cloudsync watch: %s", plain(trouble, 500), extra={"event": "store"}
                    )
