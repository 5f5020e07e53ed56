"""From the name of an engine to the way there: sockets, ssh, TLS, and Docker contexts.

Contexts are resolved here: docker-py takes the local socket for a context it does not know, which
would be another engine than the user's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cloudsync.config.engines import TlsEngine, engine_problem, is_context
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import is_loopback

LOCAL = "unix:///var/run/docker.sock"
REMOTE_SOCKET = "/var/run/docker.sock"


class EndpointError(Exception):
    """The engine cannot be told, or the way there is not usable; one line."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Who signs the engine's certificate (None: the machine's own authorities), and our certificate
    with its key."""

    ca: Path | None
    cert: Path
    """PEM file."""
    key: Path
    """PEM file."""


@dataclass(frozen=True, slots=True)
class SshRoute:
    """What ssh is told: a host or an alias of its configuration, and the engine's socket at the far
    end."""

    host: str
    """A name, an address or an alias."""
    user: str | None
    """None: as ssh's own configuration has it."""
    port: int | None
    """None: as ssh's own configuration has it."""
    socket: str
    """A path at the far end."""

    def __str__(self) -> str:
        return f"{self.user}@{self.host}" if self.user else self.host

    @property
    def command(self) -> str:
        """How a person goes there."""
        return f"ssh -p {self.port} {self}" if self.port else f"ssh {self}"


@dataclass(frozen=True, slots=True)
class Way:
    """How to reach one engine: `url` is `unix://…` or `tcp://…`, unless it goes through `ssh`."""

    url: str
    tls: TlsFiles | None = None
    ssh: SshRoute | None = None


def docker_endpoint(environ: Mapping[str, str]) -> str:
    """The engine the docker command would use: DOCKER_HOST, DOCKER_CONTEXT, the current context,
    the local socket.

    Raises `EndpointError`.
    """
    endpoint = (
        environ.get("DOCKER_HOST")
        or environ.get("DOCKER_CONTEXT")
        or _current(_folder(environ))
        or LOCAL
    )
    if (problem := engine_problem(endpoint)) is not None:
        raise EndpointError(f"the engine of the docker command cannot be used: it {problem}")
    return endpoint


def way_to(engine: str | TlsEngine, environ: Mapping[str, str], base: Path) -> Way:
    """The way to an engine of the configuration. `base`: the folder that the paths of its
    certificates are relative to.

    Raises `EndpointError`.
    """
    if isinstance(engine, TlsEngine):
        ca = None if engine.ca is None else base / engine.ca
        return Way(engine.host, _files(TlsFiles(ca, base / engine.cert, base / engine.key)))
    if is_context(engine):
        return LOCAL_WAY if engine == "default" else _of_context(engine, _folder(environ))
    if (problem := engine_problem(engine)) is not None:
        raise EndpointError(f"the engine {problem}")
    parts = urlsplit(engine)
    if parts.scheme == "ssh":
        return Way(engine, ssh=_route(engine))
    if parts.scheme == "tcp" and (not is_loopback(parts.hostname) or _wants_tls(engine, environ)):
        return Way(engine, _of_the_command(environ))
    return Way(engine)


LOCAL_WAY = Way(LOCAL)


def _wants_tls(engine: str, environ: Mapping[str, str]) -> bool:
    """The docker command's switch counts for the docker command's engine only."""
    return bool(environ.get("DOCKER_TLS_VERIFY")) and environ.get("DOCKER_HOST") == engine


def _of_the_command(environ: Mapping[str, str]) -> TlsFiles:
    folder = Path(environ.get("DOCKER_CERT_PATH") or _folder(environ))
    return _files(TlsFiles(folder / "ca.pem", folder / "cert.pem", folder / "key.pem"))


def _files(files: TlsFiles) -> TlsFiles:
    """The same, when every file can be read."""
    for path in (files.ca, files.cert, files.key):
        try:
            if path is not None:
                path.open("rb").close()
        except OSError as error:
            raise EndpointError(
                f"the engine's TLS file {path} cannot be read: {error.strerror}"
            ) from None
    return files


def _route(url: str) -> SshRoute:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[
        2
    ]  # as written: ssh's own configuration may tell upper from lower case
    host = (
        host.removesuffix(f":{parts.port}").strip("[]")
        if parts.port is not None
        else host.strip("[]")
    )
    path = unquote(parts.path)
    if not path.isprintable():
        raise EndpointError("the engine's socket has a path with control characters")
    return SshRoute(
        host, parts.username, parts.port, path if path not in ("", "/") else REMOTE_SOCKET
    )


def _folder(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME", "/root")) / ".docker")


def _of_context(name: str, folder: Path) -> Way:
    key = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "contexts" / "meta" / key / "meta.json"
    try:
        endpoint = json.loads(meta.read_text())["Endpoints"]["docker"]
        url, unverified = endpoint["Host"], endpoint.get("SkipTLSVerify", False)
    except FileNotFoundError:
        raise EndpointError(f'the Docker context "{name}" does not exist in {folder}') from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise EndpointError(f'the Docker context "{name}" cannot be read') from None
    problem = (
        engine_problem(url) if isinstance(url, str) and not is_context(url) else "is not an address"
    )
    if problem is not None:
        raise EndpointError(f'the Docker context "{name}" cannot be used: its endpoint {problem}')
    parts = urlsplit(url)
    if parts.scheme == "ssh":
        return Way(url, ssh=_route(url))
    if parts.scheme != "tcp":
        return Way(url)
    if unverified:
        raise EndpointError(
            f'the Docker context "{name}" is configured not to verify the engine (SkipTLSVerify):'
            " it is not used"
        )
    material = folder / "contexts" / "tls" / key / "docker"
    if (material / "cert.pem").exists() or (material / "key.pem").exists():
        ca = material / "ca.pem"
        return Way(
            url,
            _files(
                TlsFiles(ca if ca.exists() else None, material / "cert.pem", material / "key.pem")
            ),
        )
    if is_loopback(parts.hostname):
        return Way(url)
    raise EndpointError(
        f'the Docker context "{name}" has no TLS certificates: plain tcp is for loopback addresses'
        " only"
    )


def _current(folder: Path) -> str:
    try:
        return str(json.loads((folder / "config.json").read_text()).get("currentContext") or "")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, AttributeError):
        raise EndpointError("the docker command's config.json cannot be read") from None
