"""Whole plans against the doubles: what is said of machines, what it costs in calls, what stops for
it, and what does not."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from cloudsync import exit_codes
from cloudsync.config import load
from cloudsync.config.configuration import Configuration
from cloudsync.model.observed import Seen
from cloudsync.model.plan import FirewallPlan, Granted, Plan
from cloudsync.model.plan_json import from_document, to_document
from cloudsync.planning.orphans import orphans
from cloudsync.provider.machines import ActingFirewall, Marked
from cloudsync.provider.marker import Marker
from cloudsync.reconcile import check_access as access
from cloudsync.reconcile import run as reconcile
from cloudsync.reconcile.run import Options
from cloudsync.render import markdown, text
from tests import command
from tests.doubles.digitalocean import DigitalOceanDouble
from tests.doubles.ec2 import Ec2Double, Nic, fault_body
from tests.doubles.hetzner import HetznerDouble
from tests.doubles.http import Double, Fault

pytestmark = pytest.mark.emulator
WORLD = ["0.0.0.0/0", "::/0"]
OURS = {"cloudsync/owner": "shop", "cloudsync/firewall": "web", "cloudsync/hosts": "c4719afa"}


class Site:
    """One account at one double, with one firewall `web` behind which hosts stand."""

    def __init__(
        self, folder: Path, type_: str, account: Mapping[str, Any], firewall: Mapping[str, Any]
    ) -> None:
        self.folder, self.type, self.account, self.firewall = folder, type_, account, dict(firewall)
        self.hosts: dict[str, list[str]] = {"web-1": ["443/tcp"]}
        self.policy: dict[str, object] = {}
        self.allow: list[dict[str, Any]] = []

    @property
    def configuration(self) -> Configuration:
        document = {
            "version": 1,
            "owner": "shop",
            "state": f"file://{self.folder}/state",
            "ssh": {"ports": [22], "sources": ["any"]},
            "policy": {"expose": "published", "grace": "0s", **self.policy},
            "run": {"deadline": "10s"},
            "providers": {"vendor": {"type": self.type, **self.account}},
            "hosts": {name: {"ports": ports} for name, ports in self.hosts.items()},
            "firewalls": {
                "web": {
                    "provider": "vendor",
                    "hosts": list(self.hosts),
                    "allow": self.allow,
                    **self.firewall,
                }
            },
        }
        path = self.folder / "cloudsync.toml"
        path.write_text(tomli_w.dumps(document))
        return load(path)

    def plan(self) -> Plan:
        return reconcile.plan(self.configuration, Options()).plan

    def apply(self) -> reconcile.Report:
        granted = Granted(adopt=("web",), allow_attach=("web",), allow_close=100)
        return reconcile.apply(self.configuration, Options(granted=granted))

    def web(self) -> FirewallPlan:
        (found,) = self.plan().firewalls
        return found

    def said(self) -> str:
        plan = self.plan()
        assert (
            from_document(json.dumps(to_document(plan))).firewalls[0].changes
            == plan.firewalls[0].changes
        )
        assert markdown.plan(plan)
        assert markdown.reached(plan)
        return text.joined([*text.plan(plan), *text.reached(plan)], colour=False, width=400)


@pytest.fixture
def hetzner(tmp_path: Path) -> Iterator[tuple[Site, HetznerDouble]]:
    with HetznerDouble() as cloud:
        account = {"token": {"command": ["echo", cloud.token]}, "endpoint": cloud.endpoint}
        yield Site(tmp_path, "hetzner", account, {"servers": ["web-1"]}), cloud
        assert cloud.violations == []


@pytest.fixture
def digitalocean(tmp_path: Path) -> Iterator[tuple[Site, DigitalOceanDouble]]:
    with DigitalOceanDouble() as cloud:
        account = {"token": {"command": ["echo", cloud.token]}, "endpoint": cloud.endpoint}
        yield Site(tmp_path, "digitalocean", account, {"tags": ["web"]}), cloud
        assert cloud.violations == []


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Site, Ec2Double]]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIADOUBLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with Ec2Double() as cloud:
        account = {"region": "eu-central-1", "endpoint": cloud.endpoint}
        yield Site(tmp_path, "aws", account, {"vpc_id": cloud.vpc, "name": "web"}), cloud
        assert cloud.violations == []


def inbound(port: str, *sources: str, protocol: str = "tcp") -> dict[str, Any]:
    return {
        "direction": "in",
        "protocol": protocol,
        "port": port,
        "source_ips": list(sources or WORLD),
        "description": "by hand",
    }


def permission(port: int, *cidrs: str) -> dict[str, Any]:
    return {
        "IpProtocol": "tcp",
        "FromPort": port,
        "ToPort": port,
        "IpRanges": [{"CidrIp": one} for one in cidrs],
    }


def test_law8_what_another_firewall_leaves_open_is_in_the_plan(
    hetzner: tuple[Site, HetznerDouble],
) -> None:
    site, cloud = hetzner
    server = cloud.add_server("web-1")
    cloud.add_firewall(
        "desk",
        [inbound("3389", "0.0.0.0/0"), inbound("443"), inbound("5432", "10.0.0.0/8")],
        servers=[server],
    )
    assert exit_codes.of_report(site.apply()) == 0
    (machine,) = to_document(site.plan())["firewalls"][0]["exposure"]
    assert (machine["machine"], machine["protected"]) == ("web-1", True)
    (only,) = machine["beyond"]
    assert {key: only[key] for key in ("protocol", "ports", "sources")} == {
        "protocol": "tcp",
        "ports": "3389",
        "sources": ["0.0.0.0/0"],
    }
    assert 'firewall "desk"' in only["through"]
    assert "by hand" in only["through"]
    assert "3389/tcp from everyone (IPv4)" in site.said()


def test_law8_a_machine_without_any_firewall_is_said_to_be_open(
    hetzner: tuple[Site, HetznerDouble],
) -> None:
    site, cloud = hetzner
    cloud.add_server("web-1")
    cloud.add_server("web-2")
    site.hosts["web-2"] = ["443/tcp"]
    assert exit_codes.of_report(site.apply()) == 0
    machines = {one["machine"]: one for one in to_document(site.plan())["firewalls"][0]["exposure"]}
    assert machines["web-1"]["protected"]
    assert not machines["web-2"]["protected"]
    assert [(one["protocol"], one["sources"]) for one in machines["web-2"]["beyond"]] == [
        ("all", ["0.0.0.0/0"])
    ]
    assert "web-2 (server 3) is NOT protected" in site.said()


def test_law8_a_firewall_attached_to_nothing_is_said(hetzner: tuple[Site, HetznerDouble]) -> None:
    site, cloud = hetzner
    cloud.add_firewall("cloudsync-web", [inbound("22"), inbound("443")], labels=OURS)
    site.firewall = {}
    assert site.web().standing.unattached
    assert "not attached to any machine" in site.said()


def test_what_the_vendor_has_not_put_in_force_is_said_and_protects_nothing_yet(
    hetzner: tuple[Site, HetznerDouble],
) -> None:
    site, cloud = hetzner
    server = cloud.add_server("web-1")
    made = cloud.add_firewall(
        "cloudsync-web", [inbound("22"), inbound("443")], labels=OURS, servers=[server]
    )
    cloud.in_force[made, server] = "pending"
    (machine,) = site.web().standing.machines
    assert not machine.protected
    assert machine.pending
    assert "put into effect on server 2" in site.said()


def test_law8_a_firewall_with_our_mark_that_nobody_names_is_an_orphan(
    hetzner: tuple[Site, HetznerDouble],
) -> None:
    site, cloud = hetzner
    cloud.add_server("web-1")
    cloud.add_firewall("cloudsync-api", [], labels={**OURS, "cloudsync/firewall": "api"})
    cloud.add_firewall("others", [], labels={**OURS, "cloudsync/owner": "blog"})
    cloud.add_firewall("unmarked", [])
    site.apply()
    for foreign in ("report", "ignore"):
        site.policy["foreign"] = foreign
        assert [(one.name, one.firewall) for one in site.plan().orphans] == [
            ("cloudsync-api", "api")
        ]
    assert 'firewall "cloudsync-api"' in site.said()


def test_a_configured_firewall_that_is_not_asked_for_is_neither_an_orphan_nor_foreign(
    hetzner: tuple[Site, HetznerDouble],
) -> None:
    site, cloud = hetzner
    server = cloud.add_server("web-1")
    site.apply()
    cloud.add_firewall(
        "cloudsync-api",
        [inbound("8443")],
        labels={**OURS, "cloudsync/firewall": "api"},
        servers=[server],
    )
    assert [one.name for one in site.plan().orphans] == ["cloudsync-api"]
    path = site.folder / "cloudsync.toml"
    path.write_text(
        f'{path.read_text()}\n[firewalls.api]\nprovider = "vendor"\nhosts = ["web-1"]\nservers ='
        ' ["web-1"]\n'
    )
    configuration = load(path)
    plan = reconcile.plan(configuration, Options(firewalls=("web",))).plan
    assert plan.orphans == ()
    assert [machine.beyond for machine in plan.firewalls[0].standing.machines] == [()]


def test_law8_orphans_at_digitalocean_are_known_by_their_names(
    digitalocean: tuple[Site, DigitalOceanDouble],
) -> None:
    site, cloud = digitalocean
    cloud.add_droplet("web-1", ["web"])
    site.apply()
    for name in ("cloudsync-api.shop.01234567", "cloudsync-api.blog.01234567", "by-hand"):
        cloud.add_firewall(name, [])
    assert [one.name for one in site.plan().orphans] == ["cloudsync-api.shop.01234567"]


def test_another_owners_firewall_is_no_orphan_whatever_a_provider_tells(
    hetzner: tuple[Site, HetznerDouble],
) -> None:
    site, _ = hetzner
    told = [
        Marked(ActingFirewall(owner, owner), Marker(owner, "api", "01234567"))
        for owner in ("shop", "blog")
    ]
    assert [one.id for one in orphans(site.configuration, (), {"vendor": Seen(marked=told)})] == [
        "shop"
    ]


def test_law8_orphans_at_aws_are_found_by_their_tag(aws: tuple[Site, Ec2Double]) -> None:
    site, cloud = aws
    site.apply()
    tags = {"cloudsync:owner": "shop", "cloudsync:firewall": "api", "cloudsync:hosts": "01234567"}
    orphan = cloud.add_group("api", tags=tags)
    cloud.add_group("blog", tags={**tags, "cloudsync:owner": "blog"})
    assert [(one.id, one.firewall) for one in site.plan().orphans] == [(orphan, "api")]
    site.policy["foreign"] = "ignore"
    assert site.plan().orphans == ()


def test_law8_a_port_another_host_behind_the_same_firewall_needs_is_said(
    hetzner: tuple[Site, HetznerDouble],
) -> None:
    site, cloud = hetzner
    cloud.add_server("web-1")
    cloud.add_server("web-2")
    site.hosts["web-2"] = ["443/tcp", "8443/tcp"]
    (shared,) = to_document(site.plan())["firewalls"][0]["shared"]
    assert (shared["host"], shared["ports"], shared["needed_by"]) == ("web-1", "8443", ["web-2"])
    assert "open on web-1 too, which does not need it: 8443/tcp from everyone" in site.said()


def test_foreign_fail_withholds_closings_and_ends_with_3_until_nothing_is_open_beyond(
    hetzner: tuple[Site, HetznerDouble],
) -> None:
    site, cloud = hetzner
    server = cloud.add_server("web-1")
    cloud.add_firewall(
        "cloudsync-web", [inbound("22"), inbound("9999")], labels=OURS, servers=[server]
    )
    wide = cloud.add_firewall("wide", [inbound("any")], servers=[server])
    site.policy["foreign"] = "fail"
    report = site.apply()
    assert exit_codes.of_report(report) == 3
    assert [guard.id for guard in report.plan.guards] == ["foreign"]
    ours = cloud.firewall("cloudsync-web")
    assert ours is not None
    assert {rule["port"] for rule in ours["rules"]} == {"22", "443", "9999"}
    assert [held.reason for held in report.plan.firewalls[0].held] == ["foreign"]
    cloud.set_rules_by_hand(wide, [inbound("443")])
    assert exit_codes.of_report(site.apply()) == 0
    ours = cloud.firewall("cloudsync-web")
    assert ours is not None
    assert {rule["port"] for rule in ours["rules"]} == {"22", "443"}


def test_foreign_fail_lets_a_plan_attach_the_machine_that_is_open_because_nothing_is_attached(
    hetzner: tuple[Site, HetznerDouble],
) -> None:
    site, cloud = hetzner
    cloud.add_server("web-1")
    site.policy["foreign"] = "fail"
    assert exit_codes.of_report(site.apply()) == 0
    assert site.web().standing.machines[0].protected


def test_a_ping_that_policy_keeps_is_told_and_is_no_reason_to_fail(
    hetzner: tuple[Site, HetznerDouble],
) -> None:
    site, cloud = hetzner
    server = cloud.add_server("web-1")
    cloud.add_firewall(
        "ping", [{"direction": "in", "protocol": "icmp", "source_ips": WORLD}], servers=[server]
    )
    site.policy["foreign"] = "fail"
    assert exit_codes.of_report(site.apply()) == 0
    (machine,) = site.web().standing.machines
    assert machine.beyond == ()
    assert any("icmp from" in text and "policy.icmp" in text for text in machine.kept)
    site.policy["icmp"] = "none"
    assert exit_codes.of_plan(site.plan()) == 3
    assert [one.rule.protocol for one in site.web().standing.machines[0].beyond] == ["icmp"]


def test_law1_exposure_that_cannot_be_read_is_said_and_stops_nothing(
    aws: tuple[Site, Ec2Double],
) -> None:
    site, cloud = aws
    site.apply()
    cloud.denied = {"DescribeInstances"}
    site.hosts = {"web-1": ["80/tcp"]}
    report = site.apply()
    assert exit_codes.of_report(report) == 0
    assert [(outcome.opened, outcome.closed) for outcome in report.outcomes] == [(1, 1)]
    (found,) = report.plan.firewalls
    assert found.standing.read is not None
    assert found.standing.read.status == "failed"
    assert "ec2:DescribeInstances" in site.said()
    site.policy["foreign"] = "fail"
    assert [guard.id for guard in site.plan().guards] == ["foreign"]


def test_law8_a_group_on_no_instance_is_said(aws: tuple[Site, Ec2Double]) -> None:
    site, cloud = aws
    assert not site.web().standing.unattached  # it does not exist yet
    site.apply()
    assert site.web().standing.unattached
    ours = cloud.group("web")
    assert ours is not None
    cloud.add_instance(None, Nic("", [ours.id], "198.51.100.1"))
    assert not site.web().standing.unattached


def test_a_prefix_list_that_cannot_be_read_may_be_more_that_is_open(
    aws: tuple[Site, Ec2Double],
) -> None:
    site, cloud = aws
    site.apply()
    ours = cloud.group("web")
    assert ours is not None
    entry = permission(5432) | {
        "PrefixListIds": [{"PrefixListId": cloud.add_prefix_list(5, ["203.0.113.0/24"])}]
    }
    other = cloud.add_group("partners", permissions=[entry])
    cloud.add_instance("web-1", Nic("", [ours.id, other], "198.51.100.1"))
    (machine,) = site.web().standing.machines
    assert [str(one.rule) for one in machine.beyond] == ["tcp/5432 from 203.0.113.0/24"]
    assert "prefix list" in machine.beyond[0].through
    cloud.denied = {"GetManagedPrefixListEntries"}
    (machine,) = site.web().standing.machines
    assert machine.beyond == ()
    assert "could not be read" in machine.unknown[0]


def test_the_second_interface_of_an_instance_is_looked_at_by_its_own_groups(
    aws: tuple[Site, Ec2Double],
) -> None:
    site, cloud = aws
    site.apply()
    ours = cloud.group("web")
    assert ours is not None
    lax = cloud.add_group("lax", permissions=[permission(8080, "0.0.0.0/0")])
    cloud.add_instance("web-1", Nic("", [ours.id], "198.51.100.1"), Nic("", [lax], "198.51.100.2"))
    cloud.add_instance("inside", Nic("", [ours.id], "198.51.100.3"), Nic("", [lax]))
    machines = {one.machine: one for one in site.web().standing.machines}
    assert [str(one.rule) for one in machines["web-1"].beyond] == ["tcp/8080 from 0.0.0.0/0"]
    assert machines["inside"].beyond == ()


def test_a_token_that_hides_droplets_makes_exposure_unknown_and_not_empty(
    digitalocean: tuple[Site, DigitalOceanDouble],
) -> None:
    site, cloud = digitalocean
    cloud.add_droplet("web-1", ["web"])
    site.apply()
    cloud.scopes["narrow"] = {"firewall:read", "droplet:read"}
    site.account = {**site.account, "token": {"command": ["echo", "narrow"]}}
    standing = site.web().standing
    assert standing.read is not None
    assert standing.read.status == "failed"
    assert "tag:read" in (standing.read.reason or "")


# What it costs


def paths(cloud: Double) -> list[str]:
    return sorted(call.path for call in cloud.calls)


def test_a_fleet_of_200_servers_at_hetzner_is_the_normal_read(
    hetzner: tuple[Site, HetznerDouble],
) -> None:
    site, cloud = hetzner
    ids = [cloud.add_server(f"web-{n}") for n in range(200)]
    cloud.add_firewall("cloudsync-web", [inbound("22"), inbound("443")], labels=OURS, servers=ids)
    cloud.add_firewall("wide", [inbound("any")], servers=ids)
    for foreign in ("report", "ignore"):
        site.policy["foreign"] = foreign
        cloud.reset_calls()
        machines = site.web().standing.machines
        assert paths(cloud) == ["/firewalls"] + ["/servers"] * 4
        assert len(machines) == (200 if foreign == "report" else 0)
        assert all(one.beyond for one in machines)


def test_a_fleet_of_200_droplets_is_four_calls_and_with_ignore_one(
    digitalocean: tuple[Site, DigitalOceanDouble],
) -> None:
    site, cloud = digitalocean
    for n in range(200):
        cloud.add_droplet(f"web-{n}", ["web"], gpu=n == 7)
    site.apply()
    cloud.add_firewall(
        "wide", [{"protocol": "tcp", "ports": "0", "sources": {"addresses": WORLD}}], tags=["web"]
    )
    cloud.reset_calls()
    machines = site.web().standing.machines
    assert paths(cloud) == ["/droplets", "/droplets", "/firewalls", "/tags"]
    assert len(machines) == 200
    assert all(one.beyond for one in machines)
    site.policy["foreign"] = "ignore"
    cloud.reset_calls()
    site.plan()
    assert paths(cloud) == ["/firewalls"]


def test_a_fleet_of_200_instances_is_one_call_for_them_and_one_for_the_groups_of_others(
    aws: tuple[Site, Ec2Double],
) -> None:
    site, cloud = aws
    site.apply()
    ours = cloud.group("web")
    assert ours is not None
    entry = permission(5432, "0.0.0.0/0") | {
        "PrefixListIds": [{"PrefixListId": cloud.add_prefix_list(3, ["198.51.100.0/24"])}]
    }
    others = [cloud.add_group(f"other-{n}", permissions=[entry]) for n in range(20)]
    for n in range(200):
        cloud.add_instance(f"web-{n}", Nic("", [ours.id, others[n % 20]], f"198.51.100.{n}"))
    cloud.reset_calls()
    machines = site.web().standing.machines
    # the normal read; instances, their other groups, the prefix list; and the groups that nobody
    # names any more
    assert paths(cloud) == [
        "/DescribeInstances",
        *["/DescribeSecurityGroups"] * 3,
        "/GetManagedPrefixListEntries",
    ]
    assert len(machines) == 200
    assert all(one.beyond for one in machines)
    site.policy["foreign"] = "ignore"
    cloud.reset_calls()
    site.plan()
    assert paths(cloud) == ["/DescribeSecurityGroups"]


def test_instances_named_in_the_configuration_are_looked_at_with_and_without_the_group(
    aws: tuple[Site, Ec2Double],
) -> None:
    site, cloud = aws
    site.apply()
    lax = cloud.add_group("lax", permissions=[permission(8080, "0.0.0.0/0")])
    bare = cloud.add_instance("web-1", Nic("", [lax], "198.51.100.1"))
    site.firewall["instances"] = [bare, "i-00000000000000fff"]
    standing = site.web().standing
    assert [one.attached for one in standing.machines] == [False]
    assert not standing.unattached  # it may be on instances that nobody asked for
    assert any("i-00000000000000fff" in one for one in standing.not_evaluated)
    assert "does not have this firewall" in site.said()


# The commands


@contextmanager
def typed(
    site: Site, *words: str, **environment: str
) -> Iterator[subprocess.CompletedProcess[str]]:
    site.configuration  # noqa: B018 - writes the file
    yield command.typed(
        *words,
        folder=site.folder,
        environment={**os.environ, "NO_COLOR": "1", **environment},
    )


def test_the_command_shows_what_is_reachable_in_three_forms(
    hetzner: tuple[Site, HetznerDouble],
) -> None:
    site, cloud = hetzner
    server = cloud.add_server("web-1")
    cloud.add_firewall("desk", [inbound("3389", "0.0.0.0/0")], servers=[server])
    site.apply()
    site.policy["foreign"] = "ignore"  # who asks wants to know all the same
    with typed(site, "exposure") as done:
        assert done.returncode == 0
        assert "3389/tcp" in done.stdout
        assert "not evaluated:" in done.stdout
    with typed(site, "exposure", "--firewall", "web", "--output", "json") as done:
        (firewall,) = json.loads(done.stdout)["firewalls"]
        assert [rule["ports"] for rule in firewall["exposure"][0]["reachable"]] == [
            "22",
            "443",
            "3389",
        ]
    with typed(site, "exposure", "--output", "markdown") as done:
        assert "### web" in done.stdout
    with typed(site, "exposure", "--firewall", "wbe") as done:
        assert done.returncode == 64
        assert 'did you mean "web"' in done.stderr


def test_the_command_ends_with_3_where_policy_says_fail_and_75_where_it_cannot_know(
    hetzner: tuple[Site, HetznerDouble],
) -> None:
    site, cloud = hetzner
    server = cloud.add_server("web-1")
    cloud.add_firewall("desk", [inbound("3389")], servers=[server])
    site.apply()
    site.policy["foreign"] = "fail"
    with typed(site, "exposure") as done:
        assert done.returncode == 3
    cloud.fail(
        Fault(
            "GET",
            "/firewalls",
            status=503,
            body={"error": {"code": "unavailable", "message": "x"}},
            times=99,
        )
    )
    site.policy["foreign"] = "report"
    with typed(site, "exposure") as done:
        assert done.returncode == 75


def test_reading_a_large_account_shows_on_a_terminal_how_far_it_is(
    hetzner: tuple[Site, HetznerDouble],
) -> None:
    site, cloud = hetzner
    for n in range(120):
        cloud.add_server(f"web-{n}")
    site.configuration  # noqa: B018 - writes the file
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "cloudsync", "plan"],
        cwd=site.folder,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        stdin=subprocess.DEVNULL,
    )
    os.close(theirs)
    said = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:
            break
        if not part:
            break
        said += part
    os.close(ours)
    process.wait(timeout=60)
    assert b"reading servers, 50 of 120" in said
    assert b"reading servers, 100 of 120" in said


def states(site: Site) -> dict[str, str]:
    (rows,) = access.check(site.configuration).values()
    return {row.what: row.state for row in rows}


def test_check_access_at_hetzner_tells_a_token_that_only_reads_without_writing(
    hetzner: tuple[Site, HetznerDouble],
) -> None:
    site, cloud = hetzner
    cloud.add_server("web-1")
    cloud.add_firewall("cloudsync-web", [inbound(str(n)) for n in range(100, 147)], labels=OURS)
    before = {id_: list(one.rules) for id_, one in cloud.firewalls.items()}
    assert states(site) == {
        "token": "ok",
        "token: write": "ok",
        "firewalls of the project": "ok",
        "rules of cloudsync-web": "near",
        "requests an hour": "ok",
    }
    site.account = {**site.account, "token": {"command": ["echo", cloud.read_only_token]}}
    assert states(site)["token: write"] == "missing"
    with typed(site, "check-access") as done:
        assert done.returncode == 1
        assert "read-only" in done.stdout
        assert cloud.read_only_token not in done.stdout + done.stderr
    with typed(site, "check-access", "--for", "plan", "--output", "json") as done:
        assert done.returncode == 0
        assert {row["state"] for row in json.loads(done.stdout)} == {"ok", "near", "missing"}
    site.account = {**site.account, "token": {"command": ["echo", "wrong"]}}
    assert states(site) == {"token": "missing"}
    assert {id_: list(one.rules) for id_, one in cloud.firewalls.items()} == before


def test_check_access_at_digitalocean_names_the_scopes_that_are_missing(
    digitalocean: tuple[Site, DigitalOceanDouble],
) -> None:
    site, cloud = digitalocean
    cloud.add_droplet("web-1", ["web"])
    assert set(states(site).values()) == {"ok"}
    cloud.scopes["narrow"] = {"firewall:read", "firewall:update", "tag:read"}
    site.account = {**site.account, "token": {"command": ["echo", "narrow"]}}
    missing = {what for what, state in states(site).items() if state == "missing"}
    assert missing == {"droplet:read", "firewall:create", "tag:create"}
    with typed(site, "check-access") as done:
        assert done.returncode == 1
    site.account = {**site.account, "token": {"command": ["echo", "wrong"]}}
    assert states(site) == {"token": "missing"}
    assert cloud.firewalls == {}
    assert cloud.tags == ["web"]
    # What is asked without any content is not what the vendor's description wants.
    cloud.violations.clear()


def test_check_access_at_aws_names_the_actions_that_are_denied(
    aws: tuple[Site, Ec2Double], monkeypatch: pytest.MonkeyPatch
) -> None:
    site, cloud = aws
    site.apply()
    history = list(cloud.history)
    found = states(site)
    assert {state for what, state in found.items() if what.startswith(("ec2:", "cred"))} == {"ok"}
    cloud.denied = {"RevokeSecurityGroupIngress", "DescribeInstances"}
    assert {what for what, state in states(site).items() if state == "missing"} == {
        "ec2:RevokeSecurityGroupIngress", "ec2:DescribeInstances",
    }  # fmt: skip
    cloud.denied = {"DescribeInstances"}
    with typed(site, "check-access") as done:
        assert done.returncode == 1
    site.policy["foreign"] = "ignore"
    with typed(site, "check-access") as done:
        assert done.returncode == 0
    cloud.fail(
        Fault(
            "POST", "/DescribeSecurityGroups", status=503, body=fault_body("Unavailable"), times=99
        )
    )
    with typed(site, "check-access") as done:
        assert done.returncode == 1
        assert "unknown" in done.stdout
    cloud.faults.clear()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAWRONG")
    assert states(site) == {"credentials": "missing"}
    assert cloud.history == history
