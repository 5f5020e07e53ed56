"""The keys of this provider in the configuration."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from cloudsync.provider.contract import FirewallSpec
from cloudsync.provider.settings import AccountSettings, FirewallSettings
from cloudsync.rules.networks import is_loopback

Id = Annotated[str, Field(pattern=r"^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$")]
Name = Annotated[str, Field(min_length=1, max_length=255)]


class OpenStackAccount(AccountSettings):
    """`[providers.X]`: one project in one region. Credentials come from clouds.yaml or the `OS_*`
    variables, as for the `openstack` command.

    `cloud`: an entry of clouds.yaml; left out, `OS_CLOUD` or the other `OS_*` variables say which.
    `region`: if the cloud has several. `endpoint`: Neutron's root, instead of the one in the
    service catalog. `anonymous`: a Neutron without Keystone, only on a loopback `endpoint`, and
    then for the project `project_id`.
    """

    cloud: Name | None = None
    region: Name | None = None
    anonymous: bool = False
    project_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> OpenStackAccount:
        if not self.anonymous:
            if self.project_id is not None:
                raise ValueError("project_id goes with anonymous = true; a login has its project")
            return self
        if self.endpoint is None or not is_loopback(urlsplit(self.endpoint).hostname):
            raise ValueError("anonymous needs an endpoint with a loopback address")
        if self.project_id is None:
            raise ValueError("anonymous needs project_id: no login says which project is meant")
        if self.cloud is not None or self.region is not None:
            raise ValueError("anonymous needs neither cloud nor region")
        return self


class OpenStackFirewall(FirewallSettings):
    """The keys of a `[firewalls.X]` table.

    `id`: an existing group; or `name` (`cloudsync-` and the table's name if left out), created if
    absent. `ports`: names or ids of ports to attach the group to; `servers`: names or ids of
    servers, with all their ports. `project`: id of the project of the group, if it is not the one
    of the login.
    """

    id: Id | None = None
    name: Name | None = None
    ports: list[Name] = []
    servers: list[Name] = []
    project: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None

    @model_validator(mode="after")
    def _which(self) -> OpenStackFirewall:
        if self.id is not None and self.name is not None:
            raise ValueError("either id or name, not both")
        return self


def account_settings_of(settings: AccountSettings) -> OpenStackAccount:
    """The account's settings as this provider's own."""
    if not isinstance(settings, OpenStackAccount):
        raise TypeError("account settings of another provider")
    return settings


def settings_of(spec: FirewallSpec) -> OpenStackFirewall:
    """The firewall's settings as this provider's own."""
    if not isinstance(spec.settings, OpenStackFirewall):
        raise TypeError(f"settings of another provider for the firewall {spec.name}")
    return spec.settings


def name_of(spec: FirewallSpec) -> str:
    """The group's name, if the configuration does not go by id."""
    return settings_of(spec).name or f"cloudsync-{spec.name}"
