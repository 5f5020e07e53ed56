"""The keys of this provider in the configuration."""

from __future__ import annotations

from pydantic import Field, field_validator

from cloudsync.provider.contract import FirewallSpec
from cloudsync.provider.settings import AccountSettings, FirewallSettings, SecretRef


class HetznerAccount(AccountSettings):
    """`[providers.X]`: one project."""

    token: SecretRef
    """Read-only is enough for plan; apply needs read and write."""


class HetznerFirewall(FirewallSettings):
    """The keys of a `[firewalls.X]` table."""

    name: str | None = Field(default=None, min_length=1, max_length=128)
    """Its name at the vendor; `cloudsync-` and the table's name if left out."""
    servers: list[str | int] = Field(default=[])
    """Names or ids of servers to attach."""
    label_selector: str | None = Field(default=None, min_length=1, max_length=1024)
    """A label selector to attach by."""

    @field_validator("servers")
    @classmethod
    def _named(cls, value: list[str | int]) -> list[str | int]:
        if any(isinstance(one, bool) or one == "" for one in value):
            raise ValueError("must be names or ids of servers")
        return value


def settings_of(spec: FirewallSpec) -> HetznerFirewall:
    """The firewall's settings as this provider's own."""
    if not isinstance(spec.settings, HetznerFirewall):
        raise TypeError(f"settings of another provider for the firewall {spec.name}")
    return spec.settings
