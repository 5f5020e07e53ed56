"""What `cloudsync init` asks and writes for this provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloudsync.provider.contract import Account
from cloudsync.provider.errors import Transient
from cloudsync.provider.init import (
    Answers,
    Credential,
    Question,
    Starter,
    VisibleMachine,
    noted,
)


def _account(answers: Answers, credential: str | None) -> list[str]:  # noqa: ARG001 - the shape all providers share
    return [
        f'region = "{answers["region"]}"',
        noted(
            '# profile = "prod"',
            "credentials come by the SDK's own chain; none of them are stored here",
        ),
    ]


def _firewall(answers: Answers) -> list[str]:
    where = answers["group"]
    if where.startswith("sg-"):
        return [noted(f'group_id = "{where}"', "an existing group: the first apply needs --adopt")]
    return [
        noted(
            f'vpc_id = "{where}"',
            "made in this VPC where it is not there; put it on your instances yourself",
        )
    ]


def _instances(account: Account) -> list[VisibleMachine]:
    """The instances of the region that run or can run again, with the VPC to make a group in and
    the groups that are on them. Raises `ProviderError`."""
    from cloudsync_aws.client import Api
    from cloudsync_aws.reader import PAGE, STATES

    alive = [{"Name": "instance-state-name", "Values": list(STATES)}]
    query = {"Filters": alive, "MaxResults": PAGE}
    listed = Api(account).pages("DescribeInstances", "Reservations", query)
    try:
        return [_visible(instance) for answer in listed for instance in answer["Instances"]]
    except (KeyError, TypeError, AttributeError):
        raise Transient("the instances of AWS cannot be understood") from None


def _visible(instance: Mapping[str, Any]) -> VisibleMachine:
    from cloudsync_aws.machines import addresses_of, name_of_instance
    from cloudsync_aws.permissions import plain

    interfaces = instance.get("NetworkInterfaces") or ()
    public = [address for interface in interfaces for address in addresses_of(interface)]
    private = [
        str(interface_address["PrivateIpAddress"])
        for interface_address in interfaces
        if interface_address.get("PrivateIpAddress")
    ]
    groups = {
        f"{group['GroupId']} ({group.get('GroupName')})": None
        for interface in interfaces
        for group in interface["Groups"]
    }
    vpc = str(instance.get("VpcId") or "")
    on_it = f"groups {', '.join(groups)}" if groups else ""
    return VisibleMachine(
        plain(name_of_instance(instance)),
        vpc,
        tuple(dict.fromkeys((*public, *private))),
        plain(", ".join(filter(None, (vpc, on_it)))),
    )


STARTER = Starter(
    title="AWS",
    account=_account,
    firewall=_firewall,
    credentials=(
        *(
            Credential("AWS_ACCESS_KEY_ID"),
            Credential("AWS_PROFILE"),
            Credential("AWS_WEB_IDENTITY_TOKEN_FILE"),
        ),
        *(Credential(file=".aws/credentials"), Credential(file=".aws/config")),
    ),
    questions=(
        Question(
            "region",
            "Region",
            r"[a-z]{2,}(-[a-z]+)+-[0-9]+",
            "a region such as eu-central-1",
            variables=("AWS_REGION", "AWS_DEFAULT_REGION"),
        ),
        Question(
            "group",
            "Security group (sg-…), or the VPC (vpc-…) to make one in",
            r"(sg|vpc)-[0-9a-f]{8,17}",
            "an id such as sg-0123456789abcdef0 or vpc-0123456789abcdef0",
            chooses_machines=True,
        ),
    ),
    machines=_instances,
    first_apply=lambda answers: "--adopt NAME" if answers["group"].startswith("sg-") else None,
)
