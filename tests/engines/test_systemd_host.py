"""The shipped units with the drop-in for the machine's own firewall, under a systemd that really
runs: root with one capability writes the kernel's table, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engines.booted import CHECKOUT, Machine
from tests.engines.test_systemd import WATCH, eventually, with_an_image

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]
CONFIG = """version = 1
owner = "shop"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
[watch]
interval = "30s"
debounce_min = "1s"
[providers.host]
[hosts.web-1]
docker = "unix:///var/run/docker.sock"
[firewalls.web-1-host]
provider = "host"
hosts = ["web-1"]
interfaces = "all"
confirm = "off"
enforce = "enforce"
"""
SSHD = """[Service]
ExecStart=/usr/bin/python3 -m http.server --bind 0.0.0.0 22
"""


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """Docker, a server on the port of SSH, and the first apply done by hand."""
    with with_an_image() as built:
        _set_up(built)
        yield built


def _set_up(machine: Machine) -> None:
    machine.write("/etc/systemd/system/ssh-server.service", SSHD)
    machine.write("/etc/cloudsync/config.toml", CONFIG)
    drop_in = (CHECKOUT / "deploy" / "systemd" / "clouds" / "host.conf").read_text()
    for unit in ("cloudsync.service", WATCH):
        machine.write(f"/etc/systemd/system/{unit}.d/cloud.conf", drop_in)
    machine.run("systemctl daemon-reload && systemctl start ssh-server.service")
    eventually(lambda: machine.tried("ss -Hltn 'sport = 22' | grep -q .").returncode == 0)
    machine.run(
        "cloudsync apply -c /etc/cloudsync/config.toml --auto-approve --allow-attach web-1-host"
    )


def table(machine: Machine) -> str:
    return machine.tried("nft -n list table inet cloudsync").stdout


def test_the_timers_service_opens_a_new_port_in_the_kernel(machine: Machine) -> None:
    machine.run("docker run -d --name timer -p 8090:80 bb:1")
    assert "8090" not in table(machine)
    machine.run("systemctl start cloudsync.service")
    journal = machine.run("journalctl -u cloudsync --no-pager -o cat -n 40")
    assert machine.show("cloudsync.service", "Result") == "success", journal
    assert "8090" in table(machine)


def test_the_watching_service_puts_back_a_table_that_was_taken_away(machine: Machine) -> None:
    machine.run(f"systemctl start {WATCH}")
    machine.run("docker run -d --name watched -p 8091:80 bb:1")
    eventually(lambda: "8091" in table(machine))
    machine.run("nft delete table inet cloudsync")
    eventually(lambda: "8091" in table(machine))
    machine.run(f"systemctl stop {WATCH}")


def test_it_is_root_with_the_one_capability(machine: Machine) -> None:
    machine.run(f"systemctl start {WATCH}")
    status = machine.run(f"cat /proc/{machine.show(WATCH, 'MainPID')}/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split() == ["0"] * 4
    assert int(fields["CapBnd"], 16) == int(fields["CapEff"], 16) == 1 << 12  # CAP_NET_ADMIN
    assert fields["NoNewPrivs"] == "1"
    machine.run(f"systemctl stop {WATCH}")
