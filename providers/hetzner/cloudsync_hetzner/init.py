"""What `cloudsync init` asks and writes for this provider."""

from __future__ import annotations

from cloudsync.provider.answers import printable
from cloudsync.provider.contract import Account
from cloudsync.provider.init import VisibleMachine, token_starter


def _servers(account: Account) -> list[VisibleMachine]:
    """The servers of the token's project. Raises `ProviderError`."""
    from cloudsync_hetzner import provider
    from cloudsync_hetzner.answers import Server

    listed = provider.open_client(account).pages("/servers", "servers", Server)
    return [
        VisibleMachine(
            printable(server.name),
            server.name,
            server.public_net.addresses,
            printable(server.datacenter.name if server.datacenter is not None else ""),
        )
        for server in listed
    ]


STARTER = token_starter(
    "Hetzner Cloud",
    "server",
    ("HCLOUD_TOKEN",),
    _servers,
    comment="the name of the variable, never the token; read-only is enough for plan",
)
