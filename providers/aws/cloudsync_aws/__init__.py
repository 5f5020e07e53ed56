"""The provider `aws`: security groups, one group a firewall. Read `plugin.py` first."""

from __future__ import annotations

from cloudsync_aws.plugin import AwsProvider

provider = AwsProvider()
