"""The keys of this provider in the configuration."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from cloudsync.provider.settings import AccountSettings, FirewallSettings
from cloudsync.rules.networks import is_loopback

Id = Annotated[str, Field(pattern=r"^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$")]
Name = Annotated[str, Field(min_length=1, max_length=255)]


class OpenStackAccount(AccountSettings):
    """`[providers.X]`: one project in one region. Credentials come from clouds.yaml or the `OS_*`
    variables, as for the `openstack` command."""

    cloud: Name | None = None
    """An entry of clouds.yaml; if left out, `OS_CLOUD` or the other `OS_*` variables decide."""
    region: Name | None = None
    """The region, if the cloud has several."""
    anonymous: bool = False
    """A Neutron without Keystone, only on a loopback `endpoint`."""
    project_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None
    """The project, with `anonymous`."""

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
    """The keys of a `[firewalls.X]` table: `id`, or `name`."""

    id: Id | None = None
    """An existing group."""
    name: Name | None = None
    """Name of the group, created if absent; `cloudsync-` and the table's name if left out."""
    ports: list[Name] = []
    """Names or ids of ports to attach the group to."""
    servers: list[Name] = []
    """Names or ids of servers, with all their ports."""
    project: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None
    """Id of the group's project, if it is not the one of the login."""

    @property
    def attaches(self) -> bool:
        """Whether the group is to be attached to something."""
        return bool(self.ports or self.servers)

    @model_validator(mode="after")
    def _which(self) -> OpenStackFirewall:
        if self.id is not None and self.name is not None:
            raise ValueError("either id or name, not both")
        return self
