"""The provider `hetzner`: Hetzner Cloud Firewalls by the vendor's own SDK, hcloud."""

from __future__ import annotations

from cloudsync_hetzner.plugin import HetznerProvider

provider = HetznerProvider()
