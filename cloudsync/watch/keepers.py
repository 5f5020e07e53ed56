"""While the service runs, firewalls on this machine that somebody flushes are put back at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from cloudsync.config.configuration import Configuration
from cloudsync.config.specs import spec_of
from cloudsync.provider.contract import Keeper, OnMachine
from cloudsync.reconcile.identities import identified_if_possible
from cloudsync.render.escape import plain

log = logging.getLogger("cloudsync.watch")


class Keepers:
    """One keeper for each firewall on this machine. `hint` asks for a run."""

    def __init__(self, hint: Callable[[], None]) -> None:
        self._hint = hint
        self._keepers: list[Keeper] = []

    def attend(self, configuration: Configuration, names: Iterable[str]) -> None:
        """Keep the tables of these firewalls, as the configuration has them now, and no others."""
        self.stop()
        names = tuple(names)
        if any(_is_here(configuration, name) for name in names):
            configuration = identified_if_possible(configuration)
        for name in names:
            firewall = configuration.firewalls[name]
            provider = configuration.accounts[firewall.account].provider
            if isinstance(provider, OnMachine):
                kept = provider.keep(spec_of(configuration, firewall), self._notice)
                if kept is not None:
                    self._keepers.append(kept)

    def stop(self) -> None:
        """Let go of all of them."""
        while self._keepers:
            self._keepers.pop().stop()

    def _notice(self, message: str) -> None:
        log.warning("%s", plain(message, 500), extra={"event": "put-back"})
        self._hint()


def _is_here(configuration: Configuration, name: str) -> bool:
    account = configuration.firewalls[name].account
    return isinstance(configuration.accounts[account].provider, OnMachine)
