"""The answers of Neutron and Nova that are read, as models; keys that are not read are ignored.

https://docs.openstack.org/api-ref/network/v2/ and https://docs.openstack.org/api-ref/compute/. Old
clouds lack extensions: what came with one has a default here.
"""

from __future__ import annotations

from pydantic import AliasChoices, Field

from cloudsync.provider.answers import Address, Answer

PROJECT = AliasChoices("project_id", "tenant_id")


class GroupRule(Answer):
    """One rule of a group. `remote_ip_prefix` null is any address of the `ethertype`, like
    0.0.0.0/0 or ::/0; `protocol` null is every protocol."""

    id: str
    direction: str
    ethertype: str
    protocol: str | int | None = None
    port_range_min: int | None = None
    port_range_max: int | None = None
    remote_ip_prefix: str | None = None
    remote_group_id: str | None = None
    remote_address_group_id: str | None = None
    description: str | None = None


class Group(Answer):
    """A security group with its rules. `tags` is null on a cloud that has none."""

    id: str
    name: str
    project_id: str = Field(validation_alias=PROJECT)
    description: str | None = None
    security_group_rules: list[GroupRule]
    tags: list[str] | None = None
    created_at: str = ""
    revision_number: int | None = None

    @property
    def inbound(self) -> list[GroupRule]:
        return [rule for rule in self.security_group_rules if rule.direction == "ingress"]

    @property
    def names_addresses(self) -> bool:
        """Whether one of its inbound rules is by an address group."""
        return any(rule.remote_address_group_id is not None for rule in self.inbound)


class FixedIp(Answer):
    ip_address: Address


class Port(Answer):
    """A port; `device_id` is the server's if `device_owner` begins with `compute:`."""

    id: str
    name: str = ""
    project_id: str = Field(validation_alias=PROJECT)
    device_id: str = ""
    device_owner: str = ""
    fixed_ips: list[FixedIp] = []
    security_groups: list[str] = []
    port_security_enabled: bool = True
    revision_number: int | None = None

    @property
    def kind(self) -> str:
        return "port"

    @property
    def is_of_server(self) -> bool:
        """Whether it is a network interface of a server."""
        return bool(self.device_id) and self.device_owner.startswith("compute:")


class FloatingIp(Answer):
    floating_ip_address: Address
    port_id: str | None = None


class AddressGroup(Answer):
    id: str
    addresses: list[str]


class Server(Answer):
    id: str
    name: str

    @property
    def kind(self) -> str:
        return "server"


class Quota(Answer):
    """-1 is no limit."""

    limit: int
    used: int
    reserved: int = 0

    @property
    def free(self) -> int | None:
        """How many more fit; None without a limit."""
        return None if self.limit < 0 else max(self.limit - self.used - self.reserved, 0)


class Quotas(Answer):
    security_group: Quota
    security_group_rule: Quota
