"""Rule sets against a model that holds every point one by one, in a space small enough for that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations, pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from cloudsync.rules import NOTHING, Rule, RuleSet, protocols
from cloudsync.rules.minimize import generators
from cloudsync.rules.networks import Interval, NetworkSet
from tests.effort import examples

thorough = settings(max_examples=examples(300), deadline=None)

Address = tuple[int, int]
Point = tuple[int, int, Address]
Wish = tuple[str, str, tuple[str, ...]]

# Every edge that `wishes` can draw lies between two of these numbers, so that comparing them is
# comparing everything.
PROTOCOLS = (0, 1, 2, 3, 5, 6, 7, 17, 18, 49, 50, 51, 52, 58, 255)
SELECTORS = {
    6: (*range(1, 14), 65535),
    17: (*range(1, 14), 65535),
    1: (0, 255, 256, 2047, 2048, 2049, 2303, 2304, 65535),
    58: (0, 65535),
}
V4, V6 = 0xC0000200, 0x20010DB8 << 96
ADDRESSES: tuple[Address, ...] = tuple(
    (family, base + n) for family, base in ((4, V4), (6, V6)) for n in range(-1, 17)
)

ports = st.one_of(
    st.integers(1, 12).map(str),
    st.tuples(st.integers(1, 12), st.integers(1, 12)).map(lambda ends: f"{min(ends)}-{max(ends)}"),
    st.sampled_from(["", "5-65535"]),
)
matches = st.one_of(
    st.tuples(st.sampled_from(["tcp", "tcp", "tcp", "udp"]), ports),
    st.tuples(st.just("icmp"), st.sampled_from(["", "0", "8", "8/0", "8/1", "9-255"])),
    st.tuples(
        st.sampled_from(["all", "esp", "ah", "0", "0-5", "7-255", "50-51", "2-17", "18-255", "58"]),
        st.just(""),
    ),
)


@st.composite
def cidrs(draw: st.DrawFn) -> str:
    host_bits = draw(st.integers(0, 4))
    at = draw(st.integers(0, 15)) >> host_bits << host_bits
    return draw(
        st.sampled_from([f"192.0.2.{at}/{32 - host_bits}", f"2001:db8::{at:x}/{128 - host_bits}"])
    )


sources = st.one_of(
    st.lists(cidrs(), max_size=3).map(tuple),
    st.sampled_from([("any",), ("any4",), ("192.0.2.0/28",), ("2001:db8::/124",)]),
)
wishes = st.lists(st.tuples(matches, sources).map(lambda wish: (*wish[0], wish[1])), max_size=6)


def made(wanted: Iterable[Wish]) -> RuleSet:
    return RuleSet.of(Rule.of(*wish) for wish in wanted)


def points(rules: Iterable[Rule]) -> set[Point]:
    found: set[Point] = set()
    for rule in rules:
        low, high = protocols.numbers(rule.protocol)
        reach = [
            a
            for a in ADDRESSES
            if any(
                first <= a[1] <= last
                for first, last in (rule.sources.v4 if a[0] == 4 else rule.sources.v6)
            )
        ]
        for protocol in PROTOCOLS:
            if low <= protocol <= high:
                inside = [
                    s
                    for s in SELECTORS.get(protocol, (0,))
                    if low < high or rule.first <= s <= rule.last
                ]
                found.update(
                    (protocol, selector, address) for selector in inside for address in reach
                )
    return found


def drawn(wanted: Iterable[Wish]) -> set[Point]:
    """The points that were asked for, without any rule set in between."""
    return points(Rule.of(*wish) for wish in wanted)


@thorough
@given(wishes)
def test_a_rule_set_lets_in_what_its_rules_do(a: list[Wish]) -> None:
    assert points(made(a)) == drawn(a)


@thorough
@given(wishes, wishes)
def test_operators_are_set_operations_on_points(a: list[Wish], b: list[Wish]) -> None:
    x, y, in_x, in_y = made(a), made(b), drawn(a), drawn(b)
    assert points(x | y) == in_x | in_y
    assert points(x & y) == in_x & in_y
    assert points(x - y) == in_x - in_y
    assert x.covers(y) == (in_x >= in_y)
    assert (x | y).covers(y)
    assert bool(x - y) == bool(in_x - in_y)


@thorough
@given(wishes, wishes)
def test_rule_sets_are_equal_exactly_where_their_points_are(a: list[Wish], b: list[Wish]) -> None:
    assert (made(a) == made(b)) == (drawn(a) == drawn(b))


@thorough
@given(wishes, wishes, wishes)
def test_the_laws_of_set_algebra_hold(a: list[Wish], b: list[Wish], c: list[Wish]) -> None:
    x, y, z = made(a), made(b), made(c)
    assert x | y == y | x
    assert x & y == y & x
    assert (x | y) | z == x | (y | z)
    assert (x & y) & z == x & (y & z)
    assert x & (y | z) == (x & y) | (x & z)
    assert x | (y & z) == (x | y) & (x | z)
    assert x - (y | z) == (x - y) & (x - z)
    assert x - (y & z) == (x - y) | (x - z)
    assert x | (x & y) == x == x & (x | y)
    assert (x - y) | (x & y) == x
    assert (x - y) & y == NOTHING
    assert x | x == x == x & x
    assert x - x == NOTHING == x & NOTHING
    assert x | NOTHING == x == x - NOTHING


@thorough
@given(wishes, st.randoms(use_true_random=False))
def test_the_canonical_form_is_unique(a: list[Wish], chance: Random) -> None:
    """However rules are cut (at a port, by family, by protocol) and shuffled, the value and its
    hash are the same."""
    whole = made(a)
    pieces: list[Rule] = []
    for rule in [*whole, *(Rule.of(*wish) for wish in a)]:
        low, high = protocols.numbers(rule.protocol)
        middle = (rule.first + rule.last) // 2
        if low < high:
            pieces += [
                Rule.of(f"{low}-{low}", "", rule.sources),
                Rule.of(f"{low + 1}-{high}", "", rule.sources),
            ]
        elif rule.first < rule.last:
            pieces += [
                Rule(rule.protocol, rule.first, middle, rule.sources),
                Rule(rule.protocol, middle + 1, rule.last, rule.sources),
            ]
        else:
            pieces += [
                Rule(rule.protocol, rule.first, rule.last, rule.sources.family(family))
                for family in (4, 6)
            ]
    chance.shuffle(pieces)
    assert RuleSet.of(pieces) == whole
    assert hash(RuleSet.of(pieces)) == hash(whole)
    assert RuleSet.of(iter(whole)) == whole


@thorough
@given(wishes)
def test_canonical_rules_are_disjoint_maximal_and_in_order(a: list[Wish]) -> None:
    rules = list(made(a))
    keys = [(*protocols.numbers(rule.protocol), rule.first, rule.last) for rule in rules]
    for (low, high, first, last), rule in zip(keys, rules, strict=True):
        assert rule.sources
        assert low == high or (first, last) == (0, 65535)
    for (one, other), (left, right) in zip(pairwise(keys), pairwise(rules), strict=True):
        if one[1] == other[0]:
            assert one[3] < other[2]
            assert one[3] + 1 < other[2] or left.sources != right.sources
        else:
            assert one[1] < other[0]
            full = one[2:] == protocols.full_selector(*one[:2]) and other[
                2:
            ] == protocols.full_selector(*other[:2])
            assert not full or one[1] + 1 < other[0] or left.sources != right.sources


@thorough
@given(wishes, sources, st.lists(matches.map(lambda match: match[0]), max_size=3))
def test_parts_are_the_points_of_the_part(
    a: list[Wish], reach: tuple[str, ...], names: list[str]
) -> None:
    x, in_x = made(a), drawn(a)
    assert points(x.where(NetworkSet.of(reach))) == in_x & drawn([("all", "", reach)])
    assert points(x.of_protocols(*names)) == in_x & drawn([(name, "", ("any",)) for name in names])


@thorough
@given(wishes)
def test_the_fewest_rules_say_the_same_and_are_no_more_than_the_canonical_ones(
    a: list[Wish],
) -> None:
    whole = made(a)
    few = whole.fewest()
    assert RuleSet.of(few) == whole
    assert len(few) <= len(list(whole))
    assert len(set(few)) == len(few)
    assert few == RuleSet.of(reversed(few)).fewest()


@thorough
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=3),
        min_size=3,
        max_size=7,
    )
)
def test_the_fewest_rules_of_crowded_ports_say_the_same(rows: list[list[tuple[int, int]]]) -> None:
    """Row n is what the address n may reach, as ranges: many partial overlaps, where a rule too
    wide would show."""
    whole = RuleSet.of(
        Rule.of("tcp", f"{80 + min(ends)}-{80 + max(ends)}", [f"192.0.2.{2 * n}"])
        for n, row in enumerate(rows)
        for ends in row
    )
    assert RuleSet.of(whole.fewest()) == whole


def fewest_by_trial(
    target: set[tuple[int, int]], allowed: Sequence[frozenset[int]], cells: int
) -> int:
    """The smallest number of rules over (cell, address) pairs: every choice of `allowed` cell sets,
    each open to whom it can be."""
    everyone = {address for _, address in target}
    reach = [
        {(cell, a) for a in everyone if all((c, a) in target for c in shape) for cell in shape}
        for shape in allowed
    ]
    useful = [covered for covered in reach if covered]
    return next(
        k
        for k in range(cells + 1)
        if any(set().union(*choice) == target for choice in combinations(useful, k))
    )


grids = st.lists(st.sets(st.integers(0, 4)), min_size=1, max_size=4)


@thorough
@given(grids)
def test_no_fewer_rules_over_ports_would_do(grid: list[set[int]]) -> None:
    """Row n of the grid is what the address n may reach."""
    shapes = [frozenset(range(first, after)) for first, after in combinations(range(6), 2)]
    whole = RuleSet.of(
        Rule.of("tcp", str(80 + cell), [f"192.0.2.{2 * n}"])
        for n, row in enumerate(grid)
        for cell in row
    )
    assert len(whole.fewest()) == fewest_by_trial(
        {(cell, n) for n, row in enumerate(grid) for cell in row}, shapes, 5
    )


@thorough
@given(grids)
def test_no_fewer_rules_over_protocols_would_do(grid: list[set[int]]) -> None:
    """Five cells on a line: protocol 5, three parts of tcp, protocols 7-255. A rule is within tcp,
    or made of whole ones."""
    cells = [("0-5", ""), ("tcp", "1-21"), ("tcp", "22"), ("tcp", "23-65535"), ("7-255", "")]
    shapes = [
        frozenset(shape)
        for shape in (
            {0},
            {1},
            {2},
            {3},
            {4},
            {1, 2},
            {2, 3},
            {1, 2, 3},
            {0, 1, 2, 3},
            {1, 2, 3, 4},
            {0, 1, 2, 3, 4},
        )
    ]
    whole = RuleSet.of(
        Rule.of(*cells[cell], [f"192.0.2.{2 * n}"]) for n, row in enumerate(grid) for cell in row
    )
    assert len(whole.fewest()) == fewest_by_trial(
        {(cell, n) for n, row in enumerate(grid) for cell in row}, shapes, 5
    )


def generates(family: Iterable[Interval], wanted: Iterable[Interval]) -> bool:
    def made_up(whole: Interval) -> set[int]:
        return {
            point
            for first, last in family
            if whole[0] <= first and last <= whole[1]
            for point in range(first, last + 1)
        }

    return all(made_up(whole) == set(range(whole[0], whole[1] + 1)) for whole in wanted)


intervals = st.tuples(st.integers(0, 4), st.integers(0, 4)).map(lambda ends: (min(ends), max(ends)))


@thorough
@given(st.sets(intervals, max_size=9))
def test_generators_are_as_few_as_can_be(family: set[Interval]) -> None:
    found = generators(family)
    every = [(first, last) for first in range(5) for last in range(first, 5)]
    assert generates(found, family)
    assert not any(
        generates(choice, family)
        for fewer in range(len(found))
        for choice in combinations(every, fewer)
    )


long_intervals = st.tuples(st.integers(0, 11), st.integers(0, 11)).map(
    lambda ends: (min(ends), max(ends))
)


@thorough
@given(st.sets(long_intervals, min_size=8, max_size=40))
def test_generators_are_irredundant(family: set[Interval]) -> None:
    """Every interval has a point in at most one of the generators inside it: what proves that none
    is left to save."""
    found = generators(family)
    assert generates(found, family)
    for start, end in combinations(range(13), 2):
        inside = [(first, last) for first, last in found if start <= first and last < end]
        assert any(
            sum(first <= point <= last for first, last in inside) < 2 for point in range(start, end)
        )


def test_generators_of_the_published_example() -> None:
    """Six intervals whose maximal irredundant subfamilies differ in size (section 8 of "Irredundant
    Intervals"); five is the largest."""
    family = [(0, 7), (0, 6), (1, 5), (1, 4), (3, 8), (2, 8)]
    assert generates(generators(family), family)
    assert len(generators(family)) == 5
