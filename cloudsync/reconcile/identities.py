"""The configuration with what the machine adds to it: who answers at its local sockets."""

from __future__ import annotations

from dataclasses import replace

from cloudsync.config.configuration import Configuration
from cloudsync.sources.identity import local_identities
from cloudsync.state.engines import recall


def identified(configuration: Configuration) -> Configuration:
    """The same configuration, so that its markers tell this machine from another one that has a copy
    of it (decision 0004). Raises `StateError` if the state cannot be read."""
    memory = recall(configuration.state, configuration.owner)
    return replace(configuration, identities=local_identities(configuration, memory))
