"""`make test` in one go, as a stranger types it, on machines that have next to nothing. `make
fresh` runs it; what it printed and its report stay in `~/.cache/cloudsync-tests/fresh`."""

from __future__ import annotations

import os
import re
import shutil
from xml.etree import ElementTree

import pytest

from tests import roots
from tests.fresh import machine

BARE = ("python3", "make", "git", "ca-certificates")
CLONE = "git clone --quiet /checkout ~/cloudsync && cd ~/cloudsync"
HANDED_ON = ("TESTS_AT_ONCE", "PYTEST_TIMEOUT")
"""How hard the suite drives this machine."""

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(0),
    pytest.mark.skipif(
        not os.environ.get("CLOUDSYNC_LONG"), reason="takes minutes: `make fresh` takes hours"
    ),
    pytest.mark.skipif(machine.unavailable() is not None, reason=machine.unavailable() or ""),
]


@pytest.mark.parametrize("user", ["root", "user"])
@pytest.mark.parametrize("suite", ["trixie", "bookworm", "sid"])
def test_make_test_passes_in_one_go(suite: str, user: str) -> None:
    kept = roots.CACHE / "fresh" / f"{suite}-{user}"
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    log = kept / "log"
    environ = {name: os.environ[name] for name in HANDED_ON if name in os.environ}
    with machine.copied(suite, BARE, kept / "root") as fresh:
        roots.checkout(fresh.root / "checkout")
        if user == "root":
            home = fresh.root / "root"
            script = f"{CLONE} && make test"
        else:
            home = fresh.root / "home" / user
            add = f"useradd --create-home --shell /bin/sh {user}; chown -R {user} /checkout"
            assert fresh.run(add, log) == 0, log.read_text()
            assert fresh.run(f"{CLONE} && make test", log, user=user) != 0
            (line,) = re.findall(r"^ +(sudo apt-get .*)$", log.read_text(), re.MULTILINE)
            assert fresh.run(line.replace("sudo ", ""), log) == 0, log.read_text()[-4000:]
            script = "cd ~/cloudsync && make test"
        ended = fresh.run(script, log, user=user, environ=environ)
        report = home / "cloudsync" / ".pytest-report" / "junit.xml"
        if report.exists():
            shutil.copy(report, kept / "junit.xml")
    assert ended == 0, f"{log}:\n{log.read_text()[-4000:]}"
    (tests,) = ElementTree.parse(kept / "junit.xml").getroot().iter("testsuite")
    assert int(tests.get("tests", 0)) > int(tests.get("skipped", 0))
