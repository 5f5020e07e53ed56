"""Address groups of a real Neutron as sources: `sources = ["<id>"]` in an allow table."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudsync import exit_codes
from cloudsync.config import load
from cloudsync.model.plan import Granted
from cloudsync.reconcile import run as reconcile
from cloudsync.reconcile.run import Options, Report
from tests.openstack.cloud import Json
from tests.openstack.proxy import NeutronProxy

pytestmark = pytest.mark.emulator
OFFICE = ["192.0.2.0/28", "203.0.113.0/24"]


class Shop:
    """A firewall with SSH and, if there are sources, 5432 for them."""

    def __init__(self, folder: Path, proxy: NeutronProxy) -> None:
        self.folder, self.proxy = folder, proxy

    def apply(self, *sources: str) -> Report:
        named = ", ".join(f'"{source}"' for source in sources)
        table = f'[[firewalls.web.allow]]\nports = ["5432/tcp"]\nsources = [{named}]\n'
        path = self.folder / "cloudsync.toml"
        path.write_text(f"""version = 1
owner = "shop"
state = "file://{self.folder}/state"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
[providers.openstack]
endpoint = "{self.proxy.endpoint}"
anonymous = true
project_id = "{self.proxy.project.id}"
[firewalls.web]
provider = "openstack"
name = "web"
static = true
{table if sources else ""}""")
        return reconcile.apply(load(path), Options(granted=Granted()))

    def rules(self, port: int = 5432) -> list[Json]:
        group = self.proxy.project.group("web")
        assert group is not None
        return [r for r in group["security_group_rules"] if r["port_range_min"] == port]

    def addresses(self, *networks: str) -> str:
        body = {"address_group": {"name": "office", "addresses": list(networks)}}
        answer = self.proxy.project.ask("POST", "address-groups", body)
        identifier: str = answer["address_group"]["id"]
        return identifier


@pytest.fixture
def shop(tmp_path: Path, proxy: NeutronProxy) -> Shop:
    return Shop(tmp_path, proxy)


def test_an_address_group_is_written_as_one_and_found_again(shop: Shop) -> None:
    office = shop.addresses(*OFFICE)
    report = shop.apply(office)
    assert exit_codes.of_report(report) == 0
    (rule,) = shop.rules()
    assert (rule["remote_address_group_id"], rule["remote_ip_prefix"]) == (office, None)
    assert rule["description"] == "allow (cloudsync)"
    assert not shop.apply(office).plan.has_changes


def test_a_family_that_an_address_group_gains_gets_its_rule(shop: Shop) -> None:
    office = shop.addresses(*OFFICE)
    shop.apply(office)
    more = {"addresses": ["2001:db8:7::/48"]}
    shop.proxy.project.ask("PUT", f"address-groups/{office}/add_addresses", more)
    assert exit_codes.of_report(shop.apply(office)) == 0
    assert sorted(rule["ethertype"] for rule in shop.rules()) == ["IPv4", "IPv6"]
    assert not shop.apply(office).plan.has_changes


def test_an_address_group_that_is_asked_for_no_more_closes(shop: Shop) -> None:
    shop.apply(shop.addresses(*OFFICE))
    assert exit_codes.of_report(shop.apply()) == 0
    assert shop.rules() == []
    assert len(shop.rules(22)) == 2


def test_an_address_group_of_others_stays_and_is_not_opened_again(shop: Shop) -> None:
    shop.apply()
    office = shop.addresses(*OFFICE)
    group = shop.proxy.project.group("web")
    assert group is not None
    by_hand = {
        "ethertype": "IPv4",
        "protocol": "tcp",
        "port_range_min": 5432,
        "port_range_max": 5432,
        "remote_address_group_id": office,
        "description": "Ticket NET-7",
    }
    shop.proxy.project.add_rules(group["id"], [by_hand])
    assert not shop.apply(*OFFICE).plan.has_changes
    assert not shop.apply().plan.has_changes
    assert [rule["description"] for rule in shop.rules()] == ["Ticket NET-7"]


def test_an_address_group_that_is_not_there_leaves_the_firewall_alone(shop: Shop) -> None:
    report = shop.apply("5f6c6f2e-0000-4000-8000-000000000001")
    assert exit_codes.of_report(report) == exit_codes.FAILED
    assert "no address group" in (report.plan.firewalls[0].read.reason or "")
    assert shop.proxy.project.group("web") is None
