"""The login by openstacksdk: clouds.yaml, the `OS_*` variables, and every way it can fail."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from cloudsync.provider.contract import Account, FirewallSpec, Observation, Present, Unreadable
from cloudsync.provider.errors import AuthError, ProviderError, Transient, Unsupported
from cloudsync.provider.machines import Fleet
from cloudsync.testing.language import meant
from cloudsync_openstack import provider
from cloudsync_openstack.settings import OpenStackAccount
from tests.doubles.http import Fault
from tests.openstack.login import PASSWORD, TOKENS, Cloud
from tests.openstack.test_neutron import SSH, spec_of, there_is

pytestmark = pytest.mark.emulator


def configured(cloud: Cloud, folder: Path, secret: str = PASSWORD) -> OpenStackAccount:
    """An application credential in clouds.yaml, as the dashboard hands it out."""
    (folder / "clouds.yaml").write_text(
        f"clouds:\n  prod:\n    auth_type: v3applicationcredential\n    region_name: RegionOne\n"
        f"    auth:\n      auth_url: {cloud.auth_url}\n      application_credential_id: abc\n"
        f"      application_credential_secret: {secret}\n"
    )
    return OpenStackAccount(cloud="prod")


def opened(settings: OpenStackAccount, seconds: float = 20.0) -> Any:
    account = Account("vendor", settings, Path(), time.monotonic() + seconds)
    return provider.open_reader(account)


def read(settings: OpenStackAccount, spec: FirewallSpec | None = None) -> Observation:
    spec = spec or spec_of()
    found: Observation = opened(settings).read([spec])[spec.name]
    return found


def problem(found: Observation) -> ProviderError:
    assert isinstance(found, Unreadable), found
    assert PASSWORD not in found.error.message
    return found.error


@pytest.mark.parametrize("suffix", ["", "/", "/v2.0", "/v2.0/"])
def test_a_cloud_of_clouds_yaml_is_logged_in_to_once(
    suffix: str, cloud: Cloud, tmp_path: Path
) -> None:
    cloud.network_suffix = suffix
    there_is(cloud, SSH)
    found = read(configured(cloud, tmp_path))
    assert isinstance(found, Present)
    assert found.rules == meant(SSH)
    assert cloud.count("POST", TOKENS) == 1
    assert cloud.count("GET", "/v2.0/.*") == 2


def test_the_variables_of_the_openstack_command_are_enough(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    there_is(cloud, SSH)
    values = {
        "AUTH_URL": cloud.auth_url,
        "USERNAME": "deploy",
        "PASSWORD": PASSWORD,
        "PROJECT_NAME": "shop",
        "USER_DOMAIN_NAME": "Default",
        "PROJECT_DOMAIN_NAME": "Default",
        "REGION_NAME": "RegionOne",
    }
    for name, value in values.items():
        monkeypatch.setenv(f"OS_{name}", value)
    assert isinstance(read(OpenStackAccount()), Present)


def test_a_wrong_secret_is_one_line(cloud: Cloud, tmp_path: Path) -> None:
    error = problem(read(configured(cloud, tmp_path, "wrong-secret-value")))
    assert isinstance(error, AuthError)
    assert error.message == "Keystone does not accept the credentials of the account vendor"


def test_a_cloud_that_clouds_yaml_does_not_have_is_named(cloud: Cloud, tmp_path: Path) -> None:
    configured(cloud, tmp_path)
    with pytest.raises(AuthError, match=r"clouds\.yaml does not have the cloud 'staging'"):
        opened(OpenStackAccount(cloud="staging"))


def test_no_credentials_at_all_are_one_line(cloud: Cloud) -> None:
    with pytest.raises(AuthError, match="vendor"):
        opened(OpenStackAccount()).api.project  # noqa: B018 - the login happens here


def test_a_login_for_no_project_says_what_to_set(cloud: Cloud, tmp_path: Path) -> None:
    cloud.scoped = False
    error = problem(read(configured(cloud, tmp_path)))
    assert isinstance(error, AuthError)
    assert "OS_PROJECT_ID" in error.message


def test_a_catalog_without_neutron_is_named(cloud: Cloud, tmp_path: Path) -> None:
    cloud.services = ["compute"]
    error = problem(read(configured(cloud, tmp_path)))
    assert isinstance(error, AuthError)
    assert "network" in error.message


def test_a_keystone_that_is_down_may_be_tried_again(cloud: Cloud, tmp_path: Path) -> None:
    cloud.fail(Fault("POST", TOKENS, status=503, times=99))
    error = problem(opened(configured(cloud, tmp_path), 3).read([spec_of()])["web"])
    assert isinstance(error, Transient)
    assert not error.fate_unknown


def test_a_token_that_expires_while_it_is_used_is_fetched_again(
    cloud: Cloud, tmp_path: Path
) -> None:
    there_is(cloud, SSH)
    reader = opened(configured(cloud, tmp_path))
    assert isinstance(reader.read([spec_of()])["web"], Present)
    cloud.tokens.clear()
    assert isinstance(reader.read([spec_of()])["web"], Present)
    assert cloud.count("POST", TOKENS) >= 2


def test_a_redirect_is_not_followed_with_the_token(cloud: Cloud, tmp_path: Path) -> None:
    elsewhere = {"Location": "http://203.0.113.1/v2.0/security-groups"}
    cloud.fail(Fault("GET", "/v2.0/security-groups", status=302, headers=elsewhere, times=99))
    error = problem(read(configured(cloud, tmp_path)))
    assert isinstance(error, Unsupported)
    assert "redirects" in error.message


def test_a_server_is_found_by_its_name(cloud: Cloud, tmp_path: Path) -> None:
    server = "5f6c6f2e-0000-4000-8000-000000000001"
    cloud.servers[server] = "web-1"
    network = cloud.project.add_network()
    owner = {"device_id": server, "device_owner": "compute:nova"}
    cloud.project.add_port(network, **owner)
    found = read(configured(cloud, tmp_path), spec_of(servers=["web-1"]))
    assert not isinstance(found, Unreadable), found.error
    assert [one.target for one in found.attachments] == [f"server {server}"]
    assert [m.name for m in found.attachments[0].newly_covered] == ["web-1"]


def test_a_name_that_two_servers_have_is_not_guessed(cloud: Cloud, tmp_path: Path) -> None:
    cloud.servers |= {"a": "web-1", "b": "web-1"}
    error = problem(read(configured(cloud, tmp_path), spec_of(servers=["web-1"])))
    assert isinstance(error, Unsupported)
    assert error.message == "several servers are named 'web-1'; give the id"


def test_a_machine_that_bears_the_name_of_a_host_is_looked_at(cloud: Cloud, tmp_path: Path) -> None:
    server = "5f6c6f2e-0000-4000-8000-000000000001"
    cloud.servers[server] = "web-1"
    network = cloud.project.add_network()
    owner = {"device_id": server, "device_owner": "compute:nova"}
    cloud.project.add_port(network, **owner)
    reader = opened(configured(cloud, tmp_path))
    reader.read([spec_of()])
    fleet = reader.read_machines([spec_of()])
    assert isinstance(fleet, Fleet)
    assert [(machine.name, machine.concerns) for machine in fleet.machines] == [
        ("web-1", frozenset({"web"}))
    ]
