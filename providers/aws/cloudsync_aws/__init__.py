"""The provider `aws`: security groups, one group a firewall. Read `provider.py` first."""

from __future__ import annotations

from cloudsync_aws.provider import AwsProvider

provider = AwsProvider()
