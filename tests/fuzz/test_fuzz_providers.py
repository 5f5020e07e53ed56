"""Vendors whose answers are not quite theirs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given

from cloudsync.testing.run import hold_to_the_laws
from tests.conformance.http_stage import HttpStage
from tests.crash.site import NAME, SSH, Site
from tests.crash.vendors import VENDORS
from tests.doubles.engine import FakeEngine
from tests.doubles.http import Fault
from tests.fuzz.bent import DICE, JUNK, bend, bounded, tear
from tests.fuzz.conftest import Typed
from tests.loaded import read_once

pytestmark = pytest.mark.emulator
HAS = (SSH, "tcp/80", "tcp/8080", "tcp/9000 from 203.0.113.0/24")
WANTS = ("tcp/80", "tcp/443")
FOREVER = 10**6
MOST_CALLS = 9
_XML = re.compile(rb"<(\w+)>([^<]*)</\1>")


@pytest.fixture(params=VENDORS)
def site(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    monkeypatch.setattr("cloudsync.provider.waiting.FIRST_SECONDS", 0.005)
    if request.param == "aws":
        monkeypatch.setattr("botocore.loaders.JSONFileLoader.load_file", read_once())
    with VENDORS[request.param].stage() as stage:
        for name, value in stage.environment.items():
            monkeypatch.setenv(name, value)
        one = Site(None, stage, tmp_path, WANTS, attach=VENDORS[request.param].attaches)  # type: ignore[arg-type]  # typed in this process
        one.deadline = "2s"
        one.has(*HAS)
        yield one


def bent_answer(dice: Random, right: bytes) -> bytes:
    """JSON bent in its structure; XML in a text or by an element that is not there; any of them
    torn."""
    if dice.randint(0, 4) == 0:
        return tear(dice, right)
    if not right.startswith(b"<"):
        return json.dumps(bend(dice, json.loads(right or b"{}"))).encode()
    found = list(_XML.finditer(right))
    if not found:
        return b""
    one = dice.choice(found)
    text = dice.choice(
        [b"", b"x", b"-1", b"0", b"99999", b"0.0.0.0/99", b"tcp", b"true", b"\xff", b"&amp;" * 300]
    )
    element = b"<%s>%s</%s>" % (one[1], text, one[1])
    instead = dice.choice([element, element, b"", one[0] * 2, b"<item>" + one[0] + b"</item>"])
    return right[: one.start()] + instead + right[one.end() :]


def bent_call(dice: Random, skip: int) -> Fault:
    """From the call after `skip` others on, or only then, the answers are bent; the same answer
    always in the same way."""
    seed = dice.random()
    return Fault(
        ".*",
        ".*",
        "mutate",
        change=lambda right: bent_answer(Random(seed), right),
        skip=skip,
        times=dice.choice([1, FOREVER]),
    )


def again(stage: HttpStage, site: Site) -> None:
    stage.double.faults.clear()
    site.by_hand(*HAS)


def test_law1_reads_that_answer_anything_are_understood_or_unknown_and_nothing_is_written(
    site: Site, types: Typed
) -> None:
    stage: Any = site.stage
    config = str(site.configure())

    @bounded(30)
    @given(dice=DICE)
    def check(dice: Random) -> None:
        stage.double.fail(bent_call(dice, dice.randint(0, 2)))
        written = stage.writes()
        assert types("plan", "-c", config)[0] in (0, 1, 3, 75)
        assert stage.writes() == written
        again(stage, site)

    check()


def test_law3_writes_that_answer_anything_leave_the_laws_whole(site: Site, types: Typed) -> None:
    stage: Any = site.stage
    site.patient = True
    config = str(site.configure())
    words = (
        "apply",
        "-c",
        config,
        "--auto-approve",
        "--allow-close",
        "1000",
        "--allow-attach",
        NAME,
    )
    first = len(stage.double.calls)
    assert types("plan", "-c", config)[0] in (0, 3)
    reads = len(stage.double.calls) - first
    site.patient = False  # what answers anything may answer that it is never done
    site.configure()

    @bounded(30)
    @given(dice=DICE)
    def check(dice: Random) -> None:
        before, seen = site.now, len(stage.history(NAME))
        stage.double.fail(bent_call(dice, reads + dice.randint(0, MOST_CALLS)))
        code, said = types(*words)
        hold_to_the_laws(before, site.wanted, list(stage.history(NAME))[seen:])
        assert code != 0 or site.now == site.wanted, said
        again(stage, site)

    check()


NEW_FIELDS = ("statistics", "usage", "health", "cost_per_hour", "cloudsync-never-heard-of-it")
FIELDS = {
    "hetzner": NEW_FIELDS,
    "digitalocean": NEW_FIELDS,
    "gcp": ("kind", "creationTimestamp", "selfLink", "selfLinkWithId"),
}
"""By vendor, fields that its answers have and no call takes: new ones, and those that Google
documents as output only, besides the metadata of logging that is off (a new one may restrict the
rule, and an update that leaves it out would take it off: it is sent back). EC2 has none that could
be echoed: rules are written by their values, and botocore hands on only what its model of EC2
knows."""


@pytest.mark.parametrize("site", FIELDS, indirect=True)
def test_what_only_answers_have_is_never_sent_back(site: Site, types: Typed) -> None:
    """Whatever it is named and holds: a write that echoes it is refused, and the run would fail."""
    stage: Any = site.stage
    site.patient = True
    config = str(site.configure())
    words = ("apply", "-c", config, "--auto-approve", "--allow-close", "1000")

    @bounded(15)
    @given(dice=DICE)
    def check(dice: Random) -> None:
        # One of many ports closes: Google's rule is rewritten, and not deleted.
        site.by_hand(SSH, "tcp/8080", *dice.sample(("tcp/80", HAS[3]), dice.randint(0, 2)))
        stage.answer_only(NAME)
        field, junk = dice.choice(FIELDS[stage.type]), dice.choice(JUNK)
        stage.double.answers_only(field, "firewalls", junk)
        before, seen = site.now, len(stage.history(NAME))
        code, output = types(*words, *(("--allow-attach", NAME) if site.attach else ()))
        assert code == 0, output
        assert site.now == site.wanted
        hold_to_the_laws(before, site.wanted, list(stage.history(NAME))[seen:])
        assert list(stage.sound()) == []

    check()


LABEL = {"cloudsync.expose": "true"}
RECENT = 3


class Concealing:
    """An engine with containers 0 and 1, and a vendor, either of which keeps back what exists."""

    def __init__(self, engine: FakeEngine, site: Site) -> None:
        self.engine, self.site = engine, site
        self.stage: Any = site.stage

    def runs(self, *numbers: int) -> None:
        """These containers run, each publishes 8000 and its number, and everything is answered."""
        self.engine.routes["/info"] = {"ID": "AAAA", "Swarm": {"LocalNodeState": "inactive"}}
        self.engine.routes["/images/sha256:1/json"] = {"Config": {"Labels": {}}}
        self.engine.routes["/containers/json"] = [
            {"Id": self.engine.id(number), "State": "running"} for number in numbers
        ]
        for number in numbers:
            container = FakeEngine.container(number, **LABEL)
            for ports in container["NetworkSettings"]["Ports"].values():
                ports.append({"HostIp": "::", "HostPort": str(8000 + number)})
            self.engine.routes[f"/containers/{self.engine.id(number)}/json"] = container
        self.site.wants = tuple(f"tcp/{8000 + number}" for number in numbers)

    def engine_conceals(self, kind: str | None, number: int) -> None:
        """The image of a running container, a container that it lists, or the engine itself."""
        if kind == "image":
            self.engine.routes["/images/sha256:1/json"] = (404, {"message": "No such image"})
        if kind == "container":
            path = f"/containers/{self.engine.id(number)}/json"
            self.engine.routes[path] = (404, {"message": "No such container"})
        if kind == "engine":
            self.engine.routes["/info"]["ID"] = "BBBB"

    def vendor_conceals(self, kind: str | None, dice: Random) -> None:
        """What it has (404), what was just written, or that a field is for answers only."""
        if kind == "not-found":
            status, body = self.stage.errors["not-found"]
            for _ in range(dice.randint(1, 3)):
                self.stage.double.fail(
                    Fault(".*", ".*", status=status, body=body, skip=dice.randint(0, MOST_CALLS))
                )
        if kind == "lag" and self.stage.type == "aws":
            self.stage.lag(dice.randint(1, RECENT))
        elif kind == "lag":
            self.stage.double.keeps_answers = True
            self.stage.double.fail(
                Fault(".*", ".*", "stale", skip=dice.randint(1, MOST_CALLS), times=RECENT)
            )
        if kind == "answered-only" and self.stage.type in FIELDS:
            self.stage.answer_only(NAME)

    def heal(self, *numbers: int) -> None:
        """Both answer everything again."""
        self.runs(*numbers)
        self.stage.double.faults.clear()
        self.stage.double.keeps_answers = False
        self.stage.double.reset_calls()
        if self.stage.type == "aws":
            self.stage.lag(0)


def test_law1_what_an_engine_or_a_vendor_keeps_back_closes_nothing(
    site: Site, types: Typed, tmp_path: Path
) -> None:
    """Both at once too: 404 about what exists, another engine under the host's name, reads that lag
    behind a write, fields that only answers have. Once all is answered, the next run finishes."""
    site.attach, site.patient = False, True
    with FakeEngine(tmp_path, containers=0) as engine:
        site.host, site.policy = {"docker": engine.endpoint}, {"expose": "labelled"}
        world = Concealing(engine, site)
        stage = world.stage
        apply = lambda: types(  # noqa: E731 - one expression
            "apply", "-c", str(config), "--auto-approve", "--allow-close", "1000"
        )
        world.runs(0, 1)
        site.wants = ()  # the configuration asks for nothing: the containers do
        config = site.configure()
        assert apply()[0] == 0

        @bounded(10)
        @given(dice=DICE)
        def check(dice: Random) -> None:
            site.by_hand(SSH, *dice.sample(["tcp/8000", "tcp/8001", *HAS[2:]], 2))
            numbers = sorted(dice.sample(range(3), dice.randint(1, 3)))
            world.runs(*numbers)
            by_engine = dice.choice([None, "image", "container", "engine"])
            by_vendor = dice.choice([None, "not-found", "lag", "answered-only"])
            world.engine_conceals(by_engine, numbers[0])
            world.vendor_conceals(by_vendor, dice)
            before, seen = site.now, len(stage.history(NAME))
            code, output = apply()
            states = list(stage.history(NAME))[seen:]
            hold_to_the_laws(before, site.wanted, states)
            if by_engine is not None:
                assert code != 0, output
                assert all(state.covers(before) for state in states), by_engine
            elif by_vendor in (None, "answered-only"):
                assert code == 0, output
            assert code != 0 or site.now == site.wanted, output
            world.heal(*numbers)
            code, output = apply()
            assert code == 0, output
            assert site.now == site.wanted

        check()


ONCE_A_BUG = [
    ("hetzner", "POST", b'{"actions": [{"id": "x", "status": "running"}]}', 6),
    ("hetzner", "POST", b'{"actions": [5]}', 6),
    ("digitalocean", "GET", b'{"firewalls": [], "links": null, "meta": {"total": 0}}', 6),
    ("gcp", "PUT", b'{"error": 5}', 6),
]
"""What the dice found: (vendor, method, answer, exit code). A plugin that stumbles is safe, and
says nothing that helps."""


@pytest.mark.parametrize(("site", "method", "answer", "code"), ONCE_A_BUG, indirect=["site"])
def test_an_answer_that_made_a_plugin_stumble_is_one_that_cannot_be_understood(
    site: Site, types: Typed, method: str, answer: bytes, code: int
) -> None:
    stage: Any = site.stage
    site.attach, site.deadline = False, "20s"
    stage.double.fail(Fault(method, ".*", "mutate", change=lambda _: answer, times=FOREVER))
    ended, said = types(
        "apply", "-c", str(site.configure()), "--auto-approve", "--allow-close", "1000"
    )
    assert ended == code, said
