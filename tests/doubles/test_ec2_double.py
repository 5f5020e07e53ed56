"""The double itself, by boto3 alone: as strict as the vendor."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from tests.doubles.ec2 import Ec2Double, Group
from tests.doubles.http import Fault

pytestmark = pytest.mark.emulator
ROOT = Path(__file__).parents[2]


@pytest.fixture
def cloud() -> Iterator[Ec2Double]:
    with Ec2Double() as double:
        yield double


def client(cloud: Ec2Double, key: str | None = None) -> Any:
    return boto3.client(
        "ec2",
        region_name="eu-central-1",
        endpoint_url=cloud.endpoint,
        aws_access_key_id=key or cloud.access_key,
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
    )


def tcp(first: int, last: int | None = None, *cidrs: str, **more: Any) -> dict[str, Any]:
    sources = {"IpRanges": [{"CidrIp": cidr} for cidr in cidrs or ("0.0.0.0/0",)]}
    return {"IpProtocol": "tcp", "FromPort": first, "ToPort": last or first, **(more or sources)}


def code(call: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    return str(raised.value.response["Error"]["Code"])


def ports(cloud: Ec2Double, id_: str) -> list[int | None]:
    return sorted(rule.first or 0 for rule in found(cloud, id_).rules)


def found(cloud: Ec2Double, id_: str) -> Group:
    group = cloud.group(id_)
    assert group is not None
    return group


def test_authorize_is_all_or_nothing(cloud: Ec2Double) -> None:
    ec2, id_ = client(cloud), cloud.add_group("web", permissions=[tcp(22)])
    both = [tcp(80), tcp(22)]
    assert (
        code(ec2.authorize_security_group_ingress, GroupId=id_, IpPermissions=both)
        == "InvalidPermission.Duplicate"
    )
    assert ports(cloud, id_) == [22]
    assert cloud.history == []
    assert (
        code(ec2.authorize_security_group_ingress, GroupId=id_, IpPermissions=[tcp(80), tcp(80)])
        == "InvalidParameterValue"
    )
    answer = ec2.authorize_security_group_ingress(
        GroupId=id_, IpPermissions=[tcp(80), tcp(81, None, "10.0.0.0/8", "10.1.0.0/16")]
    )
    assert answer["Return"] is True
    assert [rule["FromPort"] for rule in answer["SecurityGroupRules"]] == [80, 81, 81]
    assert len(cloud.history) == 1


def test_a_description_is_not_part_of_what_a_rule_is(cloud: Ec2Double) -> None:
    ec2, id_ = client(cloud), cloud.add_group("web")
    described = tcp(80, IpRanges=[{"CidrIp": "10.0.0.0/8", "Description": "a"}])
    again = tcp(80, IpRanges=[{"CidrIp": "10.0.0.0/8", "Description": "b"}])
    ec2.authorize_security_group_ingress(GroupId=id_, IpPermissions=[described])
    assert (
        code(ec2.authorize_security_group_ingress, GroupId=id_, IpPermissions=[again])
        == "InvalidPermission.Duplicate"
    )
    ec2.revoke_security_group_ingress(GroupId=id_, IpPermissions=[again])
    assert ports(cloud, id_) == []


def test_revoke_is_all_or_nothing_outside_of_a_default_vpc(cloud: Ec2Double) -> None:
    ec2, id_ = client(cloud), cloud.add_group("web", permissions=[tcp(22), tcp(80)])
    both = [tcp(80), tcp(443)]
    assert (
        code(ec2.revoke_security_group_ingress, GroupId=id_, IpPermissions=both)
        == "InvalidPermission.NotFound"
    )
    assert ports(cloud, id_) == [22, 80]
    default = cloud.add_group("web", cloud.default_vpc, permissions=[tcp(22), tcp(80)])
    answer = ec2.revoke_security_group_ingress(GroupId=default, IpPermissions=both)
    assert [one["FromPort"] for one in answer["UnknownIpPermissions"]] == [443]
    assert [one["FromPort"] for one in answer["RevokedSecurityGroupRules"]] == [80]
    assert ports(cloud, default) == [22]


def test_rules_are_revoked_by_id_too(cloud: Ec2Double) -> None:
    ec2, id_ = client(cloud), cloud.add_group("web", permissions=[tcp(22), tcp(80)])
    listed = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [id_]}])[
        "SecurityGroupRules"
    ]
    (one,) = [rule["SecurityGroupRuleId"] for rule in listed if rule["FromPort"] == 80]
    ec2.revoke_security_group_ingress(GroupId=id_, SecurityGroupRuleIds=[one])
    assert ports(cloud, id_) == [22]
    again = code(ec2.revoke_security_group_ingress, GroupId=id_, SecurityGroupRuleIds=[one])
    assert again == "InvalidSecurityGroupRuleId.NotFound"


def test_the_quota_counts_each_family_and_prefix_lists_in_both(cloud: Ec2Double) -> None:
    ec2, id_ = client(cloud), cloud.add_group("web")
    full = [tcp(10000 + 2 * n) for n in range(60)]
    ec2.authorize_security_group_ingress(GroupId=id_, IpPermissions=full)
    assert (
        code(ec2.authorize_security_group_ingress, GroupId=id_, IpPermissions=[tcp(22)])
        == "RulesPerSecurityGroupLimitExceeded"
    )
    six = [tcp(n, Ipv6Ranges=[{"CidrIpv6": "::/0"}]) for n in range(1, 60)]
    ec2.authorize_security_group_ingress(GroupId=id_, IpPermissions=six)
    listed = tcp(80, PrefixListIds=[{"PrefixListId": cloud.add_prefix_list(2)}])
    ec2.revoke_security_group_ingress(GroupId=id_, IpPermissions=full[:10])
    assert (
        code(ec2.authorize_security_group_ingress, GroupId=id_, IpPermissions=[listed])
        == "RulesPerSecurityGroupLimitExceeded"
    )
    ec2.revoke_security_group_ingress(GroupId=id_, IpPermissions=six[:1])
    ec2.authorize_security_group_ingress(GroupId=id_, IpPermissions=[listed])


def test_networks_are_kept_canonical_and_meet_their_other_spellings(cloud: Ec2Double) -> None:
    ec2, id_ = client(cloud), cloud.add_group("web")
    odd = tcp(
        80, IpRanges=[{"CidrIp": "100.68.0.18/18"}], Ipv6Ranges=[{"CidrIpv6": "2001:DB8:0::1/32"}]
    )
    ec2.authorize_security_group_ingress(GroupId=id_, IpPermissions=[odd])
    assert {rule.source for rule in found(cloud, id_).rules} == {"100.68.0.0/18", "2001:db8::/32"}
    same = [tcp(80, None, "100.68.0.0/18")]
    assert (
        code(ec2.authorize_security_group_ingress, GroupId=id_, IpPermissions=same)
        == "InvalidPermission.Duplicate"
    )


@pytest.mark.parametrize(
    "permission",
    [
        tcp(70000),
        tcp(20, 10),
        {"IpProtocol": "tcp", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
        {"IpProtocol": "300", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
        {
            "IpProtocol": "icmp",
            "FromPort": 256,
            "ToPort": -1,
            "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
        },
        tcp(80, None, "10.0.0.0/40"),
        tcp(80, None, "everybody"),
        tcp(80, Ipv6Ranges=[{"CidrIpv6": "10.0.0.0/8"}]),
        tcp(80, PrefixListIds=[{"PrefixListId": "pl-0123"}]),
        tcp(80, UserIdGroupPairs=[{"GroupId": "sg-00000000000000099"}]),
        tcp(80, IpRanges=[{"CidrIp": "0.0.0.0/0", "Description": "a|b"}]),
        tcp(80, IpRanges=[{"CidrIp": "0.0.0.0/0", "Description": "☃"}]),
        tcp(80, IpRanges=[{"CidrIp": "0.0.0.0/0", "Description": "x" * 256}]),
        {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80},
    ],
)
def test_a_rule_the_vendor_refuses(cloud: Ec2Double, permission: dict[str, Any]) -> None:
    ec2, id_ = client(cloud), cloud.add_group("web")
    code(ec2.authorize_security_group_ingress, GroupId=id_, IpPermissions=[tcp(22), permission])
    assert ports(cloud, id_) == []


def test_other_protocols_lose_their_ports(cloud: Ec2Double) -> None:
    ec2, id_ = client(cloud), cloud.add_group("web")
    sctp = {
        "IpProtocol": "132",
        "FromPort": 3868,
        "ToPort": 3868,
        "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
    }
    ec2.authorize_security_group_ingress(GroupId=id_, IpPermissions=[sctp])
    (group,) = ec2.describe_security_groups(GroupIds=[id_])["SecurityGroups"]
    (permission,) = group["IpPermissions"]
    assert "FromPort" not in permission


def test_groups_are_found_by_id_and_by_filters(cloud: Ec2Double) -> None:
    ec2 = client(cloud)
    a, b = cloud.add_group("web*", tags={"env": "prod"}), cloud.add_group("webs", cloud.default_vpc)

    def ids(**words: Any) -> set[str]:
        return {
            group["GroupId"] for group in ec2.describe_security_groups(**words)["SecurityGroups"]
        }

    assert ids(GroupIds=[a]) == {a}
    assert ids(Filters=[{"Name": "group-name", "Values": ["web*"]}]) == {a, b}
    assert ids(Filters=[{"Name": "group-name", "Values": ["web\\*"]}]) == {a}
    assert (
        ids(
            Filters=[
                {"Name": "vpc-id", "Values": [cloud.vpc]},
                {"Name": "group-name", "Values": ["webs"]},
            ]
        )
        == set()
    )
    assert ids(Filters=[{"Name": "tag:env", "Values": ["prod"]}]) == {a}
    assert ids(GroupNames=["webs"]) == {b}
    assert code(ec2.describe_security_groups, GroupNames=["web*"]) == "InvalidGroup.NotFound"
    assert (
        code(ec2.describe_security_groups, GroupIds=[a, "sg-00000000000000099"])
        == "InvalidGroup.NotFound"
    )
    assert code(ec2.describe_security_groups, GroupIds=["web"]) == "InvalidGroupId.Malformed"
    assert (
        code(ec2.describe_security_groups, Filters=[{"Name": "nothing", "Values": ["x"]}])
        == "InvalidParameterValue"
    )
    many = [{"Name": "group-id", "Values": [f"sg-{n:017x}" for n in range(201)]}]
    assert code(ec2.describe_security_groups, Filters=many) == "FilterLimitExceeded"
    assert cloud.violations == []


def test_answers_come_in_pages_asked_for_or_not(cloud: Ec2Double) -> None:
    ec2 = client(cloud)
    ids = {cloud.add_group(f"g{n}") for n in range(12)}
    pages = list(ec2.get_paginator("describe_security_groups").paginate(MaxResults=5))
    assert [len(page["SecurityGroups"]) for page in pages] == [5, 5, 2]
    assert {one["GroupId"] for page in pages for one in page["SecurityGroups"]} == ids
    assert code(ec2.describe_security_groups, MaxResults=4) == "InvalidParameterValue"
    cloud.page = 7
    answer = ec2.describe_security_groups()
    assert (len(answer["SecurityGroups"]), "NextToken" in answer) == (7, True)
    assert code(ec2.describe_security_groups, NextToken="mine") == "InvalidNextToken"


def test_groups_are_made_once_a_name_and_vpc(cloud: Ec2Double) -> None:
    ec2 = client(cloud)
    tags = [{"ResourceType": "security-group", "Tags": [{"Key": "a", "Value": "b"}]}]
    id_ = ec2.create_security_group(
        GroupName="web", Description="d", VpcId=cloud.vpc, TagSpecifications=tags
    )["GroupId"]
    assert found(cloud, id_).tags == {"a": "b"}
    make = {"GroupName": "WEB", "Description": "d", "VpcId": cloud.vpc}
    assert code(ec2.create_security_group, **make) == "InvalidGroup.Duplicate"
    assert (
        code(ec2.create_security_group, **make | {"VpcId": "vpc-00000000000000099"})
        == "InvalidVpcID.NotFound"
    )
    assert (
        code(ec2.create_security_group, **make | {"GroupName": "sg-web"}) == "InvalidParameterValue"
    )
    assert (
        code(ec2.create_security_group, **make | {"GroupName": "b", "Description": "a|b"})
        == "InvalidParameterValue"
    )
    ec2.create_security_group(**make | {"VpcId": cloud.default_vpc})
    assert (
        code(ec2.create_tags, Resources=[id_], Tags=[{"Key": "aws:x", "Value": "y"}])
        == "InvalidParameterValue"
    )


def test_keys_and_dry_runs(cloud: Ec2Double) -> None:
    id_ = cloud.add_group("web")
    write = {"GroupId": id_, "IpPermissions": [tcp(22)]}
    assert code(client(cloud, "AKIAWRONG").describe_security_groups) == "AuthFailure"
    reader = client(cloud, cloud.read_only_key)
    assert len(reader.describe_security_groups()["SecurityGroups"]) == 1
    assert code(reader.authorize_security_group_ingress, **write) == "UnauthorizedOperation"
    assert (
        code(reader.authorize_security_group_ingress, **write, DryRun=True)
        == "UnauthorizedOperation"
    )
    assert (
        code(client(cloud).authorize_security_group_ingress, **write, DryRun=True)
        == "DryRunOperation"
    )
    assert ports(cloud, id_) == []


def test_what_the_model_does_not_know_is_a_violation(cloud: Ec2Double) -> None:
    headers = {
        "Authorization": (
            f"AWS4-HMAC-SHA256 Credential={cloud.access_key}/20260101/eu-central-1/ec2/aws4_request"
        )
    }
    body = {"Action": "DescribeSecurityGroups", "Version": "2016-11-15", "Colour": "blue"}
    answer = requests.post(cloud.endpoint, data=body, headers=headers, timeout=30)
    assert answer.status_code == 400
    assert cloud.violations == ["request: The parameter Colour is not recognized"]
    answer = requests.post(
        cloud.endpoint,
        data={"Action": "RevokeSecurityGroupEverything"},
        headers=headers,
        timeout=30,
    )
    assert "InvalidAction" in answer.text


def test_faults_are_the_vendors_errors_and_lost_answers(cloud: Ec2Double) -> None:
    ec2, id_ = client(cloud), cloud.add_group("web")
    cloud.fail(Fault("POST", "/Authorize.*", "drop-after"))
    with pytest.raises(ConnectionClosedError):
        ec2.authorize_security_group_ingress(GroupId=id_, IpPermissions=[tcp(22)])
    assert ports(cloud, id_) == [22]
    cloud.fail(
        Fault(
            "POST",
            "/Describe.*",
            status=503,
            body={"code": "RequestLimitExceeded", "message": "slow down"},
        )
    )
    assert code(ec2.describe_security_groups) == "RequestLimitExceeded"


def test_it_can_be_run_from_a_shell() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.doubles.ec2", "--port", "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(3)]
        assert requests.post(lines[0].removeprefix("endpoint = "), timeout=30).status_code == 401
        assert lines[1] == "AWS_ACCESS_KEY_ID = AKIADOUBLE"
    finally:
        process.terminate()
        process.wait(timeout=30)
        process.stdout.close()  # type: ignore[union-attr]
