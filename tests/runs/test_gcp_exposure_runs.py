"""Whole plans against the Compute double: what is said of instances, what it costs in calls, and
what is said that could not be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudsync import exit_codes
from cloudsync.model.plan import MachineExposure, Standing
from cloudsync.provider.access import State
from cloudsync.reconcile import check_access as access
from cloudsync.render import text
from tests.doubles.compute import ComputeDouble
from tests.doubles.gcp_shop import Shop

pytestmark = pytest.mark.emulator
PROJECT = "/projects/p"
MARK = "cloudsync owner=shop firewall={} hosts=c4719afa"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with ComputeDouble() as cloud:
        shop = Shop(tmp_path, cloud)
        shop.foreign = "report"
        yield shop
        assert cloud.violations == []


def standing(shop: Shop) -> Standing:
    (firewall,) = shop.plan().firewalls
    return firewall.standing


def machine(shop: Shop) -> MachineExposure:
    (found,) = standing(shop).machines
    return found


def beyond(shop: Shop) -> list[str]:
    return [str(one.rule) for one in machine(shop).beyond]


def tcp(*ports: str) -> list[dict[str, Any]]:
    return [{"IPProtocol": "tcp", "ports": list(ports)}]


def policy(*rules: dict[str, Any], type_: str = "HIERARCHY", name: str = "123") -> dict[str, Any]:
    return {"name": name, "shortName": "top", "type": type_, "rules": list(rules)}


def rule(
    action: str, priority: int = 1, *, ports: list[str] | None = None, **match: Any
) -> dict[str, Any]:
    layer4 = [{"ipProtocol": "tcp", "ports": ports} if ports else {"ipProtocol": "all"}]
    said = {"srcIpRanges": ["0.0.0.0/0"], "layer4Configs": layer4} | match
    return {"action": action, "priority": priority, "direction": "INGRESS", "match": said}


def test_law8_what_another_rule_of_the_network_lets_in_is_in_the_plan(shop: Shop) -> None:
    shop.cloud.add_instance("web-1", tags=["web"])
    shop.cloud.add_firewall(
        "default-allow-rdp", allowed=tcp("3389"), sourceRanges=["0.0.0.0/0"], priority=65534
    )
    shop.applies()
    found = machine(shop)
    assert (found.protected, found.attached, found.unknown) == (True, True, ())
    assert [str(one.rule) for one in found.beyond] == ["tcp/3389 from 0.0.0.0/0"]
    assert (
        "VPC firewall rule default-allow-rdp, rule default-allow-rdp (priority 65534)"
        in found.beyond[0].through
    )
    assert [str(one) for one in found.reachable] == [
        "tcp/22 from 0.0.0.0/0", "tcp/443 from 0.0.0.0/0", "tcp/3389 from 0.0.0.0/0",
    ]  # fmt: skip
    assert "3389/tcp from everyone (IPv4)" in text.joined(
        text.reached(shop.plan()), colour=False, width=400
    )
    shop.cloud.add_firewall(
        "no-rdp", denied=tcp("3389"), sourceRanges=["0.0.0.0/0"], priority=65534
    )
    assert beyond(shop) == []


def test_a_machine_with_the_targets_has_the_firewall_before_it_has_a_rule(shop: Shop) -> None:
    shop.cloud.add_instance("web-1", tags=["web"])
    assert machine(shop).attached
    assert "does not have this firewall" not in text.joined(text.reached(shop.plan()), colour=False)


def test_the_advice_is_one_that_can_be_followed(shop: Shop) -> None:
    """A rule for every machine of the network cannot be taken off one of them."""
    shop.cloud.add_instance("web-1", tags=["web"])
    shop.cloud.add_firewall("rdp", allowed=tcp("3389"), sourceRanges=["0.0.0.0/0"], priority=65534)
    shop.cloud.add_firewall("icmp", allowed=[{"IPProtocol": "icmp"}], sourceRanges=["0.0.0.0/0"])
    assert (
        machine(shop).beyond[-1].advice
        == 'delete, narrow or retarget VPC firewall rule rdp, or set enforce = "deny-others"; if it'
        " is right, allow it in the configuration"
    )
    shop.enforce = "deny-others"
    assert all("of web closes it" in one.advice for one in machine(shop).beyond)
    (firewall,) = shop.plan().firewalls
    (attach,) = [change for change in firewall.changes if change.action == "attach"]
    assert attach.reason.endswith("closes there, such as icmp (icmp), tcp/3389 (rdp)")
    shop.cloud.set_by_hand("rdp", priority=10)
    assert machine(shop).beyond[0].advice.startswith("delete, narrow or retarget")


def test_a_hierarchical_denial_wins_over_our_own_rule_and_an_allowance_over_every_denial(
    shop: Shop,
) -> None:
    shop.cloud.add_instance("web-1", tags=["web"])
    shop.applies()
    shop.cloud.policies["default"] = [
        policy(rule("deny", ports=["443"]), rule("allow", 2, ports=["5432"]))
    ]
    shop.cloud.add_firewall("no-db", denied=tcp("5432"), sourceRanges=["0.0.0.0/0"], priority=0)
    found = machine(shop)
    assert [str(one) for one in found.reachable] == [
        "tcp/22 from 0.0.0.0/0",
        "tcp/5432 from 0.0.0.0/0",
    ]
    assert 'hierarchical firewall policy "top" (123)' in found.beyond[0].through


@pytest.mark.parametrize(
    ("order", "open_"), [("AFTER_CLASSIC_FIREWALL", False), ("BEFORE_CLASSIC_FIREWALL", True)]
)
def test_the_networks_order_of_enforcement_decides(shop: Shop, order: str, open_: bool) -> None:
    shop.cloud.add_instance("web-1", tags=["web"])
    shop.applies()
    shop.cloud.networks["default"]["networkFirewallPolicyEnforcementOrder"] = order
    shop.cloud.policies["default"] = [policy(rule("allow", ports=["5432"]), type_="NETWORK")]
    shop.cloud.add_firewall("no-db", denied=tcp("5432"), sourceRanges=["0.0.0.0/0"], priority=0)
    assert beyond(shop) == (["tcp/5432 from 0.0.0.0/0"] if open_ else [])


def test_who_cannot_be_told_counts_in_full_where_it_opens_and_not_where_it_stops(
    shop: Shop,
) -> None:
    shop.cloud.add_instance("web-1", tags=["web"])
    shop.applies()
    shop.cloud.policies["default"] = [
        policy(
            rule("deny", ports=["443"], srcRegionCodes=["XX"]),
            rule("allow", 2, ports=["5432"], srcFqdns=["example.org"]),
        )
    ]
    found = machine(shop)
    assert "tcp/443 from 0.0.0.0/0" in map(str, found.reachable)
    assert "the most it can be" in found.beyond[0].through


def test_a_regional_policy_acts_in_its_region_only(shop: Shop) -> None:
    shop.cloud.add_instance("web-1", tags=["web"])
    shop.cloud.add_instance("web-2", tags=["web"], zone="us-central1-a")
    shop.applies()
    wide = policy(rule("allow", ports=["5432"]), type_="NETWORK_REGIONAL")
    shop.cloud.regional["default", "us-central1"] = [wide]
    found = {
        one.machine: [str(each.rule) for each in one.beyond] for one in standing(shop).machines
    }
    assert found == {"web-1": [], "web-2": ["tcp/5432 from 0.0.0.0/0"]}


def test_only_an_interface_with_a_public_address_is_reached(shop: Shop) -> None:
    shop.cloud.add_network("lan")
    shop.cloud.add_firewall(
        "lan-all",
        network="global/networks/lan",
        allowed=[{"IPProtocol": "all"}],
        sourceRanges=["0.0.0.0/0"],
    )
    shop.cloud.add_instance(
        "web-1", ("default", "198.51.100.1", None), ("lan", None, None), tags=["web"]
    )
    shop.applies()
    assert beyond(shop) == []
    shop.cloud.reset_calls()
    shop.plan()
    assert shop.cloud.count("GET", f"{PROJECT}/global/networks/lan.*") == 0
    shop.cloud.instances[0]["networkInterfaces"][1]["accessConfigs"][0]["natIP"] = "198.51.100.2"
    assert "tcp/1-21 from 0.0.0.0/0" in beyond(shop)


def test_law8_a_firewall_whose_target_is_on_no_instance_is_said(shop: Shop) -> None:
    shop.cloud.add_instance("other", tags=["db"])
    assert not standing(shop).unattached  # it does not exist yet
    shop.applies()
    assert standing(shop).unattached
    shop.cloud.add_instance("any", tags=["web"])
    assert not standing(shop).unattached


def test_law8_a_host_whose_instance_has_not_the_tag_is_not_under_the_firewall(shop: Shop) -> None:
    shop.cloud.add_instance("web-1", tags=["wbe"])
    shop.applies()
    found = machine(shop)
    assert not found.attached
    assert "does not have this firewall" in text.joined(
        text.reached(shop.plan()), colour=False, width=400
    )


def test_law8_orphans_are_told_out_of_the_list_that_is_read_anyway(shop: Shop) -> None:
    shop.applies()
    shop.cloud.add_firewall(
        "cloudsync-api-any4",
        allowed=tcp("1"),
        sourceRanges=["0.0.0.0/0"],
        description=MARK.format("api"),
    )
    shop.cloud.add_firewall(
        "cloudsync-api-any6",
        allowed=tcp("1"),
        sourceRanges=["::/0"],
        description=MARK.format("api"),
    )
    blog = MARK.format("api").replace("shop", "blog")
    shop.cloud.add_firewall(
        "cloudsync-blog-any4", allowed=tcp("1"), sourceRanges=["0.0.0.0/0"], description=blog
    )
    shop.cloud.add_firewall("by-hand", allowed=tcp("1"), sourceRanges=["0.0.0.0/0"])
    for foreign in ("report", "ignore"):
        shop.foreign = foreign
        assert [(one.name, one.firewall) for one in shop.plan().orphans] == [
            ("cloudsync-api", "api")
        ]


@pytest.mark.parametrize(
    ("denied", "said"),
    [
        (
            "compute.networks.getEffectiveFirewalls",
            "the firewall policies on default could not be read",
        ),
        (
            "compute.networks.getRegionEffectiveFirewalls",
            "the regional firewall policies of default in europe-west1",
        ),
        ("compute.networks.get", "the order of enforcement of default"),
    ],
)
def test_law1_policies_that_cannot_be_read_may_let_in_more(
    shop: Shop, denied: str, said: str
) -> None:
    shop.cloud.add_instance("web-1", tags=["web"])
    shop.applies()
    shop.cloud.denied = {denied}
    assert [said in one and denied in one for one in machine(shop).unknown] == [True]
    shop.foreign = "fail"
    assert [guard.id for guard in shop.plan().guards] == ["foreign"]


@pytest.mark.parametrize("lost", ["zone", "permission"])
def test_law1_instances_that_cannot_be_read_make_exposure_unknown_and_stop_no_change(
    shop: Shop, lost: str
) -> None:
    shop.cloud.add_instance("web-1", tags=["web"])
    shop.applies()
    shop.deadline = "2s" if lost == "zone" else "60s"
    if lost == "zone":
        shop.cloud.unreachable = ["us-central1-a"]
    else:
        shop.cloud.denied = {"compute.instances.list"}
    read = standing(shop).read
    assert read is not None
    assert read.status == "failed"
    shop.ports = ("80/tcp",)
    shop.applies()


def test_an_interface_in_another_projects_network_is_said_not_to_be_known(shop: Shop) -> None:
    shop.cloud.add_instance("web-1", tags=["web"], project="host-project")
    shop.applies()
    found = machine(shop)
    assert found.beyond == ()
    assert "of the project host-project, whose rules were not read" in found.unknown[0]


def test_sources_that_are_other_machines_are_listed_and_are_not_the_internet(shop: Shop) -> None:
    shop.cloud.add_instance("web-1", tags=["web"])
    shop.cloud.add_firewall("from-bastion", allowed=tcp("5432"), sourceTags=["bastion"])
    shop.applies()
    found = machine(shop)
    assert found.beyond == ()
    assert found.kept == ('from-bastion: from the tag "bastion"',)


def test_a_fleet_of_200_instances_is_one_call_more_and_three_for_their_network_and_region(
    shop: Shop,
) -> None:
    for n in range(200):
        shop.cloud.add_instance(f"web-{n}", tags=["web"])
    for n in range(20):
        shop.cloud.add_firewall(
            f"other-{n}", allowed=tcp(f"{5000 + n}"), sourceRanges=["0.0.0.0/0"]
        )
    shop.applies()
    shop.cloud.reset_calls()
    machines = standing(shop).machines
    assert sorted(call.path.removeprefix(PROJECT) for call in shop.cloud.calls) == [
        "/aggregated/instances",
        "/global/firewalls",
        "/global/networks/default",
        "/global/networks/default/getEffectiveFirewalls",
        "/regions/europe-west1/firewallPolicies/getEffectiveFirewalls",
    ]
    assert len(machines) == 200
    assert all(len(one.beyond) == 20 for one in machines)
    shop.foreign = "ignore"
    shop.cloud.reset_calls()
    shop.plan()
    assert [call.path for call in shop.cloud.calls] == [f"{PROJECT}/global/firewalls"]


def states(shop: Shop) -> dict[str, State]:
    (rows,) = access.check(shop.configuration()).values()
    return {row.what: row.state for row in rows}


def test_check_access_asks_for_each_permission_and_writes_nothing(shop: Shop) -> None:
    shop.applies()
    before = shop.rules()
    assert states(shop) == {
        "credentials": "ok",
        "compute.firewalls.list": "ok",
        "compute.firewalls.create": "ok",
        "compute.firewalls.delete": "ok",
        "compute.firewalls.update": "ok",
        "compute.networks.updatePolicy": "unknown",
        "compute.globalOperations.get": "unknown",
        "compute.instances.list": "ok",
        "compute.networks.get of default": "ok",
        "compute.networks.getEffectiveFirewalls of default": "ok",
        "firewall rules of the project": "ok",
    }
    shop.cloud.denied = {
        "compute.firewalls.update",
        "compute.networks.getEffectiveFirewalls",
        "compute.projects.get",
    }
    found = states(shop)
    assert {what for what, state in found.items() if state == "missing"} == {
        "compute.firewalls.update", "compute.networks.getEffectiveFirewalls of default",
    }  # fmt: skip
    assert found["firewall rules of the project"] == "unknown"
    shop.cloud.denied = {"compute.firewalls.list"}
    assert states(shop) == {"credentials: compute.firewalls.list": "missing"}
    shop.cloud.denied = set()
    shop.cloud.quota = 2
    assert states(shop)["firewall rules of the project"] == "near"
    assert shop.rules() == before
    assert exit_codes.of_plan(shop.plan()) == 0
