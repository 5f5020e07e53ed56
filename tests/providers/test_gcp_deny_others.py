"""`enforce = "deny-others"` on the Compute double. What comes in, at every moment, is asked of a
referee that reads the rules by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from cloudsync import exit_codes
from cloudsync.model.plan import Granted
from cloudsync.model.plan_json import to_document
from cloudsync.reconcile import run as reconcile
from cloudsync.reconcile.release import release
from tests.doubles.compute import ComputeDouble
from tests.doubles.gcp_shop import Shop
from tests.runs.test_gcp_runs import types

pytestmark = pytest.mark.emulator
INTERNET = (
    "203.0.113.9",
    "8.8.8.8",
    "11.0.0.1",
    "172.32.0.1",
    "100.128.0.1",
    "2001:4860::8",
    "2a00::1",
    "4000::1",
)
INSIDE = ("10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd20::1")
HEALTH = (
    "35.191.0.1",
    "130.211.3.255",
    "209.85.152.1",
    "209.85.207.255",
    "2600:2d00:1:b029::1",
    "2600:2d00:1:1::1",
    "2600:1901:8001::1",
)
IAP = ("35.235.240.1", "35.235.255.254", "2600:2d00:1:7::1")
Rules = Mapping[str, Mapping[str, Any]]
PRIORITY_900 = 'target_tags = ["web"]\npriority = 900'
"""The default with the denials, so that turning them on and off moves no rule."""


def comes_in(rules: Rules, address: str, port: int) -> bool:
    """Whether a TCP packet for a machine with the tag `web` is let in: the lowest number first, of
    two the denial; else denied."""

    def hits(rule: Mapping[str, Any]) -> bool:
        targets = rule.get("targetTags", []) + rule.get("targetServiceAccounts", [])
        if rule["direction"] != "INGRESS" or rule["disabled"] or (targets and "web" not in targets):
            return False
        inside = any(ip_address(address) in ip_network(one) for one in rule.get("sourceRanges", ()))
        return inside and any(
            _speaks_of(one, port) for one in rule.get("allowed", rule.get("denied"))
        )

    found = sorted((rule["priority"], "allowed" in rule) for rule in rules.values() if hits(rule))
    return bool(found) and found[0][1]


def _speaks_of(entry: Mapping[str, Any], port: int) -> bool:
    ports = [one.partition("-") for one in entry.get("ports", ["0-65535"])]
    return entry["IPProtocol"] in ("tcp", "all") and any(
        int(low) <= port <= int(high or low) for low, _, high in ports
    )


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with ComputeDouble() as cloud:
        shop = Shop(tmp_path, cloud)
        shop.enforce, shop.keys = "deny-others", PRIORITY_900
        for name, priority, ports, ranges in (
            ("rdp", 65534, ["3389"], ["0.0.0.0/0"]),
            ("rdp6", 65534, ["3389"], ["::/0"]),
            ("by-default", 1000, ["5432"], ["0.0.0.0/0", "10.0.0.0/8"]),
            ("internal", 65534, ["0-65535"], ["10.128.0.0/9"]),
        ):
            cloud.add_firewall(
                name,
                priority=priority,
                allowed=[{"IPProtocol": "tcp", "ports": ports}],
                sourceRanges=ranges,
            )
        yield shop
        assert cloud.violations == []


def on(shop: Shop) -> None:
    shop.applies(allow_attach=("web",))


def denials(shop: Shop) -> dict[str, dict[str, Any]]:
    return {name: rule for name, rule in shop.rules().items() if "denied" in rule}


def stays_lawful(shop: Shop, wanted: tuple[int, ...] = (22, 443)) -> None:
    """At every moment: whoever is stopped by a denial of ours still gets to SSH and to what was and
    stays wanted."""
    assert shop.cloud.history
    for state in shop.cloud.history:
        if any("denied" in rule for rule in state.values()):
            for address in (*INTERNET, *INSIDE, *HEALTH, *IAP):
                assert all(comes_in(state, address, port) for port in wanted), (
                    address,
                    sorted(state),
                )


def test_law1_turning_it_on_is_an_attachment_that_needs_the_users_word(shop: Shop) -> None:
    code, said = shop.apply()
    assert code == 3
    assert "on web, what other rules let in from the Internet is denied" in said
    assert "--allow-attach web" in said
    assert shop.cloud.writes() == []
    (firewall,) = to_document(shop.plan())["firewalls"]
    (change,) = [one for one in firewall["changes"] if one["action"] == "attach"]
    assert (change["target"], change["opens_now"]) == ("the denial of everything else", True)
    on(shop)
    assert shop.changes() == []


def test_only_the_internet_is_cut_off_from_what_others_let_in(shop: Shop) -> None:
    on(shop)
    rules = shop.rules()
    assert {name: rule["priority"] for name, rule in denials(shop).items()} == {
        "cloudsync-web-deny4": 950,
        "cloudsync-web-deny6": 950,
    }
    assert all(len(rule["sourceRanges"]) <= 256 for rule in denials(shop).values())
    for address in INTERNET:
        assert comes_in(rules, address, 443)
        assert comes_in(rules, address, 22)
        assert not comes_in(rules, address, 3389)
        assert not comes_in(rules, address, 5432)
    for address in (*HEALTH, *IAP, *INSIDE):
        assert comes_in(rules, address, 3389), address
    assert comes_in(rules, "10.128.0.1", 8080)
    stays_lawful(shop)


def test_law2_and_law3_the_denial_comes_after_everything_that_is_to_be_open_and_goes_first(
    shop: Shop,
) -> None:
    on(shop)
    names = [name for _, name in shop.written()]
    assert names[:4] == ["cloudsync-web-any4", "cloudsync-web-any6", "wait", "wait"]
    assert names[4:] == ["cloudsync-web-deny4", "cloudsync-web-deny6", "wait", "wait"]
    shop.cloud.reset_calls()
    shop.enforce, shop.ports = "allow", ("80/tcp",)
    assert any(one.startswith("reapply the denial of everything else") for one in shop.changes())
    shop.cloud.reset_calls()
    shop.applies()  # needs no word: it closes nothing
    assert shop.written()[:2] == [
        ("DELETE", "cloudsync-web-deny4"),
        ("DELETE", "cloudsync-web-deny6"),
    ]
    assert shop.written()[4] == ("PUT", "cloudsync-web-any4")
    assert denials(shop) == {}
    assert comes_in(shop.rules(), "8.8.8.8", 3389)
    assert shop.changes() == []
    stays_lawful(shop)


def test_turning_it_on_where_the_rules_are_already_there_writes_the_denials_only(
    shop: Shop,
) -> None:
    shop.enforce = "allow"
    shop.applies()
    shop.enforce = "deny-others"
    shop.cloud.reset_calls()
    on(shop)
    assert [name for _, name in shop.written()] == [
        "cloudsync-web-deny4",
        "cloudsync-web-deny6",
        "wait",
        "wait",
    ]


def test_law2_a_port_that_closes_does_so_after_the_denial_and_ssh_that_is_missing_opens_before(
    shop: Shop,
) -> None:
    shop.ports = ("80/tcp", "443/tcp")
    shop.enforce = "allow"
    shop.applies()
    shop.cloud.set_by_hand(
        "cloudsync-web-any4", allowed=[{"IPProtocol": "tcp", "ports": ["80", "443"]}]
    )
    shop.cloud.history.clear()
    shop.ports, shop.enforce = ("443/tcp",), "deny-others"
    on(shop)
    stays_lawful(shop)
    assert not comes_in(shop.rules(), "8.8.8.8", 80)
    assert shop.changes() == []


def test_law2_a_denial_that_is_wrong_is_put_right_before_anything_closes(shop: Shop) -> None:
    """It may be what stops SSH."""
    shop.ports = ("80/tcp", "443/tcp")
    on(shop)
    shop.cloud.set_by_hand("cloudsync-web-deny4", priority=800)
    shop.cloud.reset_calls()
    shop.ports = ("443/tcp",)
    shop.applies()
    written = [name for _, name in shop.written() if name != "wait"]
    assert written.index("cloudsync-web-deny4") < written.index("cloudsync-web-any4")
    stays_lawful(shop)


@pytest.mark.parametrize("lost", ["cloudsync-web-deny4", "cloudsync-web-deny6"])
def test_law4_one_denial_that_is_missing_is_put_back_without_a_new_word(
    shop: Shop, lost: str
) -> None:
    on(shop)
    shop.cloud.remove_by_hand(lost)
    assert [one.partition(":")[0] for one in shop.changes()] == [f"reapply rule {lost}"]
    shop.applies()
    assert len(denials(shop)) == 2
    assert shop.changes() == []


def test_law4_a_run_that_died_between_the_two_denials_is_finished_by_the_next_without_a_new_word(
    shop: Shop,
) -> None:
    shop.enforce = "allow"
    shop.applies()
    shop.enforce = "deny-others"
    shop.cloud.fail_operations = [(503, "INTERNAL_ERROR", "told to fail")]
    assert shop.apply(allow_attach=("web",))[0] == 6
    assert len(denials(shop)) == 1
    shop.applies()
    assert len(denials(shop)) == 2
    assert shop.changes() == []
    stays_lawful(shop)


def test_a_run_that_died_before_the_denials_leaves_the_rules_and_asks_again(shop: Shop) -> None:
    failing = (503, "INTERNAL_ERROR", "told to fail")
    shop.enforce = "allow"
    shop.applies()
    shop.enforce = "deny-others"
    shop.cloud.fail_operations = [failing, failing]
    assert shop.apply(allow_attach=("web",))[0] == 6
    assert denials(shop) == {}
    assert shop.apply()[0] == 3
    on(shop)
    assert len(denials(shop)) == 2


def test_where_ssh_cannot_be_opened_nothing_is_denied(shop: Shop) -> None:
    shop.cloud.fail_operations = [(503, "INTERNAL_ERROR", "told to fail")] * 2
    assert shop.apply(allow_attach=("web",))[0] == 6
    assert denials(shop) == {}


def test_a_run_that_died_while_turning_it_off_is_finished_by_the_next(shop: Shop) -> None:
    on(shop)
    shop.enforce = "allow"
    shop.cloud.fail_operations = [(503, "INTERNAL_ERROR", "told to fail")]
    assert shop.apply()[0] == 6
    assert len(denials(shop)) == 1
    shop.applies()
    assert denials(shop) == {}


@pytest.mark.parametrize(
    "changed",
    [
        {"disabled": True},
        {"priority": 1001},
        {"priority": 10},
        {"sourceRanges": ["203.0.113.0/24"]},
        {"sourceRanges": ["0.0.0.0/0"]},
        {"denied": [{"IPProtocol": "tcp", "ports": ["3389"]}]},
        {"sourceTags": ["bastion"]},
    ],
)
def test_a_denial_that_was_changed_by_hand_is_seen_and_put_right(
    shop: Shop, changed: dict[str, Any]
) -> None:
    on(shop)
    right = shop.rules()
    shop.cloud.set_by_hand("cloudsync-web-deny4", **changed)
    (said,) = shop.changes()
    assert said.startswith("reapply rule cloudsync-web-deny4: not as configured: ")
    shop.cloud.reset_calls()
    shop.applies()
    assert shop.written() == [("PUT", "cloudsync-web-deny4"), ("POST", "wait")]
    assert shop.rules() == right
    assert shop.changes() == []


def test_a_denial_that_was_turned_into_an_allowance_is_what_it_lets_in(shop: Shop) -> None:
    on(shop)
    shop.cloud.set_by_hand(
        "cloudsync-web-deny4", denied=None, allowed=[{"IPProtocol": "tcp", "ports": ["1234"]}]
    )
    assert any(one.startswith("close tcp/1234") for one in shop.changes())
    shop.applies()
    rules = shop.rules()
    assert not comes_in(rules, "8.8.8.8", 1234)
    assert not comes_in(rules, "8.8.8.8", 3389)
    assert shop.changes() == []


@pytest.mark.parametrize(
    "fields",
    [
        {"targetTags": ["web", "db"]},
        {"targetTags": []},
        {"destinationRanges": ["10.0.0.2/32"]},
    ],
)
def test_a_denial_retargeted_by_hand_is_somebody_elses_and_ours_is_written_again(
    shop: Shop, fields: dict[str, Any]
) -> None:
    on(shop)
    shop.cloud.set_by_hand("cloudsync-web-deny4", **fields)
    theirs = shop.rules()["cloudsync-web-deny4"]
    (change,) = shop.changes()
    assert change.startswith("reapply rule cloudsync-web-deny4: it is not there")
    shop.applies()
    assert shop.rules()["cloudsync-web-deny4"] == theirs
    assert shop.rules()["cloudsync-web-deny4b"]["targetTags"] == ["web"]
    assert shop.changes() == []
    stays_lawful(shop)


def test_law1_denials_for_other_machines_than_before_need_a_new_confirmation(shop: Shop) -> None:
    on(shop)
    before = shop.rules()
    shop.keys = 'target_tags = ["web", "db"]'
    code, said = shop.apply()
    assert code == 3
    assert "--allow-attach web" in said
    on(shop)
    new = {name: rule for name, rule in denials(shop).items() if name not in before}
    assert {name: rule["targetTags"] for name, rule in new.items()} == {
        "cloudsync-web-deny4b": ["db", "web"],
        "cloudsync-web-deny6b": ["db", "web"],
    }
    assert all(shop.rules()[name] == rule for name, rule in before.items()), "left as it was"
    assert shop.changes() == []
    stays_lawful(shop)


def test_law2_rules_that_would_stand_behind_the_denials_are_moved_before_them_first(
    shop: Shop,
) -> None:
    shop.keys, shop.enforce, shop.ports = 'target_tags = ["web"]', "allow", ("80/tcp", "443/tcp")
    shop.applies()
    assert shop.rules()["cloudsync-web-any4"]["priority"] == 1000
    shop.enforce, shop.ports = "deny-others", ("443/tcp",)
    assert any("its priority is 1000, behind" in change for change in shop.changes())
    shop.cloud.history.clear()
    on(shop)
    assert shop.rules()["cloudsync-web-any4"]["priority"] == 900
    stays_lawful(shop)
    assert not comes_in(shop.rules(), "8.8.8.8", 80)
    assert shop.changes() == []
    shop.cloud.set_by_hand("cloudsync-web-any4", priority=1000)
    assert not comes_in(shop.rules(), "8.8.8.8", 22)
    assert any(change.startswith("open tcp/22") for change in shop.changes()), "SSH is shut out"
    shop.applies()
    assert comes_in(shop.rules(), "8.8.8.8", 22)


def test_law1_a_host_that_is_not_known_postpones_turning_on_and_not_turning_off(shop: Shop) -> None:
    shop.enforce = "allow"
    shop.applies()
    shop.enforce, shop.host = "deny-others", 'compose = ["compose.yaml"]'
    shop.ports = ("443/tcp", "8443/tcp")
    assert shop.apply(allow_attach=("web",))[0] == 1  # the file is not there
    assert denials(shop) == {}
    assert comes_in(shop.rules(), "8.8.8.8", 8443)
    (shop.folder / "compose.yaml").write_text("services: {}\n")
    on(shop)
    (shop.folder / "compose.yaml").unlink()
    shop.cloud.set_by_hand("cloudsync-web-deny4", disabled=True)
    shop.apply()
    assert denials(shop)["cloudsync-web-deny4"]["disabled"]
    shop.enforce = "allow"
    shop.apply()
    assert denials(shop) == {}


def test_what_is_held_stays_open_behind_the_denial(shop: Shop) -> None:
    shop.ports = ("443/tcp", "8443/tcp")
    shop.enforce = "allow"
    shop.applies()
    shop.ports, shop.enforce, shop.policy = ("443/tcp",), "deny-others", 'mode = "additive"'
    on(shop)
    assert comes_in(shop.rules(), "8.8.8.8", 8443)
    assert not comes_in(shop.rules(), "8.8.8.8", 3389)
    stays_lawful(shop, (22, 443, 8443))


def test_law7_a_denial_that_would_stop_another_firewall_of_ours_is_refused(shop: Shop) -> None:
    mark = "cloudsync owner=shop firewall=api hosts=01234567"
    api = {
        "allowed": [{"IPProtocol": "tcp", "ports": ["8443"]}],
        "sourceRanges": ["0.0.0.0/0"],
        "description": mark,
    }
    shop.cloud.add_firewall("api-any4", **api, targetTags=["web", "api"], priority=950)
    code, said = shop.apply(allow_attach=("web",))
    assert code == 3
    assert "would stop api-any4 of this owner's other firewalls" in said
    assert denials(shop) == {}
    shop.cloud.set_by_hand("api-any4", priority=949)
    on(shop)
    assert comes_in(shop.rules(), "8.8.8.8", 8443)


def test_release_takes_the_marks_off_the_denials_too_and_leaves_them(shop: Shop) -> None:
    on(shop)
    before = shop.rules()
    assert release(shop.configuration(), "web").outcome.status == "done"
    after = shop.rules()
    assert all("cloudsync owner" not in rule.get("description", "") for rule in after.values())
    assert [{**rule, "description": ""} for rule in after.values()] == [
        {**rule, "description": ""} for rule in before.values()
    ]
    assert shop.apply()[0] == 3
    shop.applies(adopt=("web",))
    assert shop.rules() == before


def test_law6_a_plan_that_did_not_show_it_does_not_turn_it_off(shop: Shop) -> None:
    on(shop)
    shop.ports = ("443/tcp", "80/tcp")
    assert types(shop, "plan", "--out", "plan.json").returncode == 0
    shop.enforce = "allow"
    done = types(shop, "apply", "plan.json")
    assert done.returncode == 4, done.stderr
    assert "the denial of everything else" in " ".join((done.stdout + done.stderr).split())
    assert len(denials(shop)) == 2


def test_exposure_and_the_list_of_others_rules_know_of_the_denial(shop: Shop) -> None:
    shop.foreign = "report"
    shop.cloud.add_instance("web-1", ("default", "198.51.100.1", "2001:db8::1"), tags=["web"])
    shop.enforce = "allow"
    shop.applies()

    def beyond() -> list[str]:
        (machine,) = shop.plan().firewalls[0].standing.machines
        return [str(one.rule) for one in machine.beyond]

    assert beyond() == ["tcp/5432 from 0.0.0.0/0", "tcp/3389 from 0.0.0.0/0", "tcp/3389 from ::/0"]
    shop.enforce = "deny-others"
    on(shop)
    (firewall,) = shop.plan().firewalls
    assert firewall.kept == ()
    (machine,) = firewall.standing.machines
    assert machine.beyond == ()
    let = [
        ip_network(source)
        for one in machine.reachable
        if one.ports == "3389"
        for source in one.sources.cidrs()
    ]
    assert not any(ip_address(address) in network for network in let for address in INTERNET)
    assert all(
        any(ip_address(address) in network for network in let) for address in (*HEALTH, *IAP)
    )
    shop.foreign = "fail"
    assert shop.plan().guards == ()
    shop.cloud.add_firewall(
        "first",
        priority=900,
        allowed=[{"IPProtocol": "tcp", "ports": ["8080"]}],
        sourceRanges=["0.0.0.0/0"],
    )
    assert "tcp/8080 from 0.0.0.0/0" in beyond()
    assert [guard.id for guard in shop.plan().guards] == ["foreign"]
    assert len(shop.plan().firewalls[0].kept) == 1
    shop.cloud.set_by_hand("cloudsync-web-deny4", disabled=True)
    shop.cloud.set_by_hand("cloudsync-web-deny6", disabled=True)
    assert "tcp/3389 from 0.0.0.0/0" in beyond()


def test_words_of_the_plan(shop: Shop) -> None:
    on(shop)
    shop.enforce = "allow"
    report = reconcile.plan(shop.configuration(), reconcile.Options(granted=Granted()))
    assert exit_codes.of_plan(report.plan) == 0
    assert "lift the denial of everything else" in " ".join(types(shop, "plan").stdout.split())


def test_the_plan_says_that_pings_of_others_close_although_icmp_is_kept(shop: Shop) -> None:
    shop.enforce = "deny-others"
    shown = " ".join(types(shop, "plan").stdout.split())
    assert "put the denial of everything else in place" in shown
    assert 'policy.icmp = "keep" keeps the ICMP rules of this firewall' in shown
