"""What the host firewall costs, on a real kernel and a real engine: `python -m benchmarks.host`, as
root. Prints the tables of docs/providers/host.md.

A plan that finds nothing to do is held against what it cannot do without: `nft -j list table` and
the read of the engine; so is its own reading of both, and a plan of a process that remembers
nothing of earlier ones. The contenders take turns, and what is
compared is the processor time of neighbours in this order, their programs' included: the median of
the ratios says the same on a busy machine as on a quiet one.

A packet is timed as the sender of raw ones sees it: the wire of a packet lab hands each over to the
machine's kernel before the next is sent.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from cloudsync.config.configuration import Configuration
from cloudsync.rules import Rule
from cloudsync.rules.networks import NetworkSet
from cloudsync_host.elements import elements_of
from cloudsync_host.layout import Shape
from cloudsync_host.transaction import Goal, install
from tests.caches import forget
from tests.host.engine import Engine
from tests.host.lab import Lab, in_namespace
from tests.host.scanner import _send
from tests.host.site import Site

SIZES = (8, 30, 100, 300, 1000)
ROUNDS = 40
BOUND = 1.5
PACKET_SIZES = (3, 100, 1000, 10_000)
PROBES = 40_000


def median_ms(action: Callable[[], object], rounds: int) -> float:
    """The median of so many calls, in milliseconds."""
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        action()
        taken.append((time.perf_counter() - begun) * 1000)
    return statistics.median(taken)


def inside(path: str, socket: str) -> None:
    """In the machine's namespace, as JSON: of each contender the processor time of every call, in
    milliseconds. They take turns."""
    from cloudsync.config import load
    from cloudsync.config.specs import spec_of
    from cloudsync.model.ports import LabelScope
    from cloudsync.reconcile import run as reconcile
    from cloudsync.reconcile.observe import accounts_of
    from cloudsync.sources.docker.engine import read_engine

    configuration = load(Path(path))
    scope = LabelScope({}, frozenset())
    listing = ["nft", "-j", "list", "table", "inet", "cloudsync"]
    (firewall,) = configuration.firewalls.values()
    until = time.monotonic() + 3600
    accounts = accounts_of(configuration, {firewall.account}, until, lambda *_: None)
    account, spec = accounts[firewall.account], spec_of(configuration, firewall)
    provider = configuration.accounts[firewall.account].provider
    actions: dict[str, Callable[[], object]] = {
        "nft": lambda: subprocess.run(listing, check=True, capture_output=True),
        "table": lambda: provider.open_reader(account).read([spec]),
        "engine": lambda: read_engine("web-1", socket, scope, timeout=20, concurrency=4),
        "plan": lambda: reconcile.plan(configuration, reconcile.Options(), lambda _: None),
        "first": lambda: first_plan(configuration),
    }
    taken: dict[str, list[float]] = {name: [] for name in actions}
    for action in actions.values():
        action()
    for _ in range(ROUNDS):
        for name, action in actions.items():
            used = _processor_seconds()
            action()
            taken[name].append((_processor_seconds() - used) * 1000)
    planned = reconcile.plan(configuration, reconcile.Options(), lambda _: None)
    assert not planned.plan.has_changes, planned.plan
    print(json.dumps(taken))


def first_plan(configuration: Configuration) -> object:
    """A plan with nothing remembered, its imports apart."""
    from cloudsync.reconcile import run as reconcile

    forget()
    return reconcile.plan(configuration, reconcile.Options(), lambda _: None)


def _processor_seconds() -> float:
    """What this process and the programs that it started have used."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, kinds))


def plans(lab: Lab, folder: Path) -> Iterable[tuple[int, dict[str, list[float]]]]:
    """By the number of elements, what each contender took, round by round."""
    with Engine(lab) as engine:
        for number in range(3):
            engine.serve(f"web-{number}", 80, "-p", f"{8090 + number}:80")
        site = Site(lab, folder)
        socket = f"unix://{engine.socket}"
        for size in SIZES:
            # A rule is an element for IPv4 and one for IPv6; the containers' and SSH are 8.
            ports = [f"{20_000 + 2 * number}/tcp" for number in range(max((size - 8) // 2, 0))]
            site.ports = ["22/tcp", *ports]
            site.host = {"docker": socket}
            site.apply("--now", "--allow-close", "9999")
            words = [
                *lab.inside,
                sys.executable,
                "-m",
                "benchmarks.host",
                str(site.write()),
                socket,
            ]
            done = subprocess.run(words, check=True, capture_output=True, text=True)
            yield _elements(lab), json.loads(done.stdout)


def ratios(taken: dict[str, list[float]]) -> tuple[float, ...]:
    """What reading takes, a whole plan, and the first one of a process, of `BOUND` times nft and
    the engine's answer: the medians over the rounds."""
    bounds = [
        BOUND * nft + engine for nft, engine in zip(taken["nft"], taken["engine"], strict=True)
    ]
    reading = map(sum, zip(taken["table"], taken["engine"], strict=True))
    return tuple(
        statistics.median(time / bound for time, bound in zip(times, bounds, strict=True))
        for times in (list(reading), taken["plan"], taken["first"])
    )


def _elements(lab: Lab) -> int:
    listing: list[dict[str, Any]] = json.loads(lab.listing("-j"))["nftables"]
    return sum(
        len(item["set"].get("elem", ()))
        for item in listing
        if "open" in item.get("set", {}).get("name", "")
    )


def packets(lab: Lab) -> Iterable[tuple[str, float]]:
    """Microseconds that a new packet to an open port takes, by what it has to pass."""
    lab.nft(
        "table inet dropper { chain c { type filter hook prerouting priority -149; "
        "tcp sport 40001 counter drop; }\n }"
    )
    ports = [443] * PROBES

    def per_packet() -> float:
        return (
            min(
                median_ms(lambda: in_namespace(lab.inet, lambda: _send("tcp", 4, ports)), 1)
                for _ in range(7)
            )
            * 1000
            / PROBES
        )

    per_packet()
    yield "no table", per_packet()
    for size in PACKET_SIZES:
        sources = (f"10.{number >> 8}.{number & 255}.0/24" for number in range(size - 2))
        rules = [Rule.of("tcp", "443", ["0.0.0.0/0"])]
        rules += [Rule.of("tcp", "8443", NetworkSet.of([source])) for source in sources]
        elements = tuple(element for rule in rules for element in elements_of(rule))
        shape = Shape(("eth0",), (), (), (), cut_established=False, enforced=True)
        subprocess.run([*lab.inside, "nft", "delete", "table", "inet", "cloudsync"],
                       check=False, capture_output=True)  # fmt: skip
        lab.nft(install(Goal(elements, shape, None)))
        yield f"{len(elements):,} elements", per_packet()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="cs-cost-") as name, Lab() as lab:
        lab.listen(22)
        print(
            "| elements | nft | its answer read | engine | plan | first plan |"
            " reading / bound | plan / bound | first / bound |"
        )
        print("|---|---|---|---|---|---|---|---|---|")
        for size, taken in plans(lab, Path(name)):
            cells = [f"{statistics.median(times):.1f} ms" for times in taken.values()]
            cells += [f"{ratio:.2f}" for ratio in ratios(taken)]
            print(f"| {size:,} | {' | '.join(cells)} |", flush=True)
    with Lab() as lab:
        print("\n| what a new packet passes | microseconds | more than without |")
        print("|---|---|---|")
        none = 0.0
        for what, taken in packets(lab):
            none = none or taken
            print(f"| {what} | {taken:.1f} | {taken - none:+.1f} |")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        inside(*sys.argv[1:])
    else:
        main()
