"""The crash matrix of `tests/crash` on a real Neutron: at the calls of a run that matter, what
befalls runs there. With CLOUDSYNC_LONG (`make crash`) every mishap at every call of every kind of
run.

Whether a process is killed or a connection dropped is decided in the proxy, at the moment a call
arrives or has taken effect; what the groups let in is asked of Neutron after every write.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest

from cloudsync.testing.run import hold_to_the_laws
from tests.conformance.openstack import OpenStackStage
from tests.crash.site import NAME
from tests.crash.test_crash_matrix import (
    COURSES,
    DEATHS,
    LONG,
    MISHAPS,
    Course,
    calls_of,
    one_case,
    scene,
)
from tests.crash.vendors import Vendor
from tests.crash.zygote import Zygote
from tests.doubles.http import Call
from tests.openstack.proxy import NeutronProxy, fault_body

pytestmark = pytest.mark.emulator
AT_ONCE = 2
KILLED = ("killed-before", "killed-after")
ANSWERS = ("truncated", "stalled", "503", "409", "404-from-then-on", "gone-from-then-on")
"""One mishap for each way in which a run goes on; `tests/crash` has every status at every call."""
OFTEN = {
    "opens-and-closes": (*DEATHS, *ANSWERS),
    "creates-attached": DEATHS,
    "attaches": KILLED,
    "adopts": KILLED,
}
"""What befalls which course in every run of the tests."""
CASES = [
    (course, mishap)
    for course in COURSES
    for mishap in MISHAPS
    if LONG or mishap in OFTEN.get(course.name, ())
]


def vendor_at(neutron: int) -> Vendor:
    """The real server as the matrix sees a vendor."""
    return Vendor(
        "openstack",
        lambda: NeutronProxy(neutron),
        OpenStackStage,
        fault_body("HTTPInternalServerError"),
        attaches=True,
        deadline="30s",
    )


def chosen(calls: list[Call]) -> list[int]:
    """Numbers of calls: the first; every write, of several deletions the first and the last; and
    the first read after the writes."""
    if LONG:
        return list(range(len(calls)))
    writes = [number for number, call in enumerate(calls) if call.method != "GET"]
    deletes = [number for number in writes if calls[number].method == "DELETE"]
    return sorted({0, *writes, writes[-1] + 1} - set(deletes[1:-1]))


@pytest.fixture(scope="module")
def counted(
    neutron: int, zygotes: Callable[[str], Zygote], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Course], list[Call]]:
    """The calls of a run that nothing befalls, which is held to everything too."""

    @cache
    def count(course: Course) -> list[Call]:
        folder = tmp_path_factory.mktemp("dry") / "run"
        with scene(vendor_at(neutron), course, zygotes("openstack"), folder) as site:
            site.patient = True
            before = site.now
            assert site.apply().code == 0
            calls = calls_of(site)
            hold_to_the_laws(before, site.wanted, list(site.stage.history(NAME)))
            site.is_finished()
        return calls

    return count


@pytest.mark.parametrize(("course", "mishap"), CASES, ids=str)
def test_law3_a_run_that_fails_at_any_call_is_safe_and_finished_by_the_next(
    course: Course,
    mishap: str,
    counted: Callable[[Course], list[Call]],
    neutron: int,
    zygotes: Callable[[str], Zygote],
    tmp_path: Path,
) -> None:
    vendor, zygote, calls = vendor_at(neutron), zygotes("openstack"), counted(course)

    def tried(number: int) -> str | None:
        try:
            one_case(vendor, course, mishap, number, zygote, tmp_path / str(number))
        except AssertionError as problem:
            call = calls[number]
            return f"call {number + 1} of {len(calls)}, {call.method} {call.path}: {problem}"
        return None

    with ThreadPoolExecutor(AT_ONCE) as pool:
        failures = [problem for problem in pool.map(tried, chosen(calls)) if problem is not None]
    assert not failures, "\n\n".join(failures)
