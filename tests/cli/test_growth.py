"""A plan of four times as much takes not much more than four times as long."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cloudsync.config import Configuration, load
from cloudsync.planning.path import of_rows
from cloudsync.planning.status_table import status_rows
from cloudsync.reconcile import run as reconcile
from cloudsync.sources.read_hosts import read_hosts
from tests.growth import growth

CONFIGURATION = """
version = 1
owner = "shop"
state = "file://{folder}/state"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
grace = "0s"
max_close = 10000
[providers.local]
[hosts.web-1]
ports = {ports}
[firewalls.web]
provider = "local"
hosts = ["web-1"]
path = "firewall-{count}.json"
"""
SMALL = 150


def loaded(folder: Path, count: int, *, of: int) -> Configuration:
    """Single ports, no two of them neighbours; the firewall is the one of `of` ports."""
    ports = json.dumps([f"{2 * number + 1001}/tcp" for number in range(count)])
    path = folder / f"cloudsync-{count}-{of}.toml"
    path.write_text(CONFIGURATION.format(folder=folder, ports=ports, count=of))
    return load(path)


@pytest.mark.parametrize("there", [False, True])
def test_ports_that_open_or_are_open(tmp_path: Path, there: bool) -> None:
    found = {count: loaded(tmp_path, count, of=count) for count in (SMALL, 4 * SMALL)}
    for configuration in found.values() if there else ():
        reconcile.apply(configuration, reconcile.Options())
    changes = [
        len(reconcile.plan(found[count], reconcile.Options()).plan.firewalls[0].changes)
        for count in found
    ]
    assert changes == ([0, 0] if there else [SMALL + 2, 4 * SMALL + 2])
    assert growth(lambda count: reconcile.plan(found[count], reconcile.Options()), SMALL) < 6


def test_ports_that_close(tmp_path: Path) -> None:
    for count in (SMALL, 4 * SMALL):
        reconcile.apply(loaded(tmp_path, count, of=count), reconcile.Options())
    found = {count: loaded(tmp_path, 1, of=count) for count in (SMALL, 4 * SMALL)}
    assert growth(lambda count: reconcile.plan(found[count], reconcile.Options()), SMALL) < 6


def _networks(count: int) -> list[str]:
    """No two of them neighbours."""
    return [f"8.{n // 128}.{2 * n % 256}.0/24" for n in range(count)]


def _allowing(ports: list[str], networks: list[str]) -> str:
    return f"[[firewalls.web.allow]]\nports = {ports}\nsources = {networks}\n"


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize(
    "tables",
    [
        pytest.param(lambda count: [_allowing(["5432/tcp"], _networks(count))], id="one-rule"),
        pytest.param(
            lambda count: [_allowing(["5432/tcp"], [network]) for network in _networks(count)],
            id="a-rule-each",
        ),
        pytest.param(
            lambda count: [_allowing([f"{2 * n + 5001}/tcp" for n in range(count)], _networks(20))],
            id="as-many-ports",
        ),
    ],
)
def test_ports_from_many_networks(
    tmp_path: Path, tables: Callable[[int], list[str]], there: bool
) -> None:
    """Half of it is let in already, or nothing is."""
    found = {}
    for count in (SMALL, 4 * SMALL):
        path = tmp_path / f"{count}.toml"
        for part in (count // 2, count) if there else (count,):
            text = CONFIGURATION.format(folder=tmp_path, ports=["443/tcp"], count=count)
            path.write_text(text + "".join(tables(part)))
            found[count] = load(path)
            if part < count:
                reconcile.apply(found[count], reconcile.Options())
    assert growth(lambda count: reconcile.plan(found[count], reconcile.Options()), SMALL) < 6


def test_the_ways_of_many_ports(tmp_path: Path) -> None:
    """What a report shows of each port: from the Internet to who answers."""
    planned = {}
    for count in (SMALL, 4 * SMALL):
        configuration = loaded(tmp_path, count, of=count)
        reconcile.apply(configuration, reconcile.Options())
        planned[count] = reconcile.plan(configuration, reconcile.Options())

    def shown(count: int) -> None:
        considered = planned[count].considered
        ways = of_rows(considered, planned[count].discoveries, status_rows(considered))
        assert len(ways) == count + 1
        assert all(way[1].verdict == "open" for way in ways.values())

    assert growth(shown, SMALL) < 6


def test_reading_engines_takes_no_longer_for_each_the_more_there_are(tmp_path: Path) -> None:
    """With a firewall for each host; none of the engines is there. What the threads do is not
    counted: it is the same for each."""
    configurations = {}
    for count in (SMALL, 4 * SMALL):
        folder = tmp_path / str(count)
        folder.mkdir()
        tables = "\n".join(
            f'[hosts.web-{n}]\ndocker = "unix://{folder}/{n}.sock"\n'
            f'[firewalls.fw-{n}]\nprovider = "local"\npath = "{n}.json"\nhosts = ["web-{n}"]'
            for n in range(count)
        )
        path = folder / "cloudsync.toml"
        path.write_text(CONFIGURATION.partition("[hosts.web-1]")[0].format(folder=folder) + tables)
        configurations[count] = load(path)

    def read(count: int) -> None:
        configuration = configurations[count]
        assert len(read_hosts(configuration, configuration.hosts)) == count

    assert growth(read, SMALL) < 6


def test_hosts_behind_one_firewall_with_ports_of_their_own(tmp_path: Path) -> None:
    """What each has open for the sake of the others is worked out by who shows it."""
    configurations = {}
    for count in (SMALL, 4 * SMALL):
        hosts = [f"web-{n}" for n in range(count)]
        text = CONFIGURATION.partition("[hosts.web-1]")[0].format(folder=tmp_path)
        text += "".join(
            f'[hosts.{host}]\nports = ["{2 * n + 1001}/tcp"]\n' for n, host in enumerate(hosts)
        )
        text += f'[firewalls.web]\nprovider = "local"\nhosts = {hosts}\npath = "{count}.json"\n'
        path = tmp_path / f"{count}.toml"
        path.write_text(text)
        configurations[count] = load(path)

    def planned(count: int) -> object:
        return reconcile.plan(configurations[count], reconcile.Options())

    assert growth(planned, SMALL) < 6
