"""The provider `hetzner`: Hetzner Cloud Firewalls by their REST API. Read `plugin.py` first."""

from __future__ import annotations

from cloudsync_hetzner.plugin import HetznerProvider

provider = HetznerProvider()
