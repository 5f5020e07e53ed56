"""A machine behind two walls, its cloud's and its own: what is reachable is what passes both."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cloudsync.planning.exposure import Filtered, Open, behind, evaluate, exposure_of
from cloudsync.provider.machines import (
    BOTH_FAMILIES,
    ActingFirewall,
    Interface,
    ObservedMachine,
    StageRule,
    union_stage,
)
from cloudsync.rules import RuleSet
from tests.effort import examples
from tests.packets import come_through
from tests.world import rules

WHAT = ("tcp/443", "tcp/1-7", "udp/22", "icmp", "esp", "all")
FROM = ("0.0.0.0/0", "192.0.2.0/31", "192.0.2.1", "10.0.0.0/8", "2001:db8::/32", "::/0")
rulesets = st.lists(
    st.builds("{} from {}".format, st.sampled_from(WHAT), st.sampled_from(FROM)), max_size=6
).map(lambda texts: rules(*texts))


def machine(name: str, let_in: RuleSet | None, *, inside: bool = False) -> ObservedMachine:
    """One interface; None: no firewall acts on it."""
    firewall = ActingFirewall(name, name)
    stages = () if let_in is None else (union_stage([StageRule(firewall, let_in, "rules")]),)
    interface = Interface("public", BOTH_FAMILIES, stages)
    return ObservedMachine("1", name, "server", (interface,), inside=inside)


@settings(max_examples=examples(100))
@given(rulesets, rulesets)
def test_a_packet_passes_both_walls_or_does_not_arrive(cloud: RuleSet, kernel: RuleSet) -> None:
    exposure = exposure_of(machine("cloud", cloud), machine("kernel", kernel, inside=True))
    assert come_through(exposure.rules) == come_through(cloud) & come_through(kernel)
    (reached,) = exposure.reached
    assert isinstance(reached.verdict, Filtered)
    openings = [rule for opening in reached.verdict.openings for rule in opening.rules]
    assert come_through(openings) == come_through(exposure.rules)


@settings(max_examples=examples(50))
@given(rulesets)
def test_one_wall_alone_decides_alone(let_in: RuleSet) -> None:
    for outer, inner in ((let_in, None), (None, let_in)):
        exposure = exposure_of(machine("cloud", outer), machine("kernel", inner, inside=True))
        assert exposure.protected
        assert exposure.rules == let_in


def test_no_wall_is_open() -> None:
    exposure = exposure_of(machine("cloud", None), machine("kernel", None, inside=True))
    assert not exposure.protected


def test_a_wall_that_lets_nothing_in_is_not_an_open_one() -> None:
    closed = evaluate([union_stage([])])
    assert behind(Open(), closed) == closed
    some = Filtered(rules("tcp/443"))
    assert behind(some, closed) == closed
