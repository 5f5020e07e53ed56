"""An engine on a machine on the Internet, with something that answers on every port of its
containers, and probes from the Internet and from a machine on the same network."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from functools import partial
from pathlib import Path
from typing import Literal, Self

from tests.engines import remains
from tests.engines.kinds import Engine, Kind, started
from tests.host.lab import Lab as PacketLab
from tests.host.namespace import run
from tests.namespaces import in_network

Answer = Literal["open", "refused", "dropped"]
_PROBE_SECONDS = 0.4


class Site:
    """`with Site(kind) as site:`; containers run at `site.engine`."""

    def __init__(self, kind: Kind, *options: str) -> None:
        self.machine = PacketLab()
        remains.register_machine(self.machine)
        self.kind, self._options = kind, options
        self._selector = selectors.DefaultSelector()
        self._sockets: list[socket.socket] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._engine: Engine | None = None

    def __enter__(self) -> Self:
        self.machine.__enter__()
        try:
            engine = self.kind.engine(*self._options, namespace=self.machine.host)
            started(engine)
            self._engine = engine
        except BaseException:
            self.machine.close()
            raise
        self._thread.start()
        return self

    @property
    def engine(self) -> Engine:
        assert self._engine is not None
        return self._engine

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        self.silence()
        self._selector.close()
        if self._engine is not None:
            self._engine.close()
        self.machine.close()

    def serve(self, network: Path, *ports: tuple[str, int]) -> None:
        """Answer there with one byte, at every address."""
        for protocol, port in ports:
            opened = in_network(network, partial(_listener, protocol, port))
            self._sockets.append(opened)
            self._selector.register(opened, selectors.EVENT_READ, protocol)

    def silence(self) -> None:
        """Nothing answers any more."""
        for opened in self._sockets:
            with contextlib.suppress(KeyError):
                self._selector.unregister(opened)
            opened.close()
        self._sockets.clear()

    def _serve(self) -> None:
        while not self._over.is_set():
            for key, _ in self._selector.select(0.05):
                server = key.fileobj
                assert isinstance(server, socket.socket)
                with contextlib.suppress(OSError):
                    if key.data == "udp":
                        _, sender = server.recvfrom(100)
                        server.sendto(b"!", sender)
                    else:
                        client, _ = server.accept()
                        with client:
                            client.sendall(b"!")

    def from_internet(self, protocol: str, port: int, address: str) -> Answer:
        """Of a machine far away."""
        return in_network(
            Path("/run/netns", self.machine.inet), lambda: _probe(protocol, address, port)
        )

    def from_neighbour(self, protocol: str, port: int, address: str, through: str) -> Answer:
        """Of a machine on the same network, which sends what is for `address` to `through`."""
        route = ["ip", "-n", self.machine.cloud, "route"]
        run(*route, "replace", address, "via", through)
        try:
            return in_network(
                Path("/run/netns", self.machine.cloud), lambda: _probe(protocol, address, port)
            )
        finally:
            run(*route, "del", address)


def _listener(protocol: str, port: int) -> socket.socket:
    server = socket.socket(
        socket.AF_INET6, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    )
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    server.setblocking(False)
    server.bind(("::", port))
    if protocol == "tcp":
        server.listen(16)
    return server


def _probe(protocol: str, address: str, port: int) -> Answer:
    """Open is a byte that comes back: docker-proxy accepts connections that lead nowhere."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(family, kind) as client:
        client.settimeout(_PROBE_SECONDS)
        try:
            client.connect((address, port))
            if protocol == "udp":
                client.send(b"?")
            return "open" if client.recv(1) == b"!" else "refused"
        except (ConnectionRefusedError, ConnectionResetError):
            return "refused"
        except OSError:
            return "dropped"
