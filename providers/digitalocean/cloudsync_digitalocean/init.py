"""What `cloudsync init` asks and writes for this provider."""

from __future__ import annotations

from cloudsync.provider.answers import printable
from cloudsync.provider.contract import Account
from cloudsync.provider.init import VisibleMachine, token_starter


def _droplets(account: Account) -> list[VisibleMachine]:
    """The droplets of the token's team. Raises `ProviderError`."""
    from cloudsync_digitalocean import provider
    from cloudsync_digitalocean.answers import Droplet

    listed = provider.open_client(account).pages("/droplets", "droplets", Droplet)
    return [
        VisibleMachine(printable(d.name), d.name, d.public, printable(d.detail)) for d in listed
    ]


STARTER = token_starter(
    "DigitalOcean",
    "droplet",
    ("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN"),
    _droplets,
    other_ways=('# tags = ["web"]',),
)
