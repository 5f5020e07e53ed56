"""Several runs, people and containers at once: no duplicate, no lost opening, no closed SSH, and in
the end an empty plan."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cloudsync.rules import RuleSet
from cloudsync.testing.language import meant
from tests.conformance.local import LocalStage
from tests.crash.site import NAME, SSH, Site, assert_tidy
from tests.crash.vendors import VENDORS
from tests.crash.zygote import Child, Zygote
from tests.doubles.compute import ComputeDouble
from tests.doubles.digitalocean import DigitalOceanDouble
from tests.doubles.engine import FakeEngine
from tests.doubles.hetzner import HetznerDouble
from tests.doubles.http import Double, Fault

pytestmark = pytest.mark.emulator
TEN = 10
HAS = (SSH, "tcp/80", "tcp/8080")
WANTS = ("tcp/80", "tcp/443")
EVERY = pytest.mark.parametrize("name", VENDORS)
Zygotes = Callable[[str], Zygote]


@contextmanager
def site(
    name: str, zygotes: Zygotes, folder: Path, wants: tuple[str, ...] = WANTS
) -> Iterator[Site]:
    with VENDORS[name].stage() as stage:
        yield Site(zygotes(name), stage, folder, wants, patient=True)


def double_of(one: Site) -> Double:
    return one.stage.double  # type: ignore[attr-defined,no-any-return]


def at_the_first_write(
    one: Site, action: Callable[[], None], times: int = 1, skip: int = 0
) -> None:
    method, path = one.stage.writing  # type: ignore[attr-defined]
    double_of(one).fail(Fault(method, path, "meanwhile", action=action, times=times, skip=skip))


def within(one: Site, *sets: RuleSet) -> None:
    """Every state the vendor went through has what all of `sets` have, and nothing that none of
    them has."""
    lowest = highest = sets[0]
    for other in sets[1:]:
        lowest, highest = lowest & other, highest | other
    for state in one.stage.history(NAME):
        assert state.covers(lowest), f"closed for a moment: {lowest - state}"
        assert highest.covers(state), f"open for a moment: {state - highest}"


# Ten at once


@EVERY
def test_ten_runs_on_one_state_directory_are_one_run_and_nine_that_say_who_holds_the_lock(
    name: str, zygotes: Zygotes, tmp_path: Path
) -> None:
    with site(name, zygotes, tmp_path) as one:
        one.has(*HAS)
        before, at_work, go_on = one.now, threading.Event(), threading.Event()

        def hold() -> None:
            at_work.set()
            assert go_on.wait(60)

        at_the_first_write(one, hold)
        working = one.start(*one.words)
        assert at_work.wait(60)
        others = [one.start(*one.words) for _ in range(TEN - 1)]
        assert [child.wait() for child in others] == [5] * (TEN - 1)
        assert all(f"process {working.pid}" in child.output for child in others)
        go_on.set()
        assert working.wait() == 0
        within(one, before, one.wanted)
        one.is_done()


@EVERY
def test_ten_runs_that_wait_for_the_lock_write_what_one_would(
    name: str, zygotes: Zygotes, tmp_path: Path
) -> None:
    with site(name, zygotes, tmp_path / "alone") as one:
        (tmp_path / "alone").mkdir()
        one.has(*HAS)
        assert one.apply().code == 0
        alone = one.stage.writes()
    with site(name, zygotes, tmp_path) as one:
        one.has(*HAS)
        before = one.now
        children = [one.start(*one.words, "--lock-timeout", "60") for _ in range(TEN)]
        assert [child.wait() for child in children] == [0] * TEN
        assert one.stage.writes() == alone
        within(one, before, one.wanted)
        one.is_done()


@pytest.mark.parametrize("new", [False, True], ids=["changes", "creates"])
@EVERY
def test_ten_machines_that_have_all_planned_before_the_first_writes_end_where_one_would(
    name: str, new: bool, zygotes: Zygotes, tmp_path: Path
) -> None:
    with site(name, zygotes, tmp_path) as one:
        if not new:
            one.has(*HAS)
        before = one.now
        all_here = threading.Barrier(TEN, timeout=60)
        at_the_first_write(one, lambda: all_here.wait() and None, times=TEN)
        children = []
        for number in range(TEN):
            path = one.configure(state=f"state-{number}")
            path = path.rename(tmp_path / f"machine-{number}.toml")
            children.append(one.started([*one.words, "-c", str(path)]))
        codes = [child.wait() for child in children]
        for child in children:
            assert_tidy(one, child)
        assert 0 in codes, [child.output for child in children]
        assert set(codes) <= {0, 6}, codes
        assert len(_named(one)) == 1, "a duplicate"
        within(one, before, one.wanted)
        assert one.now.covers(one.wanted), "a lost opening"
        one.is_finished()


def _named(one: Site) -> list[str]:
    """The vendor's firewalls of this name; the rules at Google that are one."""
    cloud = double_of(one)
    if isinstance(cloud, ComputeDouble):
        return [NAME]  # names are keys there
    found = (
        cloud.firewalls.values()
        if isinstance(cloud, HetznerDouble | DigitalOceanDouble)
        else cloud.groups.values()
    )  # type: ignore[attr-defined]
    return [firewall.name for firewall in found if firewall.name.split(".")[0] == NAME]


@pytest.mark.parametrize("kind", ["same", "apart"])
def test_ten_runs_on_one_file(kind: str, zygotes: Zygotes, tmp_path: Path) -> None:
    (tmp_path / "vendor").mkdir()
    one = Site(zygotes("local"), LocalStage(tmp_path / "vendor"), tmp_path, WANTS)
    one.has(*HAS)
    children = []
    for number in range(TEN):
        path = one.configure(state="state" if kind == "same" else f"state-{number}").rename(
            tmp_path / f"{number}.toml"
        )
        children.append(one.started([*one.words, "-c", str(path)]))
    codes = {child.wait() for child in children}
    assert 0 in codes
    assert codes <= ({0, 5} if kind == "same" else {0, 6})
    one.is_done()


# A person's hand


@EVERY
def test_law6_rules_edited_by_hand_between_plan_and_apply_stop_the_apply(
    name: str, zygotes: Zygotes, tmp_path: Path
) -> None:
    with site(name, zygotes, tmp_path) as one:
        one.has(*HAS)
        assert one.types("plan", "--allow-close", "1000", "--out", "p.json").code == 0
        for edited in ((*HAS, "tcp/3389"), (SSH, "tcp/8080")):
            one.by_hand(*edited)
            stopped = one.types("apply", "p.json")
            assert stopped.code == 4, stopped.output
            assert one.now == meant(*edited)
            assert not one.stage.history(NAME)
        one.by_hand(SSH, "tcp/80", "tcp/443", "tcp/8080")
        assert one.types("apply", "p.json").code == 0, (
            "a part of the plan that a person did already is no reason to stop"
        )
        one.is_done()


@pytest.mark.parametrize("write", [0, 1], ids=["before-the-first-write", "before-the-second"])
@pytest.mark.parametrize(
    "edited",
    [(*HAS, "tcp/3389"), (SSH, "tcp/8080"), ("tcp/80",)],
    ids=["opens", "closes", "closes-ssh"],
)
@EVERY
def test_rules_edited_by_hand_between_two_steps_are_never_reported_as_done(
    name: str, edited: tuple[str, ...], write: int, zygotes: Zygotes, tmp_path: Path
) -> None:
    with site(name, zygotes, tmp_path) as one:
        one.has(*HAS)
        before = one.now
        at_the_first_write(one, lambda: one.by_hand(*edited), skip=write)
        child = one.apply()
        within(one, before, one.wanted, meant(*edited))
        if child.code == 0:
            assert one.now == one.wanted, "it says done, and is not"
        one.is_finished()


# Containers that come and go


def container(number: int) -> dict[str, Any]:
    """Publishes 8000 and its number, in both families."""
    one = FakeEngine.container(number)
    for ports in one["NetworkSettings"]["Ports"].values():
        ports.append({"HostIp": "::", "HostPort": str(8000 + number)})
    return one


def runs(engine: FakeEngine, *numbers: int) -> None:
    """These containers run now."""
    engine.routes["/containers/json"] = [{"Id": engine.id(number)} for number in numbers]
    for number in numbers:
        engine.routes[f"/containers/{engine.id(number)}/json"] = container(number)


@EVERY
def test_law1_containers_that_come_and_go_while_an_engine_is_read_are_never_guessed(
    name: str, zygotes: Zygotes, tmp_path: Path
) -> None:
    """Stopped after the list: a normal race. Started after it: the next run's. The engine gone in
    between: nothing closes."""
    with FakeEngine(tmp_path) as engine, VENDORS[name].stage() as stage:
        one = Site(zygotes(name), stage, tmp_path, host={"docker": engine.endpoint}, patient=True)
        one.has(SSH, "tcp/8000", "tcp/8002")
        runs(engine, 0, 1, 2)
        del engine.routes[f"/containers/{engine.id(2)}/json"]
        assert one.apply().code == 0
        assert one.now == meant(SSH, "tcp/8000", "tcp/8001")

        runs(engine, 0, 2)
        engine.routes[f"/containers/{engine.id(0)}/json"] = (
            500,
            {"message": "the engine is stopping"},
        )
        assert one.apply().code == 75
        assert one.now == meant(SSH, "tcp/8000", "tcp/8001", "tcp/8002"), (
            "openings go on, and nothing closes"
        )

        seen = len(one.stage.history(NAME))
        engine.routes["/containers/json"] = lambda: (500, {"message": "the engine is gone"})
        assert one.apply().code == 75
        assert len(one.stage.history(NAME)) == seen

        runs(engine, 0, 2)
        assert one.apply().code == 0
        assert one.now == meant(SSH, "tcp/8000", "tcp/8002")


@EVERY
def test_law6_containers_that_change_between_plan_and_apply_stop_the_apply(
    name: str, zygotes: Zygotes, tmp_path: Path
) -> None:
    with FakeEngine(tmp_path) as engine, VENDORS[name].stage() as stage:
        one = Site(zygotes(name), stage, tmp_path, host={"docker": engine.endpoint}, patient=True)
        one.has(SSH)
        runs(engine, 0, 1)
        assert one.types("plan", "--allow-close", "1000", "--out", "p.json").code == 0
        runs(engine, 0, 1, 2)
        assert one.types("apply", "p.json").code == 4
        assert not one.stage.history(NAME)
        runs(engine, 0)
        assert one.types("apply", "p.json").code == 0, "less than was approved goes on"
        assert one.now == meant(SSH, "tcp/8000")


@EVERY
def test_law1_an_engine_that_changed_under_its_hosts_name_closes_nothing(
    name: str, zygotes: Zygotes, tmp_path: Path
) -> None:
    """Another engine answers at the socket, with other containers or none."""
    with FakeEngine(tmp_path) as engine, VENDORS[name].stage() as stage:
        one = Site(zygotes(name), stage, tmp_path, host={"docker": engine.endpoint}, patient=True)
        one.has(SSH)
        engine.routes["/info"] = {"ID": "AAAA", "Swarm": {"LocalNodeState": "inactive"}}
        runs(engine, 0, 1)
        assert one.apply().code == 0
        assert one.now == meant(SSH, "tcp/8000", "tcp/8001")
        engine.routes["/info"] = {"ID": "BBBB", "Swarm": {"LocalNodeState": "inactive"}}
        for containers in ((), (1,), (1, 2)):
            runs(engine, *containers)
            assert one.apply().code != 0
            assert one.now.covers(meant(SSH, "tcp/8000", "tcp/8001"))
        engine.routes["/info"] = {"ID": "AAAA", "Swarm": {"LocalNodeState": "inactive"}}
        runs(engine, 0)
        assert one.apply().code == 0
        assert one.now == meant(SSH, "tcp/8000")


@EVERY
def test_law1_a_404_about_what_exists_closes_nothing_and_opens_nothing(
    name: str, zygotes: Zygotes, tmp_path: Path
) -> None:
    """The image of a running container, or a container that is still listed."""
    with FakeEngine(tmp_path) as engine, VENDORS[name].stage() as stage:
        one = Site(
            zygotes(name),
            stage,
            tmp_path,
            host={"docker": engine.endpoint},
            policy={"expose": "labelled"},
            patient=True,
        )
        one.has(SSH)
        runs(engine, 0)
        labelled = container(0)
        labelled["Config"] = {"Labels": {"cloudsync.expose": "true"}}
        engine.routes[f"/containers/{engine.id(0)}/json"] = labelled
        engine.routes["/images/sha256:1/json"] = {"Config": {"Labels": {}}}
        assert one.apply().code == 0
        assert one.now == meant(SSH, "tcp/8000")
        seen = len(one.stage.history(NAME))
        engine.routes["/images/sha256:1/json"] = (404, {"message": "No such image"})
        for _ in range(2):
            assert one.apply().code in (1, 75)
        engine.routes["/images/sha256:1/json"] = {"Config": {"Labels": {}}}
        engine.routes["/containers/json"] = [{"Id": engine.id(0), "State": "running"}]
        engine.routes[f"/containers/{engine.id(0)}/json"] = (404, {"message": "No such container"})
        for _ in range(2):
            assert one.apply().code in (1, 75)
        assert len(one.stage.history(NAME)) == seen


# Three machines, one firewall


@EVERY
def test_three_machines_that_name_one_firewall_do_not_fight_over_it(
    name: str, zygotes: Zygotes, tmp_path: Path
) -> None:
    with VENDORS[name].stage() as stage:
        machines = []
        for number in (1, 2, 3):
            folder = tmp_path / f"machine-{number}"
            folder.mkdir()
            machines.append(
                Site(
                    zygotes(name),
                    stage,
                    folder,
                    (f"tcp/800{number}",),
                    host_name=f"web-{number}",
                    patient=True,
                )
            )
        first, *others = machines
        assert first.apply().code == 0
        written = stage.writes()
        for _ in range(2):
            for other in others:
                refused = other.apply()
                assert refused.code == 3, refused.output
                assert "host-digest" in refused.output
            assert first.apply().code == 0
        assert stage.writes() == written
        assert first.now == meant(SSH, "tcp/8001")


@EVERY
def test_three_machines_that_create_one_firewall_at_once_are_one_owner_and_two_refusals(
    name: str, zygotes: Zygotes, tmp_path: Path
) -> None:
    with VENDORS[name].stage() as stage:
        all_here = threading.Barrier(3, timeout=60)
        method, path = stage.writing
        stage.double.fail(
            Fault(method, path, "meanwhile", action=lambda: all_here.wait() and None, times=3)
        )
        machines = []
        for number in (1, 2, 3):
            folder = tmp_path / f"machine-{number}"
            folder.mkdir()
            machines.append(
                Site(
                    zygotes(name),
                    stage,
                    folder,
                    (f"tcp/800{number}",),
                    host_name=f"web-{number}",
                    patient=True,
                )
            )
        children = [machine.start(*machine.words) for machine in machines]
        codes = [child.wait() for child in children]
        if name == "digitalocean":
            # Its marker is part of the name, so each has made a firewall of its own, and none is
            # anybody else's.
            assert codes == [0, 0, 0]
            return
        assert sorted(codes) == [0, 6, 6], [child.output for child in children]
        winner = machines[codes.index(0)]
        assert winner.now == winner.wanted
        for machine, code in zip(machines, codes, strict=True):
            assert machine.apply().code == (0 if code == 0 else 3)
        assert winner.now == winner.wanted


# What the vendor does after the caller died


def _fails_later(one: Site, child: Callable[[], Child]) -> None:
    """The write is accepted, its caller is killed, and then the vendor cannot put it into
    effect."""
    cloud = double_of(one)
    if isinstance(cloud, HetznerDouble):
        cloud.failing_servers.update(cloud.servers)
    elif isinstance(cloud, DigitalOceanDouble):
        cloud.failing_droplets.update(cloud.droplets)
    elif isinstance(cloud, ComputeDouble):
        cloud.fail_operations.append((503, "RESOURCE_OPERATION_RATE_EXCEEDED", "told to fail"))
    method, path = one.stage.writing  # type: ignore[attr-defined]
    cloud.fail(Fault(method, path, "drop-after", action=lambda: child().kill()))


@pytest.mark.parametrize("name", ["hetzner", "digitalocean", "gcp"])
def test_law4_an_action_that_fails_at_the_vendor_after_its_caller_died_is_done_by_the_next_run(
    name: str, zygotes: Zygotes, tmp_path: Path
) -> None:
    with site(name, zygotes, tmp_path) as one:
        if VENDORS[name].attaches:
            one.attach = True
            one.words = ("apply", "--auto-approve", "--allow-close", "1000", "--allow-attach", NAME)
            one.wants = ("tcp/80",)
            one.is_finished()
            one.wants = WANTS
        else:
            one.has(*HAS)
        begun: Future[Child] = Future()
        _fails_later(one, lambda: begun.result(30))
        begun.set_result(one.start(*one.words))
        assert begun.result().wait() == -9
        cloud = double_of(one)
        if isinstance(cloud, HetznerDouble):
            for id_ in list(cloud.actions):
                cloud._poll(cloud.actions[id_])
                cloud._poll(cloud.actions[id_])
            cloud.failing_servers.clear()
        elif isinstance(cloud, DigitalOceanDouble):
            for firewall in cloud.firewalls.values():
                firewall.polls = 0
            cloud._settle()
            cloud.failing_droplets.clear()
        elif isinstance(cloud, ComputeDouble):
            cloud.settle()
        assert one.types("plan", "--detailed-exitcode").code == 2, (
            "what is not in effect is no empty plan"
        )
        one.is_finished()
