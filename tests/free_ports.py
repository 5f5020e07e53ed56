"""Ports for servers that a test starts as processes of their own."""

from __future__ import annotations

import random
import socket

_RANGE = range(20_000, 32_000)
"""Below what the kernel gives to outgoing connections: such a port, asked for and let go again, may
be taken by the next connection of anybody before the server binds it."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens at."""
    while True:
        port = random.choice(_RANGE)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
