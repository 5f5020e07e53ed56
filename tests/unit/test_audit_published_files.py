"""Compose files and settings as people publish them, each with what looked like a mistake and was
none, or was one and was not seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudsync.audit.report import of_machine
from cloudsync.model.machine_facts import Daemon
from cloudsync.reconcile.machine_facts import of_files
from cloudsync.sources.machine import firewalld, sshd, ufw
from cloudsync.sources.machine.root import Root
from tests.unit.audit_facts import container, docker, ids, machine, publish


def of_compose(folder: Path, services: str) -> set[tuple[str, str, str | None]]:
    """Id, service and port of each finding."""
    (folder / "compose.yaml").write_text("services:\n" + services)
    (facts,) = of_files([str(folder / "compose.yaml")])
    assert facts.blind == ()
    return {(f.id, f.object.rpartition("/")[2], f.ports) for f in of_machine(facts)}


@pytest.mark.parametrize(
    ("image", "ports", "admin"),
    [
        ("minio/minio", ("9000:9000", "9001:9001"), "9001"),
        ("jc21/nginx-proxy-manager", ("80:80", "81:81", "443:443"), "81"),
        ("ghcr.io/wg-easy/wg-easy", ("51820:51820/udp", "51821:51821"), "51821"),
        ("pihole/pihole", ("53:53/tcp", "53:53/udp", "8053:80"), "8053"),
        ("mailhog/mailhog", ("1025:1025", "8025:8025"), "8025"),
        ("quay.io/jupyter/scipy-notebook:2024-10", ("8888:8888",), "8888"),
        ("ollama/ollama", ("11434:11434",), "11434"),
    ],
)
def test_of_an_image_with_other_ports_only_its_admin_interface_is_one(
    tmp_path: Path, image: str, ports: tuple[str, ...], admin: str
) -> None:
    listed = ", ".join(f'"{port}"' for port in ports)
    found = of_compose(tmp_path, f"  app: {{image: {image}, ports: [{listed}]}}\n")
    assert [port for id_, _, port in found if id_ == "CS034"] == [admin]


def test_kibana_is_an_admin_interface_and_its_database_is_a_database(tmp_path: Path) -> None:
    found = of_compose(
        tmp_path,
        "  ui: {image: docker.elastic.co/kibana/kibana:8.15, ports: ['5601:5601']}\n"
        "  db: {image: elasticsearch:8.15, ports: ['9200:9200']}\n",
    )
    assert {(id_, who) for id_, who, _ in found if id_ in ("CS002", "CS034")} == {
        ("CS034", "ui"),
        ("CS002", "db"),
    }


def test_minio_chooses_the_port_of_its_console(tmp_path: Path) -> None:
    found = of_compose(
        tmp_path,
        '  s3: {image: minio/minio, command: server --console-address ":9090" /data, '
        'ports: ["9001:9001", "9090:9090"]}\n',
    )
    assert ("CS034", "s3", "9090") in found
    assert ("CS034", "s3", "9001") not in found


@pytest.mark.parametrize(
    ("variable", "secret"),
    [
        ("SMTP_PASS", True),
        ("TS_AUTHKEY", True),
        ("LDAP_BIND_PASSPHRASE", True),
        ("APP_KEY", True),
        ("SECRET_KEY_BASE", True),
        ("AWS_SECRET_ACCESS_KEY", True),
        ("AWS_ACCESS_KEY_ID", False),
        ("PASSWORD_MIN_LENGTH", False),
        ("TOKEN_EXPIRY", False),
        ("JWT_TOKEN_EXPIRES_IN", False),
        ("MYSQL_ALLOW_EMPTY_PASSWORD", False),
        ("MARIADB_RANDOM_ROOT_PASSWORD", False),
        ("OAUTH_TOKEN_URL", False),
        ("COMPASS", False),
        ("DB_PASSWORD_FILE", False),
    ],
)
def test_a_variable_about_secrets_need_not_hold_one(variable: str, secret: bool) -> None:
    facts = machine(docker(container("app", publish(8443), environment=(variable,))))
    assert ("CS044" in ids(facts)) is secret


@pytest.mark.parametrize(
    ("ports", "labels", "past"),
    [
        ('"2222:22"', "{}", False),
        ('"3001:3000"', "{}", True),
        ('"51820:51820/udp"', "{}", False),
        ('"9000:9000"', '{caddy: a.example.org, caddy.reverse_proxy: "{{upstreams 8080}}"}', False),
        ('"8081:8080"', '{caddy: a.example.org, caddy.reverse_proxy: "{{upstreams 8080}}"}', True),
    ],
)
def test_a_port_that_no_proxy_routes_to_is_not_published_past_it(
    tmp_path: Path, ports: str, labels: str, past: bool
) -> None:
    service = f"environment: [VIRTUAL_HOST=a.example.org], ports: [{ports}], labels: {labels}"
    found = of_compose(tmp_path, f"  git: {{image: gitea/gitea, {service}}}\n")
    assert ("CS032" in {id_ for id_, _, _ in found}) is past


def copied(folder: Path, name: str, content: str) -> Root:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content)
    return Root(folder)


def test_ufw_reads_its_switches_in_any_case(tmp_path: Path) -> None:
    copied(tmp_path, "etc/default/ufw", "IPV6=NO\n")
    read = ufw.read(copied(tmp_path, "etc/ufw/ufw.conf", 'ENABLED="Yes"\n'))
    assert read is not None
    assert (read.enabled, read.ipv6) == (True, False)


def test_a_zone_of_firewalld_counts_without_its_comments(tmp_path: Path) -> None:
    copied(tmp_path, "etc/firewalld/firewalld.conf", "")
    zone = (
        "<?xml version='1.0'?>\n<zone target='ACCEPT'>\n<!-- <port port='1' protocol='tcp'/>\n"
        "<service name='http'/> -->\n<interface name='docker0'/>\n"
        "<port port='8443' protocol='tcp'/>\n</zone>\n"
    )
    read = firewalld.read(copied(tmp_path, "etc/firewalld/zones/docker.xml", zone))
    assert read is not None
    (found,) = read.zones
    assert (found.target, found.interfaces) == ("ACCEPT", ("docker0",))
    assert (found.ports, found.services, found.line) == (("8443/tcp",), (), 6)


@pytest.mark.parametrize(
    ("methods", "by_password"),
    [
        ("publickey", False),
        ("publickey,password publickey,keyboard-interactive", False),
        ("publickey password", True),
        ("any", True),
    ],
)
def test_a_login_that_always_needs_a_key_is_none_by_password(
    tmp_path: Path, methods: str, by_password: bool
) -> None:
    root = copied(tmp_path, "etc/ssh/sshd_config", f"AuthenticationMethods {methods}\n")
    read = sshd.read(root)
    assert read is not None
    assert read.password_login is by_password


@pytest.mark.parametrize(
    ("address", "found"),
    [("tcp://:2375", False), ("tcp://localhost:2375", False), ("tcp://10.0.0.5:2375", True)],
)
def test_dockerd_takes_an_address_without_a_host_for_localhost(address: str, found: bool) -> None:
    assert ("CS003" in ids(machine(daemon=Daemon(hosts=(address,))))) is found
