"""The shipped units under a systemd that really runs, beside Docker as its service."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import pytest

from tests import roots
from tests.doubles.hetzner import HetznerDouble
from tests.engine import lab
from tests.engine.soak import ports_of
from tests.engines.booted import CHECKOUT, CannotBoot, Machine
from tests.namespaces import in_network

pytestmark = [pytest.mark.engine, pytest.mark.emulator, pytest.mark.timeout(900)]
WATCH = "cloudsync-watch.service"
CONFIG = """version = 1
owner = "shop"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
grace = "10m"
[watch]
interval = "30s"
debounce_min = "1s"
[providers.hetzner]
token = {{ credential = "hcloud_token" }}
endpoint = "{endpoint}"
[hosts.web-1]
docker = "unix:///var/run/docker.sock"
[firewalls.web]
provider = "hetzner"
hosts = ["web-1"]
servers = ["web-1"]
"""
ALLOW = '[[firewalls.web.allow]]\nports = ["7001/tcp"]\nsources = ["any"]\n'
IMAGE = """mkdir -p /root/image/bin && cp /bin/busybox /root/image/bin/
ln -sf busybox /root/image/bin/sleep
tar -C /root/image -c . | docker import -c 'CMD ["sleep", "100000"]' - bb:1"""


def eventually(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.2)


@contextlib.contextmanager
def with_an_image() -> Iterator[Machine]:
    """A booted machine whose engine has an image. Skips the test where there can be none."""
    if (reason := lab.missing() or roots.unavailable()) is not None:
        pytest.skip(reason)
    built = Machine()
    try:
        built.__enter__()
    except CannotBoot as error:
        pytest.skip(f"no systemd boots here: {error}")
    try:
        built.run(IMAGE)
        yield built
    finally:
        built.__exit__()


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with with_an_image() as built:
        yield built


@pytest.fixture(scope="module")
def cloud(machine: Machine) -> Iterator[HetznerDouble]:
    """A vendor that the machine reaches at a loopback address of its own."""
    with in_network(machine.network, HetznerDouble) as double:
        double.add_server("web-1")
        yield double
        assert double.violations == []


@pytest.fixture
def installed(machine: Machine, cloud: HetznerDouble) -> Iterator[Machine]:
    """Set up as docs/unattended.md says, with the user's word given once by hand; one container."""
    machine.write("/etc/cloudsync/config.toml", CONFIG.format(endpoint=cloud.endpoint))
    machine.write("/etc/cloudsync/credentials/hcloud_token", cloud.token, 0o600)
    drop_in = (CHECKOUT / "deploy" / "systemd" / "clouds" / "hetzner.conf").read_text()
    for unit in ("cloudsync.service", WATCH):
        machine.write(f"/etc/systemd/system/{unit}.d/cloud.conf", drop_in)
    machine.run("systemctl daemon-reload")
    machine.run("docker rm -f $(docker ps -aq) 2>/dev/null; true")
    machine.run("docker run -d --stop-signal KILL --restart always --name web -p 8080:80 bb:1")
    machine.run(
        "CREDENTIALS_DIRECTORY=/etc/cloudsync/credentials cloudsync apply "
        "-c /etc/cloudsync/config.toml --auto-approve --allow-attach web"
    )
    yield machine
    with contextlib.suppress(AssertionError):
        machine.run(f"systemctl disable --now {WATCH} cloudsync.timer cloudsync.service")
        machine.run("rm -rf /etc/systemd/system/cloudsync*.d; systemctl daemon-reload")


def open_ports(cloud: HetznerDouble) -> set[int]:
    firewall = cloud.firewall("cloudsync-web")
    assert firewall is not None
    return ports_of(firewall["rules"])


def closings(cloud: HetznerDouble, port: int) -> int:
    """How often a port was not open that is open now."""
    return sum(port not in ports_of(rules) for _, rules in cloud.history[1:])


def test_watch_starts_when_it_is_ready_and_says_what_it_does(
    installed: Machine, cloud: HetznerDouble
) -> None:
    installed.run(f"systemctl start {WATCH}")
    assert installed.show(WATCH, "ActiveState") == "active"
    assert installed.show(WATCH, "StatusText") != ""
    assert installed.run("curl --version 2>/dev/null | head -1; true") is not None
    installed.run("docker run -d --name late -p 8081:80 bb:1")
    eventually(lambda: {22, 8080, 8081} <= open_ports(cloud))
    installed.run("docker rm -f late")


def test_its_state_belongs_to_a_user_of_its_own_and_to_nobody_else(installed: Machine) -> None:
    """What root left there by hand is handed over, too."""
    installed.run(f"systemctl start {WATCH}")
    real = installed.run("realpath /var/lib/cloudsync")
    assert real == "/var/lib/private/cloudsync"
    user, mode = installed.run(f"stat -c '%u %a' {real}").split()
    assert int(user) >= 61184  # the dynamic users of systemd
    assert mode == "700"
    owners = installed.run(f"find {real} -mindepth 1 -printf '%U\\n' | sort -u").split()
    assert owners == [user]
    assert installed.run(f"ps -o uid= -p {installed.show(WATCH, 'MainPID')}").strip() == user
    secret = installed.run(f"tr '\\0' '\\n' < /proc/{installed.show(WATCH, 'MainPID')}/environ")
    assert "CREDENTIALS_DIRECTORY=" in secret
    token = installed.run("cat /etc/cloudsync/credentials/hcloud_token")
    assert token not in secret
    installed.run("! setpriv --reuid=65534 --clear-groups ls /var/lib/cloudsync/ 2>/dev/null")


def test_the_timer_and_the_service_take_the_state_over_from_each_other(
    installed: Machine, cloud: HetznerDouble
) -> None:
    """Two units, one dynamic user, one folder."""
    for unit in ("cloudsync.service", WATCH, "cloudsync.service"):
        installed.run(f"systemctl start {unit}")
        if unit == WATCH:
            eventually(lambda: "exit 0" in healthy(installed) or healthy(installed) == "200")
            installed.run(f"systemctl stop {unit}")
        assert installed.show(unit, "Result") == "success"
        assert "another machine" not in installed.run(f"journalctl -u {unit} --no-pager | tail -20")
    assert 8080 in open_ports(cloud)


def healthy(machine: Machine) -> str:
    """The status of /healthz."""
    script = (
        "import urllib.request, urllib.error\n"
        "try: print(urllib.request.urlopen('http://127.0.0.1:9741/healthz').status)\n"
        "except urllib.error.HTTPError as error: print(error.code)\n"
        "except OSError: print('none')\n"
    )
    return machine.run("python3 -", script)


def test_the_timer_runs_the_service_again_and_again(
    installed: Machine, cloud: HetznerDouble
) -> None:
    drop_in = "[Timer]\nOnBootSec=\nOnUnitInactiveSec=\nOnActiveSec=1s\nOnUnitInactiveSec=3s\n"
    drop_in += "RandomizedDelaySec=0\nAccuracySec=100ms\n"
    installed.write("/etc/systemd/system/cloudsync.timer.d/often.conf", drop_in)
    installed.run("systemctl daemon-reload && systemctl enable --now cloudsync.timer")
    installed.run("docker run -d --name late -p 8082:80 bb:1")
    eventually(lambda: 8082 in open_ports(cloud))
    first = installed.show("cloudsync.service", "InvocationID")
    eventually(lambda: installed.show("cloudsync.service", "InvocationID") not in ("", first))
    eventually(lambda: installed.show("cloudsync.service", "ActiveState") == "inactive")
    assert installed.show("cloudsync.service", "Result") == "success"
    installed.run("docker rm -f late")


def test_a_service_that_hangs_is_ended_by_the_watchdog_and_started_again(
    installed: Machine, cloud: HetznerDouble
) -> None:
    drop_in = "[Service]\nWatchdogSec=10s\nRestartSec=1s\nTimeoutAbortSec=2s\n"
    installed.write(f"/etc/systemd/system/{WATCH}.d/soon.conf", drop_in)
    installed.run(f"systemctl daemon-reload && systemctl start {WATCH}")
    before = installed.show(WATCH, "MainPID")
    installed.run(f"kill -STOP {before}")
    eventually(lambda: installed.show(WATCH, "NRestarts") == "1", 90)
    eventually(lambda: installed.show(WATCH, "ActiveState") == "active")
    assert installed.show(WATCH, "MainPID") not in ("0", before)
    assert "Watchdog timeout" in installed.run(f"journalctl -u {WATCH} --no-pager")
    installed.run("docker run -d --name late -p 8083:80 bb:1")
    eventually(lambda: 8083 in open_ports(cloud))
    installed.run("docker rm -f late")


def test_nothing_closes_while_docker_is_restarted_and_its_events_are_heard_again(
    installed: Machine, cloud: HetznerDouble
) -> None:
    installed.run(f"systemctl start {WATCH}")
    pid, before = installed.show(WATCH, "MainPID"), closings(cloud, 8080)
    for _ in range(2):
        installed.run("systemctl reset-failed docker; systemctl restart docker")
        eventually(lambda: installed.tried("docker ps -q --filter name=web").stdout.strip() != "")
    installed.run("docker run -d --name late -p 8084:80 bb:1")
    eventually(lambda: 8084 in open_ports(cloud), 90)
    assert closings(cloud, 8080) == before
    assert installed.show(WATCH, "MainPID") == pid
    assert installed.show(WATCH, "ActiveState") == "active"
    installed.run("docker rm -f late")


def test_a_reload_reads_the_configuration_again_and_a_bad_one_changes_nothing(
    installed: Machine, cloud: HetznerDouble
) -> None:
    installed.run(f"systemctl start {WATCH}")
    pid = installed.show(WATCH, "MainPID")
    good = CONFIG.format(endpoint=cloud.endpoint)
    installed.write("/etc/cloudsync/config.toml", good + ALLOW)
    installed.run(f"systemctl reload {WATCH}")
    eventually(lambda: 7001 in open_ports(cloud))
    installed.write("/etc/cloudsync/config.toml", "version = [")
    installed.run(f"systemctl reload {WATCH}")
    eventually(lambda: "cannot be used" in installed.show(WATCH, "StatusText"))
    assert 7001 in open_ports(cloud)
    installed.write("/etc/cloudsync/config.toml", good)
    installed.run(f"systemctl reload {WATCH}")
    eventually(lambda: "cannot be used" not in installed.show(WATCH, "StatusText"))
    assert installed.show(WATCH, "MainPID") == pid


def test_a_configuration_that_cannot_be_used_at_the_start_is_not_tried_again(
    installed: Machine, cloud: HetznerDouble
) -> None:
    installed.write("/etc/cloudsync/config.toml", "version = [")
    assert installed.tried(f"systemctl start {WATCH}").returncode != 0
    assert installed.show(WATCH, "ExecMainStatus") == "64"
    assert installed.show(WATCH, "ActiveState") == "failed"
    assert installed.show(WATCH, "NRestarts") == "0"
    installed.run(f"systemctl reset-failed {WATCH}")


def test_after_a_reboot_it_goes_on(installed: Machine, cloud: HetznerDouble) -> None:
    installed.run(f"systemctl enable --now {WATCH}")
    eventually(lambda: healthy(installed) == "200")
    before, user = closings(cloud, 8080), installed.run("stat -c %u /var/lib/private/cloudsync")
    installed.reboot()
    eventually(lambda: installed.show(WATCH, "ActiveState") == "active", 120)
    eventually(lambda: healthy(installed) == "200")
    assert installed.run("stat -c %u /var/lib/private/cloudsync") == user
    installed.run("docker run -d --name late -p 8085:80 bb:1")
    eventually(lambda: {22, 8080, 8085} <= open_ports(cloud))
    assert closings(cloud, 8080) == before
    installed.run("docker rm -f late")
