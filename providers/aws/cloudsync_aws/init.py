"""What `cloudsync init` asks and writes for this provider."""

from __future__ import annotations

from cloudsync.provider.init import (
    Answers,
    Credential,
    Question,
    Starter,
    noted,
)


def _account(answers: Answers, found: str | None) -> list[str]:  # noqa: ARG001 - the shape all providers share
    return [
        f'region = "{answers["region"]}"',
        noted(
            '# profile = "prod"',
            "credentials come by the SDK's own chain; nothing of them stands here",
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
        ),
    ),
    first_apply=lambda answers: "--adopt NAME" if answers["group"].startswith("sg-") else None,
)
