"""Random worlds of machines and firewalls on the doubles: what the providers and the core make of
them is what packets do one by one.

The referee of each cloud works on the world as it was drawn and shares no code with the product.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudsync.planning.exposure import Exposure, exposure_of
from cloudsync.provider import registry
from cloudsync.provider.contract import Account, FirewallSpec, MachineReader
from cloudsync.provider.machines import Fleet
from cloudsync.provider.marker import Marker
from tests.doubles.digitalocean import DigitalOceanDouble
from tests.doubles.ec2 import Ec2Double, Nic
from tests.doubles.hetzner import HetznerDouble
from tests.packets import PACKETS, Packet, come_through, within

pytestmark = pytest.mark.emulator
MARKER = Marker("shop", "web", "00000000")
random_worlds = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
CIDRS = [
    "0.0.0.0/0",
    "::/0",
    "192.0.2.0/30",
    "192.0.2.4/31",
    "192.0.2.1/32",
    "10.0.0.0/8",
    "2001:db8::/125",
    "fd00::/8",
]
cidrs = st.lists(st.sampled_from(CIDRS), min_size=1, max_size=3, unique=True)
ports = st.one_of(
    st.sampled_from(["all", "22", "443", "65535"]),
    st.tuples(st.integers(1, 7), st.integers(1, 7)).map(lambda ends: f"{min(ends)}-{max(ends)}"),
)


def in_range(port: int, text: str) -> bool:
    low, _, high = text.partition("-")
    return text == "all" or int(low) <= port <= int(high or low)


def icmp(number: int, address: str) -> bool:
    """Where a vendor has one `icmp` for both families."""
    return number == (1 if ip_address(address).version == 4 else 58)


def fleet_of(
    type_: str, account: Mapping[str, Any], firewall: Mapping[str, Any], hosts: tuple[str, ...] = ()
) -> Fleet:
    """Read the account as a plan does."""
    provider = registry.load(type_)
    settings_ = provider.account_settings.model_validate(account)
    spec = FirewallSpec("web", provider.firewall_settings.model_validate(firewall), MARKER, hosts)
    reader = provider.open_reader(Account("vendor", settings_, Path(), time.monotonic() + 30))
    reader.read([spec])
    assert isinstance(reader, MachineReader)
    fleet = reader.read_machines([spec])
    assert isinstance(fleet, Fleet), fleet
    return fleet


def agree(exposure: Exposure, expected: set[Packet] | None) -> None:
    """`expected`: None where no firewall acts on an interface the Internet reaches."""
    assert exposure.machine.unknown == ()
    assert exposure.protected is (expected is not None)
    if expected is not None:
        assert come_through(exposure.rules) == expected


# Hetzner: direct and by selector, in effect and pending, both families, floating addresses, rules
# for what goes out


@dataclass(frozen=True)
class Rule:
    protocol: str
    ports: str
    sources: tuple[str, ...]
    inbound: bool = True

    def hits(self, packet: Packet) -> bool:
        number, selector, address = packet
        if not self.inbound or not within(address, self.sources):
            return False
        if self.protocol == "icmp":
            return icmp(number, address)
        return number == {"tcp": 6, "udp": 17, "gre": 47, "esp": 50}[self.protocol] and in_range(
            selector, self.ports if self.protocol in ("tcp", "udp") else "all"
        )

    def hetzner(self) -> dict[str, Any]:
        port = (
            {"port": "any" if self.ports == "all" else self.ports}
            if self.protocol in ("tcp", "udp")
            else {}
        )
        mine = "source_ips" if self.inbound else "destination_ips"
        return {
            "direction": "in" if self.inbound else "out",
            "protocol": self.protocol,
            **port,
            mine: list(self.sources),
        }


def rules_of(*protocols: str) -> st.SearchStrategy[list[Rule]]:
    return st.lists(
        st.builds(
            Rule,
            st.sampled_from(protocols),
            ports,
            cidrs.map(tuple),
            st.sampled_from([True, True, True, False]),
        ),
        max_size=4,
    )


@dataclass(frozen=True)
class Wall:
    """A firewall: who it is on by name and by label, and where it is not in effect yet."""

    rules: list[Rule]
    direct: set[int]
    labels: list[str]
    pending: set[int]
    removing: set[int]


walls = st.builds(
    Wall,
    rules_of("tcp", "tcp", "udp", "icmp", "esp", "gre"),
    st.sets(st.integers(0, 3), max_size=3),
    st.lists(st.sampled_from(["a", "b"]), max_size=1),
    st.sets(st.integers(0, 3), max_size=2),
    st.sets(st.integers(0, 3), max_size=1),
)
families = st.sampled_from([(True, False), (True, True), (False, True), (False, False)])


@random_worlds
@given(
    st.lists(
        st.tuples(families, st.sampled_from(["a", "b", "c"]), st.booleans()), min_size=4, max_size=4
    ),
    st.lists(walls, max_size=4),
)
def test_hetzner(servers: list[tuple[tuple[bool, bool], str, bool]], drawn: list[Wall]) -> None:
    with HetznerDouble() as cloud:
        ids = []
        for n, ((v4, v6), role, floating) in enumerate(servers):
            ids.append(
                cloud.add_server(
                    f"s-{n}", labels={"role": role}, v4=v4, v6=v6, floating=floating and (v4 or v6)
                )
            )
        public = [n for n, ((v4, v6), _, _) in enumerate(servers) if v4 or v6]
        covered = []
        for n, wall in enumerate(drawn):
            on = {m for m in public if m in wall.direct or servers[m][1] in wall.labels}
            covered.append(on)
            made = cloud.add_firewall(
                "cloudsync-web" if n == 0 else f"other-{n}",
                [one.hetzner() for one in wall.rules],
                servers=[ids[m] for m in sorted(wall.direct & set(public))],
                selectors=[f"role={one}" for one in wall.labels],
            )
            for m in on & wall.pending:
                cloud.in_force[made, ids[m]] = "pending"
        account = {"token": {"command": ["echo", cloud.token]}, "endpoint": cloud.endpoint}
        fleet = fleet_of(
            "hetzner",
            account,
            {"servers": [f"s-{n}" for n in public]},
            ("s-0", "s-1", "s-2", "s-3"),
        )
        assert cloud.violations == []
        assert len(cloud.calls) == 2
    assert {one.name for one in fleet.machines} == {f"s-{n}" for n in range(4)}
    for machine in fleet.machines:
        n = int(machine.name[2:])
        (v4, v6), _, floating = servers[n]
        mine = [wall for wall, on in zip(drawn, covered, strict=True) if n in on]
        reached = (
            {4, 6}
            if floating and (v4 or v6)
            else {family for family, has in ((4, v4), (6, v6)) if has}
        )
        expected = {
            packet
            for packet in PACKETS
            if ip_address(packet[2]).version in reached
            and any(one.hits(packet) for wall in mine for one in wall.rules)
        }
        in_force = any(n not in wall.pending for wall in mine)
        agree(exposure_of(machine), expected if in_force or not reached else None)
        assert len(machine.pending) == sum(n in wall.pending for wall in mine)
    assert fleet.unattached == ({"web"} if drawn and not covered[0] else set())


# DigitalOcean: by id and by tag, droplets with GPUs, being put on and taken off


@random_worlds
@given(
    st.lists(
        st.tuples(families, st.sampled_from(["a", "b", "c"]), st.booleans()), min_size=4, max_size=4
    ),
    st.lists(walls, max_size=4),
)
def test_digitalocean(
    droplets: list[tuple[tuple[bool, bool], str, bool]], drawn: list[Wall]
) -> None:
    drawn = [
        Wall(
            [r for r in w.rules if r.protocol in ("tcp", "udp", "icmp") and r.inbound],
            w.direct,
            w.labels,
            w.pending,
            w.removing,
        )
        for w in drawn
    ]
    with DigitalOceanDouble() as cloud:
        ids = [
            cloud.add_droplet(f"d-{n}", [tag], gpu, v4=v4, v6=v6)
            for n, ((v4, v6), tag, gpu) in enumerate(droplets)
        ]
        acting = []
        for n, wall in enumerate(drawn):
            on = {m for m in range(4) if m in wall.direct or droplets[m][1] in wall.labels}
            inbound = [
                {"protocol": r.protocol, "sources": {"addresses": list(r.sources), "tags": ["a"]}}
                | ({} if r.protocol == "icmp" else {"ports": r.ports})
                for r in wall.rules
            ]
            cloud.add_tag("a")
            made = cloud.add_firewall(
                "cloudsync-web.shop.00000000" if n == 0 else f"other-{n}",
                inbound,
                droplets=[ids[m] for m in sorted(wall.direct)],
                tags=wall.labels,
            )
            changing = dict.fromkeys(wall.pending & on, False) | dict.fromkeys(
                wall.removing - on, True
            )
            cloud.firewalls[made].pending = [
                {"droplet_id": ids[m], "removing": removing, "status": "waiting"}
                for m, removing in changing.items()
            ]
            cloud.firewalls[made].status = "waiting" if changing else "succeeded"
            cloud.firewalls[made].polls = 99
            acting.append({m: m not in changing for m in on | changing.keys()})
        account = {"token": {"command": ["echo", cloud.token]}, "endpoint": cloud.endpoint}
        fleet = fleet_of("digitalocean", account, {}, ("d-0", "d-1", "d-2", "d-3"))
        assert cloud.violations == []
        assert [(call.path, call.query.get("type")) for call in cloud.calls] == [
            ("/firewalls", None), ("/droplets", None), ("/tags", None), ("/droplets", ["gpus"]),
        ]  # fmt: skip
    assert {one.name for one in fleet.machines} == {f"d-{n}" for n in range(4)}
    for machine in fleet.machines:
        n = int(machine.name[2:])
        reached = {family for family, has in zip((4, 6), droplets[n][0], strict=True) if has}
        mine = [wall for wall, on in zip(drawn, acting, strict=True) if n in on]
        expected = {
            packet
            for packet in PACKETS
            if ip_address(packet[2]).version in reached
            and any(one.hits(packet) for wall in mine for one in wall.rules)
        }
        in_force = any(on[n] for on in acting if n in on)
        agree(exposure_of(machine), expected if in_force or not reached else None)
        # the vendor keeps two rules of one meaning as one
        kept = [
            {
                (r.protocol, r.protocol == "icmp" or r.ports, frozenset(r.sources))
                for r in wall.rules
            }
            for wall in mine
        ]
        assert len(machine.kept) == sum(map(len, kept))


# AWS: groups of every interface, prefix lists, groups as sources, other protocols, interfaces
# without a public address


@dataclass(frozen=True)
class Permission:
    protocol: str
    first: int
    last: int
    cidrs: tuple[str, ...]
    list_: int | None
    group: bool

    def hits(self, packet: Packet, lists: list[list[str]]) -> bool:
        number, selector, address = packet
        if not (
            within(address, self.cidrs)
            or (self.list_ is not None and within(address, lists[self.list_]))
        ):
            return False
        if self.protocol == "-1":
            return True
        if self.protocol == "50":
            return number == 50
        wanted = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58}[self.protocol]
        return number == wanted and (
            self.protocol not in ("tcp", "udp") or self.first <= selector <= self.last
        )

    def wire(self, lists: list[str], group: str) -> dict[str, Any]:
        entry: dict[str, Any] = {"IpProtocol": self.protocol}
        if self.protocol in ("tcp", "udp"):
            entry |= {"FromPort": self.first, "ToPort": self.last}
        if self.protocol in ("icmp", "icmpv6"):
            entry |= {"FromPort": -1, "ToPort": -1}
        entry["IpRanges"] = [{"CidrIp": one} for one in self.cidrs if ip_network(one).version == 4]
        entry["Ipv6Ranges"] = [
            {"CidrIpv6": one} for one in self.cidrs if ip_network(one).version == 6
        ]
        entry["PrefixListIds"] = [] if self.list_ is None else [{"PrefixListId": lists[self.list_]}]
        entry["UserIdGroupPairs"] = [{"GroupId": group}] if self.group else []
        return entry


@st.composite
def permissions(draw: st.DrawFn) -> Permission:
    ends = sorted(
        draw(
            st.tuples(
                st.sampled_from([0, 1, 3, 22, 443]), st.sampled_from([0, 2, 5, 22, 443, 65535])
            )
        )
    )
    return Permission(
        draw(st.sampled_from(["tcp", "tcp", "udp", "icmp", "icmpv6", "-1", "50"])),
        *ends,
        draw(cidrs.map(tuple)),
        draw(st.sampled_from([None, None, 0, 1])),
        draw(st.booleans()),
    )


nics = st.tuples(
    st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True),
    st.sampled_from([None, "198.51.100.20"]),
    st.sampled_from([None, "198.51.100.21"]),
    st.sampled_from([[], ["2001:db8::20"], ["fd00::20"]]),
)


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIADOUBLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.mark.usefixtures("credentials")
@settings(random_worlds, max_examples=25)  # a client of the SDK costs more than the world it reads
@given(
    st.lists(st.lists(permissions(), max_size=3), min_size=4, max_size=4),
    st.lists(
        st.lists(st.sampled_from(CIDRS[:1] + CIDRS[2:6]), unique=True), min_size=2, max_size=2
    ),
    st.lists(st.lists(nics, min_size=1, max_size=2), min_size=1, max_size=3),
    st.booleans(),
)
def test_aws(
    groups: list[list[Permission]],
    lists: list[list[str]],
    instances: list[list[Any]],
    named: bool,
) -> None:
    with Ec2Double() as cloud:
        list_ids = [cloud.add_prefix_list(20, entries) for entries in lists]
        ids = [cloud.add_group(f"g-{n}") for n in range(4)]
        for id_, wanted in zip(ids, groups, strict=True):
            cloud.set_permissions_by_hand(id_, [one.wire(list_ids, ids[0]) for one in wanted])
        machines = {
            cloud.add_instance(
                f"i-{n}",
                *(
                    Nic("", [ids[g] for g in on], public, v6, second)
                    for on, public, second, v6 in drawn
                ),
            ): drawn
            for n, drawn in enumerate(instances)
        }
        cloud.add_instance("gone", Nic("", [ids[0]], "198.51.100.99"), state="terminated")
        account = {"region": "eu-central-1", "endpoint": cloud.endpoint}
        firewall = {"group_id": ids[0]} | ({"instances": sorted(machines)} if named else {})
        fleet = fleet_of("aws", account, firewall)
        assert cloud.violations == []
        used = {g for drawn in machines.values() for on, *_ in drawn for g in on}
        if not named:
            used = {
                g
                for drawn in machines.values()
                if any(0 in on for on, *_ in drawn)
                for on, *_ in drawn
                for g in on
            }
        asked = [call.path for call in cloud.calls]
        assert asked.count("/DescribeInstances") == 1
        assert asked.count("/DescribeSecurityGroups") == (2 if used - {0} else 1)
        # Reading the firewall itself looks into the lists of its own group, on machines or not.
        assert asked.count("/GetManagedPrefixListEntries") == len(
            {p.list_ for g in used | {0} for p in groups[g]} - {None}
        )
    expected_ids = {
        id_ for id_, drawn in machines.items() if named or any(0 in on for on, *_ in drawn)
    }
    assert {one.id for one in fleet.machines} == expected_ids
    for machine in fleet.machines:
        expected = set()
        for on, public, second, v6 in machines[machine.id]:
            reached = ({4} if public or second else set()) | (
                {6} if v6 == ["2001:db8::20"] else set()
            )
            expected |= {
                packet
                for packet in PACKETS
                if ip_address(packet[2]).version in reached
                and any(one.hits(packet, lists) for g in on for one in groups[g])
            }
        agree(exposure_of(machine), expected)
