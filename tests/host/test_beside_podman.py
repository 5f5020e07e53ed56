"""Beside Podman, as root and as a user (pasta, slirp4netns), on a machine that boots."""

from __future__ import annotations

import pytest

from tests.host.booted import Booted
from tests.host.lab import HOST6, Lab
from tests.host.site import Site
from tests.host.test_reboot import Client, client, lab, machine, remote

__all__ = ["client", "lab", "machine", "remote"]
pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]
SERVER = ("bb:1", "/usr/bin/busybox", "httpd", "-f", "-h", "/", "-p")
USER = ("setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "env", "HOME=/home/deploy",
        "XDG_RUNTIME_DIR=/run/user/1000", "PATH=/usr/bin:/usr/sbin:/bin:/sbin")  # fmt: skip


@pytest.fixture
def podman(machine: Booted, client: Client) -> Booted:
    """Switched on, with a home and a runtime folder for `deploy`."""
    assert client.key
    machine.write(
        "/etc/containers/containers.conf",
        '[engine]\ncgroup_manager = "cgroupfs"\nruntime = "crun"\nevents_logger = "file"\n'
        '[containers]\ncgroups = "disabled"\n',
    )
    machine.write(
        "/etc/containers/storage.conf",
        '[storage]\ndriver = "vfs"\n'
        'runroot = "/run/containers/storage"\ngraphroot = "/var/lib/docker/podman"\n',
    )
    machine.write(
        "/etc/containers/policy.json", '{"default": [{"type": "insecureAcceptAnything"}]}'
    )
    for name in ("subuid", "subgid"):
        machine.write(f"/etc/{name}", "deploy:100000:65536\n")
    machine.boot()
    machine.wait_until_it_is_up()
    machine.run("install", "-d", "-o", "deploy", "-g", "deploy", "-m", "700", "/run/user/1000")
    machine.run("sh", "-c", "tar -C / -c usr/bin/busybox > /tmp/bb.tar")
    machine.run("podman", "import", "/tmp/bb.tar", "bb:1")
    return machine


def as_user(machine: Booted, *words: str) -> str:
    return machine.run(*USER, "podman", "--root", "/home/deploy/storage", *words)


def test_what_podman_publishes_as_root_is_what_the_list_says(
    podman: Booted, lab: Lab, remote: Site
) -> None:
    for name, published in (("web", "8090:80"), ("db", "8443:80")):
        podman.run("podman", "run", "-d", "--name", name, "-p", published, *SERVER, "80")
    podman.run("podman", "run", "-d", "--name", "host", "--network", "host", *SERVER, "9090")
    assert lab.scan((22, 8090, 8443, 9090)) == {22, 8090, 8443, 9090}
    remote.apply()
    assert lab.scan((22, 8090, 8443, 9090)) == {22, 8090}
    podman.run("podman", "network", "reload", "-a")
    podman.run("podman", "restart", "-t", "0", "web", "db")
    assert lab.scan((22, 8090, 8443, 9090)) == {22, 8090}
    lab.listen_outside(8000)
    process = podman.run("podman", "inspect", "-f", "{{.State.Pid}}", "web").strip()
    script = "import socket; socket.create_connection(('203.0.113.2', 8000), 3)"
    podman.run("nsenter", "-t", process, "-n", "python3", "-c", script)
    assert remote.actions() == []


def test_what_a_users_podman_publishes_is_filtered_in_both_families(
    podman: Booted, lab: Lab, remote: Site
) -> None:
    """`podman ps` says 0.0.0.0; pasta listens on IPv6 too."""
    as_user(podman, "import", "/tmp/bb.tar", "bb:1")
    for name, network, published in (
        ("web", "pasta", "8090:80"),
        ("db", "pasta", "8443:80"),
        ("old", "slirp4netns", "8444:80"),
    ):
        as_user(
            podman,
            "run",
            "-d",
            "--name",
            name,
            "--network",
            network,
            "-p",
            published,
            *SERVER,
            "80",
        )
    ports = (22, 8090, 8443, 8444)
    assert lab.scan(ports) == set(ports)
    assert {8090, 8443} <= lab.scan(ports, HOST6)
    remote.apply()
    assert lab.scan(ports) == lab.scan(ports, HOST6) == {22, 8090}
