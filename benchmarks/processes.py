"""Whole processes, timed from outside: wall seconds, and the CPU seconds that the kernel
counted."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


class Failed(Exception):
    """A contender did not do what it was asked to; the message has the end of its output."""


@dataclass(frozen=True)
class Run:
    """Seconds. `cpu`: of the process and those it waited for."""

    wall: float
    cpu: float

    def row(self) -> dict[str, float]:
        return {name: round(value, 4) for name, value in asdict(self).items()}


def timed(words: Sequence[str | Path], environment: Mapping[str, str], folder: Path) -> Run:
    """Run it to its end. Raises `Failed` where that is not 0."""
    with (folder / "output.txt").open("w+b") as output:
        began = time.monotonic()
        process = subprocess.Popen(
            [str(word) for word in words],
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            output.seek(0)
            raise Failed(
                f"{words[0]} … ended with {process.returncode}:"
                f" {output.read()[-1500:].decode(errors='replace')}"
            )
    return Run(wall, used.ru_utime + used.ru_stime)


def ratio(some: Sequence[Any], others: Sequence[Any]) -> float:
    """The median of the pairs' ratios: what drifts in the machine hits both of a pair."""
    return statistics.median(
        one["wall"] / other["wall"] for one, other in zip(some, others, strict=True)
    )
