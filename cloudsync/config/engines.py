"""How the configuration names a container engine, and why another way of naming one cannot be used.

| written                                           | meaning                                     |
|---------------------------------------------------|---------------------------------------------|
| `unix:///var/run/docker.sock`                     | a socket of this machine                    |
| `ssh://user@host:port/path`                       | through the user's own ssh; user, port and  |
|                                                   | path may be left out                        |
| `tcp://127.0.0.1:2375`                            | plain, loopback only                        |
| `tcp://engine.example:2376`                       | TLS, with the docker command's certificates |
|                                                   | (`DOCKER_CERT_PATH`)                        |
| `{ host = "tcp://…", ca = …, cert = …, key = … }` | TLS, with these files                       |
| `shop`                                            | a Docker context                            |

Pure text: whether the engine, the context or a file exists is found out when the engine is read.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import is_loopback

_CONTEXT = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.+-]{0,127}")
_SSH_WORD = re.compile(r"[A-Za-z0-9_.:%\[\]@+][A-Za-z0-9_.:%\[\]@+-]{0,254}")
_PLAIN_PORT = 2375
_SHAPE = (
    "is not an engine such as unix:///var/run/docker.sock, ssh://user@host, tcp://address:port or"
    " the name of a Docker context"
)


@dataclass(frozen=True, slots=True)
class TlsEngine:
    """An engine over TLS. The paths are text, relative to the configuration file: `ca` signs the
    engine's certificate (None: the machine's own authorities), `cert` and `key` are ours."""

    host: str
    ca: str | None
    cert: str
    key: str

    def __str__(self) -> str:
        return self.host


def engine_problem(endpoint: str) -> str | None:
    """What is wrong with an engine of the configuration; None for one that can be read."""
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError:
        return _SHAPE
    if parts.scheme == "unix":
        return (
            None
            if endpoint.startswith("unix:///")
            else "needs an absolute path: unix:///var/run/docker.sock"
        )
    if parts.scheme in ("tcp", "ssh") and (
        parts.query or parts.fragment or parts.password is not None
    ):
        return "holds more than an address: no password, no ? and no #"
    if parts.scheme == "ssh":
        return _ssh_problem(parts)
    if parts.scheme in ("tcp", "http", "https"):
        if (
            parts.scheme != "tcp"
            or parts.hostname is None
            or port is None
            or parts.path not in ("", "/")
            or parts.username
        ):
            return "must be tcp://address:port"
        plain = port == _PLAIN_PORT and not is_loopback(parts.hostname)
        return (
            "plain tcp is for loopback addresses only: 2375 is Docker's port without TLS, 2376 the"
            " one with it"
            if plain
            else None
        )
    return None if _CONTEXT.fullmatch(endpoint) else _SHAPE


def is_context(engine: str) -> bool:
    """Whether this names a Docker context."""
    return _CONTEXT.fullmatch(engine) is not None


def _ssh_problem(parts: SplitResult) -> str | None:
    """ssh takes words that begin with a dash for options, so none may."""
    words = [word for word in (parts.username, parts.hostname) if word is not None]
    if parts.hostname is None or not all(_SSH_WORD.fullmatch(word) for word in words):
        return (
            "must be ssh://user@host, with :port and the socket's path where they are others than"
            " usual"
        )
    return None
