"""The provider `digitalocean`: Cloud Firewalls. Read `plugin.py` first."""

from __future__ import annotations

from cloudsync_digitalocean.plugin import DigitalOceanProvider

provider = DigitalOceanProvider()
