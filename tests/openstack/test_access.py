"""`cloudsync check-access` on a real Neutron and its real policy: what each role may do."""

from __future__ import annotations

import pytest

from cloudsync.provider.access import Access
from cloudsync_openstack import provider
from tests.openstack.cloud import tag_of
from tests.openstack.proxy import NeutronProxy
from tests.openstack.test_neutron import MARKER, SSH, account_of, spec_of, there_is

pytestmark = pytest.mark.emulator


def rows(proxy: NeutronProxy) -> dict[str, Access]:
    found = provider.check_access(account_of(proxy), [spec_of()])
    return {row.what: row for row in found}


def test_a_member_may_do_everything(proxy: NeutronProxy) -> None:
    there_is(proxy, SSH, tags=[tag_of(MARKER)])
    found = rows(proxy)
    assert {row.what: row.state for row in found.values()} == {
        "credentials": "ok",
        "get_security_group": "ok",
        "get_port": "ok",
        "create_security_group_rule": "ok",
        "security groups of the project": "ok",
        "security group rules of the project": "ok",
    }


def test_a_reader_may_plan_and_not_apply(proxy: NeutronProxy) -> None:
    there_is(proxy, SSH, tags=[tag_of(MARKER)])
    proxy.roles = "reader"
    found = rows(proxy)
    assert found["get_security_group"].state == "ok"
    assert found["create_security_group_rule"].state == "missing"
    assert "enough for plan" in found["create_security_group_rule"].detail


def test_a_login_without_a_role_may_not_even_read(proxy: NeutronProxy) -> None:
    there_is(proxy, SSH, tags=[tag_of(MARKER)])
    proxy.roles = ""
    assert rows(proxy)["get_security_group"].state == "missing"


def test_nothing_is_written(proxy: NeutronProxy) -> None:
    there_is(proxy, SSH, tags=[tag_of(MARKER)])
    before = proxy.project.groups()
    rows(proxy)
    assert proxy.project.groups() == before
    assert proxy.history == []


def test_a_quota_that_is_nearly_used_up_is_told(proxy: NeutronProxy) -> None:
    there_is(proxy, SSH, tags=[tag_of(MARKER)])
    used = proxy.project.details()["security_group_rule"]["used"]
    proxy.project.quota(security_group_rule=used)
    assert rows(proxy)["security group rules of the project"].state == "near"
