"""The provider `gcp` writes over REST what Google's own SDK would send, and what the SDK loses."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import compute_v1

from cloudsync.provider.errors import Unsupported
from cloudsync_gcp import provider
from cloudsync_gcp.native import Write, Writes
from tests.doubles.compute import ComputeDouble, fault_body
from tests.doubles.gcp_shop import RULES
from tests.doubles.http import Fault
from tests.providers.test_gcp_provider import ANY4, ANY6, SSH4, SSH6, Project

pytestmark = pytest.mark.emulator
OWN = "cloudsync-web-v4-00000000"
Call = tuple[str, str, list[str], Any]


@pytest.fixture
def cloud() -> Iterator[ComputeDouble]:
    with ComputeDouble() as double:
        yield double
        assert double.violations == []


def stage(cloud: ComputeDouble) -> None:
    """A rule to widen, one to delete, and one that is missing."""
    cloud.add_firewall(ANY4, **SSH4 | {"logConfig": {"enable": True}})
    entry = {"IPProtocol": "tcp", "ports": ["8080"]}
    cloud.add_firewall(OWN, **SSH4 | {"sourceRanges": ["203.0.113.0/24"], "allowed": [entry]})


def sent(cloud: ComputeDouble) -> list[Call]:
    """Every write, without the id that differs from one request to the next."""
    return [
        (call.method, call.path, sorted(key for key in call.query if key[0] != "$"), call.body)
        for call in cloud.writes()
        if not call.path.endswith("/wait")
    ]


def by_the_sdk(cloud: ComputeDouble, write: Write) -> None:
    client = compute_v1.FirewallsClient(
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": cloud.endpoint},
    )
    request: dict[str, Any] = {"project": cloud.project, "request_id": str(uuid.uuid4())}
    if write.body is not None:
        resource = compute_v1.Firewall.from_json(json.dumps(write.body))
        request["firewall_resource"] = resource
    if write.method != "insert":
        request["firewall"] = write.name
    getattr(client, f"{write.method}_unary")(request=request, retry=None)


def test_each_kind_of_write_is_what_the_sdk_would_send(cloud: ComputeDouble) -> None:
    stage(cloud)
    project = Project(cloud)
    steps = project.steps("tcp/22", "tcp/443 from any4", adopt=True)
    project.makes("tcp/22", "tcp/443 from any4", adopt=True)
    ours = sent(cloud)
    assert {method for method, *_ in ours} == {"POST", "PUT", "DELETE"}
    with ComputeDouble() as other:
        stage(other)
        for step in steps:
            assert isinstance(step.native, Writes)
            for write in step.native.writes:
                by_the_sdk(other, write)
                other.settle()
        assert sent(other) == ours
        assert other.firewalls().keys() == cloud.firewalls().keys()


def test_a_field_that_is_newer_than_any_sdk_survives_an_update(cloud: ComputeDouble) -> None:
    """A PUT replaces the whole rule: what it does not name is taken off."""
    newer = {"quantumInspection": {"level": "STRICT", "zones": ["a", "b"]}}
    cloud.add_firewall(ANY4, **SSH4)
    cloud.add_firewall(ANY6, **SSH6)
    answer = [rule | newer for rule in cloud.firewalls().values()]
    cloud.fail(Fault("GET", RULES, status=200, body={"items": answer}))
    (step,) = Project(cloud).steps("tcp/22", "tcp/443 from any4")
    # The double knows the fields of today only.
    cloud.fail(Fault("PUT", f"{RULES}/{ANY4}", status=400, body=fault_body(400, "invalid")))
    with pytest.raises(Unsupported, match="invalid"):
        provider.open_writer(Project(cloud).account()).run(step)
    (body,) = [call.body for call in cloud.writes()]
    assert isinstance(body, dict)
    assert body["quantumInspection"] == newer["quantumInspection"]
    assert body["allowed"] == [{"IPProtocol": "tcp", "ports": ["22", "443"]}]
