"""Read the networks that move, in parallel and within their time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from cloudsync.config.configuration import MovingNetwork
from cloudsync.rules.networks import NetworkSet
from cloudsync.runtime.pools import gather
from cloudsync.sources.networks.dns import addresses_of
from cloudsync.sources.networks.file import read_file
from cloudsync.sources.networks.https import fetch
from cloudsync.sources.networks.listed import networks_in
from cloudsync.sources.networks.unread import NetworkUnread

_SLACK_SECONDS = 0.5
"""Readers end by themselves in time; only the resolver, which has no time limit, is left behind."""


def read_networks(
    networks: Iterable[MovingNetwork], base: Path, until: float
) -> Mapping[str, NetworkSet | NetworkUnread]:
    """The answer for each, by name. `base`: the folder that paths are relative to. `until`: of
    `time.monotonic()`."""
    listed = tuple(networks)
    tasks = {network.name: partial(_answer, network, base, until) for network in listed}
    answers = gather(tasks, "networks", until + _SLACK_SECONDS)
    late = NetworkUnread("no answer in time")
    return {network.name: answers.get(network.name, late) for network in listed}


def _answer(network: MovingNetwork, base: Path, until: float) -> NetworkSet | NetworkUnread:
    try:
        return NetworkSet.union(
            [_of_origin(network, origin, base, until) for origin in network.origins]
        )
    except NetworkUnread as unread:
        return unread


def _of_origin(network: MovingNetwork, origin: str, base: Path, until: float) -> NetworkSet:
    if time.monotonic() >= until:
        raise NetworkUnread("no answer in time")
    if network.kind == "file":
        return networks_in(read_file(base / origin))
    if network.kind == "dns":
        return addresses_of(origin)
    try:
        return networks_in(fetch(origin, until))
    except NetworkUnread as unread:
        shown = origin.partition("?")[0]
        raise NetworkUnread(f"{shown}: {unread.reason}", temporary=unread.temporary) from None
