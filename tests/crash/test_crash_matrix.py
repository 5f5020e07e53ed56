"""Every call of a run, and everything that can befall it: laws 1, 2 and 3 hold at every instant,
and the next normal run finishes.

A dry pass counts the calls of a run; then the same run is begun once for each call and each mishap.
The vendor's double tells every state it went through. What befalls is decided in the double, at the
moment the call arrives or has taken effect: a killed process gets SIGKILL there, between two bytes
of its life.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from cloudsync.testing.run import hold_to_the_laws
from tests.crash.site import NAME, SSH, Site, assert_tidy
from tests.crash.vendors import VENDORS, Vendor
from tests.crash.zygote import Child, Zygote
from tests.doubles.http import Call, Fault

pytestmark = pytest.mark.emulator
FOREVER = 10**6
SIDE_BY_SIDE = 3


@dataclass(frozen=True)
class Course:
    """One kind of run. `has`: the vendor's rules before, None for no firewall; `mine`: they carry
    the right mark. `everything`: all mishaps in every run of the tests; the others get the deaths,
    and the rest with CLOUDSYNC_LONG (`make crash`)."""

    name: str
    has: tuple[str, ...] | None
    wants: tuple[str, ...]
    mine: bool = True
    attach: bool = False
    grants: tuple[str, ...] = ()
    everything: bool = True

    def __str__(self) -> str:
        return self.name


NARROW = "tcp/9000 from 203.0.113.0/24"
COURSES = (
    Course(
        "opens-and-closes",
        (SSH, "tcp/80", "tcp/8080", NARROW),
        ("tcp/80", "tcp/443", "udp/53", "tcp/9000 from 198.51.100.0/24"),
    ),
    Course(
        "trades-sources",
        (SSH, NARROW),
        ("tcp/9000 from 203.0.113.0/25,198.51.100.0/24", "tcp/443"),
        everything=False,
    ),
    Course("creates", None, ("tcp/80", "tcp/443", NARROW)),
    Course(
        "creates-attached", None, ("tcp/80", NARROW), attach=True, grants=("--allow-attach", NAME)
    ),
    Course(
        "attaches",
        (SSH, "tcp/8080"),
        ("tcp/443",),
        attach=True,
        grants=("--allow-attach", NAME),
        everything=False,
    ),
    Course(
        "adopts",
        ("tcp/80", "tcp/8080", "tcp/3389"),
        ("tcp/80", "tcp/443"),
        False,
        grants=("--adopt", NAME, "--ssh-moved"),
    ),
    Course(
        "adopts-as-it-is",
        (SSH, "tcp/80"),
        ("tcp/80",),
        False,
        grants=("--adopt", NAME),
        everything=False,
    ),
)
LONG = bool(os.environ.get("CLOUDSYNC_LONG"))
Mishap = Callable[[Vendor, Site, int, Callable[[], None]], Fault]


def _error(kind: str, times: int = 1) -> Mishap:
    def fault(_: Vendor, site: Site, call: int, _kill: Callable[[], None]) -> Fault:
        status, body = site.stage.errors[kind]  # type: ignore[attr-defined]
        return Fault(".*", ".*", status=status, body=body, skip=call, times=times)

    return fault


DELAY_SECONDS = 0.01
STALE_CALLS = 3
MISHAPS: dict[str, Mishap] = {
    "delayed": lambda _v, _s, call, _: Fault(".*", ".*", "delay", seconds=DELAY_SECONDS, skip=call),
    "killed-before": lambda _v, _s, call, kill: Fault(
        ".*", ".*", "drop-before", action=kill, skip=call
    ),
    "killed-after": lambda _v, _s, call, kill: Fault(
        ".*", ".*", "drop-after", action=kill, skip=call
    ),
    "dropped-before": lambda _v, _s, call, _: Fault(".*", ".*", "drop-before", skip=call),
    "dropped-after": lambda _v, _s, call, _: Fault(".*", ".*", "drop-after", skip=call),
    "truncated": lambda _v, _s, call, _: Fault(".*", ".*", "truncate", skip=call),
    "stalled": lambda _v, _s, call, _: Fault(".*", ".*", "stall", skip=call),
    "429": _error("throttled"),
    "503": _error("unavailable"),
    "404": _error("not-found"),
    "404-from-then-on": _error("not-found", FOREVER),
    "409": _error("conflict"),
    "403": _error("forbidden"),
    "500": lambda vendor, _s, call, _: Fault(
        ".*", ".*", status=500, body=dict(vendor.broken), skip=call
    ),
    "503-from-then-on": _error("unavailable", FOREVER),
    "403-from-then-on": _error("forbidden", FOREVER),
    "gone-from-then-on": lambda _v, _s, call, _: Fault(
        ".*", ".*", "drop-before", skip=call, times=FOREVER
    ),
}
WAITS_IN_VAIN = (
    "stalled",
    "404-from-then-on",
    "503-from-then-on",
    "403-from-then-on",
    "gone-from-then-on",
)
"""With these a run waits as short as it can; with the others it has all the time that it needs, or
on a busy machine it would give up before its call."""
DEATHS = ("killed-before", "killed-after", "dropped-before", "dropped-after")
LAGS = {
    "lagging-reads": None,
    "killed-before-lagging-reads": "killed-before",
    "killed-after-lagging-reads": "killed-after",
}
"""Mishaps of a vendor whose reads show what was there before the last writes, and whose provider
declares it (`lag_seconds`): EC2."""
STALE: dict[str, Mishap] = {
    "stale": lambda _v, _s, call, _: Fault(".*", ".*", "stale", skip=call, times=STALE_CALLS)
}
"""Of a vendor whose provider does not: what it wrote it must be able to read at once. If for once
that is not so, the run may fail; nothing else may come of it. EC2 reads by POST, which the double
takes for a write here."""
ECHOES = {"answered-only": "delayed", "killed-after-answered-only": "killed-after"}
"""Mishaps of a vendor that answers with a field that it refuses in every write: Google with the
metadata of logging that is off, the others with one that is new."""


def _lagging(name: str, course: Course) -> tuple[str, ...]:
    return tuple(LAGS) if name == "aws" and (course.everything or LONG) else ()


def _stale(name: str, course: Course) -> tuple[str, ...]:
    return tuple(STALE) if name != "aws" and (course.everything or LONG) else ()


def _echoing(vendor: Vendor, course: Course) -> tuple[str, ...]:
    """If it has such fields, and the course a firewall to answer them of."""
    has_them = vendor.name in ("hetzner", "digitalocean", "gcp") and course.has is not None
    return tuple(ECHOES) if has_them and (course.everything or LONG) else ()


def _mishaps(vendor: Vendor, course: Course) -> tuple[str, ...]:
    return (
        *(MISHAPS if course.everything or LONG else DEATHS),
        *_lagging(vendor.name, course),
        *_stale(vendor.name, course),
        *_echoing(vendor, course),
    )


def _befits(vendor: Vendor, course: Course) -> bool:
    """A vendor that attaches creates and attaches in one call: its plain creation is that one with
    less in it."""
    return not course.attach if not vendor.attaches else course.name != "creates" or LONG


CASES = [
    (name, course, mishap)
    for name, vendor in VENDORS.items()
    for course in COURSES
    if _befits(vendor, course)
    for mishap in _mishaps(vendor, course)
]


@contextmanager
def scene(vendor: Vendor, course: Course, zygote: Zygote, folder: Path) -> Iterator[Site]:
    """The vendor before the run, and the configuration that the run is for."""
    folder.mkdir(parents=True)
    with vendor.stage() as stage:
        site = Site(zygote, stage, folder, course.wants, course.attach)
        site.words += course.grants
        site.deadline = vendor.deadline
        if course.has is not None:
            site.has(*course.has, mine=course.mine)
        yield site


def calls_of(site: Site) -> list[Call]:
    return list(site.stage.double.calls)  # type: ignore[attr-defined]


def befall(site: Site, fault: Callable[[Callable[[], None]], Fault]) -> Child:
    """The run under its mishap, to its end."""
    running: Future[Child] = (
        Future()
    )  # the first call may arrive before the zygote has said whom it forked
    double = site.stage.double  # type: ignore[attr-defined]
    double.fail(fault(lambda: running.result(30).kill()))
    child = site.start(*site.words)
    running.set_result(child)
    child.wait()
    double.faults.clear()
    return child


def one_case(
    vendor: Vendor, course: Course, mishap: str, call: int, zygote: Zygote, folder: Path
) -> None:
    with scene(vendor, course, zygote, folder) as site:
        before = site.now
        site.patient = mishap not in WAITS_IN_VAIN
        if mishap in LAGS:
            site.stage.lag(1)  # type: ignore[attr-defined]
            mishap = LAGS[mishap] or "delayed"
        if mishap in ECHOES:
            site.stage.answer_only(NAME)  # type: ignore[attr-defined]
            mishap = ECHOES[mishap]
        site.stage.double.keeps_answers = mishap in STALE  # type: ignore[attr-defined]
        child = befall(site, lambda kill: (MISHAPS | STALE)[mishap](vendor, site, call, kill))
        history = site.stage.history(NAME)
        assert (child.code == -9) is mishap.startswith("killed"), child.output
        assert_tidy(site, child)
        assert list(site.stage.sound()) == []
        hold_to_the_laws(before, site.wanted, list(history))
        assert not site.attached or site.now.covers(site.wanted), "attached before all was open"
        if child.code in (1, 75):
            assert not history, "it could not read, and wrote"
            assert not site.attached
        if child.code == 0:
            site.is_done()
        else:
            site.is_finished()


@pytest.fixture(scope="session")
def counted(
    zygotes: Callable[[str], Zygote], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Vendor, Course], list[Call]]:
    """The calls of a run that nothing befalls, which is held to everything too."""

    @cache
    def count(vendor: Vendor, course: Course) -> list[Call]:
        with scene(
            vendor, course, zygotes(vendor.name), tmp_path_factory.mktemp("dry") / "run"
        ) as site:
            # On a busy machine a short wait would end, and the repeated call be counted.
            site.patient = True
            before = site.now
            assert site.apply().code == 0
            calls = calls_of(site)
            hold_to_the_laws(before, site.wanted, list(site.stage.history(NAME)))
            site.is_finished()
        return calls

    return count


@pytest.mark.parametrize(("name", "course", "mishap"), CASES, ids=str)
def test_law3_a_run_that_fails_at_any_call_is_safe_and_finished_by_the_next(
    name: str,
    course: Course,
    mishap: str,
    counted: Callable[[Vendor, Course], list[Call]],
    zygotes: Callable[[str], Zygote],
    tmp_path: Path,
) -> None:
    vendor, zygote = VENDORS[name], zygotes(name)
    calls = counted(vendor, course)

    def tried(number: int) -> str | None:
        try:
            one_case(vendor, course, mishap, number, zygote, tmp_path / str(number))
        except AssertionError as problem:
            return (
                f"call {number + 1} of {len(calls)}, {calls[number].method} {calls[number].path}:"
                f" {problem}"
            )
        return None

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        failures = [
            problem for problem in pool.map(tried, range(len(calls))) if problem is not None
        ]
    assert not failures, "\n\n".join(failures)
