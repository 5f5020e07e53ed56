"""A machine on the Internet, made of network namespaces: `inet` — router — `host`, with IPv4 and
IPv6, listeners on the host, and probes from outside. What gets through is the judge, not a rule."""

from __future__ import annotations

import contextlib
import itertools
import os
import selectors
import shutil
import socket
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal, Self, TypeVar

from tests.host.namespace import NFT, run
from tests.namespaces import in_network

Result = TypeVar("Result")
Verdict = Literal["open", "closed"]
HOST4, HOST6 = "198.51.100.10", "2001:db8:2::10"
PEER4, OTHER4, PEER6 = "203.0.113.2", "203.0.113.77", "2001:db8:1::2"
_PROBE_SECONDS = 0.3
_CLIENTS = 64
"""How many connections a server on the machine keeps open."""


def in_namespace(name: str, action: Callable[[], Result]) -> Result:
    """`action()` inside a network namespace, in a thread of its own; sockets made there stay."""
    return in_network(Path("/run/netns", name), action)


class Lab:
    """`with Lab() as lab:`; `lab.host` is the name of the machine's namespace, `lab.inside` the
    words that run a program in it."""

    _count = itertools.count()

    def __init__(self) -> None:
        self.prefix = f"cs-l{os.getpid()}-{next(Lab._count)}"
        self.host, self.cloud, self.inet = (f"{self.prefix}{end}" for end in ("h", "c", "i"))
        self.folder = Path(tempfile.mkdtemp(prefix="cs-lab-"))
        self.inside = ("nsenter", f"--net=/run/netns/{self.host}", "--")
        self._selector = selectors.DefaultSelector()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._sockets: list[socket.socket] = []
        self._clients: deque[socket.socket] = deque()
        self._forwarders: list[threading.Thread] = []

    def __enter__(self) -> Self:
        try:
            for name in (self.host, self.cloud, self.inet):
                run("ip", "netns", "add", name)
                run("ip", "-n", name, "link", "set", "lo", "up")
                # Else the first packet of IPv6 waits for two seconds.
                self.write_proc(name, "ipv6/conf/default/accept_dad", "0")
            self._wire(self.inet, "eth0", self.cloud, "in0")
            self._wire(self.host, "eth0", self.cloud, "out0")
            self._address(self.inet, "eth0", f"{PEER4}/24", f"{OTHER4}/24", f"{PEER6}/64")
            self._address(self.cloud, "in0", "203.0.113.1/24", "2001:db8:1::1/64")
            self._address(self.cloud, "out0", "198.51.100.1/24", "2001:db8:2::1/64")
            self._address(self.host, "eth0", f"{HOST4}/24", f"{HOST6}/64")
            for name, v4, v6 in (
                (self.inet, "203.0.113.1", "2001:db8:1::1"),
                (self.host, "198.51.100.1", "2001:db8:2::1"),
            ):
                run("ip", "-n", name, "route", "add", "default", "via", v4)
                run("ip", "-n", name, "-6", "route", "add", "default", "via", v6)
            self.write_proc(self.cloud, "ipv4/ip_forward", "1")
            self.write_proc(self.cloud, "ipv6/conf/all/forwarding", "1")
            self.write_proc(self.host, "ipv4/ip_forward", "0")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wire(self, a: str, a_name: str, b: str, b_name: str) -> None:
        words = ["ip", "link", "add", a_name, "netns", a, "type", "veth", "peer", "name", b_name]
        run(*words, "netns", b)
        for namespace, name in ((a, a_name), (b, b_name)):
            run("ip", "-n", namespace, "link", "set", name, "up")

    def _address(self, namespace: str, link: str, *addresses: str) -> None:
        for address in addresses:
            nodad = ["nodad"] if ":" in address else []
            run("ip", "-n", namespace, "addr", "add", address, "dev", link, *nodad)

    def write_proc(self, namespace: str, path: str, value: str) -> None:
        """A setting below /proc/sys/net of one namespace."""
        run(
            "nsenter", f"--net=/run/netns/{namespace}", "--",
            "sh", "-c", f"echo {value} > /proc/sys/net/{path}",
        )  # fmt: skip

    def listen(self, *ports: int, kind: Literal["tcp", "udp"] = "tcp") -> None:
        """Servers on the host, IPv4 and IPv6, that answer with one byte."""
        for port in ports:
            self._sockets.append(in_namespace(self.host, lambda port=port: _listener(kind, port)))
            self._selector.register(self._sockets[-1], selectors.EVENT_READ, kind)
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, daemon=True)
            self._thread.start()

    def listen_outside(self, *ports: int) -> None:
        """The same, on the Internet's side."""
        for port in ports:
            self._sockets.append(in_namespace(self.inet, lambda port=port: _listener("tcp", port)))
            self._selector.register(self._sockets[-1], selectors.EVENT_READ, "tcp")

    def _serve(self) -> None:
        while not self._stop.is_set():
            for key, _ in self._selector.select(0.05):
                server = key.fileobj
                assert isinstance(server, socket.socket)
                with contextlib.suppress(OSError):
                    if key.data == "udp":
                        _, sender = server.recvfrom(100)
                        server.sendto(b"!", sender)
                    else:
                        client, _ = server.accept()
                        client.sendall(b"!")
                        self._clients.append(client)
                        if len(self._clients) > _CLIENTS:
                            self._clients.popleft().close()

    def reach(self, port: int) -> None:
        """A port of 127.0.0.1 out here is one of the machine's loopback too."""
        server = in_namespace(self.host, lambda: socket.create_server(("127.0.0.1", port)))
        self._sockets.append(server)
        thread = threading.Thread(target=_forward, args=(server, port, self._stop), daemon=True)
        thread.start()
        self._forwarders.append(thread)

    def tcp(self, port: int, address: str = HOST4, source: str | None = None) -> Verdict:
        """Whether a new connection from outside arrives at something: an answer, or a refusal by
        the host itself, which a packet must have reached as well."""
        return in_namespace(self.inet, lambda: tcp_verdict(port, address, source))

    def udp(self, port: int, address: str = HOST4, source: str | None = None) -> Verdict:
        """As `tcp`, for a datagram that is answered."""
        return in_namespace(self.inet, lambda: _udp(port, address, source))

    def ping(self, address: str = HOST4) -> Verdict:
        """Whether an echo request is answered."""
        words = [
            "nsenter",
            f"--net=/run/netns/{self.inet}",
            "--",
            "busybox",
            "ping",
            "-c1",
            "-W1",
            address,
        ]
        return (
            "open"
            if subprocess.run(words, check=False, capture_output=True).returncode == 0
            else "closed"
        )

    def connect(self, port: int, address: str = HOST4) -> socket.socket:
        """A connection from outside that stays; its first byte has arrived."""
        connection = in_namespace(self.inet, lambda: socket.create_connection((address, port), 2))
        assert connection.recv(1) == b"!"
        return connection

    def scan(self, ports: Iterable[int], address: str = HOST4) -> set[int]:
        """The ports at which a SYN from outside is let through, answered or refused."""
        return in_namespace(self.inet, lambda: _scan(list(ports), address))

    def nft(self, text: str) -> None:
        """One transaction on the host, by somebody else."""
        subprocess.run(
            [*self.inside, NFT, "-f", "-"], input=text, text=True, check=True, capture_output=True
        )

    def listing(self, *options: str) -> str:
        """`nft list table inet cloudsync` on the host; empty where there is none."""
        words = [*self.inside, NFT, *options, "list", "table", "inet", "cloudsync"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        return done.stdout if done.returncode == 0 else ""

    def close(self) -> None:
        """Leave nothing behind."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        for thread in self._forwarders:
            thread.join()
        self._selector.close()
        for opened in (*self._sockets, *self._clients):
            opened.close()
        for name in (self.host, self.cloud, self.inet):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def _listener(kind: str, port: int) -> socket.socket:
    server = socket.socket(
        socket.AF_INET6, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM
    )
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("::", port))
    if kind == "tcp":
        server.listen(64)
    return server


def _forward(server: socket.socket, port: int, stop: threading.Event) -> None:
    """Every connection to `server` goes on to the port out here."""
    with selectors.DefaultSelector() as selector:
        selector.register(server, selectors.EVENT_READ)
        while not stop.is_set():
            for key, _ in selector.select(0.05):
                source = key.fileobj
                assert isinstance(source, socket.socket)
                if source is server:
                    client, _ = server.accept()
                    target = socket.create_connection(("127.0.0.1", port))
                    selector.register(client, selectors.EVENT_READ, target)
                    selector.register(target, selectors.EVENT_READ, client)
                    continue
                data = b""
                with contextlib.suppress(OSError):
                    if data := source.recv(65536):
                        key.data.sendall(data)
                        continue
                for end in (source, key.data):
                    with contextlib.suppress(KeyError, ValueError):
                        selector.unregister(end)
                    end.close()
        for key in list(selector.get_map().values()):
            if key.fileobj is not server:
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.close()


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def tcp_verdict(
    port: int, address: str, source: str | None = None, seconds: float = _PROBE_SECONDS
) -> Verdict:
    """Whether a SYN that is sent now gets through, from where this thread is. A closed port costs
    `seconds`."""
    with socket.socket(_family(address), socket.SOCK_STREAM) as client:
        client.settimeout(seconds)
        if source is not None:
            client.bind((source, 0))
        try:
            client.connect((address, port))
        except ConnectionRefusedError:
            return "open"
        except (TimeoutError, OSError):
            return "closed"
        return "open"


def _udp(port: int, address: str, source: str | None) -> Verdict:
    with socket.socket(_family(address), socket.SOCK_DGRAM) as client:
        client.settimeout(_PROBE_SECONDS)
        if source is not None:
            client.bind((source, 0))
        client.connect((address, port))
        try:
            client.send(b"?")
            client.recv(1)
        except ConnectionRefusedError:
            return "open"
        except (TimeoutError, OSError):
            return "closed"
        return "open"


def _scan(ports: list[int], address: str) -> set[int]:
    reached: set[int] = set()
    for batch in (
        itertools.batched(ports, 500) if hasattr(itertools, "batched") else _batches(ports)
    ):
        reached |= _scan_batch(tuple(batch), address)
    return reached


def _batches(ports: list[int]) -> Iterator[tuple[int, ...]]:
    for start in range(0, len(ports), 500):
        yield tuple(ports[start : start + 500])


def _scan_batch(ports: tuple[int, ...], address: str) -> set[int]:
    selector = selectors.DefaultSelector()
    reached, clients = set(), []
    for port in ports:
        client = socket.socket(_family(address), socket.SOCK_STREAM)
        client.setblocking(False)
        clients.append(client)
        client.connect_ex((address, port))
        selector.register(client, selectors.EVENT_WRITE, port)
    waiting = len(ports)
    while waiting and (ready := selector.select(_PROBE_SECONDS)):
        for key, _ in ready:
            selector.unregister(key.fileobj)
            waiting -= 1
            assert isinstance(key.fileobj, socket.socket)
            error = key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error in (0, 111):
                reached.add(key.data)
    for client in clients:
        client.close()
    selector.close()
    return reached
