"""AWS prefix lists as sources, typed: `sources = ["pl-…"]`, and lists of others that let in already
what is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.ec2 import Ec2Double
from tests.doubles.http import Fault
from tests.runs.test_aws_runs import Run, tcp

pytestmark = pytest.mark.emulator
NETWORKS = ["198.51.100.0/24", "203.0.113.0/24", "2001:db8:7::/48"]


class Listed(Run):
    """A run whose group lets prefix lists in."""

    def allows(self, *sources: str, ports: str = '"9100/tcp"') -> None:
        self.configure('"80/tcp"')
        path = self.folder / "cloudsync.toml"
        named = ", ".join(f'"{source}"' for source in sources)
        table = f"[[firewalls.web-0.allow]]\nports = [{ports}]\nsources = [{named}]\n"
        path.write_text(path.read_text() + (table if sources else ""))

    def by_lists(self) -> list[tuple[int | None, int | None, str, str]]:
        """Ports, list and description of each rule of the group whose source is a prefix list."""
        group = self.cloud.group("cloudsync-web-0")
        assert group is not None
        return sorted(
            (rule.first, rule.last, rule.source, rule.description or "")
            for rule in group.rules
            if rule.kind == "list"
        )

    def networks(self, port: int) -> list[str]:
        group = self.cloud.group("cloudsync-web-0")
        assert group is not None
        return sorted(r.source for r in group.rules if r.first == port and r.kind in ("v4", "v6"))

    def document(self) -> dict[str, Any]:
        planned = self.types("plan", "--output", "json")
        assert planned.returncode == 0, planned.stderr
        firewall: dict[str, Any] = json.loads(planned.stdout)["firewalls"][0]
        return firewall


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Listed]:
    with Ec2Double() as cloud:
        yield Listed(tmp_path, cloud)
        assert cloud.violations == []


@pytest.fixture
def cdn(run: Listed) -> str:
    return run.cloud.add_prefix_list(20, NETWORKS)


def test_a_list_is_written_as_a_list_and_shown_by_its_id(run: Listed, cdn: str) -> None:
    run.allows(cdn)
    assert f"{cdn} (3" in run.types("plan").stdout
    (change,) = [c for c in run.document()["changes"] if c.get("ports") == "9100"]
    assert change["list_id"] == cdn
    assert change["sources"] == NETWORKS
    assert run.applies() == 0
    assert run.by_lists() == [(9100, 9100, cdn, "allow (cloudsync)")]
    assert run.networks(9100) == []
    assert run.document()["changes"] == []


def test_a_list_that_changes_needs_no_run(run: Listed, cdn: str) -> None:
    run.allows(cdn)
    run.applies()
    run.cloud.prefix_entries[cdn] = ["192.0.2.0/24"]
    assert run.document()["changes"] == []


def test_a_list_that_is_asked_for_no_more_closes_and_one_of_others_stays(
    run: Listed, cdn: str
) -> None:
    other = run.cloud.add_prefix_list(5, ["192.0.2.0/24"])
    run.allows(cdn)
    run.applies()
    group = run.cloud.group("cloudsync-web-0")
    assert group is not None
    by_hand = {
        "IpProtocol": "tcp",
        "FromPort": 9200,
        "ToPort": 9200,
        "PrefixListIds": [{"PrefixListId": other, "Description": "the auditors"}],
    }
    ours = {
        "IpProtocol": "tcp",
        "FromPort": 9100,
        "ToPort": 9100,
        "PrefixListIds": [{"PrefixListId": cdn, "Description": "allow (cloudsync)"}],
    }
    run.cloud.set_permissions_by_hand(group.id, [tcp(22), tcp(80), ours, by_hand])
    run.allows()
    assert run.applies() == 0
    assert run.by_lists() == [(9200, 9200, other, "the auditors")]


def test_a_list_rule_of_others_that_is_asked_for_is_taken_as_it_is_and_stays_theirs(
    run: Listed, cdn: str
) -> None:
    run.allows()
    run.applies()
    group = run.cloud.group("cloudsync-web-0")
    assert group is not None
    by_hand = {
        "IpProtocol": "tcp",
        "FromPort": 9100,
        "ToPort": 9100,
        "PrefixListIds": [{"PrefixListId": cdn, "Description": "Ticket NET-7"}],
    }
    run.cloud.set_permissions_by_hand(group.id, [tcp(22), tcp(80), by_hand])
    run.allows(cdn)
    assert run.document()["changes"] == []
    run.allows()
    assert run.applies() == 0
    assert run.by_lists() == [(9100, 9100, cdn, "Ticket NET-7")]


def test_networks_that_cloudsync_wrote_one_by_one_become_the_list(run: Listed, cdn: str) -> None:
    run.allows(*NETWORKS)
    run.applies()
    assert run.networks(9100) == sorted(NETWORKS)
    run.allows(cdn)
    assert run.applies() == 0
    assert run.by_lists() == [(9100, 9100, cdn, "allow (cloudsync)")]
    assert run.networks(9100) == []


def test_what_a_list_of_others_lets_in_is_not_opened_again(run: Listed, cdn: str) -> None:
    run.allows()
    run.applies()
    group = run.cloud.group("cloudsync-web-0")
    assert group is not None
    by_hand = {
        "IpProtocol": "tcp",
        "FromPort": 9100,
        "ToPort": 9100,
        "PrefixListIds": [{"PrefixListId": cdn}],
    }
    run.cloud.set_permissions_by_hand(group.id, [tcp(22), tcp(80), by_hand])
    run.allows(*NETWORKS)
    assert run.document()["changes"] == []
    run.allows(*NETWORKS, "192.0.2.0/24")
    assert run.applies() == 0
    assert run.networks(9100) == ["192.0.2.0/24"]
    explained = run.types("explain", "9100").stdout
    assert "open, and stays open" in explained


def test_a_list_that_is_not_there_leaves_the_firewall_alone(run: Listed) -> None:
    run.allows("pl-0123456789abcdef0")
    applied = run.types("apply", "--auto-approve")
    assert applied.returncode == 1
    assert "no prefix list pl-0123456789abcdef0" in applied.stdout
    assert run.cloud.group("cloudsync-web-0") is None


def test_law1_a_list_that_cannot_be_read_leaves_the_firewall_alone(run: Listed, cdn: str) -> None:
    run.allows(cdn)
    run.applies()
    before = run.by_lists()
    run.allows(cdn, ports='"9300/tcp"')
    run.cloud.fail(Fault("POST", ".*GetManagedPrefixListEntries.*", status=503, times=50))
    assert run.types("apply", "--auto-approve").returncode == 75
    assert run.by_lists() == before


def test_a_list_counts_with_its_most_entries(run: Listed) -> None:
    large = run.cloud.add_prefix_list(59, NETWORKS)
    run.allows(large)
    refused = run.types("plan").stdout
    assert "unsupported" in refused
    assert "AWS allows 60 a group" in " ".join(refused.split())


def test_a_provider_without_lists_says_so(run: Listed, cdn: str) -> None:
    run.allows(cdn)
    path = run.folder / "cloudsync.toml"
    text = path.read_text().replace('[providers.aws]\nregion = "eu-central-1"', "[providers.aws]")
    text = text.replace(f'endpoint = "{run.cloud.endpoint}"', 'type = "local"')
    path.write_text(text.replace(f'vpc_id = "{run.cloud.vpc}"', 'path = "fw.json"'))
    checked = run.types("config", "check")
    assert checked.returncode == 64
    assert "has no list of addresses" in checked.stderr + checked.stdout
