"""The marker knows the engine: the same configuration on two machines does not fight unnoticed
(decision 0004)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from cloudsync.config.configuration import Host
from cloudsync.model.plan import Granted
from cloudsync.provider.access import Access
from cloudsync.provider.contract import Account, FirewallSpec, OnMachine
from cloudsync.provider.marker import Marker, host_digest
from cloudsync.provider.trace import Trace
from cloudsync.reconcile import check_access
from cloudsync.reconcile.run import Options, apply, plan
from cloudsync.sources import identity
from cloudsync.watch.keepers import Keepers
from tests.doubles.engine import FakeEngine
from tests.world import PLACE, Cloud, MemoryProvider, World, build, rules

pytestmark = pytest.mark.emulator


class Machines:
    """Machines with an engine each, the same configuration and one firewall for all of them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._cloud: World | None = None

    def new(self, name: str, id_: str, *, containers: int = 1) -> World:
        folder = self._folder / name
        folder.mkdir()
        engine = self._stack.enter_context(FakeEngine(folder, containers))
        engine.routes["/info"] = {"ID": id_, "Swarm": {"LocalNodeState": "inactive"}}
        world = build(folder)
        if self._cloud is not None:
            world.provider.cloud = world.cloud = self._cloud.cloud
        self._cloud = world
        host = Host("local", (engine.endpoint,), (), retired=False, place=PLACE)
        world.configuration = replace(world.configuration, hosts={"local": host})
        world.firewall(hosts=("local",), marker_hosts=("local",))
        self.engine = engine
        return world


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    with ExitStack() as stack:
        yield Machines(tmp_path, stack)


def applied(world: World, **granted: object) -> set[str]:
    """The guards of an apply."""
    report = apply(world.configuration, Options(granted=Granted(**granted)))  # type: ignore[arg-type]
    return {guard.id for guard in report.plan.guards}


def test_the_same_file_on_two_machines_is_refused_on_the_second(machines: Machines) -> None:
    """external-dns 1862: each deleted what the other had made, every minute, with exit 0."""
    assert applied(machines.new("a", "AAAA")) == set()
    other = machines.new("b", "BBBB", containers=2)
    before = other.cloud.firewalls["web"]
    assert applied(other) == {"host-digest"}
    assert other.cloud.firewalls["web"] == before


def test_the_second_machine_takes_it_over_by_the_users_word(machines: Machines) -> None:
    first = machines.new("a", "AAAA")
    applied(first)
    second = machines.new("b", "BBBB")
    assert applied(second, adopt=("web",)) == set()
    assert applied(first) == {"host-digest"}


def test_a_machine_knows_its_engine_while_it_is_down(machines: Machines) -> None:
    world = machines.new("a", "AAAA")
    applied(world)
    machines.engine.routes["/info"] = (500, {})
    assert applied(world) == set()


def test_a_plan_before_the_first_apply_asks_the_engine(machines: Machines) -> None:
    applied(machines.new("a", "AAAA"))
    other = machines.new("b", "BBBB")
    found = plan(other.configuration, Options()).plan
    assert {guard.id for guard in found.guards} == {"host-digest"}


def test_a_mark_of_names_alone_is_ours_and_is_written_again(machines: Machines) -> None:
    """As earlier versions wrote it."""
    world = machines.new("a", "AAAA")
    world.has("tcp/22")
    world.cloud.markers["web"] = Marker("shop", "web", host_digest(("local",)))
    assert applied(world) == set()
    marker = world.cloud.markers["web"]
    assert marker == Marker("shop", "web", host_digest(("local",), {"local": "AAAA"}))
    assert not plan(world.configuration, Options()).plan.has_changes
    assert applied(machines.new("b", "BBBB")) == {"host-digest"}


def test_an_engine_without_an_identity_is_known_by_its_name(machines: Machines) -> None:
    world = machines.new("a", "")
    applied(world)
    assert world.cloud.markers["web"] == Marker("shop", "web", host_digest(("local",)))
    assert world.cloud.firewalls["web"] == rules("tcp/22", "tcp/8000 from 0.0.0.0/0")


def test_podman_is_known_by_its_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "machine-id").write_text("0123456789abcdef\n")
    monkeypatch.setattr(identity, "MACHINE_ID", tmp_path / "machine-id")
    assert identity.identity_of("podman host /var/lib/containers/storage") == "0123456789abcdef"
    monkeypatch.setattr(identity, "MACHINE_ID", tmp_path / "none")
    assert identity.identity_of("podman host /x") == "podman host /x"


def test_engines_elsewhere_are_known_by_name_alone(tmp_path: Path) -> None:
    from cloudsync.model.memory import EngineMemory, Remembered

    configuration = build(tmp_path).configuration
    engines = ("ssh://web-1", "tcp://127.0.0.1:2375", "no-such-context")
    hosts = {
        name: Host(name, (engine,), (), retired=False, place=PLACE)
        for name, engine in zip("abc", engines, strict=True)
    }
    memory = EngineMemory({n: Remembered({e: "ID"}) for n, e in zip("abc", engines, strict=True)})
    assert identity.local_identities(replace(configuration, hosts=hosts), memory) == {}


class Watched(MemoryProvider):
    """Keeps the specs it is asked about besides plans."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.asked: list[FirewallSpec] = []

    def check_access(self, account: Account, specs: Sequence[FirewallSpec]) -> Sequence[Access]:
        self.asked += specs
        return ()

    def is_here(self, spec: FirewallSpec) -> bool:
        return True

    def keep(self, spec: FirewallSpec, notify: Callable[[str], None]) -> None:
        self.asked.append(spec)

    def read_trace(self, account: Account, specs: Sequence[FirewallSpec]) -> Mapping[str, Trace]:
        return {}

    def confirm_trial(self, *_: object) -> None: ...


def test_whoever_looks_at_a_mark_knows_the_engine_too(machines: Machines) -> None:
    """A keeper that knew the names alone would take its own table for somebody else's."""
    world = machines.new("one", "engine-1")
    assert applied(world) == set()
    provider = Watched(world.cloud)
    table = replace(world.configuration.accounts["memory"], provider=provider)
    world.configuration = replace(world.configuration, accounts={"memory": table})
    check_access.check(world.configuration)
    assert isinstance(provider, OnMachine)
    Keepers(lambda: None).attend(world.configuration, ("web",))
    marks = {spec.marker.hosts for spec in provider.asked}
    assert len(provider.asked) == 2
    assert marks == {world.cloud.markers["web"].hosts}  # type: ignore[union-attr]


def test_access_is_checked_although_the_state_cannot_be_read(machines: Machines) -> None:
    world = machines.new("one", "engine-1")
    world.configuration.state.mkdir(parents=True)
    (world.configuration.state / "shop.engines.json").write_text("{")
    provider = Watched(world.cloud)
    table = replace(world.configuration.accounts["memory"], provider=provider)
    world.configuration = replace(world.configuration, accounts={"memory": table})
    assert check_access.check(world.configuration) == {"memory": ()}
