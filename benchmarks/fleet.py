"""One large engine beside a bare pass over the same requests, and a whole fleet beside its longest
chain of calls.

`python -m benchmarks.fleet survey|bare SOCKET` reads one engine in one way and prints the seconds.
"""

from __future__ import annotations

import math
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import tomlkit

from benchmarks.clouds import World
from benchmarks.double_process import DoubleProcess
from benchmarks.processes import timed
from benchmarks.recorded import ROOT
from tests.doubles.fleet import Fleet

AT_ONCE = 16
CONTAINERS = 2000
PAIRS = 5
LATENCY = 0.05
HOSTS = 200
ACCOUNTS = {"aws": 50, "digitalocean": 50, "gcp": 50, "hetzner": 50}
AT_AN_ACCOUNT = 4
ENGINE_REQUESTS = 7
"""For one engine with three containers: /version, /info, /networks, the list, the containers; they
have no labels, so no image."""
ENGINE_CHAIN = 3
"""Those that cannot but wait for each other: /version, the list, a container."""


def survey(endpoint: str) -> float:
    """As a run reads an engine."""
    from cloudsync.sources.docker.engine import survey as read
    from cloudsync.sources.docker.request_slots import Share

    began = time.perf_counter()
    with Share(threading.BoundedSemaphore(AT_ONCE), AT_ONCE) as share:
        found = read(endpoint, timeout=120.0, share=share)
    took = time.perf_counter() - began
    assert len(found.containers) == CONTAINERS  # type: ignore[union-attr]
    return took


def bare(endpoint: str) -> float:
    """The same requests by the same client over the same connections, as many at once, every answer
    parsed and thrown away."""
    from cloudsync.sources.docker.client import Engine

    began = time.perf_counter()
    client = Engine(endpoint, time.monotonic() + 120)
    client.get("/info")
    client.get("/networks")
    listed = client.get("/containers/json", all="1")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(client.get, (f"/containers/{c['Id']}/json" for c in listed)))
    client.close()
    took = time.perf_counter() - began
    assert len(found) == CONTAINERS
    return took


def _engine() -> dict[str, Any]:
    pairs: list[tuple[float, float]] = []
    with (
        tempfile.TemporaryDirectory(prefix="cloudsync-bench-") as name,
        Fleet(Path(name), 1, CONTAINERS, 0.0) as fleet,
    ):
        for _ in range(PAIRS):
            words = (
                [sys.executable, "-m", "benchmarks.fleet", way, fleet.endpoint(0)]
                for way in ("survey", "bare")
            )
            ours, floor = (
                float(
                    subprocess.run(one, cwd=ROOT, capture_output=True, text=True, check=True).stdout
                )
                for one in words
            )
            pairs.append((ours, floor))
    return {
        "what": f"engine read of {CONTAINERS:,} containers ÷ one bare pass over the same requests",
        "seconds": statistics.median(ours for ours, _ in pairs),
        "beside": statistics.median(floor for _, floor in pairs),
        "ratio": statistics.median(ours / floor for ours, floor in pairs),
        "target": 1.5,
    }


def _configurations(
    folder: Path, fleet: Fleet, worlds: dict[str, World], concurrency: int
) -> dict[str, Path]:
    """One file over all accounts: firewall n is fed by host n. `more`: every firewall has a port
    more."""
    found = {}
    for state in ("base", "more"):
        documents = {
            cloud: tomlkit.parse(world.configuration(state).read_text())
            for cloud, world in worlds.items()
        }
        whole = dict(documents["aws"])
        whole |= {
            "state": f"file://{folder}/state-{concurrency}",
            "providers": {},
            "hosts": {},
            "firewalls": {},
        }
        whole["run"] = {"concurrency": concurrency, "host_timeout": "60s"}
        whole["ssh"] = {"ports": [22], "sources": ["any"]}
        for number in range(HOSTS):
            whole["hosts"][f"web-{number}"] = {"docker": fleet.endpoint(number)}
        for cloud, document in documents.items():
            whole["providers"] |= document["providers"]
            for name, table in document["firewalls"].items():
                host = f"web-{len(whole['firewalls'])}"
                allow = [
                    {"ports": ["443"] if state == "base" else ["443", "9443"], "sources": ["any"]}
                ]
                whole["firewalls"][f"{cloud}-{name}"] = {**table, "hosts": [host], "allow": allow}
        found[state] = folder / f"{state}-{concurrency}.toml"
        found[state].write_text(tomlkit.dumps(whole))
    return found


def _fleet() -> list[dict[str, Any]]:
    rows = []
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="cloudsync-bench-")))
        fleet = opened.enter_context(Fleet(folder, HOSTS, 3, LATENCY))
        worlds = {}
        for cloud, count in ACCOUNTS.items():
            (folder / cloud).mkdir()
            worlds[cloud] = World(
                cloud, opened.enter_context(DoubleProcess(cloud)), count, folder / cloud
            )
        environment = dict(worlds["aws"].environment)
        for cloud, variable in (
            ("hetzner", "HCLOUD_TOKEN"),
            ("digitalocean", "DIGITALOCEAN_TOKEN"),
        ):
            environment[variable] = worlds[cloud].double.about["secret"]
        for world in worlds.values():
            world.double.checking(False)
        command = [sys.executable, "-m", "cloudsync", "apply", "--auto-approve", "-c"]
        found = {
            concurrency: _configurations(folder, fleet, worlds, concurrency)
            for concurrency in (AT_ONCE, HOSTS)
        }
        timed([*command, found[AT_ONCE]["base"]], environment, folder)
        for world in worlds.values():
            world.double.latency(LATENCY)
        for concurrency, files in found.items():
            for what, words, files_of in (
                (
                    "plan, nothing to do",
                    [sys.executable, "-m", "cloudsync", "plan", "-c"],
                    ("base",) * 3,
                ),
                ("apply, a port more or less in each", command, ("more", "base", "more", "base")),
            ):
                took = statistics.median(
                    timed([*words, files[state]], environment, folder).wall for state in files_of
                )
                for bound, chain in _chains(concurrency, writes="apply" in what).items():
                    row = {
                        "what": (
                            f"{what}, `run.concurrency = {concurrency}`, ÷ longest chain, {bound}"
                        ),
                        "seconds": took,
                        "beside": chain,
                        "ratio": took / chain,
                    }
                    rows.append(row | ({"target": 3.0} if "as the bounds allow" in bound else {}))
    return rows


def _chains(concurrency: int, *, writes: bool) -> dict[str, float]:
    """Seconds of latency that nothing can save. Engines and accounts are read at the same time,
    engines take longer. Then, where there is something to write: a write and what is asked until it
    is in effect, at most two calls (DigitalOcean), and one list to see what is there. Unbounded:
    everything that need not wait at once. Bounded: `concurrency` requests to engines, four
    firewalls an account."""
    rounds = math.ceil(HOSTS * ENGINE_REQUESTS / concurrency)
    written, looked = (3, 1) if writes else (0, 0)
    batches = math.ceil(max(ACCOUNTS.values()) / AT_AN_ACCOUNT)
    return {
        "everything at once": (ENGINE_CHAIN + written + looked) * LATENCY,
        "as the bounds allow": (rounds + written * batches + looked) * LATENCY,
    }


def measure() -> list[dict[str, Any]]:
    """Rows with seconds, what they stand beside, and their ratio."""
    return [_engine(), *_fleet()]


if __name__ == "__main__":
    print({"survey": survey, "bare": bare}[sys.argv[1]](sys.argv[2]))
