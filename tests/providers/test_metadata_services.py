"""What the clouds say of their metadata services, on the doubles: who hands out credentials to
containers. Hetzner's and DigitalOcean's hand out none, and their APIs say nothing of user data."""

from __future__ import annotations

from typing import Any

import pytest

from tests.doubles.compute import ComputeDouble
from tests.doubles.ec2 import Ec2Double, Nic
from tests.providers.test_exposure_worlds import fleet_of

pytestmark = pytest.mark.emulator
SCOPES = "https://www.googleapis.com/auth/"


def at_google(account: str | None, *scopes: str) -> str:
    with ComputeDouble() as cloud:
        cloud.add_instance(
            "web-1", ("default", "198.51.100.1", None), tags=["web"], account=account,
            scopes=[f"{SCOPES}{scope}" for scope in scopes],
        )  # fmt: skip
        settings = {"project": "p", "anonymous": True, "endpoint": cloud.endpoint}
        firewall = {"target_tags": ["web"], "enforce": "allow"}
        (machine,) = fleet_of("gcp", settings, firewall, ("web-1",)).machines
        return machine.metadata


def test_google_hands_out_tokens_of_a_service_account() -> None:
    clause = at_google("shop@p.iam.gserviceaccount.com", "cloud-platform")
    assert clause == (
        "Google hands out tokens of the service account shop@p.iam.gserviceaccount.com"
        " (cloud-platform)"
    )


def test_of_many_scopes_three_are_named() -> None:
    clause = at_google("a@p.iam", "devstorage.read_only", "logging.write", "trace.append", "pubsub")
    assert clause.endswith("a@p.iam (devstorage.read_only, logging.write, trace.append and 1 more)")


@pytest.mark.parametrize("account", [None, "shop@p.iam.gserviceaccount.com"])
def test_google_hands_out_nothing_without_an_account_or_a_scope(account: str | None) -> None:
    assert at_google(account) == ""


def at_aws(monkeypatch: pytest.MonkeyPatch, profile: str | None = None, **options: Any) -> str:
    with Ec2Double() as cloud:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", cloud.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
        group = cloud.add_group("web")
        id_ = cloud.add_instance("web-1", Nic("", [group], public="198.51.100.10"))
        cloud.instances[id_].metadata.update(options)
        cloud.instances[id_].profile = profile
        settings = {"region": "eu-central-1", "endpoint": cloud.endpoint}
        firewall = {"group_id": group, "instances": [id_]}
        (machine,) = fleet_of("aws", settings, firewall).machines
        return machine.metadata


@pytest.mark.parametrize(
    ("options", "clause"),
    [
        ({}, ""),
        ({"HttpTokens": "optional"}, "IMDSv1 is on, which asks for no token"),
        ({"HttpPutResponseHopLimit": 2}, "IMDSv2 answers over 2 hops"),
        ({"HttpTokens": "optional", "HttpEndpoint": "disabled"}, ""),
    ],
)
def test_aws_answers_containers_by_its_options(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], clause: str
) -> None:
    assert at_aws(monkeypatch, **options) == clause


def test_aws_names_the_role_whose_credentials_it_hands_out(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = "arn:aws:iam::123456789012:instance-profile/deploy"
    clause = at_aws(monkeypatch, profile, HttpTokens="optional")
    assert (
        clause == "IMDSv1 is on, which asks for no token, and hands out the credentials of deploy"
    )
    assert at_aws(monkeypatch, profile) == ""
