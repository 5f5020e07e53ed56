"""The provider `digitalocean`: Cloud Firewalls. Read `provider.py` first."""

from __future__ import annotations

from cloudsync_digitalocean.provider import DigitalOceanProvider

provider = DigitalOceanProvider()
