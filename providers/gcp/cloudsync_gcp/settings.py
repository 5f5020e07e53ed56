"""The keys of this provider in the configuration."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from cloudsync.provider.settings import AccountSettings, FirewallSettings
from cloudsync.rules.networks import is_loopback

LONGEST_TEXT = 1900
"""Of a description's 2048 characters, what is left beside the longest marker."""
ENDPOINT = "https://compute.googleapis.com"
# Google's default, where a denial of the same priority wins over our allowance.
ALLOW_PRIORITY = 1000
# With denials of our own: they stand behind our allowances and before everybody else's rules.
DENY_OTHERS_PRIORITY = 900
DENIAL_BEHIND = 50
Tag = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$")]
ServiceAccount = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")]
# The names of rules are at most 63 characters: the prefix, and up to 13 of ours ("-v6b-0123abcd").
_PREFIX = r"^[a-z]([-a-z0-9]{0,48}[a-z0-9])?$"


class GcpAccount(AccountSettings):
    """`[providers.X]`: one project (with a shared VPC: the host project, where the rules live).
    Credentials come from the SDK's own chain."""

    project: Annotated[str, Field(pattern=r"^([a-z0-9.-]+:)?[a-z0-9][a-z0-9-]{0,61}[a-z0-9]?$")]
    """The project's id."""
    anonymous: bool = False
    """No credentials at all; only with an endpoint on a loopback address."""

    @model_validator(mode="after")
    def _only_on_loopback(self) -> GcpAccount:
        if self.anonymous and not is_loopback(urlsplit(self.endpoint or "").hostname):
            raise ValueError("anonymous = true needs an endpoint on a loopback address")
        return self


class GcpFirewall(FirewallSettings):
    """The keys of a `[firewalls.X]` table. Exactly one of `target_tags` and
    `target_service_accounts`: a rule without targets would be for every machine."""

    name: Annotated[str, Field(pattern=_PREFIX)] | None = None
    """Prefix of the names of new rules; `cloudsync-` and the table's name if left out."""
    network: Tag = "default"
    """The network's name."""
    target_tags: Annotated[list[Tag], Field(min_length=1, max_length=70)] | None = None
    """Tags of the machines that the rules are for."""
    target_service_accounts: (
        Annotated[list[ServiceAccount], Field(min_length=1, max_length=10)] | None
    ) = None
    """Service accounts of the machines that the rules are for."""
    priority: Annotated[int, Field(ge=0, le=65534)] | None = None
    """Of new rules; by default 1000 with `enforce = "allow"` and 900 with `"deny-others"`. Setting
    it permits new rules to pass the denials of others."""
    enforce: Literal["allow", "deny-others"]
    """`allow` only adds allow rules; `deny-others` also denies what other rules let in from the
    Internet on the same targets."""

    @model_validator(mode="after")
    def _one_target(self) -> GcpFirewall:
        if (self.target_tags is None) == (self.target_service_accounts is None):
            raise ValueError(
                "exactly one of target_tags and target_service_accounts: a rule without a target "
                "is for every machine"
            )
        if self.enforce == "deny-others" and self.denial_priority >= ALLOW_PRIORITY:
            raise ValueError(
                f'enforce = "deny-others" needs a priority below {ALLOW_PRIORITY - DENIAL_BEHIND}: '
                f"the denials stand {DENIAL_BEHIND} behind it, and have to come before "
                f"{ALLOW_PRIORITY}, which other rules have by default"
            )
        return self

    @property
    def targets(self) -> frozenset[str]:
        """Tags or service accounts of the machines that the rules are for."""
        return frozenset(self.target_tags or self.target_service_accounts or ())

    @property
    def new_priority(self) -> int:
        """The priority of rules that are written new."""
        if self.priority is not None:
            return self.priority
        return ALLOW_PRIORITY if self.enforce == "allow" else DENY_OTHERS_PRIORITY

    @property
    def denial_priority(self) -> int:
        """The priority of the rules that deny what others let in."""
        return self.new_priority + DENIAL_BEHIND

    def is_behind_denials(self, priority: int) -> bool:
        """Whether the firewall's denials are evaluated before a rule of this priority."""
        return self.enforce == "deny-others" and priority >= self.denial_priority
