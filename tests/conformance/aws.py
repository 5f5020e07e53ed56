"""The provider `aws` on the stage: our double, and moto as a second opinion. Groups are read here
again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from cloudsync.provider.marker import Marker
from cloudsync.rules import RuleSet
from cloudsync.testing import Spelled, StageBase
from tests.conformance.http_stage import HttpStage, rule_set
from tests.doubles.ec2 import (
    Ec2Double,
    Group,
    Nic,
    Rule,
    fault_body,
)

REGION = "eu-central-1"
DUMMY = {
    "AWS_ACCESS_KEY_ID": "AKIADOUBLE",
    "AWS_SECRET_ACCESS_KEY": "any",
    "AWS_EC2_METADATA_DISABLED": "true",
}


class MotoStage(StageBase):
    """Written to by moto's API, looked at where moto keeps its groups: the server is in this
    process. What moto cannot show is left out by `test_conformance.py`, with the reason."""

    type = "aws"
    environment = DUMMY

    def __init__(self, endpoint: str, client: Any) -> None:
        self.client = client
        self.account = {"region": REGION, "endpoint": endpoint}
        self.moto = get_backend("ec2")[DEFAULT_ACCOUNT_ID][REGION]
        self.vpc = self.moto.create_vpc("10.0.0.0/16").id
        self.written = 0
        self.last: object = self._everything()

    def settings(self, name: str) -> Mapping[str, Any]:
        return {"name": name, "vpc_id": self.vpc}

    def put(self, name: str, rules: Sequence[Spelled], marker: Marker | None) -> None:
        group = self.client.create_security_group(
            GroupName=name, Description="by hand", VpcId=self.vpc
        )["GroupId"]
        self.client.authorize_security_group_ingress(
            GroupId=group, IpPermissions=[permission(one) for one in rules]
        )
        if tags := tags_of(marker):
            self.client.create_tags(Resources=[group], Tags=tags)
        self.last = self._everything()

    def edit(self, name: str, rules: Sequence[Spelled]) -> None:
        group = self._group(name)
        assert group is not None
        self.client.revoke_security_group_ingress(
            GroupId=group["GroupId"], IpPermissions=group["IpPermissions"]
        )
        self.client.authorize_security_group_ingress(
            GroupId=group["GroupId"], IpPermissions=[permission(one) for one in rules]
        )
        self.last = self._everything()

    def lets_in(self, name: str) -> RuleSet | None:
        group = self._group(name)
        return None if group is None else meaning(group["IpPermissions"])

    def version(self, name: str) -> object:
        return self._group(name)

    def history(self, name: str) -> Sequence[RuleSet]:
        now = self.lets_in(name)
        return [] if now is None else [now]

    def writes(self) -> int:
        now = self._everything()
        self.written += now != self.last
        self.last = now
        return self.written

    def put_other(self, name: str) -> None:
        group = self._group(name)
        assert group is not None
        pair = {
            "IpProtocol": "tcp",
            "FromPort": 5432,
            "ToPort": 5432,
            "UserIdGroupPairs": [{"GroupId": group["GroupId"]}],
        }
        self.client.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[pair])
        self.last = self._everything()

    def others(self, name: str) -> int:
        group = self._group(name)
        assert group is not None
        return sum(len(one.get("UserIdGroupPairs") or ()) for one in group["IpPermissions"])

    def _group(self, name: str) -> dict[str, Any] | None:
        return next((one for one in self._everything() if one["GroupName"] == name), None)

    def close(self) -> None:
        """Nothing of it is left for the next one to list."""
        del self.moto.groups[self.vpc], self.moto.vpcs[self.vpc]

    def _everything(self) -> list[dict[str, Any]]:
        groups = [group for of_vpc in self.moto.groups.values() for group in of_vpc.values()]
        return [
            {
                "GroupId": group.id,
                "GroupName": group.name,
                "Tags": group.get_tags(),
                "IpPermissions": [_permission_of(rule) for rule in group.ingress_rules],
            }
            for group in groups
        ]


def _permission_of(rule: Any) -> dict[str, Any]:
    """A rule of moto's as its API says it."""
    ports = {} if rule.from_port is None else {"FromPort": rule.from_port, "ToPort": rule.to_port}
    network = dict(rule.ip_range)
    ranges = "Ipv6Ranges" if "CidrIpv6" in network else "IpRanges"
    sources = {ranges: [network]} if network else {}
    pairs = {"UserIdGroupPairs": [dict(rule.source_group)]} if rule.source_group else {}
    return {"IpProtocol": rule.ip_protocol, **ports, **sources, **pairs}


class AwsStage(HttpStage):
    """On our own double."""

    type = "aws"
    environment = DUMMY
    reading = ("POST", "/DescribeSecurityGroups")
    writing = ("POST", "/(Authorize|Revoke|Create|Modify|Update|Delete).*")
    errors = {
        "unauthorized": (401, fault_body("AuthFailure")),
        "forbidden": (403, fault_body("UnauthorizedOperation")),
        "not-found": (400, fault_body("InvalidGroup.NotFound")),
        "conflict": (400, fault_body("InvalidPermission.Duplicate")),
        "throttled": (503, fault_body("RequestLimitExceeded")),
        "unavailable": (503, fault_body("Unavailable")),
        "failed-after": (500, fault_body("InternalError")),
    }

    def __init__(self, double: Ec2Double) -> None:
        super().__init__(double)
        self.cloud = double
        self.account = {"region": REGION, "endpoint": double.endpoint}

    def settings(self, name: str) -> Mapping[str, Any]:
        return {"name": name, "vpc_id": self.cloud.vpc}

    def put(self, name: str, rules: Sequence[Spelled], marker: Marker | None) -> None:
        tags = {tag["Key"]: tag["Value"] for tag in tags_of(marker)} | {"team": "a"}
        self.cloud.add_group(name, permissions=[permission(one) for one in rules], tags=tags)

    def edit(self, name: str, rules: Sequence[Spelled]) -> None:
        self.cloud.set_permissions_by_hand(self._of(name).id, [permission(one) for one in rules])

    def lets_in(self, name: str) -> RuleSet | None:
        group = self.cloud.group(name)
        return None if group is None else _let_in(group.rules)

    def rules(self, name: str) -> Sequence[Spelled]:
        return [
            Spelled(
                "all" if rule.protocol == "-1" else rule.protocol,
                f"{rule.first}-{rule.last}" if rule.first != rule.last else f"{rule.first}",
                (rule.source,),
                rule.description or "",
            )
            for rule in self._of(name).rules
            if rule.kind in ("v4", "v6")
        ]

    def aside(self, name: str) -> object:
        tags = self._of(name).tags
        return {key: value for key, value in tags.items() if not key.startswith("cloudsync:")}

    def add_neighbour(self, name: str) -> str:
        for number, machine in enumerate(("web-1", "db-1"), 1):
            nic = Nic("", [self._of(name).id], f"198.51.100.{number}")
            self.cloud.add_instance(machine, nic)
        return "db-1"

    def history(self, name: str) -> Sequence[RuleSet]:
        return [_let_in(rules) for of, rules in self.cloud.history if of == name]

    def put_other(self, name: str) -> None:
        group = self._of(name)
        pair = {
            "IpProtocol": "tcp",
            "FromPort": 5432,
            "ToPort": 5432,
            "UserIdGroupPairs": [{"GroupId": group.id}],
        }
        prefix = {
            "IpProtocol": "tcp",
            "FromPort": 5433,
            "ToPort": 5433,
            "PrefixListIds": [{"PrefixListId": self.cloud.add_prefix_list(9)}],
        }
        now = self.cloud._group(group)["IpPermissions"]
        self.cloud.set_permissions_by_hand(group.id, [*now, pair, prefix])

    def others(self, name: str) -> int:
        return sum(rule.kind in ("group", "list") for rule in self._of(name).rules) // 2

    def version(self, name: str) -> object:
        # Rules are added and taken away one by one.
        return tuple(self._of(name).rules)

    def lag(self, reads: int) -> None:
        self.cloud.lag = reads

    def limit(self, beyond: int) -> Sequence[str]:
        # 60 for each family, one of them SSH's.
        return [f"tcp/{10000 + 2 * n}" for n in range(59 + beyond)]

    def boundary(self, beyond: int) -> None:
        self.cloud.page = len(self.cloud.groups) - beyond

    def _of(self, name: str) -> Group:
        group = self.cloud.group(name)
        assert group is not None
        return group


def _let_in(rules: Sequence[Rule]) -> RuleSet:
    found: list[tuple[str, str, Sequence[str]]] = []
    for rule in rules:
        if rule.kind not in ("v4", "v6"):
            continue
        if rule.protocol in ("tcp", "udp"):
            found.append((rule.protocol, f"{max(rule.first or 0, 1)}-{rule.last}", [rule.source]))
        elif rule.protocol in ("icmp", "icmpv6"):
            ports = (
                ""
                if rule.first == -1
                else f"{rule.first}"
                if rule.last == -1
                else f"{rule.first}/{rule.last}"
            )
            found.append((rule.protocol, ports, [rule.source]))
        else:
            found.append(("all" if rule.protocol == "-1" else rule.protocol, "", [rule.source]))
    return rule_set(found)


def permission(one: Spelled) -> dict[str, Any]:
    """A rule as a person gives it to the command line."""
    found: dict[str, Any] = {"IpProtocol": "-1" if one.protocol == "all" else one.protocol}
    if one.protocol in ("tcp", "udp"):
        first, _, last = one.ports.partition("-")
        found |= {"FromPort": int(first), "ToPort": int(last or first)}
        if one.ports == "1-65535":
            found |= {"FromPort": 0}
    elif one.protocol in ("icmp", "icmpv6"):
        kind, _, code = one.ports.partition("/")
        found |= {"FromPort": int(kind or -1), "ToPort": int(code or -1)}
    description = {"Description": one.description} if one.description else {}
    v4 = [{"CidrIp": source, **description} for source in one.sources if ":" not in source]
    v6 = [{"CidrIpv6": source, **description} for source in one.sources if ":" in source]
    return found | ({"IpRanges": v4} if v4 else {}) | ({"Ipv6Ranges": v6} if v6 else {})


def tags_of(marker: Marker | None) -> list[dict[str, str]]:
    if marker is None:
        return []
    values = {
        "cloudsync:owner": marker.owner,
        "cloudsync:firewall": marker.firewall,
        "cloudsync:hosts": marker.hosts,
    }
    return [{"Key": key, "Value": value} for key, value in values.items()]


def meaning(permissions: Sequence[Mapping[str, Any]]) -> RuleSet:
    found: list[tuple[str, str, Sequence[str]]] = []
    for one in permissions:
        protocol, first, last = one["IpProtocol"], one.get("FromPort"), one.get("ToPort")
        sources = [r["CidrIp"] for r in one.get("IpRanges") or ()] + [
            r["CidrIpv6"] for r in one.get("Ipv6Ranges") or ()
        ]
        if protocol == "-1":
            found.append(("all", "", sources))
        elif protocol in ("tcp", "udp"):
            found.append((protocol, f"{max(first, 1)}-{last}", sources))
        elif protocol in ("icmp", "icmpv6"):
            ports = (
                ""
                if first in (None, -1)
                else f"{first}"
                if last in (None, -1)
                else f"{first}/{last}"
            )
            found.append((protocol, ports, sources))
        else:
            found.append((protocol, "", sources))
    return rule_set(found)
