"""The provider `aws` on the stage: our double, and moto as a second opinion. Groups are read here anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cloudsync.provider.marker import Marker
from cloudsync.rules import RuleSet
from cloudsync.testing import Spelled, Trouble
from tests.conformance.http_stage import rule_set

REGION = "eu-central-1"
DUMMY = {"AWS_ACCESS_KEY_ID": "AKIADOUBLE", "AWS_SECRET_ACCESS_KEY": "any", "AWS_EC2_METADATA_DISABLED": "true"}


class MotoStage:
    """By its API alone: what moto cannot show is left out by `test_conformance.py`, with the reason."""

    type = "aws"
    environment = DUMMY

    def __init__(self, endpoint: str, client: Any) -> None:
        self.client = client
        self.account = {"region": REGION, "endpoint": endpoint}
        self.vpc = client.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        self.last: object = self._everything()

    def settings(self, name: str) -> Mapping[str, Any]:
        return {"name": name, "vpc_id": self.vpc}

    def put(self, name: str, rules: Sequence[Spelled], marker: Marker | None) -> None:
        group = self.client.create_security_group(GroupName=name, Description="by hand", VpcId=self.vpc)["GroupId"]
        self.client.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission(one) for one in rules])
        if tags := tags_of(marker):
            self.client.create_tags(Resources=[group], Tags=tags)
        self.last = self._everything()

    def edit(self, name: str, rules: Sequence[Spelled]) -> None:
        group = self._group(name)
        assert group is not None
        self.client.revoke_security_group_ingress(GroupId=group["GroupId"], IpPermissions=group["IpPermissions"])
        self.client.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[permission(one) for one in rules])
        self.last = self._everything()

    def lets_in(self, name: str) -> RuleSet | None:
        group = self._group(name)
        return None if group is None else meaning(group["IpPermissions"])

    def history(self, name: str) -> Sequence[RuleSet]:
        now = self.lets_in(name)
        return [] if now is None else [now]

    def writes(self) -> int:
        return int(self._everything() != self.last)

    def trouble(self, trouble: Trouble) -> None:
        raise NotImplementedError("moto does not fail on demand")

    def put_other(self, name: str) -> None:
        group = self._group(name)
        assert group is not None
        pair = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "UserIdGroupPairs": [{"GroupId": group["GroupId"]}]}
        self.client.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[pair])
        self.last = self._everything()

    def others(self, name: str) -> int:
        group = self._group(name)
        assert group is not None
        return sum(len(one.get("UserIdGroupPairs") or ()) for one in group["IpPermissions"])

    def limit(self, beyond: int) -> Sequence[str]:
        raise NotImplementedError("moto counts IPv4 and IPv6 together")

    def boundary(self, beyond: int) -> None:
        raise NotImplementedError("moto does not page")

    def attached(self, name: str) -> int:
        raise NotImplementedError("a group is not attached")

    def attaching(self, name: str) -> Mapping[str, Any]:
        raise NotImplementedError("a group is not attached")

    def sound(self) -> Sequence[str]:
        return []

    def _group(self, name: str) -> dict[str, Any] | None:
        return next((one for one in self._everything() if one["GroupName"] == name), None)

    def _everything(self) -> list[dict[str, Any]]:
        return self.client.describe_security_groups()["SecurityGroups"]  # type: ignore[no-any-return]


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
    values = {"cloudsync:owner": marker.owner, "cloudsync:firewall": marker.firewall, "cloudsync:hosts": marker.hosts}
    return [{"Key": key, "Value": value} for key, value in values.items()]


def meaning(permissions: Sequence[Mapping[str, Any]]) -> RuleSet:
    found: list[tuple[str, str, Sequence[str]]] = []
    for one in permissions:
        protocol, first, last = one["IpProtocol"], one.get("FromPort"), one.get("ToPort")
        sources = [r["CidrIp"] for r in one.get("IpRanges") or ()] + [r["CidrIpv6"] for r in one.get("Ipv6Ranges") or ()]
        if protocol == "-1":
            found.append(("all", "", sources))
        elif protocol in ("tcp", "udp"):
            found.append((protocol, f"{max(first, 1)}-{last}", sources))
        elif protocol in ("icmp", "icmpv6"):
            ports = "" if first in (None, -1) else f"{first}" if last in (None, -1) else f"{first}/{last}"
            found.append((protocol, ports, sources))
        else:
            found.append((protocol, "", sources))
    return rule_set(found)
