"""A machine that boots, with its own sshd and sudo: what the docs have people type, and every port
over its reboots."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.booted import Booted, booted_or_skipped
from tests.host.lab import HOST4, Lab
from tests.host.namespace import needs
from tests.host.scanner import Witness, everywhere
from tests.host.site import Site

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]
LONG = bool(os.environ.get("CLOUDSYNC_LONG"))
UNIT = "cloudsync-host.service"
INCLUDE = 'include "/var/lib/cloudsync/*.nft"'
"""What docs/providers/host.md says to put at the end of /etc/nftables.conf."""


class Client:
    """Somebody outside with a key, and a PATH whose `ssh` knows it and the machine."""

    def __init__(self, folder: Path, machine: Booted) -> None:
        self.folder = folder
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key")]
        subprocess.run(words, check=True)
        host_key = (machine.root / "etc/ssh/ssh_host_ed25519_key.pub").read_text()
        (folder / "known").write_text(f"{HOST4} {host_key}")
        (folder / "config").write_text(
            f"Host *\nIdentityFile {folder}/key\nIdentitiesOnly yes\nIdentityAgent none\n"
            f"UserKnownHostsFile {folder}/known\nGlobalKnownHostsFile /dev/null\n"
        )
        program = folder / "bin" / "ssh"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/config "$@"\n')
        program.chmod(0o755)
        self.path = f"{program.parent}:{os.environ['PATH']}"

    @property
    def key(self) -> str:
        return (self.folder / "key.pub").read_text()


def sudoers() -> str:
    """The lines that docs/providers/host.md gives."""
    page = (ROOT / "docs" / "providers" / "host.md").read_text()
    return "".join(re.findall(r"^deploy ALL=\(root\).*\n", page, re.MULTILINE))


@pytest.fixture
def lab() -> Iterator[Lab]:
    needs("busybox")
    with Lab() as lab:
        yield lab


@pytest.fixture
def machine(lab: Lab, tmp_path: Path) -> Iterator[Booted]:
    """Off; with a user `deploy`, who may do what the docs say, and Debian's own
    nftables.service."""
    with booted_or_skipped(lab) as machine:
        passwd = (machine.root / "etc/passwd").read_text()
        machine.write("/etc/passwd", f"{passwd}deploy:x:1000:1000::/home/deploy:/bin/sh\n")
        machine.write("/etc/group", (machine.root / "etc/group").read_text() + "deploy:x:1000:\n")
        shadow = (machine.root / "etc/shadow").read_text()
        machine.write("/etc/shadow", f"{shadow}deploy:*:20000:0:99999:7:::\n", 0o640)
        machine.write("/etc/sudoers.d/cloudsync", sudoers(), 0o440)
        machine.write(
            "/etc/nftables.conf", "flush ruleset\ntable inet filter {\n chain input {\n }\n}\n"
        )
        machine.link(
            "/etc/systemd/system/sysinit.target.wants/nftables.service",
            "/usr/lib/systemd/system/nftables.service",
        )
        yield machine


@pytest.fixture
def client(machine: Booted, tmp_path: Path) -> Client:
    folder = tmp_path / "client"
    folder.mkdir()
    client = Client(folder, machine)
    keys = machine.write("/home/deploy/.ssh/authorized_keys", client.key, 0o600)
    for path in (keys, keys.parent, keys.parent.parent):
        os.chown(path, 1000, 1000)
        path.chmod(0o600 if path == keys else 0o700)
    return client


@pytest.fixture
def remote(lab: Lab, machine: Booted, client: Client, tmp_path: Path) -> Site:
    """`cloudsync` outside, as anybody's; the machine behind `ssh://deploy@…`."""
    site = Site(lab, tmp_path, address=f"ssh://deploy@{HOST4}", confirm="20s")
    del site.keys["save"]
    site.inside = ("nsenter", f"--net=/run/netns/{lab.inet}", "--")
    site.more_environment = {"PATH": client.path}
    site.ports = ["22/tcp", "443/tcp", "8090/tcp"]
    return site


def test_the_docs_name_the_line_that_these_tests_use() -> None:
    assert f"\n{INCLUDE}\n" in (ROOT / "docs" / "providers" / "host.md").read_text()
    assert len(sudoers().splitlines()) == 3


def installed(machine: Booted) -> None:
    """As docs/providers/host.md says."""
    text = (ROOT / "deploy" / "systemd" / UNIT).read_text()
    script = f"cat > /etc/systemd/system/{UNIT} <<'E'\n{text}\nE\nsystemctl enable --now {UNIT}"
    machine.run("sh", "-c", script)


def test_over_real_sudo_and_sshd_and_through_a_reload_a_restart_and_a_reboot(
    lab: Lab, machine: Booted, remote: Site
) -> None:
    machine.boot()
    machine.wait_until_it_is_up()
    remote.apply()
    assert lab.scan((22, 80, 443, 8080)) == {22, 443}
    saved = machine.run("cat", "/var/lib/cloudsync/host.nft")
    assert "443" in saved
    assert remote.actions() == []
    installed(machine)

    wanted = everywhere({22, 443, 8090})
    with Witness(lab, wanted) as witness:
        machine.run("systemctl", "reload", "nftables")
        assert remote.actions() == []
        time.sleep(1)
    # nftables.service flushes in one transaction, and the unit loads in another.
    print(
        f"open over a reload: {witness.gap:.0f} ms, {len(witness.strays)} of {witness.sent} probes"
    )
    assert witness.gap < 1000
    machine.run("sh", "-c", f"echo '{INCLUDE}' >> /etc/nftables.conf")
    with Witness(lab, wanted) as witness:
        for _ in range(3):
            machine.run("systemctl", "reload", "nftables")
        assert remote.actions() == []
        witness.wait_for_a_round()
    assert witness.passed() <= wanted, str(witness.passed())
    assert witness.sent > 65_535
    with Witness(lab, wanted) as witness:
        machine.run("systemctl", "restart", "nftables")
        assert remote.actions() == []
    print(f"over a restart: {witness.gap:.0f} ms, {len(witness.strays)} of {witness.sent} probes")
    assert witness.gap < 5000

    with Witness(lab, wanted) as witness:
        machine.power_off()
        machine.boot()
        machine.wait_until_it_is_up()
        assert remote.actions() == []
        witness.wait_for_a_round()
    assert witness.passed() <= wanted, str(witness.passed())
    assert 22 in witness.passed().tcp4 & witness.passed().tcp6
    assert witness.sent > 65_535
    assert lab.scan((22, 80, 443, 8080)) == {22, 443}


def test_a_user_without_the_sudoers_lines_reads_nothing_and_changes_nothing(
    lab: Lab, machine: Booted, remote: Site
) -> None:
    machine.write("/etc/sudoers.d/cloudsync", sudoers().splitlines()[0] + "\n", 0o440)
    machine.boot()
    machine.wait_until_it_is_up()
    # The first line alone is enough to plan.
    assert remote.actions()[0] == "create"
    done = remote.run("apply", "--auto-approve", "--allow-attach", "web-1-host")
    assert done.returncode in (1, 6)
    assert "deploy ALL=(root) NOPASSWD: /usr/sbin/nft -f -" in done.stdout + done.stderr
    assert lab.listing() == ""
    machine.run("rm", "/etc/sudoers.d/cloudsync")
    done = remote.run("plan")
    assert done.returncode == 1
    assert "deploy ALL=(root) NOPASSWD: /usr/sbin/nft -j -n list table inet cloudsync" in (
        done.stdout + done.stderr
    )


def with_docker(machine: Booted) -> None:
    """Two containers that come back at every boot: 8090 is wanted, 8443 is not."""
    for unit in ("docker.service", "docker.socket", "containerd.service"):
        machine.unmask(unit)
    machine.boot()
    machine.wait_until_it_is_up()
    machine.run("systemctl", "start", "docker")
    machine.run("sh", "-c", "tar -C / -c usr/bin/busybox | docker import - bb:1")
    for port in (8090, 8443):
        machine.run(
            "docker", "run", "-d", "--restart", "always", "-p", f"{port}:80", "bb:1",
            "/usr/bin/busybox", "httpd", "-f", "-p", "80", "-h", "/",
        )  # fmt: skip
    machine.run("systemctl", "enable", "docker")


@pytest.mark.skipif(not LONG, reason="takes minutes: CLOUDSYNC_LONG=1, or make walls")
@pytest.mark.parametrize("unit", [True, False], ids=["with-the-unit", "without"])
def test_law3_over_a_reboot_no_container_is_reached_that_should_not_be(
    lab: Lab, machine: Booted, remote: Site, unit: bool
) -> None:
    with_docker(machine)
    assert lab.scan((22, 8090, 8443)) >= {8090, 8443}
    remote.apply()
    assert lab.scan((22, 8090, 8443)) == {22, 8090}
    if unit:
        installed(machine)

    answers: dict[int, list[bool]] = {8090: [], 8443: []}
    stop = threading.Event()

    def probe(port: int) -> None:
        while not stop.is_set():
            answers[port].append(lab.tcp(port) == "open")

    threads = [threading.Thread(target=probe, args=(port,)) for port in answers]
    wanted = everywhere({22, 443, 8090})
    with Witness(lab, wanted) as witness:
        for thread in threads:
            thread.start()
        try:
            machine.power_off()
            machine.boot()
            machine.wait_until_it_is_up()
            machine.wait_for(lambda: lab.tcp(8090) == "open")
            time.sleep(2)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    opened = sum(answers[8443])
    print(f"{witness.sent} probes, {len(answers[8443])} connections to 8443, {opened} open")
    if unit:
        assert witness.passed() <= wanted, str(witness.passed())
        assert opened == 0
    else:
        # The measure can tell: without the unit everything is open.
        assert opened > 0
        assert witness.strays
