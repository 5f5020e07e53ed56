"""The tables that `cloudsync init` writes for vendors whose SDK finds credentials by itself."""

from __future__ import annotations

from cloudsync.provider.init import by_sdk
from cloudsync_gcp.init import STARTER

COMMENT = "# credentials come by the SDK's own chain; none of them are stored here"


def test_the_account_has_the_answers_and_says_where_credentials_come_from() -> None:
    account = by_sdk('region = "{region}"', '# profile = "prod"')
    assert account({"region": "eu-central-1", "group": "sg-1"}, "AWS_PROFILE") == [
        'region = "eu-central-1"',
        f'# profile = "prod"                   {COMMENT}',
    ]


def test_googles_account_is_a_project() -> None:
    assert STARTER.account({"project": "shop-prod-123"}, None) == [
        f'project = "shop-prod-123"            {COMMENT}'
    ]
