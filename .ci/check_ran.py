"""Fail where the tests on real parts did not run: a green run that skipped them proves nothing.

Usage: check_ran.py JUNIT.XML
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree

LEAST = {
    "tests.browser": 9,
    "tests.fresh": 6,
    "tests.engine.": 120,
    "tests.engines.": 130,
    "tests.doubles": 40,
    "tests.providers": 60,
    "tests.runs": 60,
    "tests.conformance": 300,
    "tests.crash": 250,
    "tests.host": 60,
    "tests.compose": 300,
    "tests.openstack": 220,
    "tests.store": 60,
}
FINE = (
    "no Podman to be had",
    "the provider does not declare",
    "a disabled rule with the marker is ours",
    "the stage is none that",
    "the proof was faster than the break",
    "cannot be: ",
    "takes minutes: ",
    "elsewhere: ",
)
"""The reasons to skip that are fine: Podman does not run on every machine, and a scenario of the
suite is for the providers that declare what it needs, and not every kind of engine has everything
that others have (docs/engines.md); what takes minutes has a target of its own (`make walls`). That
the vendors' descriptions are missing is not: without them no double is checked (`CLOUDSYNC_SPECS`
names their folder)."""


def main(path: Path) -> int:
    """0 where every folder of `LEAST` ran at least so many tests and skipped none."""
    cases = ElementTree.parse(path).getroot().iter("testcase")  # noqa: S314 - our own report
    ran = dict.fromkeys(LEAST, 0)
    skipped = []
    for case in cases:
        name = case.get("classname", "")
        for folder in LEAST:
            if name.startswith(folder):
                if (skip := case.find("skipped")) is not None and any(
                    reason in (skip.get("message") or "") for reason in FINE
                ):
                    print(f"note: {name}.{case.get('name')}: {skip.get('message')}")
                elif skip is not None:
                    skipped.append(f"{name}.{case.get('name')}: {skip.get('message')}")
                else:
                    ran[folder] += 1
    problems = [f"skipped: {one}" for one in skipped]
    problems += [
        f"{folder}: {ran[folder]} tests ran, at least {least} should"
        for folder, least in LEAST.items()
        if ran[folder] < least
    ]
    for problem in problems:
        print(problem, file=sys.stderr)
    print("on real parts: " + ", ".join(f"{count} in {folder}" for folder, count in ran.items()))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
