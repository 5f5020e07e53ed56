"""The keys of this provider in the configuration."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from cloudsync.provider.settings import AccountSettings, FirewallSettings

DEFAULT_QUOTA = 60


class AwsAccount(AccountSettings):
    """`[providers.X]`: one account in one region. Credentials come from the SDK's own chain."""

    region: Annotated[str, Field(pattern=r"^[a-z]{2,}(-[a-z]+)+-[0-9]+$")]
    """The region's name, such as `eu-central-1`."""
    profile: Annotated[str, Field(min_length=1)] | None = None
    """A profile of the SDK's configuration."""
    rules_per_group: Annotated[int, Field(ge=1, le=1000)] = DEFAULT_QUOTA
    """The quota of inbound rules for a group and address family, if the account has another than
    AWS's own."""


class AwsFirewall(FirewallSettings):
    """The keys of a `[firewalls.X]` table: `group_id`, or `vpc_id` with or without `name`."""

    group_id: Annotated[str, Field(pattern=r"^sg-[0-9a-f]{8,17}$")] | None = None
    """An existing group."""
    name: (
        Annotated[str, Field(pattern=r"^[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]+$", max_length=255)]
        | None
    ) = None
    """Name of the group in its VPC, created if absent; `cloudsync-` and the table's name if left
    out."""
    vpc_id: Annotated[str, Field(pattern=r"^vpc-[0-9a-f]{8,17}$")] | None = None
    """The VPC of a group that goes by name."""
    instances: list[Annotated[str, Field(pattern=r"^i-[0-9a-f]{8,17}$")]] = []
    """Ids of instances whose exposure is shown; a group is never attached or detached."""

    @field_validator("name")
    @classmethod
    def _own(cls, value: str | None) -> str | None:
        if value is not None and (value.lower().startswith("sg-") or value != value.strip()):
            raise ValueError("must not begin with sg-, nor begin or end with a blank")
        return value

    @model_validator(mode="after")
    def _which(self) -> AwsFirewall:
        if self.group_id is not None and (self.name is not None or self.vpc_id is not None):
            raise ValueError("either group_id, or name and vpc_id, not both")
        if self.group_id is None and self.vpc_id is None:
            raise ValueError(
                "group_id is needed, or vpc_id (and name): a group's name is unique in its VPC only"
            )
        return self
