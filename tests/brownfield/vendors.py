"""Firewalls as they are in people's accounts, put into the vendors' doubles, and what their
consoles would show afterwards.

A case is a folder: `before.json` (the vendor's state), `config.toml`, `config-2.toml` (what is
asked for later), and what they name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cloudsync.rules import NOTHING, Rule, RuleSet
from cloudsync.rules.families import meaningful
from cloudsync.rules.networks import NetworkSet
from tests.doubles.compute import ComputeDouble
from tests.doubles.digitalocean import DigitalOceanDouble, Droplet
from tests.doubles.digitalocean import Firewall as DigitalOceanFirewall
from tests.doubles.ec2 import Ec2Double, Group, Instance, Nic
from tests.doubles.ec2 import Rule as Ec2Rule
from tests.doubles.hetzner import Firewall as HetznerFirewall
from tests.doubles.hetzner import HetznerDouble, Server

CASES = Path(__file__).resolve().parents[2].parent / "shared" / "cases" / "brownfield"
SHAPES = Path(__file__).parent / "shapes"
"""The five commonest shapes, whose plans stand in docs/taking-over.md."""
WHERE = "the cases are not part of this checkout (../shared/cases/brownfield)"


@dataclass(frozen=True)
class Shown:
    """A rule as its vendor's console shows it."""

    firewall: str
    """The vendor's id of the firewall; of a Google Cloud rule its name."""
    lets_in: RuleSet
    """From networks; nothing if its sources are something else."""
    description: str
    ports: tuple[str, str]
    """Protocol and ports, as the vendor spells them."""
    others: tuple[str, ...] = ()
    """Its sources that are no networks, and whatever else must not be lost."""


class Vendor(Protocol):
    """A vendor's double with a case in it."""

    endpoint: str
    environment: Mapping[str, str]

    def shown(self) -> list[Shown]:
        """All inbound rules of all firewalls."""
        ...

    def written(self) -> int:
        """How many calls so far changed something."""
        ...


@contextmanager
def vendor_of(case: Path) -> Iterator[Vendor]:
    """The double of the case's vendor, in the state the case begins with. `case`: its folder."""
    before = json.loads((case / "before.json").read_text())
    kinds: dict[str, Any] = {
        "aws": _Aws, "hetzner": _Hetzner, "digitalocean": _DigitalOcean, "gcp": _Gcp
    }  # fmt: skip
    kind = kinds[before["cloud"]]
    with kind.double() as double:
        yield kind(double, before["state"])


class _Aws:
    double = Ec2Double

    def __init__(self, double: Ec2Double, state: dict[str, Any]) -> None:
        self.cloud, self.endpoint = double, double.endpoint
        self.environment = {
            "AWS_ACCESS_KEY_ID": double.access_key,
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        for vpc in state["vpcs"]:
            double.vpcs[vpc["VpcId"]] = {"default": False, "ipv6": "Ipv6CidrBlock" in vpc}
        for prefixes in state["prefix_lists"]:
            id_ = prefixes["PrefixListId"]
            double.prefix_lists[id_] = prefixes["MaxEntries"]
            double.prefix_entries[id_] = [
                entry if isinstance(entry, str) else entry["Cidr"] for entry in prefixes["Entries"]
            ]
        for group in state["groups"]:
            double.groups[group["GroupId"]] = Group(
                group["GroupId"],
                group["GroupName"],
                "by hand",
                group["VpcId"],
                dict(group.get("Tags") or {}),
                [self._rule(n, r) for n, r in enumerate(group["rules"])],
            )
        nics: dict[str, list[Nic]] = {}
        for eni in state["enis"]:
            nic = Nic(
                eni["NetworkInterfaceId"],
                list(eni["Groups"]),
                eni.get("PublicIp"),
                list(eni.get("Ipv6Addresses") or []),
            )
            nics.setdefault(eni["InstanceId"], []).append(nic)
        for instance in state["instances"]:
            id_ = instance["InstanceId"]
            name = (instance.get("Tags") or {}).get("Name")
            double.instances[id_] = Instance(id_, name, nics.get(id_, []))

    @staticmethod
    def _rule(number: int, rule: list[Any]) -> Ec2Rule:
        protocol, first, last, source, *text = rule
        kind = "list" if source.startswith("pl-") else "group"
        if "/" in source:
            kind = "v6" if ":" in source else "v4"
        protocol = str(protocol)
        if protocol not in ("tcp", "udp", "icmp", "icmpv6"):
            first = last = None
        description = text[0] if text else None
        return Ec2Rule(protocol, first, last, kind, source, description, f"sgr-{number:017x}")

    def shown(self) -> list[Shown]:
        return [
            Shown(
                group.id,
                self._meaning(rule),
                rule.description or "",
                (rule.protocol, f"{rule.first}-{rule.last} {rule.source}"),
                () if rule.kind in ("v4", "v6") else (rule.source,),
            )
            for group in self.cloud.groups.values()
            for rule in group.rules
        ]

    @staticmethod
    def _meaning(rule: Ec2Rule) -> RuleSet:
        if rule.kind not in ("v4", "v6"):
            return NOTHING
        protocol = "all" if rule.protocol == "-1" else rule.protocol
        ports = ""
        if protocol in ("tcp", "udp"):
            ports = f"{max(rule.first or 0, 1)}-{rule.last}"
        elif protocol in ("icmp", "icmpv6") and rule.first not in (None, -1):
            ports = f"{rule.first}" if rule.last in (None, -1) else f"{rule.first}/{rule.last}"
        return meaningful(RuleSet.of((Rule.of(protocol, ports, (rule.source,)),)))

    def written(self) -> int:
        return len(self.cloud.history)


class _Hetzner:
    double = HetznerDouble

    def __init__(self, double: HetznerDouble, state: dict[str, Any]) -> None:
        self.cloud, self.endpoint = double, double.endpoint
        self.environment = {"HCLOUD_TOKEN": double.token}
        for id_, server in state["servers"].items():
            double.servers[int(id_)] = Server(int(id_), server["name"], server.get("labels") or {})
        for id_, firewall in state["firewalls"].items():
            resources = firewall.get("resources") or []
            double.firewalls[int(id_)] = HetznerFirewall(
                int(id_),
                firewall["name"],
                firewall.get("labels") or {},
                [double._rule(rule) for rule in firewall["rules"]],
                {one["server"] for one in resources if one["type"] == "server"},
                [one["selector"] for one in resources if one["type"] == "label_selector"],
            )
        double._settle("applied")

    def shown(self) -> list[Shown]:
        return [
            Shown(
                str(firewall.id),
                self._meaning(rule),
                rule.get("description") or "",
                (rule["protocol"], str(rule.get("port") or "")),
            )
            for firewall in self.cloud.firewalls.values()
            for rule in firewall.rules
            if rule["direction"] == "in"
        ]

    @staticmethod
    def _meaning(rule: Mapping[str, Any]) -> RuleSet:
        return _listed(rule["protocol"], rule.get("port"), rule["source_ips"])

    def written(self) -> int:
        return len(self.cloud.history)


class _DigitalOcean:
    double = DigitalOceanDouble

    def __init__(self, double: DigitalOceanDouble, state: dict[str, Any]) -> None:
        self.cloud, self.endpoint = double, double.endpoint
        self.environment = {"DIGITALOCEAN_TOKEN": double.token}
        double.tags += state["tags"]
        for id_, droplet in state["droplets"].items():
            tags = list(droplet.get("tags") or [])
            double.droplets[int(id_)] = Droplet(int(id_), droplet["name"], tags, gpu=False)
            double.tags += [tag for tag in tags if tag not in double.tags]
        for id_, firewall in state["firewalls"].items():
            sides = ("inbound_rules", "outbound_rules")
            rules = {side: double._rules(firewall, side, by_hand=True) for side in sides}
            double.firewalls[id_] = DigitalOceanFirewall(
                id_, firewall["name"], rules, list(firewall.get("droplet_ids") or []),
                list(firewall.get("tags") or []), "succeeded",
            )  # fmt: skip

    def shown(self) -> list[Shown]:
        return [
            Shown(
                id_,
                self._meaning(rule),
                "",
                (rule["protocol"], str(rule.get("ports") or "")),
                tuple(
                    f"{kind} {one}"
                    for kind, several in rule["sources"].items()
                    if kind != "addresses"
                    for one in several
                ),
            )
            for id_, firewall in self.cloud.firewalls.items()
            for rule in firewall.rules["inbound_rules"]
        ]

    @staticmethod
    def _meaning(rule: Mapping[str, Any]) -> RuleSet:
        ports = None if rule.get("ports") in (None, "0", 0, "all", "") else str(rule["ports"])
        return _listed(rule["protocol"], ports, rule["sources"].get("addresses") or ())

    def written(self) -> int:
        return len(self.cloud.history)


class _Gcp:
    double = ComputeDouble

    def __init__(self, double: ComputeDouble, state: dict[str, Any]) -> None:
        self.cloud, self.endpoint = double, double.endpoint
        self.environment: Mapping[str, str] = {}
        ((double.project, project),) = state["projects"].items()
        for network in project["networks"]:
            double.add_network(network["name"])
        for rule in project["firewalls"]:
            fields = dict(rule)
            double.add_firewall(fields.pop("name"), **fields)
        for instance in project["instances"]:
            double.add_instance(
                instance["name"],
                ("default", instance.get("external_ip"), None),
                tags=instance.get("tags") or (),
            )

    def shown(self) -> list[Shown]:
        return [
            Shown(
                name,
                self._meaning(rule),
                rule.get("description") or "",
                ("", json.dumps(rule.get("allowed") or rule.get("denied"))),
                tuple(
                    json.dumps(rule.get(key))
                    for key in (
                        "sourceTags",
                        "targetTags",
                        "targetServiceAccounts",
                        "logConfig",
                        "priority",
                        "disabled",
                        "destinationRanges",
                    )
                ),
            )
            for name, rule in self.cloud.firewalls().items()
        ]

    @staticmethod
    def _meaning(rule: Mapping[str, Any]) -> RuleSet:
        return RuleSet.of(
            part
            for entry in rule.get("allowed") or ()
            for ports in entry.get("ports") or [None]
            for part in _listed(entry["IPProtocol"], ports, rule.get("sourceRanges") or ())
        )

    def written(self) -> int:
        return len(self.cloud.history)


def acts_on(rule: Shown, tag: str) -> bool:
    """Whether a rule of Google Cloud lets something in on the machines with a tag, and on no
    others, at all their addresses."""
    _, tags, accounts, _, _, disabled, destinations = rule.others
    absent = ("null", "[]", "false")
    return tags == json.dumps([tag]) and {accounts, disabled, destinations} <= {*absent}


def _listed(protocol: str, ports: object, sources: Any) -> RuleSet:
    """A rule of a vendor that lists networks; ICMP is that of each family."""
    networks = NetworkSet.of(str(one) for one in sources)
    if not networks:
        return NOTHING
    if protocol == "icmp":
        both = (Rule.of("icmp", "", networks.family(4)), Rule.of("icmpv6", "", networks.family(6)))
        return RuleSet.of(rule for rule in both if rule.sources)
    text = "" if ports in (None, "any") else str(ports)
    if text.startswith("0-"):
        text = f"1{text[1:]}"
    return RuleSet.of((Rule.of(protocol, text, networks),))
