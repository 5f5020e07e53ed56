"""The engine the docker command would use: DOCKER_HOST, DOCKER_CONTEXT, the current context, the local socket.

Contexts are resolved here: docker-py takes the local socket for a context it does not know, which would be another engine than the user's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from cloudsync.config.engines import engine_problem

LOCAL = "unix:///var/run/docker.sock"


class EndpointError(Exception):
    """The engine cannot be told, or cannot be read; one line."""


def docker_endpoint(environ: Mapping[str, str]) -> str:
    """An endpoint that can be read. Raises `EndpointError`."""
    endpoint = environ.get("DOCKER_HOST") or _of_context(environ)
    if (problem := engine_problem(endpoint)) is not None:
        raise EndpointError(f"the engine of the docker command cannot be used: its endpoint {problem}")
    return endpoint


def _of_context(environ: Mapping[str, str]) -> str:
    folder = Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME", "/root")) / ".docker")
    name = environ.get("DOCKER_CONTEXT") or _current(folder)
    if name in ("", "default"):
        return LOCAL
    meta = folder / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest() / "meta.json"
    try:
        endpoint = json.loads(meta.read_text())["Endpoints"]["docker"]["Host"]
    except FileNotFoundError:
        raise EndpointError("the docker context that is chosen does not exist") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise EndpointError("the docker context that is chosen cannot be read") from None
    return str(endpoint)


def _current(folder: Path) -> str:
    try:
        return str(json.loads((folder / "config.json").read_text()).get("currentContext") or "")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, AttributeError):
        raise EndpointError("the docker command's config.json cannot be read") from None
