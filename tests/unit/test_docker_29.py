"""Docker 29, of which no Debian suite has a package: its recorded answers and rules, of both
firewall backends, and what else is different in its answers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cloudsync.model.ports import Complete, LabelScope
from cloudsync.sources.docker.engine import read_engine
from tests.doubles.engine import FakeEngine

RECORDED = Path(__file__).parent / "fixtures" / "docker" / "engine-29"
BACKENDS = {
    "iptables": {"Driver": "iptables"},
    "nftables": {"Driver": "nftables", "Info": [["EnableUserlandProxy", "true"]]},
}
_IPTABLES = re.compile(
    r"-A DOCKER (?:-d (?P<at>\S+) )?.*-p (?P<protocol>\w+) .*--dport (?P<port>\d+) -j DNAT"
    r" --to-destination (?P<to>\S+)"
)
_NFTABLES = re.compile(
    r"iifname != \S+ (?:ip6 saddr != \S+ )?(?:ip daddr (?P<at>\S+) )?(?P<protocol>tcp|udp) dport"
    r" (?P<port>\d+) .*dnat to (?P<to>\S+)"
)
RULES = {"iptables": _IPTABLES, "nftables": _NFTABLES}


@pytest.fixture(params=list(BACKENDS))
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def engine(backend: str, tmp_path: Path) -> Any:
    with FakeEngine(tmp_path, containers=0) as engine:
        engine.routes["/version"] = {
            "ApiVersion": "1.55",
            "MinAPIVersion": "1.40",
            "Version": "29.7.2",
        }
        engine.routes["/info"] = {
            "ID": "29",
            "Swarm": {"LocalNodeState": "inactive"},
            "FirewallBackend": BACKENDS[backend],
        }
        yield engine


def container(
    engine: FakeEngine,
    name: str,
    ports: Any,
    *,
    asked: Any = None,
    network: str = "bridge",
    status: str = "running",
) -> None:
    """As 29 describes one: of `NetworkSettings` there are four keys only."""
    id_ = FakeEngine.id(len(engine.routes))
    engine.routes["/containers/json"] = [*engine.routes["/containers/json"], {"Id": id_}]
    networks = {network: {"NetworkID": "n1" if network == "bridge" else network}}
    engine.routes[f"/containers/{id_}/json"] = {
        "Id": id_,
        "Name": f"/{name}",
        "Image": "sha256:1",
        "State": {"Status": status},
        "Config": {"Labels": {}},
        "HostConfig": {
            "NetworkMode": network,
            "PortBindings": ports if asked is None else asked,
            "RestartPolicy": {"Name": "always"},
        },
        "NetworkSettings": {
            "Networks": networks,
            "Ports": ports,
            "SandboxID": "s",
            "SandboxKey": "/var/run/docker/netns/s",
        },
    }


def read(engine: FakeEngine) -> Complete:
    found = read_engine(
        "h", engine.endpoint, LabelScope({}, frozenset()), timeout=10, concurrency=2
    )
    assert isinstance(found, Complete), found
    return found


def needed(found: Complete) -> set[tuple[str, int, int]]:
    return {
        (port.protocol, port.first, port.address.version)
        for port in found.required
        if port.address is not None
    }


def recorded(engine: FakeEngine) -> None:
    """The containers whose ports were recorded."""
    for name, entries in json.loads((RECORDED / "ports.json").read_text()).items():
        ports: dict[str, list[dict[str, str]]] = {}
        for entry in entries:
            inside = f"{entry['PrivatePort']}/{entry['Type']}"
            host = {"HostIp": entry["IP"], "HostPort": str(entry["PublicPort"])}
            ports.setdefault(inside, []).append(host)
        mode = "host" if name == "/hn" else "bridge"
        container(engine, name.removeprefix("/"), ports, network=mode)


def forwarded(backend: str) -> set[tuple[str, int, int]]:
    """What the kernel's rules forward to containers, beyond this machine's own loopback."""
    rules = (RECORDED / f"rules-{backend}.txt").read_text()
    return {
        (match["protocol"], int(match["port"]), 6 if match["to"].startswith("[") else 4)
        for match in RULES[backend].finditer(rules)
        if not (match["at"] or "").startswith("127.")
    }


def test_what_is_required_is_what_the_kernels_rules_forward(
    engine: FakeEngine, backend: str
) -> None:
    """A family that has no rule is carried by docker-proxy, which the recorded machine had."""
    recorded(engine)
    found = read(engine)
    by_rules = forwarded(backend)
    assert len(by_rules) >= 6
    assert {port for port in needed(found) if port[2] == 4} == {p for p in by_rules if p[2] == 4}
    assert by_rules <= needed(found)
    assert {port.first for port in found.local} == {8081}
    assert found.remarks == ()  # from 28 on neighbours do not reach what is on loopback


def test_the_backend_for_nftables_has_no_docker_user_chain_to_filter_in() -> None:
    assert "DOCKER-USER" in (RECORDED / "rules-iptables.txt").read_text()
    assert "DOCKER-USER" not in (RECORDED / "rules-nftables.txt").read_text()
    assert "table ip6 docker-bridges" in (RECORDED / "rules-nftables.txt").read_text()


def test_ports_that_are_only_exposed_and_those_of_internal_networks_are_null(
    engine: FakeEngine,
) -> None:
    engine.routes["/networks"].append(
        {"Id": "inside", "Name": "inside", "Driver": "bridge", "Internal": True, "Options": {}}
    )
    published = {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}
    container(engine, "exposed", {"3306/tcp": None}, asked={})
    container(engine, "inside", {"80/tcp": None}, asked=published, network="inside")
    found = read(engine)
    assert found.required == ()
    assert [one.network for one in found.unpublished] == ["internal"]


def test_a_routed_family_has_no_host_port(engine: FakeEngine) -> None:
    """`HostPort` is empty in both families although only IPv4 is routed away from the machine."""
    options = {"com.docker.network.bridge.gateway_mode_ipv4": "routed"}
    engine.routes["/networks"].append(
        {
            "Id": "routed",
            "Name": "routed",
            "Driver": "bridge",
            "Internal": False,
            "Options": options,
        }
    )
    bound = [{"HostIp": "0.0.0.0", "HostPort": ""}, {"HostIp": "::", "HostPort": "8080"}]
    asked = {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}
    container(engine, "routed", {"80/tcp": bound}, asked=asked, network="routed")
    found = read(engine)
    assert needed(found) == {("tcp", 8080, 6)}
    assert [(one.code, one.ports) for one in found.unopened] == [("unsupported-network", "80")]


def test_a_crash_loop_shows_no_ports_between_two_starts(engine: FakeEngine) -> None:
    asked = {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}
    container(engine, "loop", {}, asked=asked, status="restarting")
    assert needed(read(engine)) == {("tcp", 8080, 4), ("tcp", 8080, 6)}


def test_its_api_is_asked_in_a_version_that_it_still_has(engine: FakeEngine) -> None:
    engine.routes["/version"]["MinAPIVersion"] = "1.44"  # 29.0; 29.7 went back to 1.40
    container(engine, "web", {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]})
    assert needed(read(engine)) == {("tcp", 8080, 4)}
