"""The keys of this provider in the configuration."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cloudsync.provider.base import TokenAccount
from cloudsync.provider.private_networks import PrivateSetting
from cloudsync.provider.settings import FirewallSettings, MachineNames, SecretRef


class DigitalOceanAccount(TokenAccount):
    """`[providers.X]`: one team."""

    token: SecretRef
    """With the scopes of docs/providers/digitalocean.md, or full access."""


class DigitalOceanFirewall(FirewallSettings):
    """The keys of a `[firewalls.X]` table."""

    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9.-]*$", max_length=128)] | None = (
        None
    )
    """First part of the name at the vendor (owner and host digest follow it); `cloudsync-` and the
    table's name if left out."""
    droplets: MachineNames = []
    """Ids or names of droplets to attach."""
    tags: list[Annotated[str, Field(pattern=r"^[a-zA-Z0-9_\-:]{1,255}$")]] = []
    """Tags to attach by."""
    private: PrivateSetting = "allow"
    """Who is let in from private networks when the firewall is created, since it filters the VPC
    too: `allow` (RFC 1918), `cut` (nobody), or CIDRs."""
