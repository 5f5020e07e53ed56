"""What AWS answers, as typed values of the fields that are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any, TypeVar

from cloudsync.provider.errors import Transient
from cloudsync.rules.frozen import dataclass

Answer = Mapping[str, Any]
Item = TypeVar("Item")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Group:
    """A security group."""

    id: str
    name: str
    vpc: str
    tags: Mapping[str, str]
    inbound: tuple[Answer, ...]
    """Its `IpPermissions`, which `permissions.from_vendor` understands."""

    @classmethod
    def of(cls, answer: Answer) -> Group:
        """Raises `KeyError` if a field is missing."""
        inbound = tuple(answer["IpPermissions"])
        return cls(
            answer["GroupId"], answer["GroupName"], answer["VpcId"], tags_in(answer), inbound
        )

    @property
    def identities(self) -> tuple[str, str]:
        """By what a configuration may name it (`AwsProvider.identity`), in lower case: AWS tells
        no two names apart by their case."""
        return self.id, f"{self.vpc}/{self.name}".lower()

    def prefix_lists(self) -> set[str]:
        """The prefix lists that its rules name. Raises what `understood` catches."""
        sources = (source for entry in self.inbound for source in entry.get("PrefixListIds") or ())
        return {source["PrefixListId"] for source in sources}


@dataclass(frozen=True, slots=True)
class Nic:
    """A network interface of an instance."""

    id: str
    groups: Mapping[str, str]
    """Names by id."""
    addresses: tuple[str, ...]
    """The public IPv4 addresses that are mapped to its private ones, and its IPv6 addresses."""
    private: str

    @classmethod
    def of(cls, answer: Answer) -> Nic:
        """Raises `KeyError` or `ValueError`."""
        groups = {group["GroupId"]: group.get("GroupName", "") for group in answer["Groups"]}
        addresses = tuple(_addresses(answer))
        return cls(
            answer["NetworkInterfaceId"], groups, addresses, answer.get("PrivateIpAddress", "")
        )


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance."""

    id: str
    name: str
    """Its tag `Name`; its id if it has none."""
    vpc: str
    nics: tuple[Nic, ...]
    metadata: str
    """As `ObservedMachine.metadata`."""

    @classmethod
    def of(cls, answer: Answer) -> Instance:
        """Raises `KeyError` or `ValueError`."""
        return cls(
            answer["InstanceId"],
            tags_in(answer).get("Name") or answer["InstanceId"],
            answer.get("VpcId", ""),
            tuple(map(Nic.of, answer["NetworkInterfaces"])),
            _metadata(answer),
        )

    @property
    def groups(self) -> Mapping[str, str]:
        """All groups on all its interfaces: names by id."""
        return {id_: name for nic in self.nics for id_, name in nic.groups.items()}


def understood(what: str, value: Callable[[Item], Value], answers: Iterable[Item]) -> list[Value]:
    """The answers as values. Raises `Transient`: botocore gives a field its type, but anything may
    be missing or empty."""
    try:
        return [value(answer) for answer in answers]
    except (AttributeError, KeyError, TypeError, ValueError):
        raise Transient(f"the {what} of AWS cannot be understood") from None


def instances_in(reservations: Iterable[Answer]) -> list[Instance]:
    """The instances of a list of `DescribeInstances`. Raises `Transient`."""
    several = understood("instances", lambda r: [*map(Instance.of, r["Instances"])], reservations)
    return [instance for instances in several for instance in instances]


def tags_in(answer: Answer) -> dict[str, str]:
    """An object's tags."""
    return {tag["Key"]: tag.get("Value", "") for tag in answer.get("Tags") or ()}


def _addresses(nic: Answer) -> Iterator[str]:
    """The address of a whole interface is there again with its private one."""
    for source in (nic, *(nic.get("PrivateIpAddresses") or ())):
        if address := (source.get("Association") or {}).get("PublicIp"):
            yield str(ip_address(address))
    for source in nic.get("Ipv6Addresses") or ():
        yield str(ip_address(source["Ipv6Address"]))


def _metadata(instance: Answer) -> str:
    """Why containers reach the instance metadata service: IMDSv1 answers every hop, IMDSv2 as many
    as `HttpPutResponseHopLimit` (1 ends at the instance itself). Without the options nothing is
    known."""
    options = instance.get("MetadataOptions") or {}
    hops = options.get("HttpPutResponseHopLimit") or 0
    if options.get("HttpEndpoint") == "disabled":
        return ""
    if options.get("HttpTokens") == "optional":
        reached = "IMDSv1 is on, which asks for no token"
    elif hops > 1:
        reached = f"IMDSv2 answers over {hops} hops"
    else:
        return ""
    profile = (instance.get("IamInstanceProfile") or {}).get("Arn", "").rpartition("/")[2]
    return f"{reached}, and hands out the credentials of {profile}" if profile else reached
