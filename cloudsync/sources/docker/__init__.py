"""Container engines: Docker, Swarm and Podman, over a socket, TLS or SSH."""

from __future__ import annotations
