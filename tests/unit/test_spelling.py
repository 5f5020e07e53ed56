"""Sets judge, rules are written: what stays, what goes and what is written (law 4)."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cloudsync.provider.contract import Asked, FirewallSpec, Target, VendorRule
from cloudsync.provider.marker import Marker
from cloudsync.provider.settings import FirewallSettings
from cloudsync.provider.spelling import Spelling, spell
from cloudsync.rules import RuleSet
from cloudsync.testing.language import meant

_SPEC = FirewallSpec("web", FirewallSettings(), Marker("shop", "web", "0badcafe"))


def _spelled(there: list[str], asked: list[str], *, held: str = "", ours: str = "") -> Spelling:
    """`there`: the vendor's rules, the text also their key. `held`: stays open besides `asked`."""
    rules = [VendorRule(text, meant(text), ours=text == ours) for text in there]
    wanted = tuple(Asked(rule, text) for text in asked for rule in meant(text))
    target = meant(*asked, *([held] if held else []))
    return spell(rules, Target(_SPEC, target, asked=wanted))


def _for(asked: dict[str, str]) -> Target:
    """A target that asks for rules, each with what it is for."""
    wanted = tuple(Asked(rule, what) for text, what in asked.items() for rule in meant(text))
    return Target(_SPEC, meant(*asked), asked=wanted)


def _written(spelling: Spelling) -> list[str]:
    return [str(one.rule) for one in spelling.writing]


def _keys(rules: tuple[VendorRule, ...]) -> list[str]:
    return [rule.key for rule in rules]


def test_law4_an_opening_is_written_as_it_was_asked_for_although_a_part_of_it_is_open() -> None:
    spelling = _spelled(
        ["tcp/443 from 203.0.113.0/24", "tcp/1-65535 from 10.0.0.0/16"],
        ["tcp/443", "tcp/1-65535 from 10.0.0.0/16"],
    )
    assert _written(spelling) == ["tcp/443 from 0.0.0.0/0, ::/0"]
    assert len(spelling.staying) == 2


def test_law4_a_rule_that_fits_stays_and_only_the_family_that_is_missing_is_written() -> None:
    spelling = _spelled(["tcp/443 from 0.0.0.0/0"], ["tcp/443"])
    assert _written(spelling) == ["tcp/443 from ::/0"]
    assert str(spelling.writing[0].whole) == "tcp/443 from 0.0.0.0/0, ::/0"


def test_neighbours_for_the_same_thing_are_one_range_and_one_that_is_there_is_not_rewritten() -> (
    None
):
    assert _written(spell([], _for({"tcp/80": "web", "tcp/81": "web", "tcp/83": "web"}))) == [
        "tcp/80-81 from 0.0.0.0/0, ::/0",
        "tcp/83 from 0.0.0.0/0, ::/0",
    ]
    assert _written(_spelled(["tcp/80"], ["tcp/80", "tcp/81"])) == ["tcp/81 from 0.0.0.0/0, ::/0"]


def test_neighbours_for_different_things_stay_apart() -> None:
    """21 of a container and 22 of SSH: a range would say neither."""
    assert _written(spell([], _for({"tcp/21": "ftp", "tcp/22": "SSH"}))) == [
        "tcp/21 from 0.0.0.0/0, ::/0",
        "tcp/22 from 0.0.0.0/0, ::/0",
    ]


def test_what_another_rule_asks_for_anyway_is_not_written_twice() -> None:
    asked = ["tcp/443", "tcp/443 from 203.0.113.0/24", "tcp/440-450 from 203.0.113.0/25"]
    assert _written(_spelled([], asked)) == [
        "tcp/440-450 from 203.0.113.0/25",
        "tcp/443 from 0.0.0.0/0, ::/0",
    ]


def test_a_rule_that_narrows_is_replaced_in_its_place() -> None:
    spelling = _spelled(
        ["tcp/443 from 203.0.113.0/24,198.51.100.0/24"],
        ["tcp/443 from 203.0.113.0/24,192.0.2.0/24"],
    )
    assert _keys(spelling.going) == ["tcp/443 from 203.0.113.0/24,198.51.100.0/24"]
    assert spelling.writing[0].replaces == spelling.going[0].key
    assert [touched.effect for touched in spelling.touches()] == ["rewrites"]


def test_what_is_held_of_a_rule_that_goes_is_written_with_its_description() -> None:
    there = [VendorRule("1", meant("tcp/8000-8010"), description="Anna")]
    target = Target(_SPEC, meant("tcp/8000-8004", "tcp/8006-8010"))
    spelling = spell(there, target)
    assert [one.description for one in spelling.writing] == ["Anna", "Anna"]
    assert [one.rule.ports for one in spelling.writing] == ["8000-8004", "8006-8010"]


def test_a_redundant_rule_of_ours_goes_and_one_of_somebody_else_stays() -> None:
    office = "tcp/22 from 203.0.113.0/24"
    assert _keys(_spelled([office], ["tcp/22"]).redundant) == []
    assert _keys(_spelled([office], ["tcp/22"], ours=office).redundant) == [office]
    assert _keys(_spelled([office], ["tcp/22", office], ours=office).redundant) == []
    assert _keys(_spelled([office], ["tcp/80"], ours=office, held=office).redundant) == []


_texts = st.lists(
    st.builds(
        "{}/{}{}".format,
        st.sampled_from(("tcp", "udp")),
        st.sampled_from(("80", "81", "80-90", "443", "1-65535")),
        st.sampled_from(
            (
                "",
                " from 0.0.0.0/0",
                " from ::/0",
                " from 203.0.113.0/24",
                " from 203.0.113.0/25,10.0.0.0/8",
                " from 203.0.113.7/32",
            )
        ),
    ),
    max_size=6,
)


@settings(deadline=None)
@given(_texts, _texts, _texts, st.integers(0, 5))
def test_what_stays_and_what_is_written_is_exactly_the_target(
    there: list[str], asked: list[str], held: list[str], own: int
) -> None:
    rules = [VendorRule(str(n), meant(text), ours=n == own) for n, text in enumerate(there)]
    target = meant(*asked) | (meant(*held) & meant(*there))
    wanted = tuple(Asked(rule, text) for text in asked for rule in meant(text))
    spelling = spell(rules, Target(_SPEC, target, asked=wanted))
    stays = RuleSet.of(part for rule in spelling.staying for part in rule.lets_in)
    assert stays | RuleSet.of(one.rule for one in spelling.writing) == target
    assert all(target.covers(rule.lets_in) for rule in (*spelling.staying, *spelling.redundant))
    assert not any(target.covers(rule.lets_in) for rule in spelling.going)
