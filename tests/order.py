"""Which tests several workers start first: those that take longest, so that the last ones to end
are short and no worker waits long for another."""

from __future__ import annotations

from collections.abc import Mapping

USUAL_SECONDS = 0.3
SECONDS: Mapping[str, float] = {
    "tests/action/test_life.py": 1.5,
    "tests/audit/test_recipes.py": 4,
    "tests/audit/test_world.py": 5,
    "tests/brownfield/": 1,
    "tests/cli/": 1,
    "tests/cli/test_demo.py": 10,
    "tests/cli/test_watch.py": 4,
    "tests/compose/": 0.15,
    "tests/conformance/test_conformance.py::TestAwsOnMoto": 2,
    "tests/conformance/test_conformance.py::TestHost": 1,
    "tests/crash/": 10,
    "tests/crash/test_crash_matrix.py": 2.5,
    "tests/crash/test_races.py": 1.5,
    "tests/engine ": 2,
    "tests/engines ": 2.5,
    "tests/fresh/": 50,
    "tests/fuzz/": 2.5,
    "tests/host/": 3,
    "tests/host/test_host_crash.py": 14,
    "tests/host/test_over_ssh.py": 28,
    "tests/host/test_ssh_crash.py": 30,
    "tests/installed/test_cloud_pages.py": 20,
    "tests/openstack/": 1.5,
    "tests/openstack/test_crash.py": 11,
    "tests/packages/": 2,
    "tests/providers/test_exposure_worlds.py": 4,
    "tests/providers/test_gcp_exposure_worlds.py": 8,
    "tests/runs/": 1.5,
    "tests/runs/test_four_clouds.py": 7,
    "tests/store/": 1.5,
    "tests/store/test_runs.py": 5,
    "tests/store/test_several_machines.py": 85,
    "tests/third_party/test_third_party.py": 4,
    "tests/unit/": 0.1,
}
"""Seconds that one test takes, roughly, by how the names of such tests begin; of several
beginnings the longest counts. Only the order of the work depends on them."""


def seconds(scope: str, tests: int) -> float:
    """How long this many tests of a scope take, roughly."""
    beginnings = [beginning for beginning in SECONDS if scope.startswith(beginning)]
    return tests * (SECONDS[max(beginnings, key=len)] if beginnings else USUAL_SECONDS)
