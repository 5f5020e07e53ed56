"""What every kind of engine lets in, as measured: the table that `test_reachability.py` holds the
engines to, and cloudsync."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.engines.kinds import Kind
from tests.host.lab import HOST4, HOST6

PLAIN, DUAL, SIX = "plain", "dual", "six"
NETWORKS: dict[str, tuple[str, ...]] = {
    PLAIN: (),
    DUAL: ("--ipv6", "--subnet", "fd00:c5::/64"),
    "inside": ("--internal",),
    "bound": ("-o", "com.docker.network.bridge.host_binding_ipv4=127.0.0.1"),
    "routed": ("-o", "com.docker.network.bridge.gateway_mode_ipv4=routed"),
    "own-address": (
        *("-d", "macvlan", "-o", "parent=eth0", "--subnet", "198.51.100.0/24"),
        *("--gateway", "198.51.100.1", "--ip-range", "198.51.100.128/28"),
    ),
}


@dataclass(frozen=True, slots=True)
class Families:
    """The address families in which a port is open: "4", "6", "46" or "". By the name of a kind,
    else by its group: `docker` (root's and, unless it has a word of its own, a user's), `podman`
    (root's), `rootless` (a user's Podman)."""

    docker: str = ""
    podman: str = ""
    rootless: str = ""
    by_name: dict[str, str] = field(default_factory=dict)

    def of(self, kind: Kind) -> str:
        group = group_of(kind)
        usual = {
            "docker": self.docker,
            "docker-rootless": self.docker,
            "podman": self.podman,
            "rootless": self.rootless,
        }
        return self.by_name.get(kind.name, self.by_name.get(group, usual[group]))


@dataclass(frozen=True, slots=True)
class Case:
    """A container that asks for one port in one way."""

    shown: str
    """What the user typed, for the table."""
    options: tuple[str, ...]
    port: tuple[str, int, int]
    """Protocol, on the machine, in the container."""
    open: Families
    network: str | None = None
    unlike: dict[str, tuple[str, str]] = field(default_factory=dict)
    """What cloudsync opens where it is not what is open, by group or name, and why."""
    cannot: dict[str, str] = field(default_factory=dict)
    """Why it cannot be tried, by group or name."""


def of_group(table: dict[str, tuple[str, str]], kind: Kind) -> tuple[str, str] | None:
    """By the name of the kind, else by its group, else by `all`."""
    return table.get(kind.name, table.get(group_of(kind), table.get("all")))


def group_of(kind: Kind) -> str:
    """`docker`, `docker-rootless`, `podman` or `rootless`."""
    if not kind.rootless:
        return kind.family
    return "docker-rootless" if kind.family == "docker" else "rootless"


EVERYWHERE = Families("46", "46", "46")
ASKED = "it is open in the other family too; what was asked for is opened"
_NO_OPTION = "Podman has no such network option"
_4 = ("4", ASKED)
_6 = ("6", ASKED)
CASES: dict[str, Case] = {
    "published": Case(
        "-p 8080:80", ("-p", "8080:80"), ("tcp", 8080, 80), Families("46", "4", "46")
    ),
    "udp": Case(
        "-p 5353:53/udp", ("-p", "5353:53/udp"), ("udp", 5353, 53), Families("46", "4", "46")
    ),
    "range": Case(
        "-p 9000-9002:9000-9002",
        ("-p", "9000-9002:9000-9002"),
        ("tcp", 9001, 9001),
        Families("46", "4", "46"),
    ),
    "only4": Case(
        "-p 0.0.0.0:8081:80",
        ("-p", "0.0.0.0:8081:80"),
        ("tcp", 8081, 80),
        Families("4", "4", "46", {"podman-experimental-rootless": "4"}),
        unlike={"podman-trixie-rootless": _4, "podman-sid-rootless": _4},
    ),
    "only6": Case(
        "-p '[::]:8082:80'",
        ("-p", "[::]:8082:80"),
        ("tcp", 8082, 80),
        Families("6", "", "6", {"podman-bookworm-rootless": "46"}),
        unlike={"podman-bookworm-rootless": _6},
    ),
    "loopback": Case(
        "-p 127.0.0.1:8083:80", ("-p", "127.0.0.1:8083:80"), ("tcp", 8083, 80), Families()
    ),
    "address": Case(
        "-p (public IPv4 address):8084:80",
        ("-p", f"{HOST4}:8084:80"),
        ("tcp", 8084, 80),
        Families("4", "4", "4"),
    ),
    "address6": Case(
        "-p '[(public IPv6 address)]:8085:80'",
        ("-p", f"[{HOST6}]:8085:80"),
        ("tcp", 8085, 80),
        Families("6", "", "6"),
    ),
    "exposed": Case("--expose 3306", ("--expose", "3306"), ("tcp", 3306, 3306), Families()),
    "random": Case(
        "-p 80",
        ("-p", "80"),
        ("tcp", 0, 80),
        Families("46", "4", "46"),
        unlike={"all": ("", "the engine picked the port: refused")},
    ),
    "own": Case(
        "-p 8086:80 on a network of one's own",
        ("-p", "8086:80"),
        ("tcp", 8086, 80),
        Families("46", "4", "46"),
        PLAIN,
    ),
    "dual": Case(
        "-p 8087:80 on a network with IPv6", ("-p", "8087:80"), ("tcp", 8087, 80), EVERYWHERE, DUAL
    ),
    "dual4": Case(
        "-p 0.0.0.0:8088:80 on a network with IPv6",
        ("-p", "0.0.0.0:8088:80"),
        ("tcp", 8088, 80),
        Families(
            "4", "46", "46", {"podman-experimental": "4", "podman-experimental-rootless": "4"}
        ),
        DUAL,
        unlike={
            "podman-trixie": _4,
            "podman-sid": _4,
            "podman-trixie-rootless": _4,
            "podman-sid-rootless": _4,
        },
    ),
    "dual6": Case(
        "-p '[::]:8089:80' on a network with IPv6",
        ("-p", "[::]:8089:80"),
        ("tcp", 8089, 80),
        Families("6", "6", "46", {"podman-bookworm": "", "podman-experimental-rootless": "6"}),
        DUAL,
        unlike={
            "podman-bookworm": ("6", "nothing answers; what was asked for is opened"),
            "podman-bookworm-rootless": _6,
            "podman-trixie-rootless": _6,
            "podman-sid-rootless": _6,
        },
    ),
    "inside": Case(
        "-p 8090:80 on an internal network",
        ("-p", "8090:80"),
        ("tcp", 8090, 80),
        Families("", "", "46"),
        "inside",
    ),
    "bound": Case(
        "-p 8091:80 on a network with host_binding_ipv4=127.0.0.1",
        ("-p", "8091:80"),
        ("tcp", 8091, 80),
        Families(),
        "bound",
        cannot={"podman": _NO_OPTION, "rootless": _NO_OPTION},
    ),
    "routed": Case(
        "-p 8092:80 on a network with gateway_mode_ipv4=routed",
        ("-p", "8092:80"),
        ("tcp", 8092, 80),
        Families("46", by_name={"docker-sid": "6", "docker-sid-rootless": "6"}),
        "routed",
        cannot={"podman": _NO_OPTION, "rootless": _NO_OPTION},
    ),
    "own-address": Case(
        "-p 8093:80 on a macvlan network",
        ("-p", "8093:80"),
        ("tcp", 8093, 80),
        Families("", "", "46"),
        "own-address",
        cannot={
            "podman-bookworm-rootless": "netavark 1.4 finds no parent interface",
            "docker-rootless": "a user's Docker has no interface of the machine to build on",
        },
    ),
    "none": Case(
        "-p 8094:80 --network none", ("-p", "8094:80"), ("tcp", 8094, 80), Families(), "none"
    ),
    "host": Case(
        "--network host, listening on 9090",
        (),
        ("tcp", 9090, 9090),
        Families("46", "46", "46", {"docker-rootless": ""}),
        "host",
        unlike=dict.fromkeys(
            ("docker", "podman", "rootless"),
            ("", "no engine knows what listens: a label has to ask"),
        ),
    ),
}
NEIGHBOUR: dict[str, Families] = {
    "published": Families("o", "o", "", {"docker-sid": "d"}),
    "loopback": Families("o", "o", "", {"docker-sid": "d"}),
    "exposed": Families("d", "o", ""),
}
"""What a machine on the same network finds at a container's own address: `o` open, `d` dropped."""
