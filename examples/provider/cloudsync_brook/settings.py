"""The keys of this provider in the configuration."""

from __future__ import annotations

from pydantic import Field

from cloudsync.provider.base import TokenAccount
from cloudsync.provider.private_networks import PrivateSetting
from cloudsync.provider.settings import FirewallSettings, MachineNames


class BrookAccount(TokenAccount):
    """`[providers.X]`: one account. `token`: read-only is enough for plan."""


class BrookFirewall(FirewallSettings):
    """The keys of a `[firewalls.X]` table."""

    name: str | None = Field(default=None, min_length=1, max_length=64)
    """The firewall's label at the vendor; `cloudsync-` and the table's name if it is left out."""
    machines: MachineNames = []
    """Names or ids of machines to attach; only ever added."""
    private: PrivateSetting = "allow"
    """Who is let in from private networks on create: Brook filters those too."""
