"""What `cloudsync init` asks and writes for this provider."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloudsync.provider.contract import Account
from cloudsync.provider.init import (
    Answers,
    Question,
    Starter,
    VisibleMachine,
    by_sdk,
    credentials,
    noted,
)

if TYPE_CHECKING:
    from cloudsync_aws.answers import Instance


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
    from cloudsync_aws import provider
    from cloudsync_aws.answers import Reservation
    from cloudsync_aws.reader import ALIVE

    listed = provider.open_client(account).listed("DescribeInstances", Reservation, ALIVE)
    return [_visible(instance) for reservation in listed for instance in reservation.instances]


def _visible(instance: Instance) -> VisibleMachine:
    from cloudsync_aws.permissions import plain

    nics = instance.network_interfaces
    addresses = [address for nic in nics for address in nic.addresses]
    private = [nic.private_ip_address for nic in nics if nic.private_ip_address]
    groups = ", ".join(f"{id_} ({name})" for id_, name in instance.groups.items())
    detail = filter(None, (instance.vpc_id, groups and f"groups {groups}"))
    return VisibleMachine(
        plain(instance.name),
        instance.vpc_id,
        tuple(dict.fromkeys((*addresses, *private))),
        plain(", ".join(detail)),
    )


STARTER = Starter(
    title="AWS",
    account=by_sdk('region = "{region}"', '# profile = "prod"'),
    firewall=_firewall,
    credentials=credentials(
        "AWS_ACCESS_KEY_ID",
        "AWS_PROFILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "~/.aws/credentials",
        "~/.aws/config",
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
