"""A double of a cloud in a process of its own, so that its work is nobody's whose time is taken.

`python -m benchmarks.served CLOUD` says where it listens and then answers one line of JSON for every line on its standard input; it ends
when that ends. `Served` is the other side.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.emulators.compute import ComputeDouble
from tests.emulators.digitalocean import DigitalOceanDouble
from tests.emulators.ec2 import Ec2Double
from tests.emulators.hetzner import HetznerDouble
from tests.emulators.http import Double, Request

ROOT = Path(__file__).resolve().parents[1]
DOUBLES: dict[str, type[Double]] = {
    "aws": Ec2Double,
    "digitalocean": DigitalOceanDouble,
    "gcp": ComputeDouble,
    "hetzner": HetznerDouble,
}


class Served:
    """The process. `about`: the endpoint, and what else a caller needs to know of the account (`secret`, `vpc`)."""

    def __init__(self, cloud: str) -> None:
        self.cloud = cloud
        self.about: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.served", self.cloud],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.about = self._answer()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    def latency(self, seconds: float) -> None:
        """From now on every call takes so much longer."""
        self._ask(latency=seconds)

    def checking(self, wanted: bool) -> None:
        """Whether calls are held against the vendor's description: what that costs would count for every caller alike, and hide them."""
        self._ask(checking=wanted)

    def calls(self) -> tuple[dict[str, int], list[str]]:
        """How often what was called since this was last asked, and where that went against the vendor's description."""
        found = self._ask(calls=True)
        return dict(found["calls"]), list(found["violations"])

    def machines(self, count: int) -> None:
        """There are so many."""
        self._ask(machines=count)

    def _ask(self, **question: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the double of {self.cloud} has ended")
        return dict(json.loads(line))


def _unchecked(request: Request, status: int, answer: Any) -> None:
    """Instead of the double's own."""


class _Server:
    def __init__(self, cloud: str) -> None:
        self.cloud, self.double = cloud, DOUBLES[cloud]()
        self._checked, self._answer = self.double.check, self.double.answer
        self._seconds = 0.0
        self.double.answer = self._late  # type: ignore[method-assign]
        if isinstance(self.double, ComputeDouble):
            self.double.odd_spelling = False
        elif isinstance(self.double, DigitalOceanDouble | HetznerDouble | Ec2Double):
            # The vendors answer with rules in any order; Ansible's module for Hetzner would then find changes at every run.
            self.double.shuffle = False

    def _late(self, request: Request) -> Any:
        time.sleep(self._seconds)
        return self._answer(request)

    def about(self) -> dict[str, str]:
        found = {"endpoint": self.double.endpoint}
        if isinstance(self.double, Ec2Double):
            return found | {"secret": self.double.access_key, "vpc": self.double.vpc}
        if isinstance(self.double, ComputeDouble):
            return found
        return found | {"secret": getattr(self.double, "token", "")}

    def does(self, question: dict[str, Any]) -> dict[str, Any]:
        if "latency" in question:
            self._seconds = question["latency"]
        if "checking" in question:
            self.double.check = self._checked if question["checking"] else _unchecked  # type: ignore[method-assign]
        for number in range(question.get("machines", 0)):
            if isinstance(self.double, HetznerDouble):
                self.double.add_server(f"web-{number}")
            elif isinstance(self.double, DigitalOceanDouble):
                self.double.add_droplet(f"web-{number}", tags=[f"web-{number}"])
        if "calls" not in question:
            return {}
        counted = Counter(f"{call.method} {call.path}" if self.cloud != "aws" else call.path[1:] for call in self.double.calls)
        self.double.reset_calls()
        return {"calls": counted, "violations": self.double.violations}


def main() -> None:
    """Serve one cloud."""
    server = _Server(sys.argv[1])
    with server.double:
        print(json.dumps(server.about()), flush=True)
        for line in sys.stdin:
            print(json.dumps(server.does(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
