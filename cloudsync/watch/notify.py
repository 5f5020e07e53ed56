"""systemd's notification protocol (sd_notify(3)): one datagram to the socket in `NOTIFY_SOCKET`.
Does nothing where there is none.

The watchdog tells that the loop lives: a thread speaks for it, and only as long as the loop has
promised to look in again.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Mapping


class Systemd:
    """READY, STATUS, RELOADING, STOPPING and WATCHDOG."""

    def __init__(
        self,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = (
            ("\0" + address[1:] if address.startswith("@") else address)
            if address[:1] in ("/", "@")
            else None
        )
        self._promised = float("inf")
        self._over = threading.Event()
        usec, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", str(os.getpid()))
        if (
            self._address is not None
            and usec.isdigit()
            and int(usec) > 0
            and pid == str(os.getpid())
        ):
            threading.Thread(
                target=self._watch, args=(int(usec) / 2e6,), name="watchdog", daemon=True
            ).start()

    def ready(self, status: str) -> None:
        """The service is up, or up again after `reloading`."""
        self._send(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        """A line for `systemctl status`."""
        self._send(f"STATUS={status}")

    def reloading(self) -> None:
        """A new configuration is being read."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The service ends; the watchdog is quiet from now on."""
        self._send("STOPPING=1\nSTATUS=stopping")

    def promise(self, seconds: float) -> None:
        """The loop looks in again within so many seconds; if it does not, systemd is told nothing
        more and ends it."""
        self._promised = self._clock() + seconds

    def watchdog(self) -> None:
        """Say that the loop lives, if it has looked in as it promised."""
        if self._clock() < self._promised:
            self._send("WATCHDOG=1")

    def close(self) -> None:
        """End the watchdog's thread."""
        self._over.set()

    def _watch(self, every: float) -> None:
        while not self._over.wait(every):
            self.watchdog()

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(1.0)
                sender.connect(self._address)
                sender.sendall(message.encode())
        except OSError:
            return  # nobody listens any more: nothing that stops the service
