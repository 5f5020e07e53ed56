"""Where the kernel is: this machine, or one behind ssh."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from cloudsync.rules.frozen import dataclass

LOCAL = "local"
_WORD = re.compile(r"[A-Za-z0-9_.:%@+][A-Za-z0-9_.:%@+-]{0,254}")
_PROBLEM = 'must be "local" or ssh://user@host, with :port if it is not the usual one'


@dataclass(frozen=True, slots=True)
class Destination:
    """What ssh is told: a host or an alias of its configuration."""

    host: str
    user: str | None = None
    port: int | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """The arguments of ssh that name it."""
        login = f"{self.user}@{self.host}" if self.user else self.host
        return (*(("-p", str(self.port)) if self.port else ()), "--", login)

    def __str__(self) -> str:
        return f"{self.user}@{self.host}" if self.user else self.host


def destination_of(address: str) -> Destination | None:
    """None for this machine. Raises `ValueError`."""
    if address == LOCAL:
        return None
    parts = urlsplit(address)
    words = [word for word in (parts.username, parts.hostname) if word is not None]
    if (
        parts.scheme != "ssh"
        or parts.hostname is None
        or parts.password is not None
        or parts.query
        or parts.fragment
        or not all(_WORD.fullmatch(word) for word in words)
    ):
        raise ValueError(_PROBLEM)
    return Destination(parts.hostname, parts.username, parts.port)


def address_problem(address: str) -> str | None:
    """What is wrong with an address; None if nothing is."""
    try:
        destination_of(address)
    except ValueError:  # the message of urlsplit would quote the value
        return _PROBLEM
    return None
