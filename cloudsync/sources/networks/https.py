"""A list of networks at an https address: bounded in size and time, no credentials, and redirects
to https only."""

from __future__ import annotations

import time
from urllib.parse import urljoin, urlsplit

from cloudsync import __version__
from cloudsync.sources.networks.listed import MAX_BYTES
from cloudsync.sources.networks.unread import NetworkUnread

MAX_REDIRECTS = 5
_CHUNK = 64 * 1024
_HEADERS = {
    "User-Agent": f"cloudsync/{__version__}",
    "Accept": "text/plain, */*;q=0.1",
    "Accept-Encoding": "identity",  # a compressed answer may be a thousand times its size
}
_TRY_AGAIN = frozenset({408, 425, 429, *range(500, 600)})


def fetch(url: str, until: float) -> bytes:
    """The body, one byte more than may be at most. `until`: of `time.monotonic()`. Raises
    `NetworkUnread`."""
    import requests

    from cloudsync.provider.transport import session

    try:
        with session() as client:
            for _ in range(MAX_REDIRECTS + 1):
                with client.get(url, headers=_HEADERS, timeout=_left(until), stream=True) as answer:
                    if answer.is_redirect:
                        url = _redirected(url, answer.headers["Location"])
                        continue
                    return _body(answer, until)
    except requests.Timeout:
        raise NetworkUnread("no answer in time") from None
    except requests.exceptions.SSLError:
        raise NetworkUnread("its certificate cannot be verified", temporary=False) from None
    except requests.RequestException as error:
        raise NetworkUnread(f"the connection failed ({type(error).__name__})") from None
    raise NetworkUnread(f"more than {MAX_REDIRECTS} redirects", temporary=False)


def _redirected(url: str, location: str) -> str:
    target = urljoin(url, location)
    try:
        parts = urlsplit(target)
        plain = parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        plain = False
    if not plain:
        raise NetworkUnread("it redirects to something else than an https address", temporary=False)
    return target


def _body(answer: object, until: float) -> bytes:
    import requests
    from urllib3.exceptions import HTTPError

    assert isinstance(answer, requests.Response)  # noqa: S101 - a type for the lazy import
    if answer.status_code != requests.codes.ok:
        raise NetworkUnread(
            f"the answer was {answer.status_code}", temporary=answer.status_code in _TRY_AGAIN
        )
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise NetworkUnread(
            "the answer is compressed although that was not requested", temporary=False
        )
    # One piece at a time, as it comes: a whole one would be waited for, however slowly it trickles.
    read = getattr(answer.raw, "read1", answer.raw.read)
    body = b""
    try:
        while len(body) <= MAX_BYTES and (piece := read(_CHUNK)):
            body += piece
            _left(until)
    except (HTTPError, OSError) as error:
        raise NetworkUnread(f"the answer broke off ({type(error).__name__})") from None
    return body


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise NetworkUnread("no answer in time")
    return left
