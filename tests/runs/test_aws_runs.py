"""Whole runs of the command against the EC2 double: somebody else at the same group, and what a run
costs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.ec2 import Ec2Double
from tests.doubles.http import Fault
from tests.runs.typed_in import TypedIn

pytestmark = pytest.mark.emulator
ANYWHERE: dict[str, Any] = {
    "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
    "Ipv6Ranges": [{"CidrIpv6": "::/0"}],
}


def tcp(port: int) -> dict[str, Any]:
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **ANYWHERE}


class Run(TypedIn):
    """A folder with a configuration (one static host, `groups` groups), and the command typed in
    it."""

    sdk = "aws"

    def __init__(self, folder: Path, cloud: Ec2Double) -> None:
        self.folder, self.cloud = folder, cloud
        self.environment = {
            **os.environ,
            "NO_COLOR": "1",
            "AWS_ACCESS_KEY_ID": cloud.access_key,
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def configure(self, ports: str, groups: int = 1) -> None:
        tables = "".join(
            f'[firewalls.web-{n}]\nprovider = "aws"\nhosts = ["web-1"]\nvpc_id ='
            f' "{self.cloud.vpc}"\n'
            for n in range(groups)
        )
        (self.folder / "cloudsync.toml").write_text(f"""
version = 1
owner = "shop"
state = "file://{self.folder}/state"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
grace = "0s"
foreign = "ignore"
[providers.aws]
region = "eu-central-1"
endpoint = "{self.cloud.endpoint}"
[hosts.web-1]
ports = [{ports}]
{tables}
""")

    def applies(self) -> int:
        return self.types("apply", "--auto-approve").returncode

    def ports(self) -> set[int | None]:
        group = self.cloud.group("cloudsync-web-0")
        return {rule.first for rule in group.rules} if group else set()

    def by_hand(self, *ports: int) -> None:
        group = self.cloud.group("cloudsync-web-0")
        assert group is not None
        self.cloud.set_permissions_by_hand(group.id, [tcp(port) for port in ports])


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with Ec2Double() as cloud:
        built = Run(tmp_path, cloud)
        built.configure('"80/tcp"')
        yield built
        assert cloud.violations == []


def called(cloud: Ec2Double) -> list[str]:
    return [call.path[1:] for call in cloud.calls]


@pytest.mark.parametrize("groups", [1, 20])
def test_a_run_with_nothing_to_do_is_one_call(run: Run, groups: int) -> None:
    run.configure('"80/tcp"', groups)
    assert run.applies() == 0
    run.cloud.reset_calls()
    assert run.types("plan", "--detailed-exitcode").returncode == 0
    assert called(run.cloud) == ["DescribeSecurityGroups"]
    assert run.applies() == 0
    assert called(run.cloud) == ["DescribeSecurityGroups"] * 2


def test_a_change_of_any_number_of_rules_is_two_writes_between_two_reads(run: Run) -> None:
    run.applies()
    run.configure('"443/tcp", "8000/tcp", "53/udp"')
    run.cloud.reset_calls()
    assert run.applies() == 0
    read = "DescribeSecurityGroups"
    assert called(run.cloud) == [
        read,
        "AuthorizeSecurityGroupIngress",
        "RevokeSecurityGroupIngress",
        read,
    ]


def test_a_rule_that_somebody_added_meanwhile_is_planned_around_in_the_same_run(run: Run) -> None:
    run.applies()
    run.configure('"80/tcp", "443/tcp", "8443/tcp"')
    run.cloud.fail(
        Fault(
            "POST",
            "/AuthorizeSecurityGroupIngress",
            "meanwhile",
            action=lambda: run.by_hand(22, 80, 443),
        )
    )
    assert run.applies() == 0
    assert run.ports() == {22, 80, 443, 8443}


def test_a_rule_that_somebody_took_away_meanwhile_is_planned_around_in_the_same_run(
    run: Run,
) -> None:
    run.configure('"80/tcp", "443/tcp", "8443/tcp"')
    run.applies()
    run.configure('"80/tcp"')
    run.cloud.fail(
        Fault(
            "POST",
            "/RevokeSecurityGroupIngress",
            "meanwhile",
            action=lambda: run.by_hand(22, 80, 443),
        )
    )
    assert run.applies() == 0
    assert run.ports() == {22, 80}


def test_planning_again_does_not_go_beyond_what_was_approved(run: Run) -> None:
    """Somebody opens another port meanwhile: to close that too was shown to nobody, so it is left
    to the next run."""
    run.applies()
    run.configure('"80/tcp", "443/tcp"')
    run.cloud.fail(
        Fault(
            "POST",
            "/AuthorizeSecurityGroupIngress",
            "meanwhile",
            action=lambda: run.by_hand(22, 80, 443, 3389),
        )
    )
    done = run.types("apply", "--auto-approve")
    assert done.returncode == 6
    assert "planned again: web-0: now also closes 3389/tcp" in done.stdout
    assert 3389 in run.ports()
    assert run.applies() == 0
    assert run.ports() == {22, 80, 443}


def test_a_conflict_that_does_not_end_is_told(run: Run) -> None:
    run.applies()
    run.configure('"443/tcp"')
    for _ in range(3):
        run.cloud.fail(
            Fault(
                "POST", "/AuthorizeSecurityGroupIngress", status=400,
                body={"code": "InvalidPermission.Duplicate", "message": "the rule exists"},
            )
        )  # fmt: skip
    done = run.types("apply", "--auto-approve")
    assert done.returncode == 6
    assert called(run.cloud).count("AuthorizeSecurityGroupIngress") == 1 + 2
    assert run.ports() == {22, 80}


def test_the_plan_shows_the_numbers_of_a_full_group(run: Run) -> None:
    run.configure(", ".join(f'"{10000 + 2 * n}/tcp"' for n in range(60)))
    document = json.loads(run.types("plan", "--output", "json").stdout)
    (guard,) = document["guards"]
    assert guard["id"] == "unsupported"
    assert "61 are to be added: 1 too many" in guard["message"]
    assert "AWS allows 60 a group" in guard["message"]
    assert run.applies() == 3
    assert run.ports() == set()


# EC2 is eventually consistent:
# https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html


@pytest.mark.parametrize("new", [True, False], ids=["creates", "changes"])
def test_reads_that_lag_behind_the_writes_are_waited_for_and_the_run_is_done(
    run: Run, new: bool
) -> None:
    if not new:
        assert run.applies() == 0
        run.configure('"443/tcp"')
    run.cloud.lag = 3
    applied = run.types("apply", "--auto-approve")
    assert applied.returncode == 0, applied.stderr
    history = run.types("history")
    assert " done " in history.stdout.splitlines()[1]
    assert run.types("plan", "--detailed-exitcode").returncode == 0
    assert run.ports() == {22, 80 if new else 443}


def test_a_run_that_reads_what_was_there_before_the_last_one_wrote_ends_in_the_same_state(
    run: Run,
) -> None:
    """The other copy of the group answers: what is already open is opened once more."""
    assert run.applies() == 0
    run.configure('"443/tcp"')
    assert run.applies() == 0
    run.cloud.lag = 1
    group = run.cloud.group("cloudsync-web-0")
    assert group is not None
    with run.cloud.lock:
        run.cloud._earlier = {group.id: replace(group, rules=[])}
        run.cloud._behind = 1
    assert run.applies() == 0
    assert run.ports() == {22, 443}


@pytest.mark.parametrize("looks", ["answered", "refused", "stalled"])
def test_rules_that_somebody_takes_away_again_are_reported_when_the_wait_is_over(
    run: Run, looks: str
) -> None:
    """Nobody can tell that from a lag: the run waits, and then says what is missing, whatever
    became of looking once more."""
    assert run.applies() == 0
    run.configure('"80/tcp", "443/tcp"')
    path = run.folder / "cloudsync.toml"
    path.write_text(
        path.read_text().replace("[providers.aws]", '[run]\ndeadline = "8s"\n[providers.aws]')
    )
    run.cloud.fail(
        Fault(
            "POST",
            "/DescribeSecurityGroups",
            "meanwhile",
            action=lambda: run.by_hand(22, 80),
            skip=1,
        )
    )
    if looks == "refused":
        run.cloud.fail(Fault("POST", "/DescribeSecurityGroups", status=403, skip=2, times=99))
    elif looks == "stalled":
        run.cloud.fail(Fault("POST", "/DescribeSecurityGroups", "stall", skip=2, times=99))
    applied = run.types("apply", "--auto-approve")
    assert applied.returncode == 6
    assert "written, but 443/tcp from everyone is not open" in applied.stdout
