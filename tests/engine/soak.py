"""`cloudsync watch` on a real engine: containers start, crash and are recreated all the time, the
engine is killed and restarted.

`python -m tests.engine.soak --minutes 2` (`make soak`) prints what it saw and ends with 1 where a
promise was broken. Promised is:

- a port that stays wanted is never closed: of containers that run, of containers that crash and are
  restarted, and, where grace is in effect, of containers that are recreated over and over;
- calls to the vendor and to the engine are bounded by the debounce, however many events there are;
- memory, threads and open files do not grow;
- at the end, when it is quiet, the firewall is what the containers need.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.doubles.hetzner import HetznerDouble
from tests.engine.lab import Lab

INTERVAL, DEBOUNCE_MIN, DEBOUNCE_MAX = 10.0, 1.0, 5.0
STEADY, CRASHING, RECREATED, PASSING = (8001, 8002), (8011, 8012), (8021, 8022), range(8100, 8150)
CALLS_A_RUN = 12
"""To the vendor, writing and polling included; a run that changes nothing needs two or three."""
PATIENCE = 120.0
HELD_SECONDS = 10.0
"""How long an engine may take to free a port of its own."""
GROWTH_MIB, GROWTH_THREADS, GROWTH_FILES = 12.0, 4, 6
_TOKEN = "CLOUDSYNC_SOAK_TOKEN"


@dataclass
class Use:
    """What the service uses at one moment."""

    rss_mib: float
    threads: int
    files: int


@dataclass
class Seen:
    """What a soak came to. `closings`: of wanted ports, by port. `lost`: containers that the engine
    did not bring up again after it died, as it said itself; they are started by hand, and their
    ports count as wanted all the time. `problems`: broken promises."""

    seconds: float = 0.0
    grace: bool = False
    runs: int = 0
    codes: dict[str, int] = field(default_factory=dict)
    vendor_calls: int = 0
    vendor_writes: int = 0
    outages: int = 0
    first: Use | None = None
    last: Use | None = None
    most_mib: float = 0.0
    closings: dict[int, int] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    states: dict[int, str] = field(default_factory=dict)
    held: dict[int, int] = field(default_factory=dict)
    """Ports that an engine which was killed does not give back to the container that had it, by its
    own word, and since which change of the firewall: nothing wants them from then on."""
    converged: bool | None = None
    problems: list[str] = field(default_factory=list)


class Soak:
    """One soak: `go` for so many seconds."""

    def __init__(self, folder: Path, engine: Lab, cloud: HetznerDouble, grace: str) -> None:
        self.folder, self.engine, self.cloud = folder, engine, cloud
        self.over = threading.Event()
        self.engine_up = threading.RLock()
        self.seen = Seen()
        self.failed: list[str] = []
        (folder / "cloudsync.toml").write_text(f"""version = 1
owner = "soak"
state = "file://{folder}/state"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
grace = "{grace}"
max_close = 100
[watch]
interval = "{INTERVAL:g}s"
debounce_min = "{DEBOUNCE_MIN:g}s"
debounce_max = "{DEBOUNCE_MAX:g}s"
listen = "127.0.0.1:0"
[providers.hetzner]
token = {{ env = "{_TOKEN}" }}
endpoint = "{cloud.endpoint}"
[hosts.web-1]
docker = "unix://{engine.socket}"
[firewalls.web]
provider = "hetzner"
hosts = ["web-1"]
servers = ["web-1"]
""")

    def go(self, seconds: float, *, outages: int, settle: bool) -> Seen:
        seen = self.seen
        for port in (*STEADY, *RECREATED):
            self._start(port)
        for port in CRASHING:
            self._start(port, command=("sleep", "1"))
        first = self.cloudsync("apply", "--auto-approve", "--allow-attach", "web")
        assert first.returncode == 0, first.stdout + first.stderr
        seen.grace = self._grace_is_in_effect()
        wanted = (*STEADY, *CRASHING, *(RECREATED if seen.grace else ()))
        before = len(self.cloud.history)
        self.cloud.reset_calls()
        watch = self._watch()
        actors = [
            threading.Thread(target=self._safely, args=(act,))
            for act in (self._recreate, self._pass_by, self._outages(outages, seconds))
        ]
        begun = time.monotonic()
        try:
            port = self._port(watch)
            for actor in actors:
                actor.start()
            while watch.poll() is None and (
                (lasted := time.monotonic() - begun) < seconds
                # On a busy machine it takes its time until the engine was away and is back.
                or (actors[-1].is_alive() and lasted < seconds + PATIENCE)
            ):
                time.sleep(0.5)
                used = use_of(watch.pid)
                seen.most_mib = max(seen.most_mib, used.rss_mib)
                if seen.first is None and time.monotonic() - begun > min(30.0, seconds / 3):
                    seen.first = used
            self.over.set()
            for actor in actors:
                actor.join(90)
            seen.last = use_of(watch.pid)
            seen.seconds = time.monotonic() - begun
            self._count(port)
            if settle:
                seen.converged = self._converges()
        finally:
            self.over.set()
            watch.terminate()
            code = watch.wait(60)
        self._judge(wanted, before, code)
        return seen

    # What happens meanwhile

    def _recreate(self) -> None:
        """As `docker compose up` does: away with the old one, then the new one."""
        while not self.over.wait(random.uniform(1.0, 3.0)):
            port = random.choice(RECREATED)
            with self.engine_up:
                self.engine.docker("rm", "-f", f"c{port}")
                try:
                    self._start(port)
                except subprocess.CalledProcessError as error:
                    if not is_held(error):
                        raise
                    self._give_up(port)

    def _pass_by(self) -> None:
        """Containers with new ports come, and some go again."""
        here: list[int] = []
        while not self.over.wait(random.uniform(2.0, 5.0)):
            with self.engine_up:
                if len(here) > 5 or (here and random.random() < 0.4):
                    self.engine.docker("rm", "-f", f"c{here.pop(0)}")
                else:
                    port = random.choice([port for port in PASSING if port not in here])
                    self._start(port)
                    here.append(port)
        with self.engine_up:
            for port in here:
                self.engine.docker("rm", "-f", f"c{port}")

    def _outages(self, count: int, seconds: float) -> Callable[[], None]:
        """The engine is killed, or stopped, and started again after a while."""

        def act() -> None:
            for number in range(count):
                if self.over.wait(seconds / (count + 1)):
                    return
                with self.engine_up:
                    (self.engine.kill if number % 2 == 0 else self.engine.stop)()
                    self.seen.outages += 1
                    self.over.wait(random.uniform(2.0, 6.0))
                    started(self.engine)
                    self._revive()

        return act

    def _revive(self) -> None:
        """Whether the engine brought up again what it has to (`--restart always`). What it gave up
        is named, and started."""
        until = time.monotonic() + 5.0
        while (down := self._down()) and time.monotonic() < until:
            time.sleep(0.5)
        for port, state in down.items():
            self.seen.lost.append(f"c{port} after outage {self.seen.outages}: {state}")
            self._bring_up(port, time.monotonic() + HELD_SECONDS)

    def _bring_up(self, port: int, until: float) -> None:
        """An engine that was killed may find its own port still taken, for a moment or for good
        (of a container that it was just restarting): then nothing answers there, and nothing wants
        the port any more."""
        while True:
            try:
                self.engine.docker("start", f"c{port}")
            except subprocess.CalledProcessError as error:
                if not is_held(error):
                    raise
                if time.monotonic() > until:
                    self._give_up(port)
                    return
                time.sleep(0.5)
            else:
                return

    def _give_up(self, port: int) -> None:
        self.seen.held.setdefault(port, len(self.cloud.history))

    def _down(self) -> dict[int, str]:
        """Containers that should run and do not, in the engine's own words."""
        shown = (
            "{{.State.Status}} exit {{.State.ExitCode}} restarts {{.RestartCount}} {{.State.Error}}"
        )
        states = {
            port: self.engine.docker("inspect", "-f", shown, f"c{port}")
            for port in (*STEADY, *CRASHING)
        }
        return {
            port: state
            for port, state in states.items()
            if not state.startswith(("running", "restarting"))
        }

    def _start(self, port: int, command: tuple[str, ...] = ()) -> None:
        self.engine.run(f"c{port}", "--restart", "always", "-p", f"{port}:80", command=command)

    def _safely(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001 - an actor that died would make the soak look easy
            self.failed.append(
                f"{act}: {type(error).__name__}: {error}: {getattr(error, 'stderr', '')}"
            )

    # The service

    def cloudsync(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cloudsync", *words],
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def _watch(self) -> subprocess.Popen[bytes]:
        with (self.folder / "watch.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "cloudsync", "watch", "--log-format", "json"],
                cwd=self.folder, env=self._environment(), stdout=log, stderr=log,
            )  # fmt: skip

    def _environment(self) -> dict[str, str]:
        return {**os.environ, _TOKEN: self.cloud.token, "NO_COLOR": "1"}

    def _port(self, watch: subprocess.Popen[bytes]) -> int:
        until = time.monotonic() + 30
        while time.monotonic() < until and watch.poll() is None:
            for line in self._log():
                if line["event"] == "listen":
                    return int(line["message"].rsplit(" ", 1)[1])
            time.sleep(0.05)
        raise AssertionError((self.folder / "watch.log").read_text())

    def _log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "watch.log").read_text().splitlines()]

    def _grace_is_in_effect(self) -> bool:
        """By what it does: whether a port whose container is gone is held."""
        port = PASSING[0]
        self._start(port)
        assert self.cloudsync("apply", "--auto-approve").returncode == 0
        self.engine.docker("rm", "-f", f"c{port}")
        held = json.loads(self.cloudsync("plan", "--output", "json").stdout)["firewalls"][0]["held"]
        return any(one["reason"] == "grace" for one in held)

    # What came of it

    def open(self) -> set[int]:
        firewall = self.cloud.firewall("cloudsync-web")
        assert firewall is not None
        return ports_of(firewall["rules"])

    def _count(self, port: int) -> None:
        seen = self.seen
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith("cloudsync_runs_total{"):
                    seen.codes[line.split('exit_code="')[1].split('"')[0]] = int(
                        line.rsplit(" ", 1)[1]
                    )
        seen.runs = sum(seen.codes.values())
        with self.cloud.lock:
            seen.vendor_calls = len(self.cloud.calls)
        seen.vendor_writes = len(self.cloud.writes())

    def _converges(self) -> bool:
        needed = {22, *STEADY, *CRASHING, *RECREATED} - set(self.seen.held)
        until = time.monotonic() + 90
        while self.open() != needed:
            if time.monotonic() > until:
                self.seen.states = self._down()
                self.seen.problems.append(
                    f"open in the end {sorted(self.open())}, needed {sorted(needed)}"
                )
                return False
            time.sleep(0.5)
        return True

    def _judge(self, wanted: tuple[int, ...], before: int, code: int) -> None:
        seen, closings = self.seen, Counter[int]()
        now = set(wanted)
        for number, (_, rules) in enumerate(self.cloud.history[before:], before):
            after = ports_of(rules)
            given_up = {port for port, since in seen.held.items() if number >= since}
            closings.update((now & set(wanted)) - after - given_up)
            now = after
        seen.closings = dict(closings)
        runs_allowed = seen.seconds / DEBOUNCE_MAX * 1.5 + 10 + 4 * seen.outages
        checks = [
            (not closings, f"ports that stayed wanted were closed: {dict(closings)}"),
            (
                not set(seen.held) & set(STEADY),
                f"the engine holds ports of containers that only ever ran: {seen.held}",
            ),
            (not self.cloud.violations, f"the double saw violations: {self.cloud.violations}"),
            (seen.runs <= runs_allowed, f"{seen.runs} runs, {runs_allowed:.0f} allowed"),
            (
                seen.vendor_calls <= seen.runs * CALLS_A_RUN,
                f"{seen.vendor_calls} calls in {seen.runs} runs",
            ),
            (seen.runs >= seen.seconds / (INTERVAL + DEBOUNCE_MAX) - 2, f"only {seen.runs} runs"),
            (code == 0, f"watch ended with {code}"),
            (not self.failed, f"an actor failed: {self.failed}"),
            (
                not [line for line in self._log() if line["event"] == "log"],
                "something unforeseen in the log",
            ),
        ]
        if seen.first is not None and seen.last is not None:
            grown = (
                seen.last.rss_mib - seen.first.rss_mib,
                seen.last.threads - seen.first.threads,
                seen.last.files - seen.first.files,
            )
            fits = all(
                one <= most
                for one, most in zip(grown, (GROWTH_MIB, GROWTH_THREADS, GROWTH_FILES), strict=True)
            )
            checks.append((fits, f"it grew by {grown} (MiB, threads, files)"))
        seen.problems += [text for fine, text in checks if not fine]


def is_held(error: subprocess.CalledProcessError) -> bool:
    """Whether the engine says that it holds the port itself."""
    return "port is already allocated" in (error.stderr or "")


def ports_of(rules: list[dict[str, Any]]) -> set[int]:
    """The TCP ports that are let in, ranges taken apart."""
    found: set[int] = set()
    for rule in rules:
        if rule["direction"] == "in" and rule["protocol"] == "tcp":
            first, _, last = rule["port"].partition("-")
            found |= set(range(int(first), int(last or first) + 1))
    return found


def use_of(pid: int) -> Use:
    """From /proc."""
    with contextlib.suppress(OSError):
        status = dict(
            line.split(":", 1)
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if ":" in line
        )
        return Use(
            int(status["VmRSS"].split()[0]) / 1024,
            int(status["Threads"]),
            len(list(Path(f"/proc/{pid}/fd").iterdir())),
        )
    return Use(0, 0, 0)


def started(engine: Lab) -> None:
    """The engine runs. After a kill it sometimes does not come up at once on a busy machine; that
    is its trouble and not what is tried."""
    for _ in range(3):
        try:
            engine.start()
            engine.docker("ps", "-q")
        except (RuntimeError, subprocess.SubprocessError):
            engine.kill()
        else:
            return
    engine.start()


def soak(
    folder: Path, engine: Lab, seconds: float, *, outages: int, settle: bool, grace: str = "20s"
) -> Seen:
    """One soak on an engine of its own; nothing of it is left."""
    with HetznerDouble() as cloud:
        cloud.add_server("web-1")
        try:
            return Soak(folder, engine, cloud, grace).go(seconds, outages=outages, settle=settle)
        finally:
            started(engine)
            engine.remove_containers()


def main() -> int:
    """For a person."""
    parser = argparse.ArgumentParser(
        description="Soak `cloudsync watch` on a real engine (root, dockerd)."
    )
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    random.seed(options.seed)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="cloudsync-soak-") as folder, Lab() as engine:
        seen = soak(
            Path(folder),
            engine,
            options.minutes * 60,
            outages=max(2, int(options.minutes)),
            settle=True,
        )
        log = (Path(folder) / "watch.log").read_text()
    for name, value in vars(seen).items():
        print(f"{name:>14}: {value}")
    if seen.problems:
        print(log[-20000:])
    return 1 if seen.problems else 0


if __name__ == "__main__":
    sys.exit(main())
