"""What can really be reached from outside at each engine, and what cloudsync makes of the engine's
answers."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from cloudsync.model.ports import Complete, LabelScope
from cloudsync.sources.docker.engine import read_engine
from tests.engines.kinds import Kind
from tests.engines.reached import CASES, NEIGHBOUR, NETWORKS, Case, group_of, of_group
from tests.engines.report import Differs, note
from tests.engines.site import Site
from tests.host.lab import HOST4, HOST6

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]
READY_SECONDS = 30.0
Measures = Callable[[str], str]


class World:
    """Every container of `CASES` that this kind of engine can run, with something listening."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.lacking: dict[str, str] = {}
        self._picked = 0
        for name, options in NETWORKS.items():
            self._try(name, "network", "create", *options, name)
        for name, case in CASES.items():
            network = () if case.network is None else ("--network", case.network)
            if case.network in self.lacking:
                self.lacking[name] = self.lacking[case.network]
                continue
            try:
                site.engine.run(name, *network, *case.options)
            except subprocess.CalledProcessError as error:
                self.lacking[name] = error.stderr
                continue
            protocol, _, inside = case.port
            site.serve(site.engine.network_of(name), (protocol, inside))
        shown = site.engine.cli("port", "random", "80").splitlines()[0]
        self._picked = int(shown.rpartition(":")[2])
        read = read_engine(
            "web-1", f"unix://{site.engine.socket}", LabelScope({}, frozenset()),
            timeout=30, concurrency=4,
        )  # fmt: skip
        assert isinstance(read, Complete), read
        self.discovery = read

    def _try(self, name: str, *words: str) -> None:
        try:
            self.site.engine.cli(*words)
        except subprocess.CalledProcessError as error:
            self.lacking[name] = error.stderr

    def measured(self, name: str, expected: str) -> str:
        """The families in which the port answers from the Internet. A new network's first packets
        may be lost: what is expected to answer is given a while."""
        until = time.monotonic() + READY_SECONDS
        while (families := self._measured(CASES[name])) != expected:
            if not set(expected) - set(families) or time.monotonic() > until:
                break
        return families

    def _measured(self, case: Case) -> str:
        protocol, port, _ = case.port
        return "".join(
            family
            for family, address in (("4", HOST4), ("6", HOST6))
            if self.site.from_internet(protocol, port or self._picked, address) == "open"
        )

    def derived(self, name: str) -> str:
        """The families in which cloudsync opens the port."""
        protocol, port, _ = CASES[name].port
        families = {
            str(needed.address.version)
            for needed in self.discovery.required
            if needed.origin.container == name and needed.protocol == protocol
            if needed.first <= (port or self._picked) <= needed.last and needed.address is not None
        }
        return "".join(sorted(families))

    def own_address(self, name: str) -> str:
        """Of a container."""
        shown = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
        return self.site.engine.cli("inspect", "-f", shown, name).split()[0]


@pytest.fixture(scope="module")
def world(site: Site) -> Iterator[World]:
    yield World(site)
    site.silence()
    site.engine.remove_containers()


@pytest.fixture
def measures(request: pytest.FixtureRequest) -> Measures:
    """Notes what was measured, for the table."""

    def noted(families: str) -> str:
        note(request, "measured", families)
        return families

    return noted


def test_which_version_it_is(site: Site, request: pytest.FixtureRequest) -> None:
    version = site.engine.version()
    note(request, "version", version)
    assert re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", version)


@pytest.mark.parametrize("name", CASES)
def test_what_is_opened_is_what_can_be_reached(
    world: World, kind: Kind, name: str, differs: Differs, measures: Measures
) -> None:
    case = CASES[name]
    if (why := case.cannot.get(kind.name, case.cannot.get(group_of(kind)))) is not None:
        assert name in world.lacking
        pytest.skip(f"cannot be: {why}")
    assert name not in world.lacking, world.lacking
    expected = case.open.of(kind)
    assert measures(world.measured(name, expected)) == expected
    unlike = of_group(case.unlike, kind)
    if unlike is None:
        assert world.derived(name) == expected
        return
    opened, why = unlike
    differs(why)
    assert world.derived(name) == opened != expected


@pytest.mark.parametrize("name", NEIGHBOUR)
def test_what_a_machine_on_the_same_network_reaches_at_a_containers_own_address(
    world: World, kind: Kind, name: str, differs: Differs, measures: Measures
) -> None:
    if kind.rootless:
        pytest.skip("cannot be: a user's containers have no address on the machine's networks")
    expected = NEIGHBOUR[name].of(kind)
    protocol, _, inside = CASES[name].port
    address = world.own_address(name)
    answer = world.site.from_neighbour(protocol, inside, address, HOST4)
    assert measures({"open": "o", "dropped": "d", "refused": "r"}[answer]) == expected
    if name == "loopback":
        remarked = [words for words in world.discovery.remarks if "loopback" in words]
        assert bool(remarked) is (expected == "o")
    if expected == "o":
        differs("reached at its own address, past what is published")


def test_a_routed_network_is_reached_at_the_containers_own_address(
    world: World, kind: Kind, differs: Differs
) -> None:
    """At the published port only, and no address of the machine leads there by IPv4."""
    if kind.family == "podman":
        pytest.skip("cannot be: Podman has no such network option")
    if kind.rootless:
        pytest.skip("cannot be: a user's containers have no address on the machine's networks")
    heeded = world.derived("routed") == "6"
    reasons = [one.reason for one in world.discovery.unopened if one.origin.container == "routed"]
    assert heeded is any("routes IPv4" in reason for reason in reasons)
    if not heeded:
        differs("gateway_mode is not known before Docker 27, and not heeded")
        return
    address = world.own_address("routed")
    assert world.site.from_neighbour("tcp", 80, address, HOST4) == "open"
    world.site.serve(world.site.engine.network_of("routed"), ("tcp", 81))
    assert world.site.from_neighbour("tcp", 81, address, HOST4) == "dropped"
