"""What AWS answers, as models of the fields that are read; each is called as AWS calls it.

botocore gives a field its type, but anything may be missing or empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import AliasPath, ConfigDict, Field, IPvAnyAddress
from pydantic.alias_generators import to_pascal

from cloudsync.provider import answers
from cloudsync.provider.answers import Listed, networks_of
from cloudsync.provider.errors import ProviderError
from cloudsync.rules import ANY, NetworkSet
from cloudsync_aws.permissions import Permission, Selector, UnknownPermission

Lists = Mapping[str, NetworkSet | ProviderError]
"""The networks of prefix lists by id; the error for one that could not be read."""
PublicAddress = Annotated[
    IPvAnyAddress | None, Field(validation_alias=AliasPath("Association", "PublicIp"))
]


class Answer(answers.Answer):
    """A part of an answer."""

    model_config = ConfigDict(alias_generator=to_pascal)


class Tag(Answer):
    """A tag."""

    key: str
    value: str = ""


class Tagged(Answer):
    """Something that has tags."""

    tags: Listed[Tag] = ()

    @property
    def tags_by_key(self) -> Mapping[str, str]:
        """Their values."""
        return {tag.key: tag.value for tag in self.tags}


class Source(Answer):
    """Who may come in by a permission: one of these, and its description."""

    cidr_ip: str = ""
    cidr_ipv6: str = ""
    prefix_list_id: str = ""
    group_id: str = ""
    group_name: str = ""
    description: str = ""


class IpPermission(Answer):
    """Rules with the same protocol and ports, one for each source."""

    ip_protocol: str = ""
    from_port: int | None = None
    """The first port, or the ICMP type; -1 for all."""
    to_port: int | None = None
    """The last port, or the ICMP code; -1 for all."""
    ip_ranges: Listed[Source] = ()
    ipv6_ranges: Listed[Source] = ()
    prefix_list_ids: Listed[Source] = ()
    user_id_group_pairs: Listed[Source] = ()

    def permissions(self, lists: Lists) -> Iterator[Permission]:
        """The rules one by one. Raises `UnknownPermission`."""
        selector = Selector.of(self.ip_protocol, self.from_port, self.to_port)
        selector.rule(ANY)  # raises whatever its sources are
        for source in (*self.ip_ranges, *self.ipv6_ranges):
            cidr = source.cidr_ip or source.cidr_ipv6
            try:
                networks = networks_of((cidr,))
            except ValueError:
                raise UnknownPermission("a rule that cannot be understood") from None
            yield Permission(selector, cidr, networks, source.description)
        for source in self.prefix_list_ids:
            list_id, listed = source.prefix_list_id, lists.get(source.prefix_list_id)
            known = listed if isinstance(listed, NetworkSet) else None
            yield Permission(selector, list_id, known, source.description)
        for source in self.user_id_group_pairs:
            name = source.group_id or source.group_name or "?"
            yield Permission(selector, f"the group {name}", None, source.description)


class Group(Tagged):
    """A security group."""

    group_id: str
    group_name: str
    vpc_id: str
    ip_permissions: tuple[IpPermission, ...]

    @property
    def identities(self) -> tuple[str, str]:
        """By what a configuration may name it (`AwsProvider.identity`), in lower case: AWS tells
        no two names apart by their case."""
        return self.group_id, f"{self.vpc_id}/{self.group_name}".lower()

    @property
    def prefix_lists(self) -> set[str]:
        """The prefix lists that its rules name."""
        named = (source for entry in self.ip_permissions for source in entry.prefix_list_ids)
        return {source.prefix_list_id for source in named}

    def permissions(self, lists: Lists) -> list[Permission]:
        """Its inbound rules, one by one. Raises `UnknownPermission`."""
        return [rule for entry in self.ip_permissions for rule in entry.permissions(lists)]


class GroupName(Answer):
    """A group in another object."""

    group_id: str
    group_name: str = ""


class PrivateAddress(Answer):
    """A private IPv4 address, and the public one that is mapped to it."""

    public: PublicAddress = None


class Ipv6Address(Answer):
    """An IPv6 address."""

    ipv6_address: IPvAnyAddress


class Nic(Answer):
    """A network interface of an instance."""

    network_interface_id: str
    groups: tuple[GroupName, ...]
    public: PublicAddress = None
    private_ip_address: str = ""
    private_ip_addresses: Listed[PrivateAddress] = ()
    ipv6_addresses: Listed[Ipv6Address] = ()

    @property
    def addresses(self) -> tuple[str, ...]:
        """The public IPv4 addresses that are mapped to its private ones, and its IPv6 addresses.
        The address of a whole interface is there again with its private one."""
        mapped = (self.public, *(address.public for address in self.private_ip_addresses))
        ipv6 = (address.ipv6_address for address in self.ipv6_addresses)
        return tuple(dict.fromkeys(str(address) for address in (*mapped, *ipv6) if address))


class Instance(Tagged):
    """An instance."""

    instance_id: str
    vpc_id: str = ""
    network_interfaces: tuple[Nic, ...]
    endpoint: str = Field("", validation_alias=AliasPath("MetadataOptions", "HttpEndpoint"))
    tokens: str = Field("", validation_alias=AliasPath("MetadataOptions", "HttpTokens"))
    hops: int = Field(0, validation_alias=AliasPath("MetadataOptions", "HttpPutResponseHopLimit"))
    profile: str = Field("", validation_alias=AliasPath("IamInstanceProfile", "Arn"))

    @property
    def name(self) -> str:
        """Its tag `Name`; its id if it has none."""
        return self.tags_by_key.get("Name") or self.instance_id

    @property
    def groups(self) -> Mapping[str, str]:
        """All groups on all its interfaces: names by id."""
        groups = (group for nic in self.network_interfaces for group in nic.groups)
        return {group.group_id: group.group_name for group in groups}

    @property
    def metadata(self) -> str:
        """As `ObservedMachine.metadata`, why containers reach the instance metadata service: IMDSv1
        answers every hop, IMDSv2 as many as `HttpPutResponseHopLimit` (1 ends at the instance
        itself). Without the options nothing is known."""
        if self.endpoint == "disabled":
            return ""
        if self.tokens == "optional":
            reached = "IMDSv1 is on, which asks for no token"
        elif self.hops > 1:
            reached = f"IMDSv2 answers over {self.hops} hops"
        else:
            return ""
        profile = self.profile.rpartition("/")[2]
        return f"{reached}, and hands out the credentials of {profile}" if profile else reached


class Reservation(Answer):
    """Instances that were started together."""

    instances: tuple[Instance, ...]


class PrefixList(Answer):
    """A managed prefix list."""

    prefix_list_id: str
    max_entries: int = 1
    """What a rule with it costs of a group's quota."""


class Entry(Answer):
    """A network of a managed prefix list."""

    cidr: str
