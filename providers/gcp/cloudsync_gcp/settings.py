"""The keys of this provider in the configuration."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from cloudsync.provider.contract import FirewallSpec
from cloudsync.provider.settings import AccountSettings, FirewallSettings
from cloudsync.rules.networks import is_loopback

DEFAULT_PRIORITY = 900
# Everybody's rules have 1000 where nobody said otherwise; denials stand well behind ours and before
# those.
DENIAL_BEHIND = 50
OTHERS_PRIORITY = 1000
_TAG = r"^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$"
# The names of rules are at most 63 characters: the prefix, and up to 13 of ours ("-v6b-0123abcd").
_PREFIX = r"^[a-z]([-a-z0-9]{0,48}[a-z0-9])?$"


class GcpAccount(AccountSettings):
    """`[providers.X]`: one project (with a shared VPC: the host project, where the rules live).
    Credentials come by the SDK's own chain.

    `anonymous`: none at all; only with an endpoint on a loopback address.
    """

    project: Annotated[str, Field(pattern=r"^([a-z0-9.-]+:)?[a-z0-9][a-z0-9-]{0,61}[a-z0-9]?$")]
    anonymous: bool = False

    @model_validator(mode="after")
    def _only_on_loopback(self) -> GcpAccount:
        if self.anonymous and not is_loopback(urlsplit(self.endpoint or "").hostname):
            raise ValueError("anonymous = true needs an endpoint on a loopback address")
        return self


class GcpFirewall(FirewallSettings):
    """The keys of a `[firewalls.X]` table.

    `name`: the prefix of the rules' names; `cloudsync-` and the table's name where it is left out.
    `network`: its name. Exactly one of `target_tags` and `target_service_accounts`: whom the rules
    are for, never everybody. `enforce`: `allow` only adds allow rules; `deny-others` also denies
    what other rules let in from the Internet on the same targets.
    """

    name: Annotated[str, Field(pattern=_PREFIX)] | None = None
    network: Annotated[str, Field(pattern=_TAG)] = "default"
    target_tags: (
        Annotated[list[Annotated[str, Field(pattern=_TAG)]], Field(min_length=1, max_length=70)]
        | None
    ) = None
    target_service_accounts: (
        Annotated[
            list[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")]],
            Field(min_length=1, max_length=10),
        ]
        | None
    ) = None
    priority: Annotated[int, Field(ge=0, le=65534)] = DEFAULT_PRIORITY
    enforce: Literal["allow", "deny-others"]

    @model_validator(mode="after")
    def _one_target(self) -> GcpFirewall:
        if (self.target_tags is None) == (self.target_service_accounts is None):
            raise ValueError(
                "exactly one of target_tags and target_service_accounts: a rule without a target is for every machine"
            )
        if self.enforce == "deny-others" and denial_priority(self) >= OTHERS_PRIORITY:
            raise ValueError(
                f'enforce = "deny-others" needs a priority below {OTHERS_PRIORITY - DENIAL_BEHIND}: the denials stand {DENIAL_BEHIND} '
                f"behind it, and have to come before {OTHERS_PRIORITY}, which other rules have by default"
            )
        return self


def denial_priority(settings: GcpFirewall) -> int:
    """The priority of the rules that deny what others let in."""
    return settings.priority + DENIAL_BEHIND


def settings_of(spec: FirewallSpec) -> GcpFirewall:
    """The firewall's settings as this provider's own."""
    if not isinstance(spec.settings, GcpFirewall):
        raise TypeError(f"settings of another provider for the firewall {spec.name}")
    return spec.settings


def prefix_of(spec: FirewallSpec) -> str:
    """What the names of the firewall's rules begin with."""
    # The name of a rule has neither underscore nor dot.
    return settings_of(spec).name or f"cloudsync-{spec.name.replace('_', '-').replace('.', '-')}"
