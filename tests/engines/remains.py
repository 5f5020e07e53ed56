"""What an engine of the tests may have left on this machine after it was closed: processes, mounts,
namespaces, control groups and folders.

Every engine registers what it makes (`register`); when a session of tests ends, nothing of it may
be there any more. Several sessions, and other engines, may run on the machine at the same time, so
only what was registered is looked for.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.engines.held import CannotHold, control_groups
from tests.host.lab import Lab

END_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Traces:
    """By what one engine's remains are known."""

    folder: Path
    namespaces: tuple[str, ...]
    """Its network namespaces, by name."""


_MADE: list[Traces] = []


def register(folder: Path, *namespaces: str) -> None:
    """An engine will keep everything of its own in `folder` and these namespaces."""
    _MADE.append(Traces(folder, namespaces))


def register_machine(machine: Lab) -> None:
    """The same of a machine on the Internet."""
    register(machine.folder, machine.host, machine.cloud, machine.inet)


def remains() -> list[str]:
    """What is there of all engines that were registered, a line each. What the kernel is still
    taking down is given a while."""
    until = time.monotonic() + END_SECONDS
    while (left := [line for traces in _MADE for line in remains_of(traces)]) != []:
        if time.monotonic() > until:
            break
        time.sleep(0.1)
    return left


def remains_of(traces: Traces) -> list[str]:
    """What is there of one engine now."""
    left = [f"process {line}" for line in _processes(traces.folder)]
    left += [f"mount {place}" for place in _mounts(traces.folder)]
    left += [
        f"network namespace {name}"
        for name in traces.namespaces
        if Path("/run/netns", name).exists()
    ]
    with contextlib.suppress(CannotHold):
        group = control_groups() / f"cs-{traces.folder.name}"
        left += [f"control group {group}"] * group.exists()
    if traces.folder.exists():
        left.append(f"folder {traces.folder}")
    return left


def _processes(folder: Path) -> Iterator[str]:
    """Those that were started with the folder in their words, whose root lies in it (containers),
    or that are in its control group. Zombies do not count."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_text(errors="replace").replace("\0", " ").strip()
            marks = (
                words,
                (process / "cgroup").read_text(),
                _root_mount((process / "mountinfo").read_text()),
            )
            if words and any(folder.name in mark for mark in marks):
                yield f"{process.name}: {words[:120]}"


def _root_mount(mountinfo: str) -> str:
    """The line about the root of a process."""
    lines = (line for line in mountinfo.splitlines() if line.split()[4] == "/")
    return next(lines, "")


def _mounts(folder: Path) -> list[str]:
    """Of this process's own mount namespace."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4] for line in lines if str(folder) in line.split()[4]]
