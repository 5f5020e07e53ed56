"""The table of a machine behind ssh: nothing is installed there, and every call is a new
connection, which is the proof that a trial asks for."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine import sshd as engines
from tests.host.lab import HOST4, HOST6, PEER6, Lab
from tests.host.site import NAME, Site
from tests.host.table import lets_in

pytestmark = pytest.mark.engine
PORT = 2222


class Sshd(engines.Sshd):
    """An sshd on the machine of a lab, entered from the Internet's side."""

    def __init__(self, lab: Lab) -> None:
        super().__init__()
        self.lab = lab
        self.port = PORT

    def start(self, *options: str) -> None:
        """Start it; back when it listens."""
        self.stop()
        Path("/run/sshd").mkdir(exist_ok=True)
        settings = [
            "StrictModes=no", "UsePAM=no", "PasswordAuthentication=no", "PermitRootLogin=yes",
            "KbdInteractiveAuthentication=no", f"AuthorizedKeysFile={self.folder}/authorized",
            "PidFile=none", *options,
        ]  # fmt: skip
        words = [*self.lab.inside, str(engines._sshd()), "-D", "-e", "-f", "/dev/null"]
        words += ["-p", str(PORT), "-h", str(self.folder / "host")]
        words += [word for setting in settings for word in ("-o", setting)]
        with (self.folder / "sshd.log").open("ab") as log:
            self._daemon = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)
        until = time.monotonic() + 20
        while f":{PORT} " not in self._listening():
            assert self._daemon.poll() is None, (self.folder / "sshd.log").read_text()
            assert time.monotonic() < until
            time.sleep(0.02)

    def _listening(self) -> str:
        words = [*self.lab.inside, "ss", "-Hltn"]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout

    def known(self, key: str = "host") -> None:
        """The machine's key."""
        line = (self.folder / f"{key}.pub").read_text()
        (self.folder / "known_hosts").write_text(
            "".join(f"[{address}]:{PORT} {line}" for address in (HOST4, HOST6))
        )


@pytest.fixture
def remote(lab: Lab, tmp_path: Path) -> Iterator[Site]:
    """`cloudsync` on the Internet's side, the table on the machine."""
    if (reason := engines.missing()) is not None:
        pytest.skip(reason)
    with Sshd(lab) as sshd:
        yield site_behind(sshd, tmp_path)


def site_behind(sshd: Sshd, folder: Path, address: str = HOST4) -> Site:
    """`cloudsync` on the Internet's side, entering by that address."""
    lab = sshd.lab
    site = Site(lab, folder, address=f"ssh://{sshd.user}@{address}:{PORT}", confirm="10s")
    site.inside = ("nsenter", f"--net=/run/netns/{lab.inet}", "--")
    site.more_environment = {"PATH": sshd.path}
    site.ssh["ports"] = [PORT]
    site.deadline = "80s"
    site.ports = [f"{PORT}/tcp", "443/tcp"]
    return site


@pytest.fixture
def sshd(lab: Lab) -> Iterator[Sshd]:
    """A server that a test may start in another way."""
    if (reason := engines.missing()) is not None:
        pytest.skip(reason)
    with Sshd(lab) as sshd:
        yield sshd


def test_over_ssh_a_trial_is_confirmed_by_a_connection_of_its_own(remote: Site, lab: Lab) -> None:
    remote.apply()
    assert lab.scan((22, 443, 8080, PORT)) == {443, PORT}
    assert "443" in remote.saved.read_text()
    assert remote.actions() == []
    remote.ports = [f"{PORT}/tcp", "8080/tcp"]
    remote.apply()
    assert lab.scan((22, 443, 8080, PORT)) == {8080, PORT}
    assert "set trial" not in lab.listing()


def test_over_ssh_what_cannot_be_proved_is_rolled_back(remote: Site, lab: Lab) -> None:
    """The way in breaks between the change and its proof."""
    remote.apply()
    remote.keys["confirm"], remote.deadline = "4s", "30s"
    remote.ports = [f"{PORT}/tcp", "8080/tcp"]
    process = remote.start("apply", "--auto-approve")
    until = time.monotonic() + 20
    try:
        while "set trial" not in lab.listing():
            assert time.monotonic() < until
            time.sleep(0.002)
        subprocess.run(
            ["nsenter", f"--net=/run/netns/{lab.cloud}", "--", "nft", "-f", "-"],
            input=(
                "table inet broken { chain c { type filter hook forward priority 0; "
                f"tcp dport {PORT} drop; }}\n }}\n"
            ),
            text=True,
            check=True,
        )
        out, err = process.communicate(timeout=150)
    finally:
        process.kill()
        process.communicate()
    if process.returncode == 0:
        pytest.skip("the proof was faster than the break")
    assert process.returncode == 6, (out, err)
    until = time.monotonic() + 20
    while lab.tcp(443) == "closed":
        assert time.monotonic() < until
    assert lab.tcp(8080) == "closed"


def test_an_engine_behind_ssh_names_the_machine(remote: Site) -> None:
    address = remote.keys.pop("address")
    remote.host = {"docker": address}
    (firewall,) = remote.plan()["firewalls"]
    assert firewall["read"]["status"] == "complete"
    assert firewall["exists"] is False


def test_a_machine_that_does_not_answer_is_not_an_empty_one(remote: Site, lab: Lab) -> None:
    remote.apply()
    before = lets_in(lab.listing())
    remote.deadline = "20s"  # a packet that is dropped is waited for until then
    remote.keys["address"] = f"ssh://{os.environ.get('USER', 'root')}@{HOST4}:2223"
    done = remote.run("apply", "--auto-approve", "--allow-attach", NAME)
    assert done.returncode == 75, (done.stdout, done.stderr)
    assert (lets_in(lab.listing()), lab.tcp(8080)) == (before, "closed")


def test_law2_a_machine_that_is_reached_by_ipv6_alone_keeps_its_way_in(
    sshd: Sshd, lab: Lab, tmp_path: Path
) -> None:
    subprocess.run(["ip", "-n", lab.host, "-4", "addr", "flush", "dev", "eth0"], check=True)
    site = site_behind(sshd, tmp_path, f"[{HOST6}]")
    site.ssh["sources"] = [f"{PEER6}/128"]
    site.ports = ["443/tcp"]
    site.apply()
    assert lab.scan((22, 443, 8080, PORT), HOST6) == {443, PORT}
    site.ports = ["8080/tcp"]
    site.apply()
    assert lab.scan((22, 443, 8080, PORT), HOST6) == {8080, PORT}
    assert "set trial" not in lab.listing()
    # The connection that would be shut out is one of IPv6 too.
    site.keys["enforce"] = "observe"
    site.apply()
    site.keys["enforce"], site.ssh["sources"] = "enforce", ["any4"]
    plan = site.plan()
    assert {guard["id"] for guard in plan["guards"]} >= {"own-ssh"}
    assert PEER6 in " ".join(guard["message"] for guard in plan["guards"])


def test_a_login_shell_that_greets_changes_nothing(sshd: Sshd, lab: Lab, tmp_path: Path) -> None:
    sshd.start('ForceCommand=echo "Welcome to web-1"; sh -c "$SSH_ORIGINAL_COMMAND"')
    site = site_behind(sshd, tmp_path)
    site.apply()
    assert lab.scan((22, 443, PORT)) == {443, PORT}
    assert site.actions() == []
