"""A fleet whose machines publish into a store: what one shard of its controllers costs.

Every run is a process of its own. The store is a folder behind the interface of a store, with a
latency and a count added to each request; the clouds are accounts of the provider `local`.

Usage: store_fleet.py HOSTS FIREWALLS SHARDS [SHARD …]
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
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

CONTAINERS = 10
ACCOUNTS = 50
LATENCY = 0.05


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
        entries = self._waited("list", prefix)
        self.asked["list"] += len(entries) // 1000
        return entries

    def _waited(self, method: str, *given: Any) -> Any:
        time.sleep(LATENCY)
        self.asked[method] += 1
        return getattr(self.inner, method)(*given)


def run_shard(folder: Path, shard: str) -> dict[str, Any]:
    """One apply of one shard, in this process."""
    from cloudsync.config import load
    from cloudsync.model.state_url import StateUrl
    from cloudsync.reconcile.run import Options, apply
    from cloudsync.state.shards import Shard
    from cloudsync.state.store import opened
    from cloudsync.state.store.folder import FolderStore

    store = Counted(FolderStore(folder / "state"))
    opened.open_store = lambda _: store
    opened.proved = lambda _: store
    import cloudsync.state.shard_leases as leases

    leases.proved = opened.proved  # type: ignore[assignment]
    begun = time.monotonic()
    configuration = load(folder / "cloudsync.toml")
    loaded = time.monotonic() - begun
    configuration = replace(configuration, state=StateUrl("s3://bench/state"))
    report = apply(configuration, Options(shard=Shard.of(shard)))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "shard": shard,
        "firewalls": len(report.plan.firewalls),
        "hosts": len(report.plan.hosts),
        "changes": sum(len(plan.changes) for plan in report.plan.firewalls),
        "wall": round(time.monotonic() - begun, 1),
        "load": round(loaded, 1),
        "cpu": round(usage.ru_utime + usage.ru_stime, 1),
        "mib": usage.ru_maxrss // 1024,
        **dict(store.asked),
    }


def main(words: Sequence[str]) -> None:
    if words[0] == "--run":
        print(json.dumps(run_shard(Path(words[1]), words[2])))
        return
    hosts, firewalls, count = (int(word) for word in words[:3])
    shards = [int(word) for word in words[3:]] or list(range(count))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay_out(folder, hosts, firewalls)
        for stage in ("first", "unchanged", "ten hosts changed"):
            if stage == "ten hosts changed":
                for number in range(0, hosts, max(1, hosts // 10)):
                    path = folder / "state" / "inventories" / "shop" / f"h{number}.json"
                    path.write_bytes(inventory(f"h{number}", more=5))
            for shard in shards:
                done = subprocess.run(
                    [sys.executable, __file__, "--run", str(folder), f"{shard}/{count}"],
                    capture_output=True,
                    text=True,
                    check=True,
                    env=os.environ,
                )
                print(stage, done.stdout.strip(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
