"""A fleet whose machines publish into a store: what the shards of its controllers cost.

Every shard is a controller in a process of its own, begun afresh for the first two stages, and
going on for the others, as `watch` does. The store is a folder behind the interface of a store,
with a latency and a count added to each request; what the folder takes to list itself (it reads
every file) is left out of the CPU time. The clouds are accounts of the provider `local`.

Usage: store_fleet.py HOSTS FIREWALLS SHARDS [SHARD ...]    these shards of so many

A line of JSON for each shard and stage; benchmarks/results/store_fleet.json is made of them.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

CONTAINERS = 10
ACCOUNTS = 50
LATENCY = 0.05
AT_ONCE = 3
"""Shards side by side: more do not fit a machine of two cores."""


def inventory(host: str, *, more: int = 0) -> bytes:
    """What a machine with so many containers publishes."""
    containers = [
        {
            "id": f"{number:064x}",
            "name": f"c{number}",
            "state": "running",
            "image": "sha256:1",
            "labels": {
                "com.docker.compose.project": "shop",
                "com.docker.compose.service": f"s{number}",
            },
            "network_mode": "bridge",
            "networks": ["n1"],
            "asked": (binding := [_binding(8000 + number)] if number % 5 == 0 else []),
            "bound": binding,
        }
        for number in range(CONTAINERS + more)
    ]
    document = {
        "format_version": "1.0",
        "owner": "shop",
        "host": host,
        "status": "complete",
        "machine": host,
        "sequence": time.time_ns() // 1_000_000,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "valid_seconds": 86400,
        "engines": [
            {
                "engine": "unix:///var/run/docker.sock",
                "id": f"E-{host}",
                "containers": containers,
                "networks": [{"id": "n1", "name": "bridge", "publishes": True}],
                "images": {"sha256:1": {}},
                "membership": {"role": "none"},
            }
        ],
    }
    return json.dumps(document).encode()


def _binding(port: int) -> dict[str, Any]:
    return {"protocol": "tcp", "container_port": 80, "address": "0.0.0.0", "host_port": str(port)}


def lay_out(folder: Path, hosts: int, firewalls: int) -> None:
    """The configuration of every controller, and what all machines published."""
    inventories = folder / "state" / "inventories" / "shop"
    inventories.mkdir(parents=True, mode=0o700)
    (folder / "state").chmod(0o700)
    for number in range(hosts):
        (inventories / f"h{number}.json").write_bytes(inventory(f"h{number}"))
    lines = [
        'version = 1\nowner = "shop"',
        f'state = "file://{folder}/state"',
        '[ssh]\nports = [22]\nsources = ["any"]',
        '[policy]\nexpose = "published"\nforeign = "ignore"',
        '[run]\ndeadline = "30m"\nconcurrency = 64',
        '[hosts-from-store]\nmatch = "h*"',
        *(f'[providers.a{number}]\ntype = "local"' for number in range(ACCOUNTS)),
    ]
    each = max(1, hosts // firewalls)
    for number in range(firewalls):
        names = ", ".join(f'"h{h}"' for h in range(number * each, (number + 1) * each))
        lines.append(
            f'[firewalls.f{number}]\nprovider = "a{number % ACCOUNTS}"\nhosts = [{names}]\n'
            f'path = "clouds/f{number}.json"'
        )
    (folder / "clouds").mkdir()
    (folder / "cloudsync.toml").write_text("\n".join(lines) + "\n")


@dataclass(slots=True)
class Counted:
    """A store with a latency, which counts what is asked of it."""

    inner: Any
    asked: Counter[str] = field(default_factory=Counter)
    listing: float = 0.0
    """Seconds of CPU in which the folder listed itself."""

    def where(self, name: str) -> str:
        return str(self.inner.where(name))

    def get(self, name: str) -> Any:
        stored = self._waited("get", name)
        self.asked["bytes"] += 0 if stored is None else len(stored.data)
        return stored

    def put(self, name: str, data: bytes, over: str | None) -> Any:
        self.asked["bytes"] += len(data)
        return self._waited("put", name, data, over)

    def delete(self, name: str) -> None:
        self._waited("delete", name)

    def list(self, prefix: str) -> Any:
        begun = time.thread_time()
        entries = self._waited("list", prefix)
        self.listing += time.thread_time() - begun
        self.asked["list"] += len(entries) // 1000
        return entries

    def _waited(self, method: str, *given: Any) -> Any:
        time.sleep(LATENCY)
        self.asked[method] += 1
        return getattr(self.inner, method)(*given)


STAGES = ("first apply", "nothing changed", "watch, nothing changed", "watch, a machine changed")


class Meter:
    """What this process used since the last look."""

    def __init__(self, store: Counted) -> None:
        self.store = store
        self.wall, self.cpu = time.monotonic(), 0.0
        self.asked: Counter[str] = Counter()

    def used(self) -> dict[str, Any]:
        """Seconds, memory at most, requests and bytes."""
        usage, now = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
        cpu = usage.ru_utime + usage.ru_stime - self.store.listing
        asked = Counter(self.store.asked)
        used = {
            "wall": round(now - self.wall, 1),
            "cpu": round(cpu - self.cpu, 2),
            "mib": usage.ru_maxrss // 1024,
            "load": round(os.getloadavg()[0], 1),
            **(asked - self.asked),
        }
        self.wall, self.cpu, self.asked = now, cpu, asked
        return used


def run_shard(folder: Path, shard: str, stages: Sequence[str]) -> Iterable[dict[str, Any]]:
    """The stages of one shard, in this process."""
    from cloudsync.config import load
    from cloudsync.model.state_url import StateUrl
    from cloudsync.reconcile.inventories import Inventories
    from cloudsync.reconcile.run import Options, apply
    from cloudsync.state.shards import Shard
    from cloudsync.state.store import opened
    from cloudsync.state.store.folder import FolderStore
    from cloudsync.watch.scope import EVERYTHING, Outlook

    store = Counted(FolderStore(folder / "state"))
    opened.open_store = lambda _: store
    opened.proved = lambda _: store
    import cloudsync.state.shard_leases as leases

    leases.proved = opened.proved  # type: ignore[assignment]
    meter, inventories, outlook = Meter(store), Inventories(), Outlook()
    configuration = load(folder / "cloudsync.toml")
    configuration = replace(configuration, state=StateUrl("s3://bench/state"))
    for stage in stages:
        firewalls = EVERYTHING
        if stage == STAGES[3]:
            assert outlook.ties is not None
            host = min(outlook.ties.by_host)
            path = folder / "state" / "inventories" / "shop" / f"{host}.json"
            inventories.changed(configuration)  # what other shards read is new to it once
            path.write_bytes(inventory(host, more=6))
            meter.used()
            firewalls = outlook.scope(inventories.changed(configuration), frozenset())
        options = Options(firewalls, shard=Shard.of(shard), inventories=inventories)
        report = apply(configuration, options)
        outlook = outlook.after(report, firewalls)
        yield {
            "fleet": sum(1 for _ in (folder / "state" / "inventories" / "shop").iterdir()),
            "shard": shard,
            "stage": stage,
            "firewalls": len(report.plan.firewalls),
            "hosts": len(report.plan.hosts),
            "changes": sum(len(plan.changes) for plan in report.plan.firewalls),
            **meter.used(),
        }


def begun(folder: Path, shard: str, *stages: str) -> None:
    """These stages in a process of their own; a line for each."""
    words = [sys.executable, __file__, "--run", str(folder), shard, *stages]
    done = subprocess.run(words, check=True, env=os.environ, stdout=subprocess.PIPE, text=True)
    print(done.stdout, end="", flush=True)


def main(words: Sequence[str]) -> None:
    if words[0] == "--run":
        for line in run_shard(Path(words[1]), words[2], words[3:]):
            print(json.dumps(line), flush=True)
        return
    hosts, firewalls = int(words[0]), int(words[1])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay_out(folder, hosts, firewalls)
        count = int(words[2])

        def controller(shard: str | int) -> None:
            begun(folder, f"{shard}/{count}", *STAGES[:1])
            begun(folder, f"{shard}/{count}", *STAGES[1:])

        with ThreadPoolExecutor(AT_ONCE) as pool:
            for done in [pool.submit(controller, shard) for shard in words[3:] or range(count)]:
                done.result()


if __name__ == "__main__":
    main(sys.argv[1:])
