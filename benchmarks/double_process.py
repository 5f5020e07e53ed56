"""A double of a cloud in a process of its own, so that its work is nobody's whose time is taken.

`python -m benchmarks.double_process CLOUD` says where it listens and then answers one line of JSON
for every line on its standard input; it ends when that ends. `DoubleProcess` is the other side.
"""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from benchmarks.recorded import ROOT
from tests.doubles.compute import BASE, ComputeDouble
from tests.doubles.digitalocean import DigitalOceanDouble
from tests.doubles.ec2 import Ec2Double
from tests.doubles.hetzner import HetznerDouble
from tests.doubles.http import Double, Request
from tests.openstack.proxy import NeutronProxy
from tests.openstack.shared import shared_server


def _neutron() -> NeutronProxy:
    """A project of the real server, without limits, until this process ends."""
    server = shared_server()
    proxy = NeutronProxy(server.__enter__())
    atexit.register(server.__exit__, None, None, None)
    proxy.watching = False
    proxy.project.quota(security_group=-1, security_group_rule=-1)
    return proxy


DOUBLES: dict[str, Callable[[], Double]] = {
    "aws": Ec2Double,
    "digitalocean": DigitalOceanDouble,
    "gcp": ComputeDouble,
    "hetzner": HetznerDouble,
    "openstack": _neutron,
}

_IDENTITY = b"""<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Arn>arn:aws:iam::123456789012:user/bench</Arn><UserId>AIDADOUBLE</UserId><Account>123456789012</Account>
</GetCallerIdentityResult><ResponseMetadata><RequestId>double</RequestId></ResponseMetadata></GetCallerIdentityResponse>"""


class DoubleProcess:
    """The process. `about`: the endpoint, and what else a caller needs to know of the account
    (`secret`, `vpc`).

    `own_links`: resources name the double as their own address and not the real API, for callers
    that go there (Ansible's module for Google).
    """

    def __init__(self, cloud: str, *, own_links: bool = False) -> None:
        self.cloud, self._own_links = cloud, own_links
        self.about: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "benchmarks.double_process",
                self.cloud,
                *(["--own-links"] if self._own_links else []),
            ],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.about = self._answer()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)  # the real Neutron takes a few seconds to stop

    def latency(self, seconds: float) -> None:
        """From now on every call takes so much longer."""
        self._ask(latency=seconds)

    def checking(self, wanted: bool) -> None:
        """Whether calls are held against the vendor's description: what that costs would count for
        every caller alike, and hide them."""
        self._ask(checking=wanted)

    def calls(self) -> tuple[dict[str, int], list[str]]:
        """How often what was called since this was last asked, and where that went against the
        vendor's description."""
        found = self._ask(calls=True)
        return dict(found["calls"]), list(found["violations"])

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
    def __init__(self, cloud: str, *, own_links: bool) -> None:
        self.cloud, self.double = cloud, DOUBLES[cloud]()
        self._named = self.double.named
        self._checked, self._answer = self.double.check, self.double.answer
        self._seconds = 0.0
        self.double.answer = self._late  # type: ignore[method-assign]
        self.double.named = self._with_sts  # type: ignore[method-assign]
        if isinstance(self.double, ComputeDouble):
            self.double.odd_spelling = False
            if own_links:
                encode = self.double.encode
                there, here = (
                    f'Link": "{base}'.encode()
                    for base in (BASE, f"{self.double.endpoint}/compute/v1")
                )
                self.double.encode = lambda answer: encode(answer).replace(there, here)  # type: ignore[method-assign]
        elif isinstance(self.double, DigitalOceanDouble | HetznerDouble | Ec2Double):
            # The vendors answer with rules in any order; Ansible's module for Hetzner would then
            # find changes at every run.
            self.double.shuffle = False
        if isinstance(self.double, DigitalOceanDouble):
            # All ports as they were written: spelled "0", which others have met, they would be a
            # change to Ansible's module at every run.
            self.double.ports_era = "strict"

    def _late(self, request: Request) -> Any:
        time.sleep(self._seconds)
        return (
            (200, _IDENTITY, {}, None)
            if request.path == "/GetCallerIdentity"
            else self._answer(request)
        )

    def _with_sts(self, request: Request) -> Request:
        """Ansible asks at every task who it is, at the same endpoint."""
        if isinstance(request.body, bytes) and b"Action=GetCallerIdentity" in request.body:
            return replace(request, path="/GetCallerIdentity", body=None)
        return self._named(request)

    def about(self) -> dict[str, str]:
        found = {"endpoint": self.double.endpoint}
        if isinstance(self.double, Ec2Double):
            return found | {"secret": self.double.access_key, "vpc": self.double.vpc}
        if isinstance(self.double, ComputeDouble):
            return found
        if isinstance(self.double, NeutronProxy):
            return found | {"project": self.double.project.id}
        return found | {"secret": getattr(self.double, "token", "")}

    def does(self, question: dict[str, Any]) -> dict[str, Any]:
        if "latency" in question:
            self._seconds = question["latency"]
        if "checking" in question:
            self.double.check = self._checked if question["checking"] else _unchecked  # type: ignore[method-assign]
        if "calls" not in question:
            return {}
        counted = Counter(
            f"{call.method} {call.path}" if self.cloud != "aws" else call.path[1:]
            for call in self.double.calls
        )
        self.double.reset_calls()
        return {"calls": counted, "violations": self.double.violations}


def main() -> None:
    """Serve one cloud."""
    server = _Server(sys.argv[1], own_links="--own-links" in sys.argv[2:])
    with server.double:
        print(json.dumps(server.about()), flush=True)
        for line in sys.stdin:
            print(json.dumps(server.does(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
