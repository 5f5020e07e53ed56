"""Anything, in any order: containers, hands, applies, deaths, plans kept for later, outages,
clocks. The laws are what never changes.

The model is what should be open: SSH, what the configuration allows, what the containers publish.
Every run is a process of its own.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from cloudsync.rules import NOTHING, RuleSet
from cloudsync.testing.language import meant
from tests.conformance.local import LocalStage
from tests.crash.site import NAME, SSH, Site
from tests.crash.test_races import runs
from tests.crash.vendors import VENDORS
from tests.crash.zygote import Child, Zygote
from tests.doubles.engine import FakeEngine
from tests.doubles.http import Fault
from tests.ram_disk import RAM_DISK

LONG = bool(os.environ.get("CLOUDSYNC_LONG"))
ALWAYS = meant(SSH)
BY_HAND = (
    SSH,
    "tcp/80",
    "tcp/443",
    "tcp/8000",
    "tcp/8001",
    "tcp/3389",
    "tcp/8000-8100",
    "udp/53 from 198.51.100.0/24",
)
PLAN_MAX_AGE = 24 * 3600
FOREVER = 10**6


class AnyOrder(RuleBasedStateMachine):
    """One vendor, one engine, one machine."""

    def __init__(self, vendor: str, zygote: Zygote) -> None:
        super().__init__()
        self.stack = ExitStack()
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory(dir=RAM_DISK)))
        self.engine = self.stack.enter_context(FakeEngine(folder))
        if vendor == "local":
            (folder / "vendor").mkdir()
            stage: Any = LocalStage(folder / "vendor")
        else:
            stage = self.stack.enter_context(VENDORS[vendor].stage())
        self.site = Site(zygote, stage, folder, host={"docker": self.engine.endpoint})
        self.file = folder / "vendor" / f"{NAME}.json" if vendor == "local" else None
        self.whole: bytes | None = None
        self.containers: tuple[int, ...] = ()
        self.allowed: tuple[str, ...] = ()
        self.engine_up = self.vendor_up = True
        self.another_engine = self.conceals = self.known = False
        self.clock = 0.0
        self.kept: tuple[RuleSet, RuleSet, float] | None = None
        self.engine.routes["/info"] = about("AAAA")
        runs(self.engine)

    def teardown(self) -> None:
        assert list(self.site.stage.sound()) == []
        self.stack.close()

    # The world changes

    @rule(numbers=st.sets(st.integers(0, 3)))
    def containers_change(self, numbers: set[int]) -> None:
        self.containers = tuple(sorted(numbers))
        self.the_engine_answers()

    @rule(allowed=st.sets(st.sampled_from(["tcp/443", "tcp/80", "udp/53 from 198.51.100.0/24"])))
    def the_configuration_changes(self, allowed: set[str]) -> None:
        self.allowed = self.site.wants = tuple(sorted(allowed))

    @precondition(lambda self: self.vendor_up and self.site.stage.lets_in(NAME) is not None)
    @rule(rules=st.sets(st.sampled_from(BY_HAND), min_size=1))
    def somebody_edits_the_rules(self, rules: set[str]) -> None:
        self.site.by_hand(*sorted(rules))

    @rule(up=st.booleans())
    def the_engine_goes_or_comes(self, up: bool) -> None:
        self.engine_up = up
        self.the_engine_answers()

    @precondition(lambda self: self.known)
    @rule(another=st.booleans())
    def another_engine_answers_under_the_hosts_name(self, another: bool) -> None:
        self.another_engine = another
        self.engine.routes["/info"] = about("BBBB" if another else "AAAA")

    @rule(conceals=st.booleans())
    def a_container_that_is_listed_as_running_is_not_found(self, conceals: bool) -> None:
        self.conceals = conceals
        self.the_engine_answers()

    def the_engine_answers(self) -> None:
        """As it is now: not at all, of its containers, or of all but the first, which it lists."""
        if not self.engine_up:
            self.engine.routes["/containers/json"] = lambda: (500, {"message": "down"})
            return
        runs(self.engine, *self.containers)
        if self.conceals and self.containers:
            listed = [
                {"Id": self.engine.id(number), "State": "running"} for number in self.containers
            ]
            self.engine.routes["/containers/json"] = listed
            first = self.engine.id(self.containers[0])
            self.engine.routes[f"/containers/{first}/json"] = (
                404,
                {"message": "No such container"},
            )

    @property
    def understood(self) -> bool:
        """Whether the host's needs can be read completely."""
        concealed = self.conceals and bool(self.containers)
        return self.engine_up and not self.another_engine and not concealed

    @rule(up=st.booleans())
    def the_vendor_goes_or_comes(self, up: bool) -> None:
        if up is self.vendor_up:
            return
        self.vendor_up = up
        if self.file is None:
            double = self.site.stage.double  # type: ignore[attr-defined]
            double.faults.clear()
            if not up:
                status, body = self.site.stage.errors["unavailable"]  # type: ignore[attr-defined]
                double.fail(Fault(".*", ".*", status=status, body=body, times=FOREVER))
        elif up:
            if self.whole is None:
                self.file.unlink()
            else:
                self.file.write_bytes(self.whole)
        else:
            self.whole = self.file.read_bytes() if self.file.exists() else None
            self.file.write_bytes(b"{")

    @rule(off=st.sampled_from([0.0, 3600.0, -3600.0, 2.0 * PLAN_MAX_AGE, -2.0 * PLAN_MAX_AGE]))
    def the_clock_jumps(self, off: float) -> None:
        self.clock = off

    # The command is typed

    @rule()
    def apply(self) -> None:
        before, seen = self.before()
        child = self.site.apply(clock=self.clock)
        self.lawful(before, seen, child)
        if child.code == 0:
            self.known = True  # which engine it is
            assert self.understood
            assert self.vendor_up
            assert self.site.now == self.wanted, "it says done, and is not"
            assert self.site.types("plan", "--detailed-exitcode", clock=self.clock).code == 0, (
                "law 4"
            )
        elif self.understood and self.vendor_up:
            raise AssertionError(
                f"nothing is wrong, and it ended with {child.code}:\n{child.output}"
            )

    @rule(call=st.integers(0, 9), after=st.booleans())
    def apply_dies(self, call: int, after: bool) -> None:
        before, seen = self.before()
        if self.file is not None:
            child = self.site.apply(
                clock=self.clock, kill_at=3 * call, moment="after" if after else "before"
            )
        else:
            begun: Future[Child] = Future()
            double = self.site.stage.double  # type: ignore[attr-defined]
            double.faults.insert(
                0, Fault(".*", ".*", "drop-after" if after else "drop-before", skip=call)
            )
            double.faults[0].action = lambda: begun.result(30).kill()
            child = self.site.start(*self.site.words, clock=self.clock)
            begun.set_result(child)
            child.wait()
            del double.faults[0]
        self.lawful(before, seen, child)

    @rule()
    def a_plan_is_kept(self) -> None:
        _, seen = self.before()
        file = self.site.folder / "kept.json"
        file.unlink(missing_ok=True)
        self.site.types("plan", "--allow-close", "1000", "--out", str(file), clock=self.clock)
        assert not self.since(seen), "law 5"
        changes = [
            one
            for firewall in json.loads(file.read_text())["firewalls"]
            for one in firewall["changes"]
        ]
        self.kept = _rules(changes, "open"), _rules(changes, "close"), self.clock

    @precondition(lambda self: self.kept is not None)
    @rule()
    def the_kept_plan_is_applied(self) -> None:
        assert self.kept is not None
        opens, closes, made = self.kept
        before, seen = self.before()
        child = self.site.types("apply", str(self.site.folder / "kept.json"), clock=self.clock)
        self.lawful(before, seen, child)
        for state in self.since(seen):
            assert state.covers(before - closes), "law 6: it closed what was not approved"
            assert (before | opens).covers(state), "law 6: it opened what was not approved"
        if child.code == 4 or self.clock - made > PLAN_MAX_AGE:
            assert self.site.now == before
        if self.clock - made > PLAN_MAX_AGE:
            assert child.code in (4, 64)

    # The laws

    @property
    def wanted(self) -> RuleSet:
        """What should be open, where everything is known."""
        return meant(SSH, *self.allowed, *(f"tcp/{8000 + number}" for number in self.containers))

    def before(self) -> tuple[RuleSet, int]:
        note(
            f"containers {self.containers}, allowed {self.allowed}, engine {self.engine_up},"
            f" another {self.another_engine}, conceals {self.conceals}, vendor {self.vendor_up}"
        )
        return (self.site.now if self.vendor_up or self.file is None else NOTHING), len(
            self.history()
        )

    def history(self) -> Sequence[RuleSet]:
        return self.site.stage.history(NAME) if self.file is None or self.vendor_up else ()

    def since(self, seen: int) -> list[RuleSet]:
        return list(self.history())[seen:]

    def lawful(self, before: RuleSet, seen: int, child: Child) -> None:
        """Laws 1, 2, 3 over every state since."""
        note(f"ended with {child.code}")
        states = (
            self.since(seen) if self.file is None else [self.site.now] if self.vendor_up else []
        )
        if not self.vendor_up:
            assert not states, "a vendor that is down was written to"
            assert child.code in (-9, 1, 4, 75), child.output
        known = self.wanted if self.engine_up else meant(SSH, *self.allowed)
        lowest = before & self.wanted if self.understood else before
        for state in states:
            assert state.covers(lowest), (
                f"law {'3' if self.understood else '1'}: closed: {lowest - state}"
            )
            assert (before | known).covers(state), f"law 3: opened: {state - (before | known)}"
            assert state.covers(before & ALWAYS), "law 2: SSH closed"
            assert state.covers(before) or state.covers(ALWAYS), (
                "law 2: something closed before SSH was open"
            )


def about(identity: str) -> dict[str, Any]:
    """What an engine answers about itself."""
    return {"ID": identity, "Swarm": {"LocalNodeState": "inactive"}}


def _rules(changes: Sequence[dict[str, Any]], action: str) -> RuleSet:
    texts = [
        f"{one['protocol']}/{one['ports']} from {','.join(one['sources'])}"
        for one in changes
        if one["action"] == action
    ]
    return meant(*texts)


@pytest.mark.emulator
@pytest.mark.timeout(0 if LONG else 300)
@pytest.mark.parametrize("vendor", ["local", "hetzner", "aws"])
def test_the_laws_hold_whatever_happens_in_whatever_order(
    vendor: str, zygotes: Callable[[str], Zygote]
) -> None:
    run_state_machine_as_test(
        lambda: AnyOrder(vendor, zygotes(vendor)),
        settings=settings(
            max_examples=500 if LONG else 12,
            stateful_step_count=40 if LONG else 15,
            derandomize=not LONG,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
