"""Finding which rule sets touch a rule gives what comparing with each of them gives, and does not
take much longer for many."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.index import RuleIndex
from cloudsync.rules.networks import ANY, ANY4, NetworkSet

NETWORKS = (ANY, ANY4, NetworkSet.of(["203.0.113.0/24"]), NetworkSet.of(["2001:db8::/48"]))
PORTS = st.tuples(st.integers(1, 30), st.integers(0, 12)).map(
    lambda pair: f"{pair[0]}-{pair[0] + pair[1]}"
)
RULES = st.one_of(
    st.builds(Rule.of, st.sampled_from(["tcp", "udp"]), PORTS, st.sampled_from(NETWORKS)),
    st.builds(
        Rule.of,
        st.sampled_from(["all", "esp", "icmp", "7-255", "0-16"]),
        st.just(""),
        st.sampled_from(NETWORKS),
    ),
)
SETS = st.lists(st.lists(RULES, max_size=4).map(RuleSet.of), max_size=12)


@given(SETS, RULES)
def test_it_finds_exactly_those_that_have_a_point_in_common_in_their_order(
    sets: list[RuleSet], rule: Rule
) -> None:
    part = RuleSet.of((rule,))
    expected = [number for number, rules in enumerate(sets) if rules & part]
    assert (
        RuleIndex((rules, number) for number, rules in enumerate(sets)).overlapping(rule)
        == expected
    )


def test_only_those_nearby_are_looked_at() -> None:
    compared = 0

    class Counted(RuleSet):
        __slots__ = ()

        def __and__(self, other: RuleSet) -> RuleSet:
            nonlocal compared
            compared += 1
            return super().__and__(other)

    sets = [
        Counted(RuleSet.of([Rule.of("tcp", str(1 + 2 * number), ANY)]).regions)
        for number in range(1000)
    ]
    index = RuleIndex((rules, number) for number, rules in enumerate(sets))
    assert index.overlapping(Rule.of("tcp", "501-503", ANY)) == [250, 251]
    assert compared == 2
