"""Every field that decides what a VPC rule does, changed by hand: seen, shown, and put right if the
rule is still for the firewall's machines; a rule that is for others is left alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudsync.reconcile.release import release
from tests.doubles.compute import ComputeDouble, fault_body
from tests.doubles.gcp_shop import Shop
from tests.doubles.http import Fault

pytestmark = pytest.mark.emulator
V4, V6 = "cloudsync-web-any4", "cloudsync-web-any6"
SSH_AND_443 = [{"IPProtocol": "tcp", "ports": ["22", "443"]}]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """Ports 22 and 443 are open to the world by two VPC rules."""
    with ComputeDouble() as cloud:
        cloud.add_network("other")
        shop = Shop(tmp_path, cloud)
        shop.applies()
        assert sorted(shop.rules()) == [V4, V6]
        yield shop
        assert cloud.violations == []


def see(shop: Shop, *words: str) -> None:
    """The plan shows these changes and no other."""
    found = shop.changes()
    assert len(found) == len(words), found
    for text in words:
        assert any(text in one for one in found), (text, found)


def put_right(shop: Shop, before: dict[str, dict[str, Any]]) -> None:
    """An apply fixes exactly what was changed, and nothing is left to do."""
    shop.cloud.reset_calls()
    shop.applies()
    assert shop.rules() == before
    assert shop.changes() == []


FIELDS = [
    (
        "allowed",
        [{"IPProtocol": "tcp", "ports": ["22", "443", "3389"]}],
        "close tcp/3389 from 0.0.0.0/0",
    ),
    ("allowed", [{"IPProtocol": "tcp", "ports": ["22"]}], "open tcp/443 from 0.0.0.0/0"),
    (
        "allowed",
        [*SSH_AND_443, {"IPProtocol": "udp", "ports": ["443"]}],
        "close udp/443 from 0.0.0.0/0",
    ),
    ("allowed", [*SSH_AND_443, {"IPProtocol": "47"}], "close gre from 0.0.0.0/0"),
    ("sourceRanges", ["0.0.0.0/1"], "open tcp/443 from 0.0.0.0/0"),
]


@pytest.mark.parametrize(("field", "value", "shown"), FIELDS)
def test_a_field_changed_by_hand_is_seen_shown_and_put_right(
    shop: Shop, field: str, value: Any, shown: str
) -> None:
    before = shop.rules()
    shop.cloud.set_by_hand(V4, **{field: value})
    found = shop.changes()
    assert any(shown in one for one in found), found
    put_right(shop, before)
    assert [call.method for call in shop.cloud.writes() if call.path.endswith(V4)] == ["PUT"]


def test_a_rule_disabled_by_hand_is_open_again(shop: Shop) -> None:
    before = shop.rules()
    shop.cloud.set_by_hand(V4, disabled=True)
    see(shop, "it is disabled", "open tcp/22 from 0.0.0.0/0", "open tcp/443 from 0.0.0.0/0")
    put_right(shop, before)


def test_a_disabled_rule_that_would_be_right_is_no_duplicate_of_one_that_is(shop: Shop) -> None:
    shop.cloud.add_firewall(
        "cloudsync-web-v4-00000000",
        **{
            key: shop.rules()[V4][key]
            for key in ("allowed", "sourceRanges", "targetTags", "description")
        },
        priority=900,
        disabled=True,
    )
    see(shop, "rule cloudsync-web-v4-00000000: not as configured: it is disabled")
    shop.applies()
    assert sorted(shop.rules()) == [V4, V6]


def test_a_rule_turned_into_a_denial_is_an_allow_rule_again(shop: Shop) -> None:
    before = shop.rules()
    shop.cloud.set_by_hand(V4, allowed=[], denied=SSH_AND_443)
    see(shop, "it denies", "open tcp/22 from 0.0.0.0/0", "open tcp/443 from 0.0.0.0/0")
    put_right(shop, before)


def test_a_denial_that_never_was_one_of_ours_is_refused_by_name(shop: Shop) -> None:
    mark = shop.rules()[V4]["description"]
    shop.cloud.add_firewall(
        "cloudsync-web-block", denied=SSH_AND_443, targetTags=["web"], priority=1, description=mark
    )
    before = shop.rules()
    shop.ports = ("443/tcp", "80/tcp")
    code, said = shop.apply()
    assert code == 3
    assert "cloudsync-web-block begins with this firewall's prefix and denies traffic" in said
    assert shop.rules() == before


RETARGETED: list[dict[str, Any]] = [
    {"targetTags": ["db"]},
    {"targetTags": ["db", "web"]},
    {"targetTags": []},
    {"destinationRanges": ["10.0.0.0/8"]},
]


@pytest.mark.parametrize("fields", RETARGETED)
def test_a_rule_retargeted_by_hand_is_somebody_elses_and_ours_opens_beside_it(
    shop: Shop, fields: dict[str, Any]
) -> None:
    shop.cloud.set_by_hand(V4, **fields)
    theirs = shop.rules()[V4]
    see(shop, "open tcp/22 from 0.0.0.0/0", "open tcp/443 from 0.0.0.0/0")
    shop.applies()
    assert sorted(shop.rules()) == [V4, f"{V4}b", V6]
    assert shop.rules()[V4] == theirs
    assert shop.rules()[f"{V4}b"]["targetTags"] == ["web"]
    assert shop.changes() == []
    shop.foreign = "report"
    (firewall,) = shop.plan().firewalls
    assert any(
        text.startswith(f"{V4} carries this firewall's marker but is for") for text in firewall.kept
    )
    assert [(orphan.name, orphan.firewall) for orphan in shop.plan().orphans] == [(V4, "web")]
    shop.ports = ("443/tcp", "80/tcp")
    shop.cloud.reset_calls()
    shop.applies()
    assert [name for kind, name in shop.written() if kind == "PUT"] == [f"{V4}b", V6]


@pytest.mark.parametrize("priority", [0, 901, 1001, 65534])
def test_a_priority_changed_by_hand_stays(shop: Shop, priority: int) -> None:
    shop.cloud.set_by_hand(V4, priority=priority)
    assert shop.changes() == []
    shop.ports = ("443/tcp", "80/tcp")
    shop.applies()
    assert shop.rules()[V4]["priority"] == priority
    assert sorted(shop.rules()) == [V4, V6]


def test_a_source_tag_added_by_hand_stays_in_its_rule_and_no_port_is_added_for_it(
    shop: Shop,
) -> None:
    shop.cloud.set_by_hand(V4, sourceTags=["bastion"])
    assert shop.changes() == []
    shop.ports = ("443/tcp", "80/tcp")
    shop.applies()
    rules = shop.rules()
    assert rules[V4]["sourceTags"] == ["bastion"]
    assert rules[V4]["allowed"] == SSH_AND_443, "the tag was not let in to port 80"
    assert rules[f"{V4}b"]["allowed"] == [{"IPProtocol": "tcp", "ports": ["22", "80", "443"]}] or (
        rules[f"{V4}b"]["allowed"] == [{"IPProtocol": "tcp", "ports": ["80"]}]
    )
    shop.ports = ("80/tcp",)
    shop.applies()
    assert shop.rules()[V4]["sourceTags"] == ["bastion"]
    assert shop.rules()[V4]["allowed"] == SSH_AND_443, "what the tag may reach stays as it was"
    assert "sourceRanges" not in shop.rules()[V4]
    assert shop.changes() == []


def test_sources_widened_by_hand_are_narrow_again(shop: Shop) -> None:
    shop.more = '[[firewalls.web.allow]]\nports = ["9100/tcp"]\nsources = ["203.0.113.0/24"]'
    shop.applies()
    before = shop.rules()
    (name,) = before.keys() - {V4, V6}
    shop.cloud.set_by_hand(name, sourceRanges=["203.0.112.0/23"])
    see(shop, "close tcp/9100 from 203.0.112.0/24")
    put_right(shop, before)


def test_a_rule_made_again_on_another_network_is_left_there_and_ours_opens_under_another_name(
    shop: Shop,
) -> None:
    """Names are unique in the project."""
    rule = shop.rules()[V4]
    shop.cloud.remove_by_hand(V4)
    fields = ("allowed", "sourceRanges", "targetTags", "priority", "description")
    shop.cloud.add_firewall(
        V4, network="global/networks/other", **{key: rule[key] for key in fields}
    )
    elsewhere = shop.rules()[V4]
    see(shop, "open tcp/22 from 0.0.0.0/0", "open tcp/443 from 0.0.0.0/0")
    shop.applies()
    assert sorted(shop.rules()) == [V4, f"{V4}b", V6]
    assert shop.rules()[V4] == elsewhere
    assert shop.changes() == []
    shop.ports = ("443/tcp", "80/tcp")
    shop.cloud.reset_calls()
    shop.applies()
    assert shop.calls() == (2, 2, 2), "a rule under another name is updated, not made again"


def test_a_rule_made_anew_as_an_outbound_one_stays_and_ours_gets_another_name(shop: Shop) -> None:
    rule = shop.rules()[V4]
    shop.cloud.remove_by_hand(V4)
    shop.cloud.add_firewall(
        V4,
        direction="EGRESS",
        allowed=rule["allowed"],
        targetTags=["web"],
        description=rule["description"],
    )
    outbound = shop.rules()[V4]
    see(shop, "open tcp/22 from 0.0.0.0/0", "open tcp/443 from 0.0.0.0/0")
    shop.applies()
    assert sorted(shop.rules()) == [V4, f"{V4}b", V6]
    assert shop.rules()[V4] == outbound
    assert shop.rules()[f"{V4}b"]["direction"] == "INGRESS"
    assert shop.changes() == []


@pytest.mark.parametrize("accounts", [["db@p.example", "web@p.example"], ["db@p.example"], []])
def test_target_service_accounts_say_whose_a_rule_is_as_tags_do(
    tmp_path: Path, accounts: list[str]
) -> None:
    with ComputeDouble() as cloud:
        shop = Shop(tmp_path, cloud)
        shop.keys = 'target_service_accounts = ["web@p.example"]'
        shop.applies()
        assert shop.rules()[V4]["targetServiceAccounts"] == ["web@p.example"]
        cloud.set_by_hand(V4, targetServiceAccounts=accounts)
        theirs = shop.rules()[V4]
        see(shop, "open tcp/22 from 0.0.0.0/0", "open tcp/443 from 0.0.0.0/0")
        shop.applies()
        assert shop.rules()[V4] == theirs
        assert shop.rules()[f"{V4}b"]["targetServiceAccounts"] == ["web@p.example"]
        assert cloud.violations == []


def test_logging_turned_on_by_hand_is_no_change_and_stays_on_when_something_else_changes(
    shop: Shop,
) -> None:
    shop.cloud.set_by_hand(V4, logConfig={"enable": True})
    assert shop.changes() == []
    shop.ports = ("443/tcp", "80/tcp")
    shop.applies()
    assert shop.rules()[V4]["logConfig"] == {"enable": True, "metadata": "INCLUDE_ALL_METADATA"}


def test_logging_that_was_switched_off_is_answered_with_metadata_that_are_not_sent_back(
    shop: Shop,
) -> None:
    shop.cloud.set_by_hand(V4, logConfig={"enable": True})
    shop.cloud.set_by_hand(V4, logConfig={"enable": False})
    assert shop.rules()[V4]["logConfig"] == {"enable": False, "metadata": "INCLUDE_ALL_METADATA"}
    shop.ports = ("443/tcp", "80/tcp")
    shop.applies()
    shop.ports = ("80/tcp",)
    shop.applies(allow_close=1)
    assert shop.rules()[V4]["allowed"] == [{"IPProtocol": "tcp", "ports": ["22", "80"]}]
    assert release(shop.configuration(), "web").outcome.status == "done"


def test_words_that_look_like_the_mark_of_another_owner_do_not_become_one_at_release(
    shop: Shop,
) -> None:
    words = "cloudsync owner=mallory firewall=web hosts=00000000: x"
    mark = shop.rules()[V4]["description"].partition(": ")[0]
    shop.cloud.set_by_hand(V4, description=f"{mark}: {words}")
    assert shop.changes() == []
    assert release(shop.configuration(), "web").outcome.status == "done"
    assert shop.rules()[V4]["description"] == f"'{words}"
    shop.applies(adopt=("web",))
    assert shop.changes() == []


def test_a_refused_write_says_googles_reason_not_its_long_address(shop: Shop) -> None:
    shop.ports = ("443/tcp", "80/tcp")
    shop.cloud.fail(
        Fault(
            "POST|PUT|PATCH",
            ".*firewalls.*",
            status=400,
            body=fault_body(400, "invalid", "Invalid value for field 'resource.logConfig'"),
        )
    )
    code, said = shop.apply()
    assert code == 6
    assert "invalid: Invalid value for field 'resource.logConfig'" in said


def test_a_description_changed_by_hand_around_the_mark_is_no_change(shop: Shop) -> None:
    mark = shop.rules()[V4]["description"].partition(": ")[0]
    shop.cloud.set_by_hand(V4, description=f"{mark}: words of somebody")
    assert shop.changes() == []


def test_a_marker_taken_away_by_hand_waits_to_be_adopted_again_and_the_words_stay(
    shop: Shop,
) -> None:
    mark = shop.rules()[V4]["description"].partition(": ")[0]
    shop.cloud.set_by_hand(V4, description="words of somebody")
    code, said = shop.apply()
    assert code == 3
    assert "without the mark" in said
    shop.applies(adopt=("web",))
    assert shop.rules()[V4]["description"] == f"{mark}: words of somebody"
    assert shop.changes() == []


def test_with_a_host_that_is_unknown_what_somebody_changed_is_not_narrowed(shop: Shop) -> None:
    """Law 1: to put a rule right may close what a container needs that nobody could read."""
    shop.cloud.set_by_hand(V4, allowed=[{"IPProtocol": "tcp", "ports": ["22", "443", "8443"]}])
    before = shop.rules()
    path = shop.write()
    path.write_text(
        path.read_text().replace(
            "[hosts.web-1]\n", '[hosts.web-1]\ndocker = "unix:///nowhere/docker.sock"\n'
        )
    )
    shop.write = lambda: path  # type: ignore[method-assign]
    code, _ = shop.apply()
    assert code == 75, "an engine that cannot be reached may come back"
    assert shop.rules() == before
