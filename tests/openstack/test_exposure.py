"""What the Internet reaches on the ports of a real Neutron."""

from __future__ import annotations

from typing import Any

import pytest

from cloudsync.planning.exposure import EVERYTHING, Exposure, exposure_of
from cloudsync.provider.contract import FirewallSpec
from cloudsync.provider.machines import Fleet
from cloudsync.rules import NOTHING
from cloudsync.testing.language import meant
from cloudsync_openstack import provider
from tests.openstack.cloud import Json, by_hand, tag_of
from tests.openstack.proxy import NeutronProxy
from tests.openstack.test_neutron import MARKER, SSH, account_of, spec_of, there_is

pytestmark = pytest.mark.emulator
SERVER = {"device_id": "5f6c6f2e-0000-4000-8000-000000000001", "device_owner": "compute:nova"}


def public_network(proxy: NeutronProxy) -> str:
    """Servers in it have addresses that the Internet routes."""
    ask = proxy.project.ask
    network: str = ask("POST", "networks", {"network": {"name": "public"}})["network"]["id"]
    subnet = {"network_id": network, "cidr": "198.51.100.0/24", "ip_version": 4}
    ask("POST", "subnets", {"subnet": subnet})
    return network


def fleet_of(proxy: NeutronProxy, *specs: FirewallSpec) -> Fleet:
    reader: Any = provider.open_reader(account_of(proxy))
    reader.read(specs)
    fleet = reader.read_machines(specs)
    assert isinstance(fleet, Fleet), fleet
    return fleet


def exposed(proxy: NeutronProxy, **settings: Any) -> Exposure:
    """The only machine there is."""
    (machine,) = fleet_of(proxy, spec_of(**settings)).machines
    return exposure_of(machine)


def port_with(proxy: NeutronProxy, *groups: Json, network: str | None = None, **more: Any) -> Json:
    ids = [group["id"] for group in groups]
    network = network or public_network(proxy)
    return proxy.project.add_port(network, security_groups=ids, **{**SERVER, **more})


def test_the_groups_of_a_port_are_united(proxy: NeutronProxy) -> None:
    ours = there_is(proxy, SSH, "tcp/80", tags=[tag_of(MARKER)])
    other = there_is(proxy, "tcp/3389 from 203.0.113.0/24", name="remote-desktop")
    port_with(proxy, ours, other)
    found = exposed(proxy)
    family4 = meant(SSH, "tcp/80", "tcp/3389 from 203.0.113.0/24") & meant("all from 0.0.0.0/0")
    assert found.rules == family4
    assert {f.name for r in found.reached for f in r.interface.firewalls} == {
        "web",
        "remote-desktop",
    }


def test_each_port_of_a_server_has_its_own_groups(proxy: NeutronProxy) -> None:
    ours = there_is(proxy, SSH, tags=[tag_of(MARKER)])
    network = public_network(proxy)
    port_with(proxy, ours, network=network)
    port_with(proxy, there_is(proxy, "tcp/9000", name="second"), network=network)
    assert exposed(proxy).rules == meant("tcp/22 from 0.0.0.0/0", "tcp/9000 from 0.0.0.0/0")


def test_a_port_without_port_security_is_open_whatever_else_is_attached(
    proxy: NeutronProxy,
) -> None:
    network = public_network(proxy)
    port_with(proxy, there_is(proxy, SSH, tags=[tag_of(MARKER)]), network=network)
    port_with(proxy, network=network, port_security_enabled=False)
    assert exposed(proxy).rules == EVERYTHING & meant("all from 0.0.0.0/0")


def test_a_port_without_a_group_lets_nothing_in(proxy: NeutronProxy) -> None:
    there_is(proxy, SSH, tags=[tag_of(MARKER)])
    port = port_with(proxy, name="web-1")
    assert exposed(proxy, ports=[port["id"]]).rules == NOTHING


def test_a_floating_address_makes_a_private_port_reachable(proxy: NeutronProxy) -> None:
    ours = there_is(proxy, SSH, tags=[tag_of(MARKER)])
    network = proxy.project.add_network()
    port = port_with(proxy, ours, network=network)
    assert exposed(proxy).rules == NOTHING
    admin = "admin,member,reader"
    outside = {"network": {"name": "outside", "router:external": True}}
    external = proxy.project.ask("POST", "networks", outside, roles=admin)["network"]["id"]
    subnet = {"network_id": external, "cidr": "203.0.113.0/24", "ip_version": 4}
    proxy.project.ask("POST", "subnets", {"subnet": subnet}, roles=admin)
    inside = port["fixed_ips"][0]["subnet_id"]
    router = proxy.project.ask(
        "POST", "routers", {"router": {"external_gateway_info": {"network_id": external}}}
    )["router"]["id"]
    proxy.project.ask("PUT", f"routers/{router}/add_router_interface", {"subnet_id": inside})
    floating = {"floating_network_id": external, "port_id": port["id"]}
    proxy.project.ask("POST", "floatingips", {"floatingip": floating})
    found = exposed(proxy)
    assert found.rules == meant("tcp/22 from 0.0.0.0/0")
    assert found.reached[0].interface.addresses[0].startswith("203.0.113.")


def test_an_address_group_counts_by_its_networks(proxy: NeutronProxy) -> None:
    ours = there_is(proxy, SSH, tags=[tag_of(MARKER)])
    body = {"address_group": {"name": "office", "addresses": ["203.0.113.0/24", "192.0.2.0/28"]}}
    office = proxy.project.ask("POST", "address-groups", body)["address_group"]["id"]
    rule = {**by_hand_one("tcp/5432"), "remote_address_group_id": office}
    proxy.project.add_rules(ours["id"], [rule])
    port_with(proxy, ours)
    wanted = meant("tcp/22 from 0.0.0.0/0", "tcp/5432 from 203.0.113.0/24,192.0.2.0/28")
    assert exposed(proxy).rules == wanted


def by_hand_one(rule: str) -> Json:
    from cloudsync.testing.language import spelled

    return by_hand(spelled(f"{rule} from 0.0.0.0/0"))[0]


def test_a_rule_by_another_group_is_listed_and_is_not_the_internets(proxy: NeutronProxy) -> None:
    ours = there_is(proxy, SSH, tags=[tag_of(MARKER)])
    proxy.project.add_rules(
        ours["id"], [{**by_hand_one("tcp/5432"), "remote_group_id": ours["id"]}]
    )
    port_with(proxy, ours)
    found = exposed(proxy)
    assert found.rules == meant("tcp/22 from 0.0.0.0/0")
    assert len(found.machine.kept) == 1


def test_a_group_that_nothing_has_is_told(proxy: NeutronProxy) -> None:
    there_is(proxy, SSH, tags=[tag_of(MARKER)])
    assert fleet_of(proxy, spec_of()).unattached == {"web"}


def test_a_group_of_another_project_on_a_port_is_unknown_and_not_nothing(
    proxy: NeutronProxy, neutron: int
) -> None:
    ours = there_is(proxy, SSH, tags=[tag_of(MARKER)])
    with NeutronProxy(neutron) as other:
        shared = there_is(other, "tcp/3389", name="shared")
        policy = {
            "object_type": "security_group",
            "object_id": shared["id"],
            "action": "access_as_shared",
            "target_tenant": proxy.project.id,
        }
        other.project.ask("POST", "rbac-policies", {"rbac_policy": policy})
        port_with(proxy, ours, shared)
        (machine,) = fleet_of(proxy, spec_of()).machines
        assert any(shared["id"] in note for note in machine.unknown)


def test_orphans_are_found_among_the_groups_that_were_read(proxy: NeutronProxy) -> None:
    there_is(proxy, SSH, tags=[tag_of(MARKER)])
    there_is(proxy, SSH, tags=["cloudsync:shop:old:c4719afa"], name="old")
    reader: Any = provider.open_reader(account_of(proxy))
    reader.read([spec_of()])
    calls = len(proxy.calls)
    found = reader.read_marked("shop", [spec_of()], ask=False)
    assert {(one.marker.firewall, one.firewall.of) for one in found} == {
        ("web", "web"),
        ("old", None),
    }
    assert len(proxy.calls) == calls
