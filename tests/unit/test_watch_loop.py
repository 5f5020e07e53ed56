"""The loop of `watch` on a clock of its own: hours pass in the time that the runs take."""

from __future__ import annotations

import signal
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count, pairwise
from pathlib import Path

import pytest

from cloudsync.watch.bell import Bell
from cloudsync.watch.notify import Systemd
from cloudsync.watch.rhythm import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS
from cloudsync.watch.service import LOOK_SECONDS, Overrides, Service

CONFIGURATION = """version = 1
owner = "shop"
state = "file://{folder}/state"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
grace = "0s"
[watch]
{watch}
[providers.local]
[hosts.web-1]
ports = ["443/tcp"]
[firewalls.web]
provider = "local"
hosts = ["web-1"]
path = "fw.json"
"""


class WoundClock:
    """Time passes only when the loop waits; what is planned for a moment happens then."""

    def __init__(self) -> None:
        self.moment = 1000.0
        self._numbers = count()
        self.planned: list[tuple[float, int, Callable[[], None]]] = []
        """A heap; of one moment, what was planned first happens first."""

    def now(self) -> float:
        return self.moment

    def wait(self, bell: Bell, seconds: float) -> None:
        until = self.moment + max(seconds, 0.0)
        if not self.planned or self.planned[0][0] > until:
            self.moment = until
            return
        moment, _, action = heappop(self.planned)
        self.moment = max(self.moment, moment)
        action()
        bell.wait(0.0)

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        heappush(self.planned, (1000.0 + seconds, next(self._numbers), action))


class Loop:
    """A service with one static host and a file for a firewall, and the moments of its runs."""

    def __init__(self, folder: Path, watch: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.clock, self.runs = folder, WoundClock(), list[float]()
        self.about: list[tuple[str, ...]] = []
        self.configure(watch)
        self.service = Service(
            folder / "cloudsync.toml", Overrides(), lambda _: None, clock=self.clock
        )
        apply = self.service._apply

        def timed(*arguments: object) -> object:
            self.runs.append(self.clock.now() - 1000.0)
            assert isinstance(arguments[-1], tuple)
            self.about.append(arguments[-1])
            return apply(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(self.service, "_apply", timed)

    def configure(self, watch: str, more: str = "") -> None:
        text = CONFIGURATION.format(folder=self.folder, watch=watch) + more
        (self.folder / "cloudsync.toml").write_text(text)

    def event(self, *hosts: str) -> None:
        """Something happens at these hosts; without any, nobody knows where."""
        if hosts:
            self.service.hints.at(hosts)
        else:
            self.service.hints.everywhere()

    def lasts(self, seconds: float) -> list[float]:
        """Run it for so long; when its runs began, in seconds after its start."""
        self.clock.after(seconds, lambda: signal.raise_signal(signal.SIGTERM))
        assert self.service.run() == 0
        return self.runs


@pytest.fixture
def loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Loop]:
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    return lambda watch: Loop(tmp_path, watch, monkeypatch)


def test_without_events_the_interval_runs(loop: Callable[[str], Loop]) -> None:
    assert loop('interval = "5m"').lasts(1000) == [0, 300, 600, 900]


def test_a_file_that_somebody_removed_is_written_again_at_the_interval(
    loop: Callable[[str], Loop],
) -> None:
    watch = loop('interval = "5m"')
    watch.clock.after(10, (watch.folder / "fw.json").unlink)
    watch.lasts(299)
    assert not (watch.folder / "fw.json").exists()
    again = Loop(watch.folder, 'interval = "5m"', pytest.MonkeyPatch())
    again.lasts(1)
    assert (watch.folder / "fw.json").exists()


def test_many_events_are_few_runs(loop: Callable[[str], Loop]) -> None:
    watch = loop('interval = "10m"\ndebounce_min = "1s"\ndebounce_max = "5s"')
    for tick in range(300):
        watch.clock.after(60 + tick * 0.02, watch.event)
    runs = watch.lasts(120)
    assert 1 <= len(runs) - 1 <= 4, runs
    assert runs[-1] >= 66, "the last event is seen"


def test_a_vendor_that_fails_is_asked_less_and_less_whatever_happens_at_the_engine(
    loop: Callable[[str], Loop],
) -> None:
    watch = loop('interval = "5m"\ndebounce_min = "1s"\ndebounce_max = "5s"')
    (watch.folder / "fw.json").write_text("not json")
    for second in range(3600):
        watch.clock.after(second, watch.event)
    runs = watch.lasts(3600)
    pauses = [later - earlier for earlier, later in pairwise(runs)]
    assert pauses[0] == pytest.approx(FIRST_PAUSE_SECONDS, abs=LOOK_SECONDS)
    assert sorted(pauses) == pauses, "no pause is shorter than the one before"
    assert pauses[-1] == pytest.approx(LONGEST_PAUSE_SECONDS, abs=LOOK_SECONDS)


SECOND = """[hosts.web-2]
ports = ["8443/tcp"]
[firewalls.more]
provider = "local"
hosts = ["web-2"]
path = "more.json"
"""


def test_an_event_is_answered_for_the_firewalls_of_its_host_and_the_interval_for_all(
    loop: Callable[[str], Loop],
) -> None:
    watch = loop('interval = "5m"\n' + SECOND)
    watch.clock.after(100, lambda: watch.event("web-1"))
    watch.clock.after(200, lambda: watch.event("web-2"))
    watch.clock.after(201, lambda: watch.event("web-1", "web-2"))
    watch.clock.after(250, lambda: watch.event("a stranger"))
    assert watch.lasts(600)[-1] >= 540
    assert watch.about[:2] == [(), ("web",)]
    assert ("more",) in watch.about
    assert watch.about.count(()) >= 3, "both hosts, the stranger, the interval"


def test_while_a_host_is_down_others_are_looked_at_alone_and_nothing_is_called_well(
    loop: Callable[[str], Loop], caplog: pytest.LogCaptureFixture
) -> None:
    down = SECOND.replace('ports = ["8443/tcp"]', 'docker = "unix:///nowhere.sock"')
    watch = loop('interval = "1h"\n' + down)
    memories: list[tuple[float, int]] = []

    def look() -> None:
        memory = watch.service._memory
        assert memory is not None
        memories.append((memory.last_success, memory.last_code))
        assert set(memory.hosts) == {"web-1", "web-2"}

    watch.clock.after(50, lambda: watch.event("web-1"))
    watch.clock.after(100, look)
    watch.clock.after(150, lambda: watch.event("web-2"))
    watch.lasts(200)
    assert watch.about == [(), ("web",), ()]
    assert memories == [(0.0, 75)]
    assert "all is well again" not in caplog.text
    assert not watch.service.board.health.healthy


def test_a_changed_file_is_applied_once_it_has_been_steady_for_a_second(
    loop: Callable[[str], Loop],
) -> None:
    watch = loop('interval = "1h"')
    watch.clock.after(100, lambda: watch.configure('interval = "1h"', 'description = "half'))
    watch.clock.after(100.5, lambda: watch.configure('interval = "30m"'))
    runs = watch.lasts(2000)
    assert runs[0] == 0
    assert 101.5 <= runs[1] <= 101.5 + 2 * LOOK_SECONDS
    assert runs[2] == pytest.approx(runs[1] + 1800)
    assert watch.service.reloading.problem is None


def test_health_is_lost_when_runs_succeed_no_more(loop: Callable[[str], Loop]) -> None:
    watch = loop('interval = "5m"')
    seen: list[bool] = []
    watch.clock.after(10, lambda: seen.append(watch.service.board.health.healthy))
    watch.clock.after(20, lambda: (watch.folder / "fw.json").write_text("not json") and None)
    watch.clock.after(3000, lambda: seen.append(watch.service.board.health.healthy))
    watch.lasts(3001)
    assert seen == [True, False]


def test_the_watchdog_is_silent_for_a_loop_that_does_not_look_in_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, sent = WoundClock(), list[str]()
    systemd = Systemd({}, clock=clock.now)
    monkeypatch.setattr(systemd, "_send", sent.append)
    systemd.promise(60)
    clock.moment += 59
    systemd.watchdog()
    assert sent == ["WATCHDOG=1"]
    clock.moment += 2
    systemd.watchdog()
    assert sent == ["WATCHDOG=1"]
