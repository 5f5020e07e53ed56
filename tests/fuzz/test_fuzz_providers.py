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
from tests.crash.zygote import read_once
from tests.doubles.http import Fault
from tests.fuzz.bent import DICE, JUNK, bend, bounded, tear
from tests.fuzz.conftest import Typed

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


FIELDS = ("statistics", "usage", "health", "cost_per_hour", "cloudsync-never-heard-of-it")


@pytest.mark.parametrize("site", ["hetzner", "digitalocean"], indirect=True)
def test_what_only_answers_have_is_never_sent_back(site: Site, types: Typed) -> None:
    """Whatever it is named and holds: a write that echoes it is refused, and the run would fail."""
    stage: Any = site.stage
    site.deadline = "20s"
    config = str(site.configure())
    words = ("apply", "-c", config, "--auto-approve", "--allow-close", "1000")

    @bounded(15)
    @given(dice=DICE)
    def check(dice: Random) -> None:
        site.by_hand(SSH, *dice.sample(HAS[1:], dice.randint(0, 3)))
        stage.answer_only(NAME)
        field, junk = dice.choice(FIELDS), dice.choice(JUNK)
        stage.double.answers_only(field, "firewalls", junk)
        before, seen = site.now, len(stage.history(NAME))
        code, output = types(*words, *(("--allow-attach", NAME) if site.attach else ()))
        assert code == 0, output
        assert site.now == site.wanted
        hold_to_the_laws(before, site.wanted, list(stage.history(NAME))[seen:])
        assert list(stage.sound()) == []

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
