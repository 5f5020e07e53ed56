"""The page "several machines", followed word by word: three machines with a dockerd each, a store,
two controllers. Only the store's address is another one."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.engine.lab import Lab, missing
from tests.store import ceph as real
from tests.store.machines import STORE_PORT, Machine, Way

pytestmark = [pytest.mark.ceph, pytest.mark.engine, pytest.mark.timeout(600)]
PAGE = (Path(__file__).parents[2] / "docs" / "machines-that-publish.md").read_text()
_BLOCK = re.compile(r"<!-- paste: (\w+) ?(\S*) -->\n```\w+\n(.*?)```", re.DOTALL)


def blocks(where: str) -> list[tuple[str, str]]:
    """What the page has pasted on a kind of machine: the file it is written to ("" for a shell),
    and the text."""
    return [(file, text) for kind, file, text in _BLOCK.findall(PAGE) if kind == where]


def paste(machine: Machine, where: str, name: str = "web-1") -> list[str]:
    """Follow the page on one machine; what it printed."""
    printed = []
    for file, text in blocks(where):
        text = text.replace("https://store.example", f"http://127.0.0.1:{STORE_PORT}")
        if file:
            machine.write(file, text.replace("[hosts.web-1]", f"[hosts.{name}]"))
            continue
        done = machine.shell(text)
        assert done.returncode == 0, (text, done.stdout, done.stderr)
        printed.append(done.stdout)
    return printed


def eventually(what: Callable[[], bool], seconds: float, tell: Callable[[], Any]) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, tell()
        time.sleep(0.3)


@dataclass
class Site:
    labs: list[Lab]
    machines: list[Machine]
    controllers: list[Machine]
    firewalls: Path

    def opened(self, host: str) -> set[str]:
        """The ports that the firewall of a host lets in."""
        file = self.firewalls / f"edge-{host}.json"
        if not file.exists():
            return set()
        document = json.loads(file.read_text())
        return {rule["ports"] for rule in document["rules"]}


@pytest.fixture
def site(ceph: real.Ceph, tmp_path: Path) -> Iterator[Site]:
    if (why := missing()) is not None:
        pytest.skip(why)
    boto3.client(
        "s3",
        endpoint_url=ceph.endpoint,
        region_name="us-east-1",
        aws_access_key_id=real.ACCESS,
        aws_secret_access_key=real.SECRET,
    ).create_bucket(Bucket="cloudsync-shop")
    firewalls = tmp_path / "firewalls"
    firewalls.mkdir()
    keys = {"AWS_ACCESS_KEY_ID": real.ACCESS, "AWS_SECRET_ACCESS_KEY": real.SECRET}
    with ExitStack() as stack:
        way = Way(tmp_path / "store.sock", ceph.gateway)
        way.start()
        stack.callback(way.stop)
        labs = [stack.enter_context(Lab()) for _ in range(3)]
        machines = [Machine(way.path, lab.socket, lab.namespace, environment=keys) for lab in labs]
        controllers = [Machine(way.path, shared=firewalls, environment=keys) for _ in range(2)]
        for machine in (*machines, *controllers):
            stack.callback(machine.stop)
            machine.start()
        for number, machine in enumerate(machines):
            key = tmp_path / f"key-{number}"
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True
            )
            machine.copy(key, "/etc/ssh/ssh_host_ed25519_key")
        yield Site(labs, machines, controllers, firewalls)


def test_the_page_followed_word_by_word(site: Site, tmp_path: Path) -> None:
    names = ["web-1", "web-2", "web-3"]
    for lab, port in zip(site.labs, ("8081", "8082", "8083"), strict=True):
        lab.docker("run", "-d", "-p", f"{port}:80", "bb:1", "sleep", "1000000")

    for machine, name in zip(site.machines, names, strict=True):
        (printed,) = paste(machine, "machine", name)
        assert (
            printed == f"{name}: published to "
            f"s3://cloudsync-shop/state/inventories/shop/{name}.json (complete)\n"
        )
    assert "web-1: published to s3://cloudsync-shop" in PAGE

    first, second = site.controllers
    paste(first, "controller")
    for name, port in zip(names, ("8081", "8082", "8083"), strict=True):
        assert site.opened(name) == {"22", port}

    trusted = "\n".join(
        f'{name} = ["{(tmp_path / f"key-{number}.pub").read_text().strip()}"]'
        for number, name in enumerate(names)
    )
    for controller in (first, second):
        paste_file(
            controller, f"\n[hosts-from-store.trusted_keys]\n{trusted}\n[watch]\npoll = '2s'\n"
        )

    for machine in site.machines:
        machine.begin("cloudsync watch")
    working = first.begin("cloudsync watch --interval 10s --debounce-max 5s")
    eventually(lambda: "watching" in first.log(), 30, first.log)
    second.begin("cloudsync watch --interval 10s --debounce-max 5s")

    site.labs[1].docker("run", "-d", "-p", "9443:80", "bb:1", "sleep", "1000000")
    eventually(
        lambda: site.opened("web-2") == {"22", "8082", "9443"},
        90,
        lambda: (first.log(), second.log()),
    )

    # The first controller is frozen, and another machine starts a container meanwhile.
    group = subprocess.run(
        ["pgrep", "-f", "cloudsync watch --interval 10s --debounce-max 5s"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert str(working.pid) in group
    working.send_signal(signal.SIGSTOP)
    site.labs[2].docker("run", "-d", "-p", "9444:80", "bb:1", "sleep", "1000000")
    eventually(
        lambda: site.opened("web-3") == {"22", "8083", "9444"},
        150,
        lambda: (second.log(), first.log()),
    )
    working.send_signal(signal.SIGCONT)

    # A machine that goes away closes nothing.
    site.labs[0].kill()
    done = second.shell("cloudsync plan --output json")
    plan = json.loads(done.stdout)
    assert all(change["action"] != "close" for f in plan["firewalls"] for change in f["changes"])
    assert site.opened("web-1") == {"22", "8081"}


def paste_file(controller: Machine, more: str) -> None:
    """The page's configuration of a controller, and what the page says to add."""
    ((file, text),) = [block for block in blocks("controller") if block[0]]
    text = text.replace("https://store.example", f"http://127.0.0.1:{STORE_PORT}")
    controller.write(file, text + more)
