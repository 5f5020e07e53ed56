"""Every remote vendor as the tests here need it: its double, its stage, and what it does on its own
while nobody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.conformance.aws import AwsStage
from tests.conformance.digitalocean import DigitalOceanStage
from tests.conformance.gcp import GcpStage
from tests.conformance.hetzner import HetznerStage
from tests.conformance.http_stage import HttpStage
from tests.doubles import (
    compute,
    digitalocean,
    ec2,
    hetzner,
)
from tests.doubles.compute import ComputeDouble
from tests.doubles.digitalocean import DigitalOceanDouble
from tests.doubles.ec2 import Ec2Double
from tests.doubles.hetzner import HetznerDouble
from tests.doubles.http import Double


@dataclass(frozen=True, eq=False)
class Vendor:
    """`broken`: what it answers when it fails (500). `attaches`: firewalls are put on machines.
    `deadline`: of a run; a real server needs more than a double on a busy machine."""

    name: str
    double: Callable[[], Double]
    on_stage: Callable[[Any], HttpStage]
    broken: Mapping[str, Any]
    attaches: bool = False
    deadline: str = "8s"

    @contextmanager
    def stage(self) -> Iterator[HttpStage]:
        """An account with nothing in it."""
        with self.double() as double:
            yield self.on_stage(double)


def _gcp() -> ComputeDouble:
    # An operation whose caller died is done while the next run has made a call or two: the vendor
    # does not wait to be asked.
    double = ComputeDouble()
    double.settle_calls = 2
    return double


VENDORS = {
    one.name: one
    for one in (
        Vendor(
            "hetzner",
            HetznerDouble,
            HetznerStage,
            hetzner.fault_body("server_error"),
            attaches=True,
        ),
        Vendor(
            "digitalocean",
            DigitalOceanDouble,
            DigitalOceanStage,
            digitalocean.fault_body("server_error"),
            attaches=True,
        ),
        Vendor("aws", Ec2Double, AwsStage, ec2.fault_body("InternalError")),
        Vendor("gcp", _gcp, GcpStage, compute.fault_body(500, "backendError")),
    )
}
