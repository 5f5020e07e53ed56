"""What a request of the `requests` library that got no usable answer means, for the providers whose
SDKs speak through it."""

from __future__ import annotations

import requests

from cloudsync.provider.errors import Transient


def lost(what: str, error: Exception, unreadable: str, *, write: bool) -> Transient:
    """`what` (the call, for a person) ended in `error`. `unreadable`: what is said of an answer
    that came but cannot be used.

    A write's fate is unknown, except where no connection came about: then nothing was sent.
    """
    if isinstance(error, requests.Timeout):
        return Transient(f"{what}: no answer in time", fate_unknown=write)
    if isinstance(error, requests.ConnectionError):
        # urllib3 tells it by the name of the exception that requests wraps, several layers down.
        never_sent = "NewConnectionError" in repr(error)
        return Transient(f"{what}: the connection failed", fate_unknown=write and not never_sent)
    return Transient(f"{what}: {unreadable}", fate_unknown=write)
