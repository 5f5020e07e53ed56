"""Where the networks of a configuration that move came from, and how old the answers are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from cloudsync.model.plan import NetworkReading
from cloudsync.provider.phrases import count
from cloudsync.render.escape import plain

_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"))


def unread(readings: Iterable[NetworkReading], now: datetime) -> Iterator[str]:
    """A sentence for each network that could not be read now."""
    for reading in readings:
        if reading.status.status == "complete":
            continue
        reason = plain(reading.status.reason or "", 500)
        yield f"@{reading.name} could not be read ({reason}). {_instead(reading, now)}"


def read(readings: Iterable[NetworkReading], now: datetime) -> Iterator[str]:
    """`@cloudflare: 22 networks from https://www.cloudflare.com/ips-v4, read 12 minutes ago`, for
    each that could be read, or was a while ago."""
    for reading in readings:
        if reading.status.status == "complete":
            yield f"@{reading.name}: {origin(reading, now)}"


def origin(reading: NetworkReading, now: datetime) -> str:
    """`22 networks from DNS home.example.net, read just now`."""
    networks = count(len(reading.networks.cidrs()), "network")
    return f"{networks} from {plain(reading.source, 500)}, read {age(reading.read, now)}"


def age(moment: datetime | None, now: datetime) -> str:
    """`just now`, `12 minutes ago`, `3 hours ago`, `never`."""
    if moment is None:
        return "never"
    passed = max(now - moment, timedelta()).total_seconds()
    for seconds, unit in _UNITS:
        if passed >= seconds:
            return f"{count(int(passed // seconds), unit)} ago"
    return "just now"


def _instead(reading: NetworkReading, now: datetime) -> str:
    if reading.read is None:
        return "There is no earlier answer: nothing opens to it, and nothing on its ports closes."
    networks = count(len(reading.networks.cidrs()), "network")
    return (
        f"Its last answer is used ({networks}, {age(reading.read, now)}); nothing on its ports "
        f"closes."
    )
