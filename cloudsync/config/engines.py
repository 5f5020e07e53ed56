"""Which container engine endpoints can be read, and why another one cannot."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit


def engine_problem(endpoint: str) -> str | None:
    """What is wrong with an engine endpoint; None for `unix:///absolute/path` and `tcp://` to a loopback address with a port."""
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is not an engine endpoint such as unix:///var/run/docker.sock"
    if parts.scheme == "unix":
        return None if not parts.netloc and parts.path.startswith("/") else "needs an absolute path: unix:///var/run/docker.sock"
    if parts.scheme == "ssh":
        return "engines over ssh are not supported yet"
    if parts.scheme in ("tcp", "http", "https"):
        if parts.scheme != "tcp" or host is None or port is None or parts.path not in ("", "/"):
            return "must be tcp://address:port"
        return None if _loopback(host) else "plain tcp is for loopback addresses only (TLS is not supported yet)"
    if not parts.scheme and "/" not in endpoint:
        return "Docker contexts are not supported yet; name the engine as unix:///path or tcp://127.0.0.1:port"
    return "is not an engine endpoint such as unix:///var/run/docker.sock"


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
