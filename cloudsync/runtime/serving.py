"""A socket server in a thread of its own that sleeps until a connection comes, and ends at once:
`serve_forever` of the standard library looks up every half second instead."""

from __future__ import annotations

import select
import socket
import threading
from socketserver import TCPServer


class ServerThread:
    """Answers the connections of `server` from `start` to `stop`, which closes it. The caller
    listens already: connections before `start` wait, and are answered then."""

    def __init__(self, server: TCPServer, name: str = "server") -> None:
        self._server = server
        # A connection that is reset before it is accepted must not make the next look wait.
        server.timeout = 0
        self._stopping, self._stop = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self, seconds: float | None = None) -> None:
        """Answer nobody any more and close the address. What is being accepted is waited for,
        `seconds` at most (None: as long as it takes)."""
        # Not only closed: a process that was forked meanwhile may have the same end open.
        self._stop.shutdown(socket.SHUT_RDWR)
        self._stop.close()
        self._thread.join(seconds)
        self._server.server_close()

    def _run(self) -> None:
        with self._stopping:
            poll = select.poll()
            poll.register(self._server, select.POLLIN)
            poll.register(self._stopping, select.POLLIN)
            while self._stopping.fileno() not in (handle for handle, _ in poll.poll()):
                self._server.handle_request()
