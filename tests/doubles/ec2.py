"""A strict double of the security groups of the EC2 API, written from botocore's model and its
words.

Every request is read, and every answer written, by that model: what does not fit is in
`violations`. Authorize and Revoke are all or nothing, quotas count by address family, networks are
kept canonical, descriptions are held to their characters.

`python -m tests.doubles.ec2 --port 4120` runs it for a person.
"""

# ruff: noqa: N803, B006 - parameters have the names of the API, and their defaults are never
# changed

from __future__ import annotations

import argparse
import contextlib
import copy
import ipaddress
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from tests.doubles import ec2_wire as wire
from tests.doubles.http import (
    ApiError,
    Double,
    Request,
    until_interrupted,
)

OWNER = "123456789012"
_DESCRIPTION = re.compile(r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{0,255}")
_GROUP = re.compile(r"sg-([0-9a-f]{8}|[0-9a-f]{17})")
_NAMES = {"6": "tcp", "17": "udp", "1": "icmp", "58": "icmpv6"}
_WRITES = re.compile(r"/(Authorize|Revoke|Create|Delete|Modify|Update).*")
_READS = ("/DescribeSecurityGroups", "/DescribeSecurityGroupRules")
_SOURCES = {
    "v4": ("IpRanges", "CidrIp"),
    "v6": ("Ipv6Ranges", "CidrIpv6"),
    "list": ("PrefixListIds", "PrefixListId"),
    "group": ("UserIdGroupPairs", "GroupId"),
}


def error(status: int, code: str, message: str) -> ApiError:
    return ApiError(status, {"code": code, "message": message})


def fault_body(code: str, message: str = "told to fail") -> dict[str, Any]:
    return {"code": code, "message": message}


@dataclass(frozen=True)
class Rule:
    """One inbound rule. Its description is not part of what it is."""

    protocol: str
    first: int | None
    last: int | None
    kind: str
    source: str
    description: str | None = field(default=None, compare=False)
    id: str = field(default="", compare=False)


@dataclass
class Group:
    id: str
    name: str
    description: str
    vpc: str
    tags: dict[str, str]
    rules: list[Rule] = field(default_factory=list)


@dataclass
class Nic:
    id: str
    groups: list[str]
    public: str | None = None
    v6: list[str] = field(default_factory=list)
    secondary_public: str | None = None


@dataclass
class Instance:
    id: str
    name: str | None
    nics: list[Nic]
    state: str = "running"
    metadata: dict[str, Any] = field(
        default_factory=lambda: {
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 1,
            "HttpEndpoint": "enabled",
        }
    )
    """InstanceMetadataOptionsResponse."""
    profile: str | None = None
    """The ARN of its instance profile."""


class Ec2Double(Double):
    """`quota`: inbound rules a group and family. `page`: the most items of any answer, asked for or
    not. `denied`: actions that the credentials may not do. `lag`: so many reads of groups after a
    write still show what was there before it ("eventual consistency")."""

    content_type = "text/xml;charset=UTF-8"

    def __init__(self, port: int = 0, *, seed: int = 7) -> None:
        super().__init__(port)
        self.access_key, self.read_only_key = "AKIADOUBLE", "AKIAREADONLY"
        self.groups: dict[str, Group] = {}
        self.vpcs: dict[str, dict[str, bool]] = {}
        self.prefix_lists: dict[str, int] = {}
        self.prefix_entries: dict[str, list[str]] = {}
        self.instances: dict[str, Instance] = {}
        self.denied: set[str] = set()
        self.history: list[tuple[str, list[Rule]]] = []
        self.quota, self.page, self.shuffle, self.random, self.next_id = (
            60,
            None,
            True,
            random.Random(seed),
            0,
        )
        self.lag, self._behind = 0, 0
        self._earlier: dict[str, Group] = {}
        self.vpc, self.default_vpc = self.add_vpc(), self.add_vpc(default=True)

    page: int | None

    # What a test does by hand

    def add_vpc(self, *, default: bool = False, ipv6: bool = False) -> str:
        id_ = self._id("vpc")
        self.vpcs[id_] = {"default": default, "ipv6": ipv6}
        return id_

    def add_prefix_list(self, max_entries: int, entries: list[str] | None = None) -> str:
        id_ = self._id("pl")
        self.prefix_lists[id_] = max_entries
        self.prefix_entries[id_] = [str(ipaddress.ip_network(one)) for one in entries or []]
        assert len(self.prefix_entries[id_]) <= max_entries
        return id_

    def add_instance(self, name: str | None, *nics: Nic, state: str = "running") -> str:
        """Interfaces get their ids here."""
        with self.lock:
            for nic in nics:
                nic.id = self._id("eni")
                assert 1 <= len(nic.groups) <= 16
                assert all(id_ in self.groups for id_ in nic.groups)
            instance = Instance(self._id("i"), name, list(nics), state)
            self.instances[instance.id] = instance
            return instance.id

    def add_group(
        self,
        name: str,
        vpc: str | None = None,
        permissions: list[dict[str, Any]] | None = None,
        tags: dict[str, str] | None = None,
    ) -> str:
        with self.lock:
            group = Group(self._id("sg"), name, "by hand", vpc or self.vpc, dict(tags or {}))
            self.groups[group.id] = group
            self.set_permissions_by_hand(group.id, permissions or [])
            return group.id

    def set_permissions_by_hand(self, group_id: str, permissions: list[dict[str, Any]]) -> None:
        with self.lock:
            self.groups[group_id].rules = [
                self._numbered(rule) for rule in dict.fromkeys(self._rules(permissions))
            ]

    def group(self, name: str) -> Group | None:
        with self.lock:
            return next((one for one in self.groups.values() if name in (one.id, one.name)), None)

    # The wire

    def named(self, request: Request) -> Request:
        body = request.body if isinstance(request.body, bytes) else b""
        try:
            action, parameters = wire.parameters(body)
        except (wire.UnknownParameter, ValueError) as problem:
            self.violations.append(f"request: {problem}")
            action, parameters = "Malformed", {"problem": str(problem)}
        return replace(request, path=f"/{action}", body=parameters)

    def encode(self, answer: Any) -> bytes:
        if isinstance(answer, bytes):
            return answer
        return wire.error(answer.get("code", "InternalError"), answer.get("message", ""))

    def handle(self, request: Request) -> tuple[int, Any]:
        action, body = request.path[1:], request.body
        if action == "Malformed":
            raise error(400, "InvalidParameterValue", body["problem"])
        key = re.search(r"Credential=([^/]+)/", request.token or "")
        if key is None:
            raise error(
                401, "AuthFailure", "AWS was not able to validate the provided access credentials"
            )
        if key[1] not in (self.access_key, self.read_only_key):
            raise error(
                401, "AuthFailure", "AWS was not able to validate the provided access credentials"
            )
        method = getattr(self, f"do_{action}", None)
        if method is None:
            raise error(
                400, "InvalidAction", f"The action {action} is not valid for this web service."
            )
        if action in self.denied or (
            key[1] == self.read_only_key and _WRITES.fullmatch(request.path)
        ):
            raise error(
                403,
                "UnauthorizedOperation",
                "You are not authorized to perform this operation. Not authorized to perform:"
                f" ec2:{action}",
            )
        if body.pop("DryRun", False):
            raise error(
                412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set."
            )
        with self._lagging(request.path):
            value = method(**body)
        try:
            return 200, wire.answer(action, value)
        except ValueError as problem:
            self.violations.append(f"answer to {action}: {problem}")
            raise error(500, "InternalError", str(problem)) from None

    @contextlib.contextmanager
    def _lagging(self, path: str) -> Iterator[None]:
        """The first reads after a write see the groups of before it; writes see all of them."""
        if self.lag and _WRITES.fullmatch(path):
            if not self._behind:
                self._earlier = copy.deepcopy(self.groups)
            self._behind = self.lag
        elif self._behind and path in _READS:
            self._behind -= 1
            now, self.groups = self.groups, self._earlier
            try:
                yield
            finally:
                self.groups = now
            return
        yield

    # Reads

    def do_DescribeSecurityGroups(
        self,
        GroupIds: list[str] = [],
        GroupNames: list[str] = [],
        Filters: list[dict[str, Any]] = [],
        MaxResults: int | None = None,
        NextToken: str | None = None,
    ) -> dict[str, Any]:
        for id_ in GroupIds:
            self._known(id_)
        names = {one.name for one in self.groups.values() if self.vpcs[one.vpc]["default"]}
        if unknown := set(GroupNames) - names:
            raise error(
                400,
                "InvalidGroup.NotFound",
                f"The security group '{min(unknown)}' does not exist in default VPC",
            )
        found = [one for one in self.groups.values() if not GroupIds or one.id in GroupIds]
        found = [
            one
            for one in found
            if not GroupNames or (one.name in GroupNames and self.vpcs[one.vpc]["default"])
        ]
        tests = [(one.get("Name", ""), one.get("Values", [])) for one in Filters]
        found = [
            one for one in found if all(self._fits(one, name, values) for name, values in tests)
        ]
        page, token = self._page([self._group(one) for one in found], MaxResults, NextToken)
        return {"SecurityGroups": page, **token}

    def do_DescribeSecurityGroupRules(
        self,
        Filters: list[dict[str, Any]] = [],
        MaxResults: int | None = None,
        NextToken: str | None = None,
    ) -> dict[str, Any]:
        wanted = {value for one in Filters if one["Name"] == "group-id" for value in one["Values"]}
        found = [
            self._rule(group, rule)
            for group in self.groups.values()
            if group.id in wanted
            for rule in group.rules
        ]
        page, token = self._page(found, MaxResults, NextToken)
        return {"SecurityGroupRules": page, **token}

    def do_DescribeManagedPrefixLists(
        self,
        Filters: list[dict[str, Any]] = [],
        PrefixListIds: list[str] = [],
        MaxResults: int | None = None,
        NextToken: str | None = None,
    ) -> dict[str, Any]:
        wanted = {
            value for one in Filters if one["Name"] == "prefix-list-id" for value in one["Values"]
        } | set(PrefixListIds)
        found = [
            {"PrefixListId": id_, "MaxEntries": most}
            for id_, most in self.prefix_lists.items()
            if not wanted or id_ in wanted
        ]
        page, token = self._page(found, MaxResults, NextToken)
        return {"PrefixLists": page, **token}

    def do_GetManagedPrefixListEntries(
        self, PrefixListId: str, MaxResults: int | None = None, NextToken: str | None = None
    ) -> dict[str, Any]:
        if PrefixListId not in self.prefix_lists:
            raise error(
                400,
                "InvalidPrefixListID.NotFound",
                f"The prefix list ID '{PrefixListId}' does not exist",
            )
        if MaxResults is not None and not 1 <= MaxResults <= 100:
            raise error(
                400,
                "InvalidParameterValue",
                f"Value ( {MaxResults} ) for parameter maxResults is invalid.",
            )
        found = [{"Cidr": one} for one in self.prefix_entries[PrefixListId]]
        page, token = self._page(found, MaxResults, NextToken, least=1)
        return {"Entries": page, **token}

    def do_DescribeInstances(
        self,
        Filters: list[dict[str, Any]] = [],
        InstanceIds: list[str] = [],
        MaxResults: int | None = None,
        NextToken: str | None = None,
    ) -> dict[str, Any]:
        if InstanceIds and MaxResults is not None:
            raise error(
                400,
                "InvalidParameterCombination",
                "The parameter instancesSet cannot be used with the parameter maxResults",
            )
        if unknown := [id_ for id_ in InstanceIds if id_ not in self.instances]:
            raise error(
                400, "InvalidInstanceID.NotFound", f"The instance ID '{unknown[0]}' does not exist"
            )
        found = [one for one in self.instances.values() if not InstanceIds or one.id in InstanceIds]
        for one in Filters:
            name, values = one.get("Name", ""), one.get("Values", [])
            if not 1 <= len(values) <= 200:
                raise error(
                    400,
                    "FilterLimitExceeded",
                    "The maximum number of filter values specified on a single call is 200",
                )
            found = [instance for instance in found if self._instance_fits(instance, name, values)]
        page, token = self._page(
            [{"Instances": [self._instance(one)]} for one in found], MaxResults, NextToken
        )
        return {"Reservations": page, **token}

    def _instance_fits(self, instance: Instance, name: str, values: list[str]) -> bool:
        if name == "instance-id":
            return instance.id in values
        if name == "instance-state-name":
            return instance.state in values
        if name == "network-interface.group-id":
            return any(id_ in values for nic in instance.nics for id_ in nic.groups)
        if name == "tag:Name":
            return instance.name in values
        raise error(400, "InvalidParameterValue", f"The filter '{name}' is invalid")

    def _instance(self, instance: Instance) -> dict[str, Any]:
        code = {
            "pending": 0,
            "running": 16,
            "shutting-down": 32,
            "terminated": 48,
            "stopping": 64,
            "stopped": 80,
        }
        gone = instance.state in ("terminated", "shutting-down")
        vpcs = [self.groups[nic.groups[0]].vpc for nic in instance.nics]
        return {
            "InstanceId": instance.id,
            **({"VpcId": vpcs[0], "PrivateIpAddress": "10.0.0.10"} if vpcs and not gone else {}),
            "State": {"Code": code[instance.state], "Name": instance.state},
            "Tags": [{"Key": "Name", "Value": instance.name}] if instance.name else [],
            **(
                {"IamInstanceProfile": {"Arn": instance.profile, "Id": "AIPADOUBLE"}}
                if instance.profile
                else {}
            ),
            "MetadataOptions": (
                {"State": "applied", "HttpProtocolIpv6": "disabled"} | instance.metadata
            ),
            "NetworkInterfaces": (
                [] if gone else [self._nic(at, nic) for at, nic in enumerate(instance.nics)]
            ),
        }

    def _nic(self, at: int, nic: Nic) -> dict[str, Any]:
        def owned(address: str) -> dict[str, str]:
            return {"PublicIp": address, "IpOwnerId": "amazon"}

        private: list[dict[str, Any]] = [{"PrivateIpAddress": f"10.0.{at}.10", "Primary": True}]
        if nic.public:
            private[0]["Association"] = owned(nic.public)
        if nic.secondary_public:
            more = {
                "PrivateIpAddress": f"10.0.{at}.11",
                "Primary": False,
                "Association": owned(nic.secondary_public),
            }
            private.append(more)
        return {
            "NetworkInterfaceId": nic.id,
            "VpcId": self.groups[nic.groups[0]].vpc,
            "PrivateIpAddress": f"10.0.{at}.10",
            "Status": "in-use",
            "Attachment": {"DeviceIndex": at, "Status": "attached"},
            "Groups": [
                {"GroupId": id_, "GroupName": self.groups[id_].name}
                for id_ in self._mixed(nic.groups)
            ],
            "PrivateIpAddresses": private,
            "Ipv6Addresses": [{"Ipv6Address": address} for address in nic.v6],
            **({"Association": owned(nic.public)} if nic.public else {}),
        }

    # Writes

    def do_CreateSecurityGroup(
        self,
        GroupName: str,
        Description: str,
        VpcId: str | None = None,
        TagSpecifications: list[dict[str, Any]] = [],
    ) -> dict[str, Any]:
        vpc = VpcId or self.default_vpc
        if vpc not in self.vpcs:
            raise error(400, "InvalidVpcID.NotFound", f"The vpc ID '{vpc}' does not exist")
        if (
            not _DESCRIPTION.fullmatch(GroupName)
            or GroupName.lower().startswith("sg-")
            or not GroupName
        ):
            raise error(400, "InvalidParameterValue", f"Invalid value '{GroupName}' for groupName")
        if not _DESCRIPTION.fullmatch(Description) or not Description:
            raise error(400, "InvalidParameterValue", "Invalid security group description")
        if any(
            one.vpc == vpc and one.name.lower() == GroupName.lower() for one in self.groups.values()
        ):
            raise error(
                400,
                "InvalidGroup.Duplicate",
                f"The security group '{GroupName}' already exists for VPC '{vpc}'",
            )
        if any(one.get("ResourceType") != "security-group" for one in TagSpecifications):
            raise error(400, "InvalidParameterValue", "The resource type of the tags does not fit")
        tags = self._tags([tag for one in TagSpecifications for tag in one.get("Tags", [])], {})
        group = Group(self._id("sg"), GroupName, Description, vpc, tags)
        self.groups[group.id] = group
        self._record(group)
        return {
            "GroupId": group.id,
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        }

    def do_CreateTags(self, Resources: list[str], Tags: list[dict[str, str]]) -> dict[str, Any]:
        groups = [self._known(id_) for id_ in Resources]
        changed = [(group, self._tags(Tags, group.tags)) for group in groups]
        for group, tags in changed:
            group.tags = tags
        return {}

    def do_DeleteTags(
        self, Resources: list[str], Tags: list[dict[str, str]] | None = None
    ) -> dict[str, Any]:
        """ "If you specify a tag key without a tag value, we delete any tag with this key
        regardless of its value"; a tag that is not there is no error."""
        groups = [self._known(id_) for id_ in Resources]
        for group in groups:
            group.tags = {
                key: value
                for key, value in group.tags.items()
                if Tags is not None
                and not any(
                    tag.get("Key") == key and tag.get("Value", value) == value for tag in Tags
                )
            }
        return {}

    def do_AuthorizeSecurityGroupIngress(
        self, IpPermissions: list[dict[str, Any]], GroupId: str
    ) -> dict[str, Any]:
        group = self._known(GroupId)
        fresh = self._rules(IpPermissions)
        if len(set(fresh)) != len(fresh):
            raise error(
                400, "InvalidParameterValue", "The same permission must not appear multiple times"
            )
        if doubled := [rule for rule in fresh if rule in group.rules]:
            rule = doubled[0]
            text = (
                f"peer: {rule.source}, {rule.protocol}, from port: {rule.first}, to port:"
                f" {rule.last}, ALLOW"
            )
            raise error(
                400, "InvalidPermission.Duplicate", f'the specified rule "{text}" already exists'
            )
        after = [*group.rules, *fresh]
        if any(self._cost(after, family) > self.quota for family in ("v4", "v6")):
            raise error(
                400,
                "RulesPerSecurityGroupLimitExceeded",
                "The maximum number of rules per security group has been reached.",
            )
        fresh = [self._numbered(rule) for rule in fresh]
        group.rules += fresh
        self._record(group)
        return {"Return": True, "SecurityGroupRules": [self._rule(group, rule) for rule in fresh]}

    def do_RevokeSecurityGroupIngress(
        self,
        GroupId: str,
        IpPermissions: list[dict[str, Any]] = [],
        SecurityGroupRuleIds: list[str] = [],
    ) -> dict[str, Any]:
        group = self._known(GroupId)
        by_id = {rule.id: rule for rule in group.rules}
        if unknown := [id_ for id_ in SecurityGroupRuleIds if id_ not in by_id]:
            raise error(
                400,
                "InvalidSecurityGroupRuleId.NotFound",
                f"The security group rule ID '{unknown[0]}' does not exist",
            )
        asked = [(one, rule) for one in IpPermissions for rule in self._rules([one])]
        missing = [one for one, rule in asked if rule not in group.rules]
        if missing and not self.vpcs[group.vpc]["default"]:
            raise error(
                400,
                "InvalidPermission.NotFound",
                "The specified rule does not exist in this security group.",
            )
        gone = [
            rule
            for rule in group.rules
            if rule.id in SecurityGroupRuleIds or rule in [rule for _, rule in asked]
        ]
        group.rules = [rule for rule in group.rules if rule not in gone]
        self._record(group)
        revoked = [
            {
                key: value
                for key, value in self._rule(group, rule).items()
                if key not in ("GroupOwnerId", "Tags")
            }
            for rule in gone
        ]
        return {
            "Return": True,
            "UnknownIpPermissions": missing,
            "RevokedSecurityGroupRules": [_revoked(one) for one in revoked],
        }

    # How the vendor behaves

    def _id(self, prefix: str) -> str:
        self.next_id += 1
        return f"{prefix}-{self.next_id:017x}"

    def _known(self, id_: str) -> Group:
        if not _GROUP.fullmatch(id_):
            raise error(
                400, "InvalidGroupId.Malformed", f'Invalid id: "{id_}" (expecting "sg-...")'
            )
        if id_ not in self.groups:
            raise error(400, "InvalidGroup.NotFound", f"The security group '{id_}' does not exist")
        return self.groups[id_]

    def _tags(self, tags: list[dict[str, str]], before: dict[str, str]) -> dict[str, str]:
        fresh = {tag["Key"]: tag.get("Value", "") for tag in tags}
        after = before | fresh
        # AWS's own tags (`aws:cloudformation:...`) stay; nobody else can write such.
        if any(
            key.lower().startswith("aws:") or not 1 <= len(key) <= 128 or len(value) > 256
            for key, value in fresh.items()
        ):
            raise error(
                400,
                "InvalidParameterValue",
                "Tag keys starting with 'aws:' are reserved for internal use",
            )
        if len(after) > 50:
            raise error(
                400,
                "TagLimitExceeded",
                "The maximum number of Tags for a resource has been reached",
            )
        return after

    def _rules(self, permissions: list[dict[str, Any]]) -> list[Rule]:
        found = []
        for one in permissions:
            protocol, first, last = self._ports(one)
            before = len(found)
            for kind, (members, name) in _SOURCES.items():
                for source in one.get(members, []):
                    description = source.get("Description")
                    if description is not None and not _DESCRIPTION.fullmatch(description):
                        raise error(
                            400,
                            "InvalidParameterValue",
                            "Invalid rule description. Valid descriptions are strings less than 256"
                            " characters from the following set: a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*",
                        )
                    found.append(
                        Rule(
                            protocol,
                            first,
                            last,
                            kind,
                            self._source(kind, str(source.get(name, ""))),
                            description or None,
                        )
                    )
            if len(found) == before:
                raise error(400, "InvalidParameterValue", "A permission without a source")
        return found

    def _ports(self, one: dict[str, Any]) -> tuple[str, int | None, int | None]:
        protocol = str(one.get("IpProtocol", "")).lower()
        protocol = _NAMES.get(protocol, protocol)
        first, last = one.get("FromPort"), one.get("ToPort")
        if protocol in ("tcp", "udp"):
            if (
                first is None
                or last is None
                or not (0 <= first <= last <= 65535 or (first, last) == (-1, -1))
            ):
                raise error(
                    400, "InvalidParameterValue", f"Invalid value for portRange: {first}-{last}"
                )
            return protocol, *((0, 65535) if first == -1 else (first, last))
        if protocol in ("icmp", "icmpv6"):
            first, last = -1 if first is None else first, -1 if last is None else last
            if not -1 <= first <= 255 or not -1 <= last <= 255 or (first == -1 and last != -1):
                raise error(
                    400,
                    "InvalidParameterValue",
                    f"ICMP type ({first}) or code ({last}) is out of range",
                )
            return protocol, first, last
        if protocol != "-1" and not (protocol.isdecimal() and int(protocol) <= 255):
            raise error(
                400,
                "InvalidParameterValue",
                f"Invalid value '{protocol}' for IP protocol. Unknown protocol.",
            )
        return protocol, None, None

    def _source(self, kind: str, text: str) -> str:
        try:
            if kind == "v4":
                return str(ipaddress.IPv4Network(text, strict=False))
            if kind == "v6":
                return str(ipaddress.IPv6Network(text, strict=False))
        except ValueError:
            raise error(400, "InvalidParameterValue", f"CIDR block {text} is malformed") from None
        if kind == "list" and text not in self.prefix_lists:
            raise error(
                400, "InvalidPrefixListID.NotFound", f"The prefix list ID '{text}' does not exist"
            )
        return text if kind == "list" else self._known(text).id

    def _cost(self, rules: list[Rule], family: str) -> int:
        weights = {"list": 1, "group": 1, family: 1}
        return sum(
            self.prefix_lists[r.source] if r.kind == "list" else weights.get(r.kind, 0)
            for r in rules
        )

    def _fits(self, group: Group, name: str, values: list[str]) -> bool:
        """Values are alternatives; `*` and `?` stand for characters unless a backslash is before
        them."""
        if not 1 <= len(values) <= 200:
            raise error(
                400,
                "FilterLimitExceeded",
                "The maximum number of filter values specified on a single call is 200",
            )
        known = {
            "group-id": group.id,
            "group-name": group.name,
            "vpc-id": group.vpc,
            "owner-id": OWNER,
        }
        if name in known:
            return any(_pattern(value).fullmatch(known[name]) for value in values)
        if name.startswith("tag:"):
            return any(
                _pattern(value).fullmatch(group.tags.get(name[4:], "\0")) for value in values
            )
        if name == "tag-key":
            return any(_pattern(value).fullmatch(key) for value in values for key in group.tags)
        raise error(400, "InvalidParameterValue", f"The filter '{name}' is invalid")

    def _page(
        self, items: list[Any], most: int | None, token: str | None, *, least: int = 5
    ) -> tuple[list[Any], dict[str, str]]:
        if most is not None and not least <= most <= 1000:
            raise error(
                400,
                "InvalidParameterValue",
                f"Value ( {most} ) for parameter maxResults is invalid. Expecting a value between 5"
                " and 1000.",
            )
        start = 0
        if token is not None:
            if not token.startswith("token-") or not token[6:].isdecimal():
                raise error(400, "InvalidNextToken", "The token is invalid")
            start = int(token[6:])
        size = min(most or len(items) + 1, self.page or len(items) + 1)
        rest = {"NextToken": f"token-{start + size}"} if start + size < len(items) else {}
        return items[start : start + size], rest

    def _numbered(self, rule: Rule) -> Rule:
        return replace(rule, id=self._id("sgr"))

    def _record(self, group: Group) -> None:
        self.history.append((group.name, list(group.rules)))

    def _mixed(self, values: list[Any]) -> list[Any]:
        return self.random.sample(values, len(values)) if self.shuffle else list(values)

    def _group(self, group: Group) -> dict[str, Any]:
        entries: dict[Any, dict[str, Any]] = {}
        for rule in self._mixed(group.rules):
            entry = entries.setdefault(
                (rule.protocol, rule.first, rule.last), {"IpProtocol": rule.protocol}
            )
            if rule.first is not None and rule.last is not None:
                entry |= {"FromPort": rule.first, "ToPort": rule.last}
            members, name = _SOURCES[rule.kind]
            source = {name: rule.source} | (
                {"Description": rule.description} if rule.description else {}
            )
            entry.setdefault(members, []).append(
                source | ({"UserId": OWNER} if rule.kind == "group" else {})
            )
        egress = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
        if self.vpcs[group.vpc]["ipv6"]:
            egress[0]["Ipv6Ranges"] = [{"CidrIpv6": "::/0"}]
        return {
            "GroupId": group.id,
            "GroupName": group.name,
            "Description": group.description,
            "VpcId": group.vpc,
            "OwnerId": OWNER,
            "IpPermissions": [
                {"UserIdGroupPairs": [], "IpRanges": [], "Ipv6Ranges": [], "PrefixListIds": []}
                | entry
                for entry in entries.values()
            ],
            "IpPermissionsEgress": egress,
            "Tags": [{"Key": key, "Value": value} for key, value in group.tags.items()],
        }

    def _rule(self, group: Group, rule: Rule) -> dict[str, Any]:
        first, last = (
            (-1 if rule.first is None else rule.first),
            (-1 if rule.last is None else rule.last),
        )
        found: dict[str, Any] = {
            "SecurityGroupRuleId": rule.id,
            "GroupId": group.id,
            "GroupOwnerId": OWNER,
            "IsEgress": False,
            "IpProtocol": rule.protocol,
            "FromPort": first,
            "ToPort": last,
        }
        if rule.description:
            found["Description"] = rule.description
        if rule.kind == "group":
            return found | {"ReferencedGroupInfo": {"GroupId": rule.source, "UserId": OWNER}}
        return found | {
            {"v4": "CidrIpv4", "v6": "CidrIpv6", "list": "PrefixListId"}[rule.kind]: rule.source
        }


def _revoked(one: dict[str, Any]) -> dict[str, Any]:
    referenced = one.pop("ReferencedGroupInfo", None)
    return one | ({"ReferencedGroupId": referenced["GroupId"]} if referenced else {})


def _pattern(value: str) -> re.Pattern[str]:
    """The filter value with its wildcards as a regular expression."""
    parts = re.findall(r"\\(.)|(\*)|(\?)|(.)", value, re.DOTALL)
    return re.compile(
        "".join(
            re.escape(quoted or plain) if quoted or plain else ".*" if star else "."
            for quoted, star, _, plain in parts
        ),
        re.DOTALL,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description="A double of EC2's security groups on 127.0.0.1, until it is interrupted"
    )
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    with Ec2Double(options.port) as double:
        print(
            f"endpoint = {double.endpoint}\nAWS_ACCESS_KEY_ID = {double.access_key}\nvpc_id ="
            f" {double.vpc}",
            flush=True,
        )
        until_interrupted()


if __name__ == "__main__":
    main()

__all__ = ["Ec2Double", "Group", "Instance", "Nic", "Rule", "fault_body"]
