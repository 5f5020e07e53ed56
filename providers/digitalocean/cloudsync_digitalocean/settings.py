"""The keys of this provider in the configuration."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from cloudsync.provider.contract import FirewallSpec
from cloudsync.provider.settings import AccountSettings, FirewallSettings, SecretRef
from cloudsync.rules.networks import NetworkSet

RFC1918 = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")


class DigitalOceanAccount(AccountSettings):
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
    droplets: list[str | int] = Field(default=[])
    """Ids or names of droplets to attach."""
    tags: list[Annotated[str, Field(pattern=r"^[a-zA-Z0-9_\-:]{1,255}$")]] = []
    """Tags to attach by."""
    private: Literal["allow", "cut"] | list[str] = "allow"
    """Who is let in from private networks when the firewall is created, since it filters the VPC
    too: `allow` (RFC 1918), `cut` (nobody), or CIDRs."""

    @field_validator("droplets")
    @classmethod
    def _named(cls, value: list[str | int]) -> list[str | int]:
        if any(isinstance(one, bool) or one == "" for one in value):
            raise ValueError("must be ids or names of droplets")
        return value

    @field_validator("private")
    @classmethod
    def _networks(cls, value: str | list[str]) -> str | list[str]:
        if isinstance(value, list):
            NetworkSet.of(value)
        return value

    @property
    def private_networks(self) -> NetworkSet:
        """Who is let in from private networks."""
        if self.private == "cut":
            return NetworkSet()
        return NetworkSet.of(RFC1918 if self.private == "allow" else self.private)


def settings_of(spec: FirewallSpec) -> DigitalOceanFirewall:
    """The firewall's settings as this provider's own."""
    if not isinstance(spec.settings, DigitalOceanFirewall):
        raise TypeError(f"settings of another provider for the firewall {spec.name}")
    return spec.settings
