"""One POST to an address the user gave: https, or plain http to loopback; no redirects, bounded in
time, and never an error of the run.

The address is a secret (whoever knows it can write there): no message ever holds it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from cloudsync import __version__
from cloudsync.provider.settings import SecretError, SecretRef, checked_url
from cloudsync.rules.networks import is_loopback

log = logging.getLogger("cloudsync.notify")
SECONDS = 5.0
"""For one request, per read and connect; the whole is bounded by `Sending.done`."""


class NotSent(Exception):
    """A message was not delivered; one line without the address."""


class Sending:
    """A message being sent beside the run. `action` raises `NotSent` or `SecretError` where it
    fails."""

    def __init__(self, what: str, action: Callable[[], None]) -> None:
        self._what, self._action = what, action
        self._delivered = False
        self._thread = threading.Thread(target=self._run, name=f"report-{what}", daemon=True)
        self._thread.start()

    def done(self, until: float) -> bool:
        """Wait until it is sent, or until `time.monotonic()` is `until`; whether it was
        delivered."""
        self._thread.join(max(0.0, until - time.monotonic()))
        if not self._delivered and self._thread.is_alive():
            log.warning("%s: not sent in time", self._what)
        return self._delivered

    def _run(self) -> None:
        try:
            self._action()
        except (NotSent, SecretError) as error:
            log.warning("%s: not sent: %s", self._what, error)
        except Exception as error:  # noqa: BLE001 - to tell others never fails a run
            log.warning("%s: not sent (%s)", self._what, type(error).__name__)
        else:
            self._delivered = True


def post(
    reference: SecretRef, base: Path, body: bytes, headers: Mapping[str, str], suffix: str = ""
) -> None:
    """Send `body` to the address `reference` stands for, with `suffix` behind its path. Raises
    `NotSent` and `SecretError`."""
    import requests

    from cloudsync.provider.transport import session

    url = _address(reference.resolve(base).get_secret_value(), suffix)
    try:
        with session() as client:
            answer = client.post(
                url,
                data=body,
                headers={"User-Agent": f"cloudsync/{__version__}", **headers},
                timeout=SECONDS,
                allow_redirects=False,
                stream=True,
            )
            status = answer.status_code
            answer.close()
    except requests.Timeout:
        raise NotSent("no answer in time") from None
    except requests.RequestException as error:
        raise NotSent(type(error).__name__) from None
    if 300 <= status < 400:
        raise NotSent(
            f"the answer was a redirect ({status}), and those are not followed: name the final"
            " address"
        )
    if not 200 <= status < 300:
        raise NotSent(f"the answer was {status}")


def _address(url: str, suffix: str) -> str:
    try:
        scheme, host = checked_url(url)
    except ValueError:
        raise NotSent("what the reference names is not an https:// URL") from None
    parts = urlsplit(url)
    if parts.fragment or scheme not in ("https", "http"):
        raise NotSent("what the reference names is not an https:// URL")
    if scheme == "http" and not is_loopback(host):
        raise NotSent("plain http:// goes to loopback addresses only: use https://")
    path = f"{parts.path.rstrip('/')}/{suffix}" if suffix else parts.path
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))
