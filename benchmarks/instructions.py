"""Instructions of a no-op `plan` and of the floor script, by valgrind: a count that a busy machine
does not change."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.clouds import MOST
from benchmarks.compare import Contender, contenders
from benchmarks.processes import Failed

_COUNTED = re.compile(r"I +refs: +([0-9,]+)")


def counted(words: Sequence[str | Path], environment: Mapping[str, str], folder: Path) -> int:
    """The instructions of a command, run to its end. Raises `Failed` if that is not 0."""
    command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    done = subprocess.run(
        [*command, *map(str, words)],
        env=dict(environment) | {"PYTHONHASHSEED": "0"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    match = _COUNTED.search(done.stderr)
    if done.returncode or match is None:
        raise Failed(f"{words[0]} … ended with {done.returncode}: {done.stderr[-1500:]}")
    return int(match[1].replace(",", ""))


def measure(clouds: Sequence[str] = tuple(MOST)) -> list[dict[str, Any]]:
    """A row a cloud, and one for a Python that does nothing. What is compiled to `.pyc` is there
    already: `contenders` runs each command once before."""
    rows: list[dict[str, Any]] = []
    for cloud in clouds:
        with contenders(cloud, 1, ("cloudsync", "floor")) as both:
            counts = {contender.name: _of(contender) for contender in both}
        rows.append({"cloud": cloud, **counts})
    return rows


def _of(contender: Contender) -> int:
    words, more = contender.words("plan" if contender.name == "cloudsync" else "no-op")
    return counted(words, contender.world.environment | more, contender.world.folder)


if __name__ == "__main__":
    for cloud in sys.argv[1:] or MOST:
        (row,) = measure([cloud])
        ratio = row["cloudsync"] / row["floor"]
        print(f"{cloud}: {row['cloudsync']:,} / {row['floor']:,} = {ratio:.2f}", flush=True)
