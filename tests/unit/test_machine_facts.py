"""What an audit reads of a machine: addresses, both iptables backends, nftables, units, changelogs,
image labels, and Compose files as docker compose merges them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from cloudsync.model.machine_facts import Mount, Publish, Workload
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.networks import ANY4
from cloudsync.sources.compose.machine_facts import read as read_compose
from cloudsync.sources.docker.machine_facts import from_dumps
from cloudsync.sources.machine import addresses, backports, iptables, nftables, units
from cloudsync.sources.machine.root import Root, Unreadable


class Copy:
    """A copied machine of a few files."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, Root(folder)

    def write(self, name: str, content: object) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


# Addresses


def link(name: str, *networks: str, flags: tuple[str, ...] = ("UP",)) -> dict[str, object]:
    parts = [network.split("/") for network in networks]
    listed = [{"local": address, "prefixlen": int(length)} for address, length in parts]
    return {"ifname": name, "flags": list(flags), "addr_info": listed}


@pytest.mark.parametrize(
    ("links", "global_ipv6", "neighbours"),
    [
        ([link("lo", "127.0.0.1/8", "::1/128"), link("eth0", "192.0.2.7/24")], False, True),
        ([link("eth0", "192.0.2.7/32", "2001:db8::7/128")], True, False),
        ([link("eth0", "192.0.2.7/32", "fe80::1/64", "fd00::1/128")], False, False),
        ([link("wg0", "10.8.0.1/24", flags=("POINTOPOINT", "UP"))], False, False),
        ([link("docker0", "172.17.0.1/16"), link("br-1", "172.18.0.1/16")], False, False),
    ],
)
def test_the_situation_of_a_machine_follows_its_addresses(
    copy: Copy, links: list[object], global_ipv6: bool, neighbours: bool
) -> None:
    copy.write("dumps/ip.json", links)
    assert addresses.read(copy.root) == (global_ipv6, neighbours)


@pytest.mark.parametrize("content", [None, "no JSON", '{"a": 1}', '[{"addr_info": [{}]}]', "[7]"])
def test_law1_a_situation_that_cannot_be_read_is_the_most_reachable_one(
    copy: Copy, content: str | None
) -> None:
    if content is not None:
        copy.write("dumps/ip.json", content)
    expected = (False, False) if content == '{"a": 1}' else addresses.UNKNOWN
    assert addresses.read(copy.root) == expected


# iptables


DOCKERS = (
    "*nat\n:DOCKER - [0:0]\nCOMMIT\n*filter\n:DOCKER-USER - [0:0]\n-A FORWARD -j"
    " DOCKER-USER\nCOMMIT\n"
)
BY_HAND = "*filter\n:DOCKER-USER - [0:0]\n-A DOCKER-USER -j DROP\nCOMMIT\n"


@pytest.mark.parametrize(
    ("nft", "legacy"), [(DOCKERS, BY_HAND), (BY_HAND, DOCKERS)], ids=["nft", "legacy"]
)
def test_the_backend_that_docker_writes_to_is_told_from_the_other(
    copy: Copy, nft: str, legacy: str
) -> None:
    copy.write("dumps/iptables-save.txt", nft)
    copy.write("dumps/iptables-legacy-save.txt", legacy)
    backends = iptables.read(copy.root, 4)
    assert backends.used == iptables.parse(DOCKERS)
    assert backends.other == iptables.parse(BY_HAND)


def test_a_backend_without_rules_is_not_another_one(copy: Copy) -> None:
    copy.write("dumps/iptables-save.txt", DOCKERS)
    copy.write("dumps/iptables-legacy-save.txt", "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n")
    assert iptables.read(copy.root, 4).other is None


def test_no_rules_are_not_an_input_that_is_missing(copy: Copy) -> None:
    assert iptables.read(copy.root, 4).used is None
    copy.write("dumps/iptables-save.txt", "")
    assert iptables.read(copy.root, 4).used == iptables.parse("")


# nftables


def rule(table: str, chain: str, *expressions: object) -> dict[str, object]:
    return {"rule": {"family": "inet", "table": table, "chain": chain, "expr": list(expressions)}}


def to(address: object, op: str = "==") -> dict[str, object]:
    left = {"payload": {"protocol": "ip", "field": "daddr"}}
    return {"match": {"op": op, "left": left, "right": address}}


METADATA = "169.254.169.254"


@pytest.mark.parametrize(
    ("expressions", "drops"),
    [
        ((to(METADATA), {"drop": None}), True),
        ((to({"set": ["10.0.0.1", METADATA]}), {"counter": {}}, {"reject": None}), True),
        ((to(METADATA), {"accept": None}), False),
        ((to(METADATA, "!="), {"drop": None}), False),
        (({"drop": None},), False),
    ],
)
def test_a_rule_drops_what_goes_to_the_metadata_service(
    expressions: tuple[object, ...], drops: bool
) -> None:
    entries = [rule("mine", "out", *expressions)]
    assert nftables.parse(json.dumps({"nftables": entries})).drops_metadata is drops


def test_our_table_lets_in_what_its_sets_hold_and_drops_by_its_verdict() -> None:
    def elements(name: str, *values: list[object]) -> dict[str, object]:
        listed = [{"elem": {"val": {"concat": value}, "counter": {}}} for value in values]
        return {"set": {"family": "inet", "table": "cloudsync", "name": name, "elem": listed}}

    everybody = {"prefix": {"addr": "0.0.0.0", "len": 0}}
    entries = [
        {"table": {"family": "inet", "name": "cloudsync"}},
        elements("open4", ["tcp", 22, everybody], ["tcp", {"range": [8000, 8010]}, "203.0.113.7"]),
        elements("bare4", ["esp", everybody]),
        elements("next_open4", ["tcp", 9999, everybody]),
        elements("cut4", ["tcp", 8443, "203.0.113.9"]),
        rule("cloudsync", "judge", {"drop": None}),
        rule("cloudsync", "verdict", {"counter": {}}, {"accept": None}),
        rule("other", "verdict", {"drop": None}),
    ]
    table = nftables.parse(json.dumps({"nftables": entries})).host_table
    assert table is not None
    assert not table.enforces
    assert table.lets_in == RuleSet.of(
        (
            Rule.of("tcp", "22", ANY4),
            Rule.of("tcp", "8000-8010", ["203.0.113.7"]),
            Rule.of("esp", "", ANY4),
        )
    )
    entries[-2] = rule("cloudsync", "verdict", {"counter": {}}, {"drop": None})
    dropping = nftables.parse(json.dumps({"nftables": entries})).host_table
    assert dropping is not None
    assert dropping.enforces


@pytest.mark.parametrize("content", ["", "{}", '{"nftables": 7}', '{"nftables": [{"rule": 7}]}'])
def test_law1_what_nft_should_not_print_is_unreadable(content: str) -> None:
    with pytest.raises(Unreadable):
        nftables.parse(content)


# Files


UNIT = "etc/systemd/system/cloudsync-host.service"


def test_the_unit_of_the_host_table_is_looked_for_enabled_and_ordered(copy: Copy) -> None:
    assert units.host_unit(copy.root) == "unknown"
    (copy.folder / "etc/systemd/system").mkdir(parents=True)
    assert units.host_unit(copy.root) == "missing"
    copy.write(UNIT, "[Unit]\nBefore=network-pre.target shutdown.target\n")
    assert units.host_unit(copy.root) == "disabled"
    wants = copy.folder / "etc/systemd/system/sysinit.target.wants"
    wants.mkdir()
    (wants / "cloudsync-host.service").symlink_to("/nowhere")
    assert units.host_unit(copy.root) == "ready"
    copy.write(UNIT, "[Unit]\nAfter=network-pre.target\n")
    assert units.host_unit(copy.root) == "late"


def test_the_unit_that_we_ship_is_ordered_before_the_network(copy: Copy) -> None:
    shipped = Path(__file__).parents[2] / "deploy/systemd/cloudsync-host.service"
    copy.write(UNIT, shipped.read_text())
    wants = copy.folder / "etc/systemd/system/sysinit.target.wants"
    wants.mkdir()
    (wants / "cloudsync-host.service").symlink_to("/nowhere")
    assert units.host_unit(copy.root) == "ready"


def test_a_changelog_names_what_a_distribution_fixed(copy: Copy) -> None:
    assert backports.read(copy.root) == frozenset()
    entry = b"docker.io (26.1.5-3) bookworm-security\n  * Fix CVE-2025-54388 (Closes: #1)\n"
    copy.write("usr/share/doc/docker.io/changelog.Debian.gz", gzip.compress(entry))
    copy.write("usr/share/doc/nftables/changelog.Debian.gz", b"not gzip, CVE-2000-0001")
    assert backports.read(copy.root) == {"CVE-2025-54388"}


# Image labels


def test_a_label_is_the_images_if_the_image_has_it_with_the_same_value(copy: Copy) -> None:
    labels = {"cloudsync.ports": "443", "cloudsync.expose": "true", "other": "x"}
    container = {
        "Id": "c" * 64, "Name": "/app", "Image": "sha256:1", "State": {"Status": "running"},
        "Config": {"Image": "app:1", "Labels": labels},
    }  # fmt: skip
    born = {"cloudsync.ports": "443", "cloudsync.expose": "false", "other": "x"}
    copy.write("dumps/inspect.json", [container])
    copy.write("dumps/images.json", [{"Id": "sha256:1", "Config": {"Labels": born}}])
    engine = from_dumps(copy.root)
    assert engine is not None
    assert engine.containers[0].image_labels == {"cloudsync.ports"}


# Compose


def services(folder: Path, **files: str) -> dict[str, Workload]:
    for name, content in files.items():
        path = folder / f"{name}.yaml"
        path.write_text(content)
    workloads, _ = read_compose(folder, ["compose.yaml"])
    return {workload.name.partition("/")[2]: workload for workload in workloads}


BASE = """\
services:
  base:
    image: postgres:16
    privileged: true
    pid: host
    cap_add: [NET_ADMIN]
    command: [--inspect, "9229"]
    environment: {DB_PASSWORD: secret, MODE: a}
    labels: [traefik.enable=true]
    volumes: ["/var/run/docker.sock:/var/run/docker.sock:ro", "data:/data"]
"""


def test_what_a_service_extends_is_its_own(tmp_path: Path) -> None:
    app = services(
        tmp_path,
        base=BASE,
        compose="""\
services:
  app:
    extends: {file: base.yaml, service: base}
    ports: ["8080:80"]
    command: serve
    environment: [TOKEN=x]
    volumes: ["/srv:/var/run/docker.sock"]
""",
    )["app"]
    assert (app.image, app.privileged, app.host_pid) == ("postgres:16", True, True)
    assert app.capabilities == ("NET_ADMIN",)
    assert app.command == ("serve",)
    assert set(app.environment) == {"DB_PASSWORD", "MODE", "TOKEN"}
    assert app.labels == {"traefik.enable": "true"}
    assert app.mounts == (Mount("/srv", read_only=False),)


def test_what_a_file_includes_counts_and_what_it_resets_does_not(tmp_path: Path) -> None:
    both = services(
        tmp_path,
        base=BASE,
        compose="""\
include: [base.yaml]
services:
  base:
    privileged: !reset null
    volumes: !reset []
    ports: ["5432:5432"]
""",
    )["base"]
    assert both.image == "postgres:16"
    assert (both.privileged, both.mounts) == (False, ())
    assert both.host_pid


def test_variables_count_and_one_without_a_value_stops_nothing(tmp_path: Path) -> None:
    app = services(
        tmp_path,
        compose="""\
services:
  app:
    image: ${IMAGE:-redis}:${TAG}
    environment: {PASSWORD: "${SECRET:?}", X: "${bad"}
    volumes:
      - {type: bind, source: "${SOCKET:-/run/docker.sock}", target: /s, read_only: true}
      - {type: volume, source: data, target: /data}
""",
    )["app"]
    assert app.image_name == "redis"
    assert set(app.environment) == {"PASSWORD", "X"}
    assert app.mounts == (Mount("/run/docker.sock", read_only=True),)


@pytest.mark.parametrize(
    "service",
    [
        "{environment: [A=hunter2], image: x, ports: ['1:1']}",
        "{environment: {A: hunter2}, ports: ['1:1']}",
        "{ports: ['1:1'], command: [run, hunter2]}",
        "{ports: ['1:1'], labels: {'a.b': hunter2}}",
        "{ports: [{target: 1, published: 1}], image: 'hunter2'}",
        "{environment: [B=1,\n  A=hunter2], ports: ['1:1']}",
        "{environment: [B=1,\n  hunter2], ports: ['1:1']}",
    ],
)
def test_nothing_else_that_stands_on_the_line_of_a_port_is_kept(
    tmp_path: Path, service: str
) -> None:
    workload = services(tmp_path, compose=f"services: {{app: {service}}}")["app"]
    assert [publish.first for publish in workload.published] == [1]
    assert "hunter2" not in repr([*workload.published, *workload.asked])


@pytest.mark.parametrize(
    "line",
    [
        "    ports: ['1:1']  # for all",
        "    ports: [{published: 1, target: 1}]",
        "    ports: [\n      '${A:-1}:1', '2:2']",
        "    ports:\n      - 1:1",
        '    ports:\n      - "1:1/udp" # for all',
        "    ports:\n      - published: 1\n        target: 1",
    ],
)
def test_the_line_of_a_port_is_kept_as_it_is_written(tmp_path: Path, line: str) -> None:
    compose = f"services:\n  app:\n    image: x\n{line}\n"
    (port, *_) = services(tmp_path, compose=compose)["app"].published
    assert port.line is not None
    assert port.written == compose.splitlines()[port.line - 1]


def test_no_value_of_the_environment_is_kept(tmp_path: Path) -> None:
    workload = services(
        tmp_path, compose="services: {app: {environment: [A=hunter2], image: x, ports: ['1:1']}}"
    )["app"]
    assert "hunter2" not in repr(workload)


def test_a_port_without_an_address_is_bound_to_what_its_network_says(tmp_path: Path) -> None:
    compose = """\
services:
  app: {image: x, ports: ["8080:80", "192.0.2.1:81:81"], networks: [local]}
networks:
  local: {driver_opts: {com.docker.network.bridge.host_binding_ipv4: 127.0.0.1}}
"""
    app = services(tmp_path, compose=compose)["app"]
    addresses_of = {publish.first: publish.address for publish in app.published}
    assert addresses_of == {8080: "127.0.0.1", 81: "192.0.2.1"}
    assert isinstance(app.published[0], Publish)
