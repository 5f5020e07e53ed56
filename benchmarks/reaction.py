"""From `docker run -p` to the packet that gets through: `python -m benchmarks.reaction [STARTS]`,
as root. A part of `make bench`.

`cloudsync watch` runs on the machine of a packet lab with a real dockerd, follows its events, and
keeps two walls: the host's own table, on the real kernel, and a firewall at a double of Hetzner's
API that answers each call 50 ms late. The probe is a SYN from the Internet's side, one after the
other until one arrives; the cloud is open when the double has the call that opens it.

Every start comes out of the blue: the one before is over for longer than `debounce_max`. Hetzner
takes 50 rules, so the containers go in between, `REMOVED` at a time, and close without grace.
"""

from __future__ import annotations

import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.compare import LATENCY
from benchmarks.double_process import DoubleProcess
from cloudsync.watch.rhythm import LEAD_SECONDS
from tests.host.engine import Engine
from tests.host.lab import HOST4, Lab, in_namespace, tcp_verdict
from tests.host.site import NAME, Site

STARTS = 200
REMOVED = 40
"""Containers that run at most, beside the one that stays."""
FIRST_PORT = 20_001
DEBOUNCE_MIN, DEBOUNCE_MAX = 1, 1
"""Seconds, as configured here; a start `DEBOUNCE_MAX` after the run before comes after quiet."""
LIMIT_SECONDS = 20.0
LOOK_SECONDS = 0.01
"""Between two looks: what is measured is exact to that."""
AHEAD = 3
"""Calls until the cloud has a change: two that read, one that writes. What asks whether it is done
comes after it."""
AIM_SECONDS = LEAD_SECONDS + AHEAD * LATENCY + 0.2
"""From the container that runs: what a first event waits for, the calls, and 200 ms for all that
cloudsync does itself."""
MOMENTS = {
    "returned": "`docker run` returns: the container runs, its ports are bound",
    "packet": "a packet gets through the machine's own table",
    "cloud": "the cloud has the call that opens it",
}


class Walls(Site):
    """A machine behind its own table and behind a firewall of Hetzner's."""

    def __init__(self, lab: Lab, folder: Path, double: DoubleProcess) -> None:
        super().__init__(lab, folder)
        self.endpoint = double.about["endpoint"]
        self.more_environment = {"HCLOUD_TOKEN": double.about.get("secret", "")}

    def document(self) -> dict[str, Any]:
        document = super().document()
        document["policy"] |= {"grace": "0s", "foreign": "ignore", "max_close": 1000}
        document["watch"] = {
            "debounce_min": f"{DEBOUNCE_MIN}s",
            "debounce_max": f"{DEBOUNCE_MAX}s",
        }
        document["providers"]["hetzner"] = {
            "token": {"env": "HCLOUD_TOKEN"},
            "endpoint": self.endpoint,
        }
        document["firewalls"]["web-1-cloud"] = {"provider": "hetzner", "hosts": ["web-1"]}
        return document


@contextmanager
def watching(site: Walls) -> Iterator[subprocess.Popen[str]]:
    """The service, after its first run."""
    log = site.folder / "watch.log"
    with log.open("w") as lines:
        process = subprocess.Popen(
            site.words("watch"),
            env=site.environment(),
            cwd=site.folder,
            stdout=lines,
            stderr=lines,
            text=True,
        )
        try:
            time.sleep(4 + 2 * DEBOUNCE_MAX)
            if process.poll() is not None:
                raise RuntimeError(f"watch ended: {log.read_text()[-1000:]}")
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def start(engine: Engine, double: DoubleProcess, number: int, lab: Lab) -> dict[str, float]:
    """One container; seconds after `docker run` was typed: when it returned, when the cloud was
    asked to open, when a packet got through the machine's table."""
    port = FIRST_PORT + 2 * number
    double.calls()
    typed = time.monotonic()

    def until(happened: Callable[[], bool]) -> float:
        while not happened():
            if time.monotonic() - typed > LIMIT_SECONDS:
                raise TimeoutError(f"port {port} never opened")
        return time.monotonic() - typed

    def arrives() -> bool:
        return tcp_verdict(port, HOST4, seconds=LOOK_SECONDS) == "open"

    with ThreadPoolExecutor(2) as looking:
        packet = looking.submit(in_namespace, lab.inet, lambda: until(arrives))
        cloud = looking.submit(until, lambda: written(double))
        engine.serve(f"c{number}", port, "-p", f"{port}:{port}")
        returned = time.monotonic() - typed
        return {"returned": returned, "packet": packet.result(), "cloud": cloud.result()}


def written(double: DoubleProcess) -> bool:
    """Whether the cloud was asked to change rules between the last look and `LOOK_SECONDS` from
    now."""
    time.sleep(LOOK_SECONDS)
    return any("set_rules" in call for call in double.calls()[0])


def closed(double: DoubleProcess) -> None:
    """Waits until nothing is written any more: what the containers opened is closed, and the next
    start comes out of the blue."""
    double.calls()
    quiet = time.monotonic()
    while time.monotonic() - quiet < 4 * DEBOUNCE_MAX:
        if written(double):
            quiet = time.monotonic()


def measure(starts: int = STARTS) -> list[dict[str, Any]]:
    """A row for each of what was timed, over so many starts."""
    taken: list[dict[str, float]] = []
    with (
        tempfile.TemporaryDirectory(prefix="cs-react-") as name,
        Lab() as lab,
        DoubleProcess("hetzner") as double,
        Engine(lab) as engine,
    ):
        lab.listen(22)
        engine.serve("stays", FIRST_PORT - 2, "-p", f"{FIRST_PORT - 2}:{FIRST_PORT - 2}")
        lab.reach(int(urlsplit(double.about["endpoint"]).port or 0))
        site = Walls(lab, Path(name), double)
        site.host = {"docker": f"unix://{engine.socket}"}
        site.apply("--allow-attach", "web-1-cloud", "--allow-attach", NAME)
        double.checking(False)
        double.latency(LATENCY)
        with watching(site):
            for number in range(starts):
                taken.append(start(engine, double, number, lab))
                time.sleep(3 * DEBOUNCE_MAX)  # a second look may follow the first
                if number % REMOVED == REMOVED - 1:
                    for gone in range(number + 1 - REMOVED, number + 1):
                        engine.docker("rm", "-f", f"c{gone}")
                    closed(double)
    return [
        {"moment": moment, "seconds": [round(start[moment], 4) for start in taken]}
        for moment in MOMENTS
    ]


def after_start(rows: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Seconds from the return of `docker run`, by moment, start by start."""
    seconds = {row["moment"]: row["seconds"] for row in rows}
    return {
        moment: [
            until - returned
            for until, returned in zip(seconds[moment], seconds["returned"], strict=True)
        ]
        for moment in ("packet", "cloud")
    }


def quantile(values: list[float], share: float) -> float:
    """The value that such a share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


if __name__ == "__main__":
    for moment, values in after_start(
        measure(int(sys.argv[1]) if sys.argv[1:] else STARTS)
    ).items():
        print(
            f"{moment}: p50 {statistics.median(values):.3f} s, p99 {quantile(values, 0.99):.3f} s"
        )
    print(f"aim: {AIM_SECONDS:.2f} s")
