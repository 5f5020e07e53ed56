"""The provider `gcp`: VPC firewall rules, several rules a firewall. Read `plugin.py` first."""

from __future__ import annotations

from cloudsync_gcp.plugin import GcpProvider

provider = GcpProvider()
