"""Every provider of the house on every scenario."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from cloudsync.testing import SCENARIOS, Conformance
from tests.conformance.aws import DUMMY, REGION, AwsStage, MotoStage
from tests.conformance.digitalocean import DigitalOceanStage
from tests.conformance.gcp import GcpStage, OneRuleEachStage
from tests.conformance.hetzner import HetznerStage
from tests.conformance.host import HostStage
from tests.conformance.local import LocalStage
from tests.doubles.compute import ComputeDouble
from tests.doubles.digitalocean import DigitalOceanDouble
from tests.doubles.ec2 import Ec2Double
from tests.doubles.hetzner import HetznerDouble
from tests.host.library import QuickNamespace
from tests.host.namespace import needs


class TestLocal(Conformance):
    @pytest.fixture
    def stage(self, tmp_path: Path) -> LocalStage:
        (tmp_path / "vendor").mkdir()
        return LocalStage(tmp_path / "vendor")


@pytest.mark.emulator
class TestHetzner(Conformance):
    @pytest.fixture
    def stage(self) -> Iterator[HetznerStage]:
        with HetznerDouble() as double:
            yield HetznerStage(double)


@pytest.mark.emulator
class TestDigitalOcean(Conformance):
    @pytest.fixture
    def stage(self) -> Iterator[DigitalOceanStage]:
        with DigitalOceanDouble() as double:
            yield DigitalOceanStage(double)


@pytest.mark.emulator
class TestAws(Conformance):
    @pytest.fixture
    def stage(self) -> Iterator[AwsStage]:
        with Ec2Double() as double:
            yield AwsStage(double)


@pytest.mark.emulator
class TestGcp(Conformance):
    @pytest.fixture
    def stage(self) -> Iterator[GcpStage]:
        with ComputeDouble() as double:
            yield GcpStage(double)


@pytest.mark.emulator
class TestGcpOneRuleEach(Conformance):
    """The same firewalls, of rules that were made one by one."""

    @pytest.fixture
    def stage(self) -> Iterator[GcpStage]:
        with ComputeDouble() as double:
            yield OneRuleEachStage(double)


# Sets of nftables hold intervals: a network has no host bits there, and two that touch are one.
NFT = [
    one
    for one in SCENARIOS
    if str(one)
    not in ("host-bits-of-a-network-mean-the-network", "networks-are-written-as-they-were-listed")
]


@pytest.fixture(scope="module")
def machine() -> Iterator[QuickNamespace]:
    """One for all scenarios, cleared before each of them."""
    needs()
    with QuickNamespace() as machine:
        yield machine


@pytest.mark.engine
class TestHost(Conformance):
    """A table that observes, put into effect by those scenarios that attach."""

    scenarios = NFT

    @pytest.fixture
    def stage(self, machine: QuickNamespace) -> HostStage:
        machine.clear()
        return HostStage(machine, enforced=False)


@pytest.mark.engine
class TestHostEnforcing(Conformance):
    """A table that drops from the start; that calls fail as they do is shown above."""

    scenarios = [one for one in NFT if not one.needs & {"attaches", "remote"}]

    @pytest.fixture
    def stage(self, machine: QuickNamespace) -> HostStage:
        machine.clear()
        return HostStage(machine, enforced=True)

    test_every_declared_capability_was_shown = None  # type: ignore[assignment]  # the other one does


# https://docs.getmoto.org: what moto 5 does otherwise than AWS, measured.
MOTO_CANNOT = {
    "limited": "moto counts IPv4 and IPv6 together",
    "paged": "moto does not page",
    "remote": "moto does not fail on demand",
    "lag_seconds": "moto reads what it wrote",
}
FOR_MOTO = tuple(
    one
    for one in SCENARIOS
    if not one.needs & MOTO_CANNOT.keys()
    and one.name != "another spelling of IPv6 is the same"
    and str(one) != "forty-ports-of-their-own"  # moto counts IPv4 and IPv6 together
    and "esp" not in one.protocols  # moto fails on a protocol that has no ports
)


@pytest.fixture(scope="module")
def moto() -> Iterator[tuple[str, Any]]:
    """The server's address, and one client of it, whose model of the API is read once."""
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    client = boto3.client(
        "ec2",
        region_name=REGION,
        endpoint_url=endpoint,
        config=Config(retries={"total_max_attempts": 1}),
        aws_access_key_id=DUMMY["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=DUMMY["AWS_SECRET_ACCESS_KEY"],
    )
    yield endpoint, client
    server.stop()


@pytest.mark.emulator
class TestAwsOnMoto(Conformance):
    """A second opinion: everything that needs no fault, no limit and no page."""

    scenarios = FOR_MOTO

    @pytest.fixture
    def stage(self, moto: tuple[str, Any]) -> Iterator[MotoStage]:
        stage = MotoStage(*moto)
        yield stage
        stage.close()

    test_every_declared_capability_was_shown = None  # type: ignore[assignment]  # our own double shows them all
