"""The shortest script: `floor_aws.py create|no-op|write COUNT PORT,PORT,…` at AWS_ENDPOINT_URL_EC2,
in the VPC VPC_ID."""

import os
import sys

import boto3

ec2 = boto3.client("ec2")
mode, count, ports = sys.argv[1], int(sys.argv[2]), sys.argv[3].split(",")
names = [f"bench-{number}" for number in range(count)]


def permissions(some: list[str]) -> list[dict[str, object]]:
    return [
        {
            "IpProtocol": "tcp",
            "FromPort": int(port),
            "ToPort": int(port),
            "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "bench"}],
            "Ipv6Ranges": [{"CidrIpv6": "::/0", "Description": "bench"}],
        }
        for port in some
    ]


if mode == "create":
    for name in names:
        id_ = ec2.create_security_group(
            GroupName=name, Description="bench", VpcId=os.environ["VPC_ID"]
        )["GroupId"]
        ec2.authorize_security_group_ingress(GroupId=id_, IpPermissions=permissions(ports))
    sys.exit()


def read() -> dict[str, set[str]]:
    found = {}
    filters = [
        {"Name": "vpc-id", "Values": [os.environ["VPC_ID"]]},
        {"Name": "group-name", "Values": names},
    ]
    for page in ec2.get_paginator("describe_security_groups").paginate(
        Filters=filters, PaginationConfig={"PageSize": 1000}
    ):
        for group in page["SecurityGroups"]:
            found[group["GroupId"]] = {str(one["FromPort"]) for one in group["IpPermissions"]}
    return found


found = read()
if mode == "write":
    wanted = set(ports)
    for id_, there in found.items():
        if more := sorted(wanted - there):
            ec2.authorize_security_group_ingress(GroupId=id_, IpPermissions=permissions(more))
        if less := sorted(there - wanted):
            ec2.revoke_security_group_ingress(GroupId=id_, IpPermissions=permissions(less))
    found = read()
for id_, there in found.items():
    assert there == set(ports), id_
