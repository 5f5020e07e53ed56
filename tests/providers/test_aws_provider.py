"""The provider `aws` by the real SDK over HTTP, against the double: calls counted, meaning
compared, every failure told."""

from __future__ import annotations

import gc
import json
import threading
import time
import weakref
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from cloudsync.provider.answers import understood
from cloudsync.provider.contract import (
    Absent,
    Account,
    Description,
    FirewallSpec,
    Present,
    StepKind,
    Unreadable,
)
from cloudsync.provider.errors import (
    AuthError,
    Conflict,
    NotFound,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    Transient,
    Unsupported,
)
from cloudsync.provider.marker import Marker
from cloudsync_aws import provider
from cloudsync_aws.answers import Group, Instance, Reservation
from cloudsync_aws.machines import fleet
from cloudsync_aws.reader import AwsReader
from cloudsync_aws.settings import AwsAccount, AwsFirewall
from tests.doubles.ec2 import Ec2Double, fault_body
from tests.doubles.http import Fault
from tests.growth import operations
from tests.providers.harness import Harness
from tests.world import rules

pytestmark = pytest.mark.emulator
ANYWHERE: dict[str, Any] = {
    "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
    "Ipv6Ranges": [{"CidrIpv6": "::/0"}],
}
MARK = Marker("shop", "web", "0123abcd")
TAGS = {"cloudsync:owner": "shop", "cloudsync:firewall": "web", "cloudsync:hosts": "0123abcd"}
CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)


def tcp(first: int, last: int | None = None, **sources: Any) -> dict[str, Any]:
    return {
        "IpProtocol": "tcp",
        "FromPort": first,
        "ToPort": last or first,
        **(sources or ANYWHERE),
    }


SSH = tcp(22)
GROUP = {"GroupId": "sg-1", "GroupName": "web", "VpcId": "vpc-1", "IpPermissions": []}


@pytest.fixture
def cloud() -> Iterator[Ec2Double]:
    with Ec2Double() as double:
        yield double
        assert double.violations == []


class Region(Harness[Ec2Double]):
    """One account and region; its firewall `web` is the group `cloudsync-web` of the double's
    VPC."""

    provider = provider
    account_keys = {"region": "eu-central-1"}

    def __init__(self, cloud: Ec2Double, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch, self.home = monkeypatch, home
        for name in CREDENTIALS:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_CONFIG_FILE", str(home / "config"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "credentials"))
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        super().__init__(cloud)
        self.log_in()

    def log_in(self, key: str | None = None) -> None:
        self.monkeypatch.setenv("AWS_ACCESS_KEY_ID", key or self.cloud.access_key)
        self.monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-nobody-may-see")

    def named(self, name: str, **settings: Any) -> FirewallSpec:
        return super().named(name, **(settings or {"vpc_id": self.cloud.vpc}))

    def called(self) -> list[str]:
        return [call.path[1:] for call in self.cloud.calls]


@pytest.fixture
def region(
    cloud: Ec2Double, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_retries: None
) -> Region:
    return Region(cloud, tmp_path, monkeypatch)


# Calls


@pytest.mark.parametrize(("groups", "calls"), [(1, 1), (20, 1), (200, 1), (201, 2), (401, 3)])
@pytest.mark.parametrize("by", ["group_id", "name"])
def test_reading_is_one_call_per_200_groups(
    region: Region, cloud: Ec2Double, groups: int, calls: int, by: str
) -> None:
    ids = [
        cloud.add_group(f"cloudsync-fw-{n}", permissions=[SSH], tags=TAGS) for n in range(groups)
    ]
    specs = [
        region.named(
            f"fw-{n}", **({"group_id": id_} if by == "group_id" else {"vpc_id": cloud.vpc})
        )
        for n, id_ in enumerate(ids)
    ]
    found = provider.open_reader(region.account()).read(specs)
    assert [type(one) for one in found.values()] == [Present] * groups
    assert region.called() == ["DescribeSecurityGroups"] * calls


def test_groups_by_id_and_by_name_are_two_calls_together(region: Region, cloud: Ec2Double) -> None:
    by_id = region.named("a", group_id=cloud.add_group("somebody's", permissions=[SSH]))
    cloud.add_group("cloudsync-b", permissions=[SSH])
    cloud.add_group("cloudsync-b", cloud.default_vpc, permissions=[tcp(3389)])
    found = provider.open_reader(region.account()).read([by_id, region.named("b")])
    assert [one.rules for one in found.values() if isinstance(one, Present)] == [
        rules("tcp/22")
    ] * 2
    assert region.called() == ["DescribeSecurityGroups"] * 2


@pytest.mark.parametrize("count", [1, 10, 25])
def test_any_change_is_one_authorize_and_one_revoke_in_this_order(
    region: Region, cloud: Ec2Double, count: int
) -> None:
    cloud.add_group(
        "cloudsync-web", permissions=[SSH, *(tcp(9000 + 2 * n) for n in range(count))], tags=TAGS
    )
    wanted = ("tcp/22", *(f"tcp/{8000 + 2 * n}" for n in range(count)))
    region.makes(*wanted)
    assert region.called() == ["AuthorizeSecurityGroupIngress", "RevokeSecurityGroupIngress"]
    assert region.present().rules == rules(*wanted)


def test_only_opening_and_only_closing_are_one_call(region: Region, cloud: Ec2Double) -> None:
    cloud.add_group("cloudsync-web", permissions=[SSH], tags=TAGS)
    region.makes("tcp/22", "tcp/80")
    assert region.called() == ["AuthorizeSecurityGroupIngress"]
    region.makes("tcp/22")
    assert region.called() == ["RevokeSecurityGroupIngress"]


def test_a_new_group_is_marked_when_it_is_made_and_then_opened(
    region: Region, cloud: Ec2Double
) -> None:
    assert isinstance(region.read(), Absent)
    region.makes("tcp/22", "tcp/443")
    assert region.called() == ["CreateSecurityGroup", "AuthorizeSecurityGroupIngress"]
    assert region.present().marker == MARK


def test_a_new_group_that_is_not_known_everywhere_yet_is_waited_for(
    region: Region, cloud: Ec2Double
) -> None:
    cloud.fail(
        Fault(
            "POST",
            "/AuthorizeSecurityGroupIngress",
            status=400,
            body=fault_body("InvalidGroup.NotFound"),
            times=3,
        )
    )
    region.makes("tcp/22", "tcp/443")
    assert region.present().rules == rules("tcp/22", "tcp/443")


# Meaning


def test_rules_that_fit_stay_as_they_are_spelled(region: Region, cloud: Ec2Double) -> None:
    cloud.add_group("cloudsync-web", permissions=[SSH, tcp(80), tcp(82)], tags=TAGS)
    region.makes("tcp/22", "tcp/80-82")
    (call,) = cloud.calls
    assert [(one["FromPort"], one["ToPort"]) for one in call.body["IpPermissions"]] == [(81, 81)]
    assert region.present().rules == rules("tcp/22", "tcp/80-82")


def test_numbers_of_protocols_and_port_0_are_understood(region: Region, cloud: Ec2Double) -> None:
    cloud.add_group(
        "cloudsync-web",
        permissions=[
            {"IpProtocol": "6", "FromPort": 22, "ToPort": 22, **ANYWHERE},
            {
                "IpProtocol": "17",
                "FromPort": 0,
                "ToPort": 65535,
                "IpRanges": [{"CidrIp": "10.1.2.3/8"}],
            },
            {"IpProtocol": "58", "Ipv6Ranges": [{"CidrIpv6": "2001:DB8::1/32"}]},
            {
                "IpProtocol": "icmp",
                "FromPort": 8,
                "ToPort": -1,
                "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
            },
            {"IpProtocol": "50", "IpRanges": [{"CidrIp": "192.0.2.1/32"}]},
            {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "203.0.113.0/24"}]},
        ],
    )
    assert region.present().rules == rules(
        "tcp/22",
        "udp/1-65535 from 10.0.0.0/8",
        "icmpv6 from 2001:db8::/32",
        "icmp/8 from any4",
        "esp from 192.0.2.1/32",
        "all from 203.0.113.0/24",
    )


def test_what_was_written_is_what_is_read_back(region: Region, cloud: Ec2Double) -> None:
    wanted = (
        "tcp/22",
        "tcp/443 from any6",
        "udp/1-65535 from 10.0.0.0/8",
        "icmp from any4",
        "icmp/8 from 192.0.2.0/24",
        "icmpv6 from any6",
        "all from 203.0.113.0/24",
    )
    region.makes(*wanted)
    assert region.present().rules == rules(*wanted)
    assert region.steps(rules(*wanted)) == ()


def test_descriptions_say_who_in_the_characters_aws_takes(region: Region, cloud: Ec2Double) -> None:
    hostile = Description(rules("tcp/443"), "shop/web|\"<'>\u2603 & \x1b" + "x" * 400)
    region.makes("tcp/22", "tcp/443", descriptions=(hostile,))
    group = cloud.group("cloudsync-web")
    assert group is not None
    texts = {rule.description for rule in group.rules if rule.first == 443}
    assert len(texts) == 1
    text = str(texts.pop())
    assert text.startswith("shop/web______ _ _xxx")
    assert len(text) == 255


def test_rules_by_group_and_by_prefix_list_are_kept_and_listed(
    region: Region, cloud: Ec2Double
) -> None:
    id_ = cloud.add_group("cloudsync-web", permissions=[SSH, tcp(80)], tags=TAGS)
    other, listed = cloud.add_group("db"), cloud.add_prefix_list(5)
    more = [
        tcp(5432, UserIdGroupPairs=[{"GroupId": other}]),
        tcp(5433, PrefixListIds=[{"PrefixListId": listed}]),
    ]
    cloud.set_permissions_by_hand(id_, [SSH, tcp(80), *more])
    observed = region.present()
    assert {one.summary for one in observed.kept} == {
        f"tcp/5432 from the group {other}",
        f"tcp/5433 from the prefix list {listed}",
    }
    region.makes("tcp/22", "tcp/443")
    group = cloud.group(id_)
    assert group is not None
    assert {rule.kind for rule in group.rules} == {"v4", "v6", "group", "list"}
    assert region.present().rules == rules("tcp/22", "tcp/443")


def test_adopting_writes_three_tags_and_keeps_the_others(region: Region, cloud: Ec2Double) -> None:
    cloud.add_group("cloudsync-web", permissions=[SSH], tags={"team": "infra"})
    assert region.present().marker is None
    region.makes("tcp/22", marker=MARK)
    assert region.called() == ["CreateTags"]
    group = cloud.group("cloudsync-web")
    assert group is not None
    assert group.tags == {"team": "infra", **TAGS}


def test_a_marker_with_a_part_missing_is_still_somebodys(region: Region, cloud: Ec2Double) -> None:
    cloud.add_group("cloudsync-web", permissions=[SSH], tags={"cloudsync:owner": "shop"})
    assert region.present().marker == Marker("shop", "?", "?")


def test_outbound_rules_are_never_named_in_a_call(region: Region, cloud: Ec2Double) -> None:
    region.makes("tcp/22", "tcp/443")
    region.makes("tcp/22")
    assert not [call for call in cloud.calls if "Egress" in call.path or "Egress" in str(call.body)]


@pytest.mark.parametrize("wanted", ["sctp/3868", "dccp/5004", "udplite/7000"])
def test_what_aws_would_open_on_all_ports_is_refused(
    region: Region, cloud: Ec2Double, wanted: str
) -> None:
    cloud.add_group("cloudsync-web", permissions=[SSH], tags=TAGS)
    assert wanted.split("/", maxsplit=1)[0].split(maxsplit=1)[0] in region.refusal("tcp/22", wanted)


@pytest.mark.parametrize("wanted", ["esp from 192.0.2.1/32", "gre", "ah from 2001:db8::/32"])
def test_a_protocol_without_ports_is_let_in_by_its_number(
    region: Region, cloud: Ec2Double, wanted: str
) -> None:
    cloud.add_group("cloudsync-web", permissions=[SSH], tags=TAGS)
    region.makes("tcp/22", wanted)
    assert region.present().rules == rules("tcp/22", wanted)
    region.makes("tcp/22")
    assert region.present().rules == rules("tcp/22")


# Quotas


def test_ipv4_and_ipv6_are_counted_apart(region: Region, cloud: Ec2Double) -> None:
    wanted = (
        ["tcp/22"]
        + [f"tcp/{10000 + 2 * n} from any4" for n in range(59)]
        + [f"udp/{10000 + 2 * n} from any6" for n in range(59)]
    )
    region.makes(*wanted)
    group = cloud.group("cloudsync-web")
    assert group is not None
    assert len(group.rules) == 120
    assert "IPv6: 60 of 60 rules are used and 1 are to be added" in region.refusal(
        *wanted, "udp/53 from any6"
    )


def test_a_prefix_list_weighs_its_most_entries_in_both_families(
    region: Region, cloud: Ec2Double
) -> None:
    heavy = cloud.add_prefix_list(58)
    cloud.add_group(
        "cloudsync-web",
        permissions=[SSH, tcp(80, PrefixListIds=[{"PrefixListId": heavy}])],
        tags=TAGS,
    )
    assert region.steps(rules("tcp/22", "tcp/443")) != ()
    reason = region.refusal("tcp/22", "tcp/443", "tcp/80")
    assert reason.count("59 of 60 rules are used and 2 are to be added") == 2


def test_at_quota_what_nothing_needs_goes_first(region: Region, cloud: Ec2Double) -> None:
    cloud.add_group(
        "cloudsync-web",
        permissions=[SSH, *(tcp(9000 + 2 * n) for n in range(59))],
        tags=TAGS,
    )
    ports = [f"tcp/{8000 + 2 * n}" for n in range(10)]
    steps = region.steps(rules("tcp/22", *ports))
    assert isinstance(steps, tuple)
    assert [step.kind for step in steps] == [StepKind.NARROW, StepKind.WIDEN]
    region.makes("tcp/22", *ports)
    assert region.present().rules == rules("tcp/22", *ports)


def test_law3_at_quota_nothing_that_stays_wanted_is_taken_away_first(
    region: Region, cloud: Ec2Double
) -> None:
    """The only rule that could make room is one of which a part stays open."""
    cloud.add_group(
        "cloudsync-web",
        permissions=[SSH, tcp(7000, 7010), *(tcp(9000 + 2 * n) for n in range(58))],
        tags=TAGS,
    )
    reason = region.refusal("tcp/22", "tcp/7000-7004", *(f"tcp/{9000 + 2 * n}" for n in range(58)))
    assert "after the closings they would fit" in reason
    assert "delete 1 of the unwanted rules by hand" in reason


@pytest.mark.parametrize(("closing", "opening", "over"), [(0, 1, 1), (1, 3, 2)])
def test_the_last_rule_that_a_group_has_room_for(
    region: Region, cloud: Ec2Double, closing: int, opening: int, over: int
) -> None:
    cloud.add_group(
        "cloudsync-web", permissions=[SSH, *(tcp(9000 + 2 * n) for n in range(59))], tags=TAGS
    )
    reason = region.refusal(
        "tcp/22",
        *(f"tcp/{9000 + 2 * n}" for n in range(closing, 59)),
        *(f"tcp/{8000 + 2 * n}" for n in range(opening)),
    )
    numbers = f"IPv4: 60 of 60 rules are used and {opening} are to be added"
    assert f"{numbers}: {over} too many, even after all closings" in reason


def test_at_quota_a_shorter_spelling_is_taken(region: Region, cloud: Ec2Double) -> None:
    """Beside the 58 single ports there is room for one rule: the ports with their gaps closed are
    one range."""
    cloud.add_group(
        "cloudsync-web", permissions=[SSH, *(tcp(9000 + 2 * n) for n in range(58))], tags=TAGS
    )
    region.makes("tcp/22", "tcp/9000-9114")
    group = cloud.group("cloudsync-web")
    assert group is not None
    assert len(group.rules) == 4
    assert region.present().rules == rules("tcp/22", "tcp/9000-9114")


def test_another_quota_of_the_account_is_believed(region: Region, cloud: Ec2Double) -> None:
    cloud.quota = 100
    wanted = rules("tcp/22", *(f"tcp/{10000 + 2 * n}" for n in range(80)))
    observed = provider.open_reader(region.account(rules_per_group=100)).read((region.spec,))["web"]
    assert isinstance(observed, Absent)
    steps = provider.plan_steps(observed, region.target(wanted, observed))
    assert isinstance(steps, tuple)
    provider.open_writer(region.account()).run(steps[0])
    assert region.present().rules == wanted


# Somebody else at the same group


def test_a_rule_that_is_there_by_now_is_a_conflict_and_nothing_was_added(
    region: Region, cloud: Ec2Double
) -> None:
    id_ = cloud.add_group("cloudsync-web", permissions=[SSH], tags=TAGS)
    add = lambda: cloud.set_permissions_by_hand(id_, [SSH, tcp(443)])  # noqa: E731 - one line is all it is
    cloud.fail(Fault("POST", "/AuthorizeSecurityGroupIngress", "meanwhile", action=add))
    with pytest.raises(Conflict, match=r"InvalidPermission\.Duplicate"):
        region.makes("tcp/22", "tcp/443", "tcp/80")
    assert region.present().rules == rules("tcp/22", "tcp/443")


@pytest.mark.parametrize(("default", "left"), [(False, ("tcp/22", "tcp/80")), (True, ("tcp/22",))])
def test_a_rule_that_is_gone_by_now_is_a_conflict_in_every_vpc(
    region: Region, cloud: Ec2Double, default: bool, left: tuple[str, ...]
) -> None:
    """In a default VPC it comes back in `UnknownIpPermissions`, and the others are gone; elsewhere
    it is an error, and nothing is."""
    vpc = cloud.default_vpc if default else cloud.vpc
    id_ = cloud.add_group("cloudsync-web", vpc, permissions=[SSH, tcp(80), tcp(443)], tags=TAGS)
    region.spec = region.named("web", vpc_id=vpc)
    take = lambda: cloud.set_permissions_by_hand(id_, [SSH, tcp(80)])  # noqa: E731 - one line is all it is
    cloud.fail(Fault("POST", "/RevokeSecurityGroupIngress", "meanwhile", action=take))
    with pytest.raises(Conflict):
        region.makes("tcp/22")
    assert region.present().rules == rules(*left)


@pytest.mark.parametrize(
    "operation", ["AuthorizeSecurityGroupIngress", "RevokeSecurityGroupIngress"]
)
def test_an_answer_that_does_not_say_it_was_done_is_no_success(
    region: Region, cloud: Ec2Double, operation: str
) -> None:
    cloud.add_group("cloudsync-web", permissions=[SSH, tcp(80)], tags=TAGS)
    cloud.fail(Fault("POST", f"/{operation}", "garbage"))
    with pytest.raises(Transient) as raised:
        region.makes("tcp/22", "tcp/443")
    assert raised.value.fate_unknown


# Failures


def test_a_group_that_is_named_by_id_and_not_there_is_an_error_and_not_empty(
    region: Region, cloud: Ec2Double
) -> None:
    missing = region.named("web", group_id="sg-0123456789abcdef0")
    there = region.named("api", group_id=cloud.add_group("api", permissions=[SSH]))
    found = provider.open_reader(region.account()).read([missing, there])
    assert isinstance(found["api"], Present)
    observed = found["web"]
    assert isinstance(observed, Unreadable)
    assert isinstance(observed.error, NotFound)
    assert "sg-0123456789abcdef0" in observed.error.message


def test_law1_a_group_that_is_deleted_meanwhile_is_not_there_at_the_next_read(
    region: Region, cloud: Ec2Double
) -> None:
    id_ = cloud.add_group("cloudsync-web")
    reader = provider.open_reader(region.account())
    assert isinstance(reader.read([region.spec])["web"], Present)
    del cloud.groups[id_]
    assert isinstance(reader.read([region.spec])["web"], Absent)


def test_a_page_that_is_missing_is_not_a_shorter_list(region: Region, cloud: Ec2Double) -> None:
    cloud.add_group("cloudsync-a", permissions=[SSH])
    cloud.add_group("cloudsync-web", permissions=[SSH])
    cloud.page = 1
    assert isinstance(region.read(region.named("web"), region.named("a")), Present)
    cloud.fail(
        Fault(
            "POST",
            "/DescribeSecurityGroups",
            status=503,
            body=fault_body("RequestLimitExceeded"),
            skip=1,
            times=10_000,
        )
    )
    assert isinstance(region.read(region.named("a"), region.named("web"), seconds=0.4), Unreadable)


READ_FAILURES = [
    (401, "AuthFailure", AuthError),
    (403, "UnauthorizedOperation", AuthError),
    (400, "ExpiredToken", AuthError),
    (400, "RequestExpired", AuthError),
    (401, "InvalidClientTokenId", AuthError),
    (400, "InvalidVpcID.NotFound", NotFound),
    (400, "InvalidParameterValue", Unsupported),
    (503, "RequestLimitExceeded", RateLimited),
    (400, "Throttling", RateLimited),
    (500, "InternalError", Transient),
    (503, "Unavailable", Transient),
]


@pytest.mark.parametrize(("status", "code", "error"), READ_FAILURES)
def test_a_read_that_fails_for_good_is_unreadable(
    region: Region, cloud: Ec2Double, status: int, code: str, error: type[ProviderError]
) -> None:
    cloud.fail(
        Fault("POST", "/DescribeSecurityGroups", status=status, body=fault_body(code), times=10_000)
    )
    observed = region.read(seconds=8.0)
    assert isinstance(observed, Unreadable)
    assert isinstance(observed.error, error)
    assert code in observed.error.message
    assert "a-secret-nobody-may-see" not in observed.error.message


def test_an_answer_that_trickles_ends_with_the_deadline(region: Region, cloud: Ec2Double) -> None:
    """botocore alone would read on: its time-out is one of silence."""
    cloud.add_group("cloudsync-web", permissions=[SSH])
    cloud.fail(Fault("POST", "/DescribeSecurityGroups", "trickle", seconds=0.2, times=10_000))
    begin = time.monotonic()
    observed = region.read(seconds=1.0)
    assert time.monotonic() - begin < 6
    assert isinstance(observed, Unreadable)
    assert "no answer in time" in observed.error.message


def test_law3_a_write_whose_answer_trickles_may_have_taken_effect(
    region: Region, cloud: Ec2Double
) -> None:
    cloud.add_group("cloudsync-web", permissions=[SSH], tags=TAGS)
    cloud.fail(Fault("POST", "/AuthorizeSecurityGroupIngress", "trickle", seconds=0.2))
    steps = region.steps("tcp/22", "tcp/443")
    writer = provider.open_writer(region.account(seconds=1.0))
    with pytest.raises(Transient, match="no answer in time") as raised:
        writer.run(steps[0])
    assert raised.value.fate_unknown
    assert region.called()[-1] == "AuthorizeSecurityGroupIngress"


def test_no_connection_waits_for_garbage_although_a_list_could_not_be_read(
    region: Region, cloud: Ec2Double
) -> None:
    unread = tcp(443, PrefixListIds=[{"PrefixListId": cloud.add_prefix_list(5)}])
    cloud.add_group("cloudsync-web", permissions=[SSH, unread])
    denied = fault_body("UnauthorizedOperation")
    cloud.fail(Fault("POST", "/GetManagedPrefixListEntries", status=403, body=denied, times=10_000))
    gc.disable()
    try:
        reader = provider.open_reader(region.account())
        assert isinstance(reader, AwsReader)
        observed = reader.read([region.named("web")])["web"]
        assert isinstance(observed, Present)
        assert region.called().count("GetManagedPrefixListEntries") == 1
        account = weakref.ref(reader.api)
        del reader, observed
        assert account() is None
    finally:
        gc.enable()


def test_law3_a_write_that_was_given_up_is_not_sent_when_its_credentials_come_at_last(
    region: Region, cloud: Ec2Double, tmp_path: Path
) -> None:
    cloud.add_group("cloudsync-web", permissions=[SSH], tags=TAGS)
    (step,) = region.steps("tcp/22", "tcp/443")
    script, slow = tmp_path / "credentials.sh", tmp_path / "slow"
    until = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    answer = {
        "Version": 1,
        "AccessKeyId": cloud.access_key,
        "SecretAccessKey": "a-secret-nobody-may-see",
        "SessionToken": "token",
        "Expiration": until,
    }
    script.write_text(f"test -e {slow} && sleep 1.5\ncat {tmp_path}/answer\n")
    (tmp_path / "answer").write_text(json.dumps(answer))
    (tmp_path / "config").write_text(f"[default]\ncredential_process = sh {script}\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        region.monkeypatch.delenv(name)
    writer = provider.open_writer(region.account(seconds=0.6))
    slow.touch()
    with pytest.raises(Transient, match="no answer in time") as raised:
        writer.run(step)
    assert raised.value.fate_unknown
    for thread in threading.enumerate():
        if thread.name == "call":
            thread.join()
    assert "AuthorizeSecurityGroupIngress" not in region.called()


@pytest.mark.parametrize("kind", ["drop-before", "truncate", "garbage"])
def test_a_read_that_fails_once_is_repeated(region: Region, cloud: Ec2Double, kind: Any) -> None:
    cloud.add_group("cloudsync-web", permissions=[SSH])
    cloud.fail(Fault("POST", "/DescribeSecurityGroups", kind))
    assert region.present().rules == rules("tcp/22")


@pytest.mark.parametrize(
    ("status", "code", "error", "unknown"),
    [
        (400, "RulesPerSecurityGroupLimitExceeded", QuotaExceeded, False),
        (400, "InvalidPermission.Duplicate", Conflict, False),
        (400, "InvalidParameterValue", Unsupported, False),
        (403, "UnauthorizedOperation", AuthError, False),
        (500, "InternalError", Transient, True),
        (503, "Unavailable", Transient, True),
    ],
)
def test_a_write_that_fails_is_told_and_not_repeated(
    region: Region,
    cloud: Ec2Double,
    status: int,
    code: str,
    error: type[ProviderError],
    unknown: bool,
) -> None:
    cloud.add_group("cloudsync-web", permissions=[SSH], tags=TAGS)
    cloud.fail(
        Fault(
            "POST",
            "/AuthorizeSecurityGroupIngress",
            status=status,
            body=fault_body(code),
            times=10_000,
        )
    )
    with pytest.raises(error) as raised:
        region.makes("tcp/22", "tcp/443")
    assert raised.value.fate_unknown is unknown
    assert region.called() == ["AuthorizeSecurityGroupIngress"]


def test_the_missing_permission_is_named(region: Region, cloud: Ec2Double) -> None:
    cloud.add_group("cloudsync-web", permissions=[SSH], tags=TAGS)
    region.log_in(cloud.read_only_key)
    with pytest.raises(AuthError, match="ec2:AuthorizeSecurityGroupIngress"):
        region.makes("tcp/22", "tcp/443")


def test_a_throttled_write_is_repeated(region: Region, cloud: Ec2Double) -> None:
    cloud.add_group("cloudsync-web", permissions=[SSH], tags=TAGS)
    cloud.fail(
        Fault(
            "POST",
            "/AuthorizeSecurityGroupIngress",
            status=503,
            body=fault_body("RequestLimitExceeded"),
            times=2,
        )
    )
    region.makes("tcp/22", "tcp/443")
    assert region.present().rules == rules("tcp/22", "tcp/443")


@pytest.mark.parametrize(
    ("kind", "took_effect"), [("drop-before", False), ("drop-after", True), ("truncate", True)]
)
def test_a_write_whose_answer_is_lost_has_an_unknown_fate_and_is_not_repeated(
    region: Region, cloud: Ec2Double, kind: Any, took_effect: bool
) -> None:
    """boto3 would send it again by itself, and meet its own rule."""
    cloud.add_group("cloudsync-web", permissions=[SSH], tags=TAGS)
    cloud.fail(Fault("POST", "/AuthorizeSecurityGroupIngress", kind))
    with pytest.raises(Transient) as raised:
        region.makes("tcp/22", "tcp/443")
    assert raised.value.fate_unknown
    assert region.called() == ["AuthorizeSecurityGroupIngress"]
    assert (region.present().rules == rules("tcp/22", "tcp/443")) is took_effect


def test_a_server_that_does_not_answer_is_given_up_in_time(
    region: Region, cloud: Ec2Double
) -> None:
    region.read()  # what the SDK loads once takes long on a busy machine
    cloud.fail(Fault("POST", "/DescribeSecurityGroups", "stall", times=99))
    start = time.monotonic()
    assert isinstance(region.read(seconds=0.4), Unreadable)
    assert time.monotonic() - start < 5


# Credentials: every failure is one clear line, and nothing was asked


def test_no_credentials(region: Region, cloud: Ec2Double) -> None:
    region.monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    region.monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    observed = region.read()
    assert isinstance(observed, Unreadable)
    assert isinstance(observed.error, AuthError)
    assert observed.error.message.startswith(
        "no AWS credentials for the account aws: set AWS_ACCESS_KEY_ID"
    )
    assert cloud.calls == []


def test_half_of_the_credentials(region: Region, cloud: Ec2Double) -> None:
    region.monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(AuthError, match="incomplete: AWS_SECRET_ACCESS_KEY is missing"):
        region.read()
    assert cloud.calls == []


def test_a_profile_that_is_not_there(region: Region) -> None:
    with pytest.raises(
        AuthError, match="the profile 'prod' of the account aws is not in the AWS configuration"
    ):
        provider.open_reader(region.account(profile="prod"))


def test_a_profile_that_is_there(region: Region, cloud: Ec2Double) -> None:
    (region.home / "credentials").write_text(
        f"[prod]\naws_access_key_id = {cloud.access_key}\naws_secret_access_key = s\n"
    )
    region.monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    region.monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert isinstance(
        provider.open_reader(region.account(profile="prod")).read((region.spec,))["web"], Absent
    )


def test_a_web_identity_token_file_that_is_missing(region: Region, cloud: Ec2Double) -> None:
    region.monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    region.monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    region.monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/cloudsync")
    region.monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(region.home / "token"))
    observed = region.read()
    assert isinstance(observed, Unreadable)
    assert isinstance(observed.error, AuthError)
    assert "AWS_WEB_IDENTITY_TOKEN_FILE" in observed.error.message
    assert cloud.calls == []


def test_a_wrong_key(region: Region, cloud: Ec2Double) -> None:
    region.log_in("AKIAWRONG")
    observed = region.read()
    assert isinstance(observed, Unreadable)
    assert "AuthFailure: AWS does not accept the credentials" in observed.error.message
    assert not observed.error.temporary


ELSEWHERE = {
    "AWS_ENDPOINT_URL_EC2": "http://127.0.0.1:9/ec2",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9/all",
}


@pytest.mark.parametrize("named", [(), ("AWS_ENDPOINT_URL",), tuple(ELSEWHERE)])
@pytest.mark.parametrize("ignored", ["", "false", "true", "TRUE", "yes"])
def test_the_endpoint_is_the_one_the_sdk_would_choose(
    region: Region, named: tuple[str, ...], ignored: str
) -> None:
    """A plan is bound to the endpoint it was made for, so the two may not disagree."""
    for name in named:
        region.monkeypatch.setenv(name, ELSEWHERE[name])
    region.monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", ignored)
    account = Account("aws", AwsAccount(region="eu-central-1"), Path("/"), time.monotonic() + 20)
    assert (
        provider.endpoint(account)
        == boto3.session.Session(region_name="eu-central-1").client("ec2").meta.endpoint_url
    )


def test_the_configured_endpoint_comes_before_the_environment(
    region: Region, cloud: Ec2Double
) -> None:
    region.monkeypatch.setenv("AWS_ENDPOINT_URL_EC2", ELSEWHERE["AWS_ENDPOINT_URL_EC2"])
    assert provider.endpoint(region.account()) == cloud.endpoint


NIC: dict[str, Any] = {"NetworkInterfaceId": "eni-1", "Groups": []}


@pytest.mark.parametrize(
    ("model", "answer"),
    [
        (Group, {}),
        (Group, {**GROUP, "Tags": [{"Value": "shop"}]}),
        (Group, {**GROUP, "IpPermissions": None}),
        (Reservation, {"Instances": [{"InstanceId": "i-1"}]}),
        (Reservation, {"Instances": [{"InstanceId": "i-1", "NetworkInterfaces": [{}]}]}),
        (
            Reservation,
            {
                "Instances": [
                    {
                        "InstanceId": "i-1",
                        "NetworkInterfaces": [{**NIC, "Association": {"PublicIp": "somewhere"}}],
                    }
                ]
            },
        ),
    ],
)
def test_an_answer_with_something_missing_or_strange_is_not_understood(
    model: type[Group | Reservation], answer: dict[str, Any]
) -> None:
    with pytest.raises(Transient, match="cannot be understood"):
        understood("Describe", answer, model)


def test_a_group_is_understood_once_however_many_instances_it_is_on() -> None:
    inbound = tuple(tcp(port) for port in range(1000, 1060))
    groups = {"sg-1": Group.model_validate({**GROUP, "IpPermissions": inbound})}
    spec = FirewallSpec("web", AwsFirewall(vpc_id="vpc-0123456789abcdef0"), MARK)

    def look(count: int) -> int:
        nic = {**NIC, "Groups": [{"GroupId": "sg-1"}]}
        instances = [
            Instance.model_validate({"InstanceId": f"i-{n}", "NetworkInterfaces": [nic]})
            for n in range(count)
        ]
        return operations(lambda: fleet([spec], instances, groups, {}, "eu-central-1"))

    look(1)
    assert look(20) < 2 * look(1)
