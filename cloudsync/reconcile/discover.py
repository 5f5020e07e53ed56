"""What every host of a configuration needs, without a plan: engines, files and inventories."""

from __future__ import annotations

import time
from collections.abc import Mapping

from cloudsync.config.configuration import Configuration
from cloudsync.model.ports import Discovery
from cloudsync.provider.contract import Progress, silent
from cloudsync.reconcile.inventories import Inventories, with_hosts_from_store
from cloudsync.reconcile.networks import Resolved, resolved
from cloudsync.sources.read_hosts import read_hosts
from cloudsync.state.engines import recall


def discover(
    configuration: Configuration, progress: Progress = silent
) -> tuple[Resolved, Mapping[str, Discovery]]:
    """The configuration with its networks as they are now, and what every host needs that is not
    retired. Raises `StateError`."""
    configuration = with_hosts_from_store(configuration)
    networks = resolved(configuration, time.monotonic() + configuration.run.host_timeout, progress)
    configuration = networks.configuration
    names = [host.name for host in configuration.hosts.values() if not host.retired]
    until = time.monotonic() + configuration.run.deadline
    published = Inventories().read(configuration, names, until)
    memory = recall(configuration.state, configuration.owner, names)
    return networks, read_hosts(configuration, names, progress, memory, published)
