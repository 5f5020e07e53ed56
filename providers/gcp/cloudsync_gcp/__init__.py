"""The provider `gcp`: VPC firewall rules, several rules a firewall. Read `provider.py` first."""

from __future__ import annotations

from cloudsync_gcp.provider import GcpProvider

provider = GcpProvider()
