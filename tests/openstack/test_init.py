"""The machines that `cloudsync init` lists: Nova's servers, with the addresses of their ports at
the real Neutron."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from cloudsync.provider.contract import Account
from cloudsync.provider.errors import ProviderError
from cloudsync_openstack import provider
from cloudsync_openstack.settings import OpenStackAccount
from tests.openstack.login import Cloud
from tests.openstack.test_login import configured

pytestmark = pytest.mark.emulator


@pytest.fixture
def account(cloud: Cloud, tmp_path: Path) -> Account:
    return Account("prod", configured(cloud, tmp_path), Path(), time.monotonic() + 20)


def listed(account: Account) -> list[tuple[str, str]]:
    assert provider.starter.machines is not None
    return [(machine.name, machine.answer) for machine in provider.starter.machines(account)]


def test_servers_are_listed_by_name(cloud: Cloud, account: Account) -> None:
    cloud.servers = {"1": "web-1", "2": "db-1"}
    assert listed(account) == [("web-1", "web-1"), ("db-1", "db-1")]


def test_a_cloud_without_nova_lists_none(cloud: Cloud, account: Account) -> None:
    cloud.services = ["network"]
    assert listed(account) == []


def test_a_wrong_password_is_an_error_of_the_provider(cloud: Cloud, tmp_path: Path) -> None:
    settings: OpenStackAccount = configured(cloud, tmp_path, "wrong")
    with pytest.raises(ProviderError, match="does not accept the credentials"):
        listed(Account("prod", settings, Path(), time.monotonic() + 20))
