"""Every port of a machine in seconds: raw packets from outside, judged by kernels on the way.

No answer is waited for. The referees are two tables in the machine's own namespace. Right behind
cloudsync's (−149) they count, and note the protocol and port of every probe that got so far, and
drop it. Counters on the router and at −151 show that no probe was lost on the way: what the router
took in is every port once, what it let out is what arrived at the machine.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Literal, Self

from tests.host.lab import HOST4, HOST6, PEER4, PEER6, Lab, in_namespace

Protocol = Literal["tcp", "udp"]
ALL = range(1, 65536)
_NUMBERS: dict[Protocol, int] = {"tcp": 6, "udp": 17}
_KINDS: tuple[tuple[Protocol, int], ...] = (("tcp", 4), ("udp", 4), ("tcp", 6), ("udp", 6))
_NAMES = tuple(f"{protocol}{version}" for protocol, version in _KINDS)
_ENDS = {4: (PEER4, HOST4), 6: (PEER6, HOST6)}
_SOURCE_PORT = 40001
"""What a probe is known by: the referee leaves every other connection alone."""
_COUNTS, _NOTES = "referee_counts", "referee_notes"
_TRIES = 4
_PATIENCE = 2.0
_SLICE = 4096
_RCVBUFFORCE = 33


@dataclass(frozen=True, slots=True)
class Passed:
    """The ports whose probes got past cloudsync's table."""

    tcp4: frozenset[int] = frozenset()
    udp4: frozenset[int] = frozenset()
    tcp6: frozenset[int] = frozenset()
    udp6: frozenset[int] = frozenset()

    def __str__(self) -> str:
        return "; ".join(f"{kind}: {spans(getattr(self, kind))}" for kind in _NAMES)

    def __and__(self, other: Passed) -> Passed:
        return Passed(*(getattr(self, kind) & getattr(other, kind) for kind in _NAMES))

    def __or__(self, other: Passed) -> Passed:
        return Passed(*(getattr(self, kind) | getattr(other, kind) for kind in _NAMES))

    def __le__(self, other: Passed) -> bool:
        return all(getattr(self, kind) <= getattr(other, kind) for kind in _NAMES)


def everywhere(tcp: Iterable[int] = (), udp: Iterable[int] = ()) -> Passed:
    """The same ports in both families."""
    both = frozenset(tcp), frozenset(udp)
    return Passed(*both, *both)


EVERYTHING = everywhere(ALL, ALL)


def spans(ports: Iterable[int]) -> str:
    """`22, 80-90`."""
    shown: list[list[int]] = []
    for port in sorted(ports):
        if shown and shown[-1][1] == port - 1:
            shown[-1][1] = port
        else:
            shown.append([port, port])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in shown) or "nothing"


class Scanner:
    """`with Scanner(lab) as scanner:`; what was flushed of it comes back with the next scan."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._router = ("nsenter", f"--net=/run/netns/{lab.cloud}", "--")

    def __enter__(self) -> Self:
        _load(self._router, _ROUTER)
        return self

    def __exit__(self, *_: object) -> None:
        for inside in (self._router, self.lab.inside):
            for table in (_COUNTS, _NOTES):
                words = [*inside, "nft", "delete", "table", "inet", table]
                subprocess.run(words, check=False, capture_output=True)

    def scan(self, ports: Sequence[int] = ALL) -> Passed:
        """Every port, both protocols, both families. Raises where probes were lost on the way."""
        passed: dict[str, frozenset[int]] = {}
        for protocol, version in _KINDS:
            for _ in range(_TRIES):
                _load(self._router, _ROUTER)
                _load(self.lab.inside, _MACHINE)
                if (ports_passed := self._pass(protocol, version, ports)) is not None:
                    passed[f"{protocol}{version}"] = ports_passed
                    break
            else:
                raise AssertionError(f"probes were lost on the way {_TRIES} times")
        return Passed(**passed)

    def _pass(
        self, protocol: Protocol, version: int, ports: Sequence[int]
    ) -> frozenset[int] | None:
        """None where a probe was lost."""
        kind = f"{protocol}{version}"
        in_namespace(self.lab.inet, lambda: _send(protocol, version, ports))
        until = time.monotonic() + _PATIENCE
        while (router := _counters(self._router))[f"in_{kind}"] < len(ports):
            if time.monotonic() > until:
                return None
            time.sleep(0.01)
        machine = _counters(self.lab.inside)
        arrived = machine[f"arrived_{kind}"]
        if router[f"in_{kind}"] != len(ports) or arrived != router[f"out_{kind}"]:
            return None
        if machine[f"passed_{kind}"] == len(ports):
            return frozenset(ports)
        return frozenset(self._noted(version)) if machine[f"passed_{kind}"] else frozenset()

    def _noted(self, version: int) -> Iterator[int]:
        words = ["nft", "-j", "-n", "list", "set", "inet", _NOTES, f"passed{version}"]
        for item in _listed([*self.lab.inside, *words]):
            for element in item.get("set", {}).get("elem", ()):
                yield int(element["concat"][1])


class Flood:
    """SYNs to one port over IPv4, thousands a second, until the end of the block.

    `arrived`: how many came to cloudsync's table; `lost`: how many of them it kept back."""

    def __init__(self, lab: Lab, port: int) -> None:
        self.lab, self.port, self.arrived, self.lost = lab, port, 0, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=in_namespace, args=(lab.inet, self._send), daemon=True
        )

    def __enter__(self) -> Self:
        _load(self.lab.inside, _MACHINE)
        self._thread.start()
        until = time.monotonic() + 30
        while not self._count():
            assert time.monotonic() < until, "no probe arrives"
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        # What is still on its way arrives.
        seen = -1
        while seen != (seen := self._count()):
            time.sleep(0.02)

    def _count(self) -> int:
        counted = _counters(self.lab.inside)
        self.arrived = counted["arrived_tcp4"]
        self.lost = self.arrived - counted["passed_tcp4"]
        return self.arrived

    def _send(self) -> None:
        while not self._stop.is_set():
            _send("tcp", 4, [self.port] * 100)


def _load(inside: Sequence[str], tables: str) -> None:
    fresh = (f"table inet {name}\ndelete table inet {name}\n" for name in (_COUNTS, _NOTES))
    text = "".join(fresh) + tables
    subprocess.run([*inside, "nft", "-f", "-"], input=text, text=True, check=True)


def _counters(inside: Sequence[str]) -> Mapping[str, int]:
    listing = _listed([*inside, "nft", "-j", "list", "counters", "table", "inet", _COUNTS])
    return {
        item["counter"]["name"]: int(item["counter"]["packets"])
        for item in listing
        if "counter" in item
    }


def _listed(words: Sequence[str]) -> list[dict[str, Any]]:
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return list(json.loads(done.stdout)["nftables"])


def _rules(prefix: str) -> str:
    return "\n".join(
        f"meta nfproto ipv{version} {protocol} sport {_SOURCE_PORT} {prefix}{protocol}{version}"
        for protocol, version in _KINDS
    )


def _named(*prefixes: str) -> str:
    names = (f"{prefix}{protocol}{version}" for prefix in prefixes for protocol, version in _KINDS)
    return "\n".join(f"counter {name} {{ }}" for name in names)


_ROUTER = f"""table inet {_COUNTS} {{
{_named("in_", "out_")}
chain in {{
type filter hook prerouting priority -310;
{_rules("counter name in_")}
meta l4proto {{ tcp, udp }} th sport {_SOURCE_PORT} notrack
}}
chain out {{
type filter hook postrouting priority 300;
{_rules("counter name out_")}
}}
}}
"""
_PROBE = f"meta l4proto {{ tcp, udp }} th sport {_SOURCE_PORT}"
_MACHINE = f"""table inet {_COUNTS} {{
{_named("arrived_", "passed_")}
chain before {{
type filter hook prerouting priority -151;
{_rules("counter name arrived_")}
}}
chain behind {{
type filter hook prerouting priority -149;
{_rules("counter name passed_")}
}}
}}
table inet {_NOTES} {{
set passed4 {{ type inet_proto . inet_service; size 65535; flags dynamic; }}
set passed6 {{ type inet_proto . inet_service; size 65535; flags dynamic; }}
chain behind {{
type filter hook prerouting priority -148;
meta nfproto ipv4 {_PROBE} update @passed4 {{ meta l4proto . th dport }} drop
meta nfproto ipv6 {_PROBE} update @passed6 {{ meta l4proto . th dport }} drop
}}
}}
"""


def _send(protocol: Protocol, version: int, ports: Iterable[int]) -> None:
    source, target = _ENDS[version]
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_RAW, _NUMBERS[protocol]) as raw:
        raw.bind((source, 0))
        raw.connect((target, 0))
        for packet in _packets(protocol, source, target, ports):
            raw.send(packet)


def _packets(protocol: Protocol, source: str, target: str, ports: Iterable[int]) -> Iterator[bytes]:
    """A SYN, or an empty datagram, to each port, with the checksum that conntrack insists on."""
    length = 20 if protocol == "tcp" else 8
    pseudo = ip_address(source).packed + ip_address(target).packed
    pseudo += struct.pack("!II", length, _NUMBERS[protocol])
    if protocol == "tcp":
        rest = struct.pack("!IIBBHHH", 7, 0, 5 << 4, 2, 65535, 0, 0)
        at = 16
    else:
        rest = struct.pack("!HH", 8, 0)
        at = 6
    fixed = pseudo + struct.pack("!HH", _SOURCE_PORT, 0) + rest
    total = sum(struct.unpack(f"!{len(fixed) // 2}H", fixed))
    head = struct.Struct("!HH")
    for port in ports:
        folded = total + port
        folded = (folded & 0xFFFF) + (folded >> 16)
        folded = (folded & 0xFFFF) + (folded >> 16)
        checksum = (0xFFFF - folded) or 0xFFFF
        body = head.pack(_SOURCE_PORT, port) + rest
        yield body[:at] + checksum.to_bytes(2, "big") + body[at + 2 :]


class Witness:
    """What reaches the machine itself while the block runs and every port is probed again and
    again: seen by raw sockets there, which no flush of a rule set takes away. A probe that is lost
    on the way, while the machine is off, say, is not counted for or against anything.

    `strays`: the moments (`time.monotonic()`) at which a probe of another port than those `wanted`
    arrived."""

    def __init__(self, lab: Lab, wanted: Passed) -> None:
        self.lab, self.wanted = lab, wanted
        self.sent = self.rounds = 0
        self.strays: list[float] = []
        self._seen: dict[str, set[int]] = {kind: set() for kind in _NAMES}
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._receivers: list[socket.socket] = []

    def __enter__(self) -> Self:
        for protocol, version in _KINDS:
            receiver = in_namespace(self.lab.host, lambda p=protocol, v=version: _receiver(p, v))
            self._receivers.append(receiver)
            kind = f"{protocol}{version}"
            self._start(lambda r=receiver, k=kind: self._watch(r, k))
        self._start(lambda: in_namespace(self.lab.inet, self._fire))
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        for receiver in self._receivers:
            receiver.close()

    def passed(self) -> Passed:
        """So far."""
        return Passed(**{kind: frozenset(seen) for kind, seen in self._seen.items()})

    def _start(self, action: Callable[[], None]) -> None:
        thread = threading.Thread(target=action, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _fire(self) -> None:
        while not self._stop.is_set():
            for start in range(1, 65536, _SLICE):
                for protocol, version in _KINDS:
                    if self._stop.is_set():
                        return
                    ports = range(start, min(start + _SLICE, 65536))
                    # Unreachable while the machine is off.
                    with contextlib.suppress(OSError):
                        _send(protocol, version, ports)
                    self.sent += len(ports)
            self.rounds += 1

    def wait_for_a_round(self, seconds: float = 120) -> None:
        """Until every port was probed from now on."""
        # The round that runs has passed some ports already.
        wanted, until = self.rounds + 2, time.monotonic() + seconds
        while self.rounds < wanted:
            assert time.monotonic() < until, f"{self.sent} probes in {self.rounds} rounds"
            time.sleep(0.05)

    @property
    def gap(self) -> float:
        """Milliseconds from the first stray to the last one; 0 where there was none."""
        return (max(self.strays) - min(self.strays)) * 1000 if self.strays else 0.0

    def _watch(self, receiver: socket.socket, kind: str) -> None:
        seen, wanted = self._seen[kind], getattr(self.wanted, kind)
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                packet = receiver.recv(128)
                # IPv4 comes with its header, IPv6 without.
                at = (packet[0] & 15) * 4 if kind.endswith("4") else 0
                source, port = struct.unpack_from("!HH", packet, at)
                if source == _SOURCE_PORT:
                    seen.add(port)
                    if port not in wanted:
                        self.strays.append(time.monotonic())


def _receiver(protocol: Protocol, version: int) -> socket.socket:
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    receiver = socket.socket(family, socket.SOCK_RAW, _NUMBERS[protocol])
    receiver.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, 1 << 26)
    receiver.settimeout(0.1)
    return receiver
