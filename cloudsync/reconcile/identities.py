"""The configuration with what the machine adds to it: who answers at its local sockets."""

from __future__ import annotations

from dataclasses import replace

from cloudsync.config.configuration import Configuration
from cloudsync.sources.identity import local_engines, local_identities
from cloudsync.state import StateError
from cloudsync.state.engines import recall


def identified(configuration: Configuration) -> Configuration:
    """The same configuration, so that its markers tell this machine from another one that has a
    copy of it (decision 0004). Raises `StateError` if the state cannot be read."""
    local = [
        host.name for host in configuration.hosts.values() if local_engines(configuration, host)
    ]
    memory = recall(configuration.state, configuration.owner, local)
    return replace(configuration, identities=local_identities(configuration, memory))


def identified_if_possible(configuration: Configuration) -> Configuration:
    """The same where nothing is decided by it: a state that cannot be read changes nothing."""
    try:
        return identified(configuration)
    except StateError:
        return configuration
