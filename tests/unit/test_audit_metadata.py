"""Who answers containers at 169.254.169.254, and when that matters (CS030)."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest

from cloudsync.audit.catalogue import fix_of
from cloudsync.audit.report import of_machine
from cloudsync.model.machine_facts import Facts, UserData
from cloudsync.sources.machine import read as machine_reader
from cloudsync.sources.machine import user_data
from cloudsync.sources.machine.root import Root
from tests.unit.audit_facts import IMDS, SHUT, chain, container, docker, ids, machine

SECRET = "#cloud-config\nwrite_files:\n  - content: DB_PASSWORD=hunter2\n"
HETZNER = "DataSourceHetzner: DataSourceHetzner"


def created(folder: Path, content: str | bytes, source: str = HETZNER) -> UserData | None:
    """A machine as cloud-init leaves it; its link `instance` leads out of a copy."""
    data = folder / "var/lib/cloud"
    instance = data / "instances/38"
    instance.mkdir(parents=True, exist_ok=True)
    (data / "data").mkdir(exist_ok=True)
    (data / "data/instance-id").write_text("38\n")
    (instance / "datasource").write_text(f"{source}\n")
    raw = content if isinstance(content, bytes) else content.encode()
    (instance / "user-data.txt").write_bytes(raw)
    return user_data.read(Root(folder))


@pytest.mark.parametrize(
    ("content", "has_secrets"),
    [
        (SECRET, True),
        ("#!/bin/sh\nk3s agent --token=K10abc\n", True),
        ("#cloud-config\nruncmd: [tailscale up --auth-key=tskey-1]\n", True),
        ("#cloud-config\nruncmd: ['git clone https://bob:x@example.org/a']\n", True),
        (
            "#cloud-config\nssh_keys: {rsa_private: |\n  -----BEGIN OPENSSH PRIVATE KEY-----}\n",
            True,
        ),
        ("#cloud-config\nchpasswd: {list: 'root:hunter2'}\n", True),
        ("#cloud-config\npackages: [docker.io]\nssh_authorized_keys: [ssh-ed25519 AAAA]\n", False),
        ("#cloud-config\nusers: [{name: bob, lock_passwd: true}]\n", False),
        ("#cloud-config\n# no password here\nruncmd: [cat /etc/passwd]\n", False),
        (gzip.compress(SECRET.encode(), mtime=0), True),
    ],
)
def test_user_data_that_mentions_a_secret_is_known_by_its_words(
    tmp_path: Path, content: str | bytes, has_secrets: bool
) -> None:
    file = "/var/lib/cloud/instances/38/user-data.txt"
    assert created(tmp_path, content) == UserData("Hetzner", file, has_secrets)


@pytest.mark.parametrize(
    ("source", "vendor"),
    [
        (HETZNER, "Hetzner"),
        ("DataSourceDigitalOcean: DataSourceDigitalOcean", "DigitalOcean"),
        ("DataSourceOpenStackLocal: DataSourceOpenStackLocal [net,ver=2]", "OpenStack"),
        ("DataSourceGCELocal: DataSourceGCELocal", "GCE"),
        ("DataSourceEc2Local: DataSourceEc2Local", None),
        ("DataSourceNoCloud: DataSourceNoCloud [seed=/dev/sr0]", None),
        ("DataSourceConfigDrive: DataSourceConfigDrive [net,ver=2]", None),
    ],
)
def test_only_a_service_that_answers_every_process_counts(
    tmp_path: Path, source: str, vendor: str | None
) -> None:
    known = created(tmp_path, SECRET, source)
    assert (known.vendor if known else None) == vendor


def test_a_machine_without_cloud_init_or_user_data_has_none(tmp_path: Path) -> None:
    assert user_data.read(Root(tmp_path)) is None
    assert created(tmp_path, " \n") is None


def test_an_instance_id_leads_nowhere_else(tmp_path: Path) -> None:
    created(tmp_path, SECRET)
    (tmp_path / "var/lib/cloud/data/instance-id").write_text("../instances/38\n")
    assert user_data.read(Root(tmp_path)) is None


def test_law1_user_data_that_cannot_be_read_is_a_blind_spot(tmp_path: Path) -> None:
    created(tmp_path, SECRET)
    file = tmp_path / "var/lib/cloud/instances/38/user-data.txt"
    file.unlink()
    file.mkdir()
    spots = machine_reader.read("web-1", Root(tmp_path)).blind
    assert "user data" in [spot.input for spot in spots]


def test_nothing_of_the_user_data_is_kept(tmp_path: Path) -> None:
    created(tmp_path, SECRET)
    facts = machine_reader.read("web-1", Root(tmp_path))
    assert facts.user_data is not None
    assert "hunter2" not in repr(facts)


def with_data(*, secrets: bool, **more: object) -> Facts:
    return machine(docker(container()), user_data=UserData("Hetzner", "/x", secrets), **more)


def test_user_data_with_a_secret_is_found_without_any_configuration() -> None:
    (finding,) = of_machine(with_data(secrets=True))
    assert (finding.id, finding.severity) == ("CS030", "medium")
    assert "Hetzner repeats the user data" in finding.reason
    assert "--dport 80 -j DROP" in fix_of(finding)


def test_two_reasons_are_one_finding() -> None:
    (finding,) = of_machine(with_data(secrets=True, cloud=replace(SHUT, metadata=IMDS)))
    assert IMDS in finding.reason
    assert "Hetzner" in finding.reason


def test_user_data_without_secrets_is_nothing() -> None:
    assert ids(with_data(secrets=False)) == []
    assert ids(machine(docker(), user_data=UserData("Hetzner", "/x", has_secrets=True))) == []


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ("-d 169.254.169.254/32 -j DROP", False),
        ("-d 169.254.169.254/32 -p tcp -m tcp --dport 80 -j REJECT", False),
        ("-d 169.254.0.0/16 -j DROP", False),
        ("! -d 169.254.169.254/32 -j DROP", True),
        ("-d 169.254.169.254/32 -p udp -j DROP", True),
        ("-d 169.254.169.254/32 -p tcp --dport 53 -j DROP", True),
        ("-d 169.254.169.123/32 -j DROP", True),
        ("-d 169.254.169.254/32 -j ACCEPT", True),
    ],
)
def test_a_rule_that_drops_requests_to_it_ends_the_finding(rule: str, found: bool) -> None:
    assert ("CS030" in ids(with_data(secrets=True, ip4=chain(rule)))) is found
