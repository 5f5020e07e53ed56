"""Exposure against a referee that lets packets through one by one and knows nothing of rule
sets."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from cloudsync.planning.exposure import (
    Filtered,
    Open,
    beyond,
    evaluate,
    exposure_of,
)
from cloudsync.provider.machines import (
    BOTH_FAMILIES,
    ActingFirewall,
    Action,
    Interface,
    ObservedMachine,
    Stage,
    StageRule,
    union_stage,
)
from cloudsync.rules import NOTHING, Rule, RuleSet
from cloudsync.rules.networks import ANY, NetworkSet
from tests.effort import examples
from tests.packets import PACKETS, PROTOCOLS, Packet, come_through, within
from tests.world import rules


@dataclass(frozen=True)
class Raw:
    """A rule as a test draws it. `protocol`: a name or all; `low`..`high`: ports, 0..0 for all."""

    action: str
    priority: int
    protocol: str
    low: int
    high: int
    sources: tuple[str, ...]
    disabled: bool = False
    certain: bool = True

    def hits(self, packet: Packet) -> bool:
        number, selector, address = packet
        if self.protocol != "all" and PROTOCOLS[self.protocol] != number:
            return False
        if self.high and not self.low <= selector <= self.high:
            return False
        return within(address, self.sources)

    def rule(self, name: str) -> StageRule:
        ports = f"{self.low}-{self.high}" if self.high else ""
        matches = (
            RuleSet.of((Rule.of(self.protocol, ports, NetworkSet.of(self.sources)),))
            if self.sources
            else NOTHING
        )
        firewall = ActingFirewall(name, name)
        return StageRule(
            firewall,
            matches,
            repr(self),
            Action(self.action),
            self.priority,
            disabled=self.disabled,
            certain=self.certain,
        )


def referee(stages: list[tuple[str, list[Raw]]], packet: Packet) -> bool:
    """Whether the packet comes through, or could where a rule's reach is not known: every way it
    could go is gone."""
    waiting = [0]
    while waiting:
        at = waiting.pop()
        if at == len(stages):
            continue
        otherwise, listed = stages[at]
        order = {"deny": 0, "next": 1, "allow": 2}
        fate = otherwise
        for one in sorted(
            (one for one in listed if not one.disabled),
            key=lambda one: (one.priority, order[one.action]),
        ):
            if not one.hits(packet):
                continue
            if one.certain:
                fate = one.action
                break
            if one.action == "allow":
                return True
            if one.action == "next":
                waiting.append(at + 1)
        if fate == "allow":
            return True
        if fate == "next":
            waiting.append(at + 1)
    return False


sources = st.lists(
    st.sampled_from(
        [
            "0.0.0.0/0",
            "::/0",
            "192.0.2.0/30",
            "192.0.2.0/31",
            "192.0.2.1/32",
            "192.0.2.5/32",
            "10.0.0.0/8",
            "2001:db8::/125",
        ]
    ),
    min_size=1,
    max_size=3,
    unique=True,
).map(tuple)


@st.composite
def raws(draw: st.DrawFn, actions: tuple[str, ...] = ("allow", "deny", "next")) -> Raw:
    protocol = draw(st.sampled_from(["tcp", "tcp", "udp", "esp", "all"]))
    low, high = 0, 0
    if protocol in ("tcp", "udp") and draw(st.booleans()):
        ends = draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
        low, high = min(ends), max(ends)
    return Raw(
        draw(st.sampled_from(actions)),
        draw(st.integers(0, 3)),
        protocol,
        low,
        high,
        draw(sources),
        draw(st.integers(0, 4)) == 0,
        draw(st.integers(0, 4)) > 0,
    )


staged = st.lists(
    st.tuples(st.sampled_from(["next", "next", "deny", "allow"]), st.lists(raws(), max_size=6)),
    min_size=1,
    max_size=3,
)


@settings(max_examples=examples(400), deadline=None)
@given(staged)
def test_what_comes_through_stages_is_what_packets_do_one_by_one(
    world: list[tuple[str, list[Raw]]],
) -> None:
    stages = [
        Stage(
            f"stage {at}",
            tuple(one.rule(f"{at}/{n}") for n, one in enumerate(listed)),
            Action(otherwise),
        )
        for at, (otherwise, listed) in enumerate(world)
    ]
    verdict = evaluate(stages)
    assert isinstance(verdict, Filtered)
    assert come_through(verdict.rules) == {packet for packet in PACKETS if referee(world, packet)}


@settings(max_examples=examples(200), deadline=None)
@given(staged)
def test_a_packet_that_one_rule_alone_would_let_in_names_that_rule(
    world: list[tuple[str, list[Raw]]],
) -> None:
    """Take every other allowance away: what is left open is what the plan says that rule opens."""
    stages = [
        Stage(
            f"stage {at}", tuple(one.rule(f"{at}/{n}") for n, one in enumerate(listed)), Action.NEXT
        )
        for at, (_, listed) in enumerate(world)
    ]
    verdict = evaluate(stages)
    assert isinstance(verdict, Filtered)
    said = {one.by.firewall.id: come_through(one.rules) for one in verdict.openings}
    for at, (_, listed) in enumerate(world):
        for n, raw in enumerate(listed):
            if raw.action != "allow":
                continue
            alone = [
                (
                    "next",
                    [
                        one
                        for m, one in enumerate(rest)
                        if one.action != "allow" or (level, m) == (at, n)
                    ],
                )
                for level, (_, rest) in enumerate(world)
            ]
            assert said.get(f"{at}/{n}", set()) == {
                packet for packet in PACKETS if referee(alone, packet)
            }


@settings(max_examples=examples(200), deadline=None)
@given(
    st.lists(raws(("allow",)), max_size=5),
    st.lists(raws(("allow",)), max_size=4),
    st.sampled_from([{4}, {6}, {4, 6}, set()]),
)
def test_beyond_is_what_others_let_in_from_public_addresses_and_nobody_wants(
    theirs: list[Raw], wanted: list[Raw], families: set[int]
) -> None:
    interface = Interface(
        "eth0",
        frozenset(one for one in BOTH_FAMILIES if one in families),
        (union_stage(one.rule(f"fw-{n}") for n, one in enumerate(theirs)),),
    )
    wishes = RuleSet.of(rule for n, one in enumerate(wanted) for rule in one.rule(f"{n}").matches)
    exposure = exposure_of(ObservedMachine("1", "web-1", "server", (interface,)))
    found = beyond(exposure, wishes, ours=lambda one: one.id == "fw-0")
    mine = [one for one in theirs[1:] if not one.disabled]
    expected = {
        packet
        for packet in PACKETS
        if ip_address(packet[2]).version in families
        and any(one.hits(packet) for one in mine)
        and not any(one.hits(packet) for one in wanted)
    }
    private = (ip_network("10.0.0.0/8"), ip_network("fc00::/7"))
    public = {
        packet
        for packet in expected
        if not any(ip_address(packet[2]) in network for network in private)
    }
    said = come_through(RuleSet.of(one.rule for one in found))
    assert public <= said <= expected
    assert all(one.firewall is not None and one.firewall.id != "fw-0" for one in found)


def test_no_firewall_is_a_value_of_its_own_and_not_a_firewall_that_lets_everything_in() -> None:
    firewall = ActingFirewall("1", "wide")
    wide = union_stage([StageRule(firewall, rules("all"), "everything")])
    assert isinstance(evaluate(()), Open)
    assert isinstance(evaluate((wide,)), Filtered)
    machine = ObservedMachine("7", "web-1", "server", (Interface("public", BOTH_FAMILIES, ()),))
    exposure = exposure_of(machine)
    assert not exposure.protected
    (only,) = beyond(exposure, rules("tcp/22"), lambda _: False)
    assert (only.rule.protocol, only.rule.sources, only.firewall) == ("all", ANY, None)


def test_a_firewall_without_rules_lets_nothing_in() -> None:
    assert evaluate((union_stage(()),)) == Filtered(NOTHING)


def test_an_interface_the_internet_does_not_reach_is_no_exposure() -> None:
    machine = ObservedMachine("7", "db-1", "server", (Interface("private", frozenset(), ()),))
    exposure = exposure_of(machine)
    assert exposure.protected
    assert not exposure.rules


def test_a_rule_for_private_networks_only_is_not_beyond_and_one_for_a_public_one_beside_it_is() -> (
    None
):
    firewall = ActingFirewall("sg-1", "db", "security group")
    listed = [
        StageRule(firewall, rules("tcp/5432 from 10.0.0.0/8"), "a"),
        StageRule(firewall, rules("tcp/5432 from 203.0.113.0/24"), "b"),
    ]
    machine = ObservedMachine(
        "i-1", "web-1", "instance", (Interface("eni-1", BOTH_FAMILIES, (union_stage(listed),)),)
    )
    (only,) = beyond(exposure_of(machine), rules("tcp/22"), lambda _: False)
    assert only.rule.sources.cidrs() == ("203.0.113.0/24",)
    assert "security group" in only.through
    assert "rule b" in only.through
