"""The keys of this provider in the configuration."""

from __future__ import annotations

from pydantic import Field

from cloudsync.provider.base import TokenAccount
from cloudsync.provider.settings import FirewallSettings, MachineNames, SecretRef


class HetznerAccount(TokenAccount):
    """`[providers.X]`: one project."""

    token: SecretRef
    """Read-only is enough for plan; apply needs read and write."""


class HetznerFirewall(FirewallSettings):
    """The keys of a `[firewalls.X]` table."""

    name: str | None = Field(default=None, min_length=1, max_length=128)
    """Its name at the vendor; `cloudsync-` and the table's name if left out."""
    servers: MachineNames = []
    """Names or ids of servers to attach."""
    label_selector: str | None = Field(default=None, min_length=1, max_length=1024)
    """A label selector to attach by."""
