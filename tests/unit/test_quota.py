"""The order of adding and removing within a vendor's quota, and rules with one selector each."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from cloudsync.provider.contract import FirewallSpec, StepKind, Target, Touched, VendorRule
from cloudsync.provider.marker import Marker
from cloudsync.provider.quota import Call, within_quota
from cloudsync.provider.selectors import single_selectors, type_and_code
from cloudsync.provider.settings import FirewallSettings
from cloudsync.provider.single_rules import Difference, SingleRule, letting_in
from cloudsync.rules import ANY, Rule, RuleSet
from cloudsync.rules.networks import ANY4

SPEC = FirewallSpec("web", FirewallSettings(), Marker("shop", "web", "0123abcd"))
SSH = RuleSet.of((Rule.of("tcp", "22", ANY4),))


def added(*ports: str) -> list[SingleRule]:
    return [SingleRule(Rule.of("tcp", each, ANY4)) for each in ports]


def there(*ports: str) -> list[VendorRule]:
    return [VendorRule(each, RuleSet.of((Rule.of("tcp", each, ANY4),))) for each in ports]


def planned(present: Sequence[str], wanted: Sequence[str], quota: int) -> tuple[Call, ...] | None:
    """The calls from the ports that are open to those that are wanted; SSH is one of them. Each of
    them is a rule of its own as they were asked for."""
    removing = there(*(ports for ports in present if ports not in wanted))
    adding = added(*(ports for ports in wanted if ports not in present))
    touches = tuple(Touched(rule.key, "deletes", "", rule.key) for rule in removing)
    return within_quota(
        there(*present),
        Target(SPEC, letting_in(added(*wanted)), SSH),
        Difference(tuple(adding), tuple(removing), touches),
        lambda more, less: len(present) + len(more) - len(less) <= quota,
    )


def said(calls: Sequence[Call] | None) -> list[str]:
    assert calls is not None
    return [
        " ".join((call.kind, *(rule.meaning.ports for rule in call.adding), *keys(call)))
        for call in calls
    ]


def keys(call: Call) -> list[str]:
    return [rule.key for rule in call.removing]


def test_with_room_what_is_wanted_is_opened_before_anything_closes() -> None:
    calls = planned(["22", "80"], ["22", "443"], quota=3)
    assert said(calls) == ["widen 443", "narrow 80"]


def test_without_room_what_nothing_needs_goes_first() -> None:
    calls = planned(["22", "80"], ["22", "443"], quota=2)
    assert said(calls) == ["narrow 80", "widen 443"]


def test_law2_ssh_is_opened_before_anything_closes() -> None:
    calls = planned(["80", "81"], ["22", "443"], quota=3)
    assert said(calls) == ["widen 22", "narrow 80 81", "widen 443"]
    assert planned(["80", "81"], ["22", "443"], quota=2) is None


def test_law3_what_stays_wanted_in_another_spelling_goes_last() -> None:
    present, wanted = ["22", "80-90", "99"], ["22", "80-85", "443"]
    assert said(planned(present, wanted, quota=4)) == [
        "narrow 99",
        "widen 80-85 443",
        "narrow 80-90",
    ]


def test_what_does_not_fit_after_all_closings_is_left_to_the_provider() -> None:
    assert planned(["22", "80"], ["22", "443", "8443"], quota=2) is None


def test_each_call_names_the_objects_that_it_removes() -> None:
    calls = planned(["22", "80-90", "99"], ["22", "80-85", "443"], quota=4)
    assert calls is not None
    assert [[touched.key for touched in call.touches] for call in calls] == [["99"], [], ["80-90"]]


def test_if_no_order_fits_the_fewest_rules_are_written_and_all_others_go() -> None:
    calls = planned(["22", "70"], ["22", "80", "81", "82"], quota=3)
    assert said(calls) == ["widen 80-82", "narrow 70"]
    assert calls is not None
    assert [touched.key for touched in calls[1].touches] == ["70"]


ports = st.sampled_from(["22", "80", "80-90", "85-99", "443", "440-450", "8080", "1-65535"])


@given(
    st.lists(ports, unique=True, max_size=6),
    st.lists(ports, unique=True, max_size=6),
    st.integers(1, 9),
)
def test_law2_law3_and_the_quota_hold_after_each_call(
    present: list[str], asked: list[str], quota: int
) -> None:
    wanted = list(dict.fromkeys((*asked, "22")))
    calls = planned(present, wanted, max(quota, len(present)))
    before, target = letting_in(there(*present)), letting_in(added(*wanted))
    now = {rule.key: rule.lets_in for rule in there(*present)}
    for call in calls or ():
        now |= {f"new {rule.meaning.ports}": rule.lets_in for rule in call.adding}
        now = {key: lets_in for key, lets_in in now.items() if key not in keys(call)}
        assert RuleSet.union(now.values()) == call.after
        assert call.after.covers(before & target)
        assert (before | target).covers(call.after)
        assert not before.covers(SSH) or call.after.covers(SSH)
        assert call.kind is (StepKind.WIDEN if call.adding else StepKind.NARROW)
        assert len(now) <= max(quota, len(present))
    if calls is not None:
        assert RuleSet.union(now.values()) == target


@given(st.integers(0, 65535), st.integers(0, 65535))
def test_icmp_types_and_codes_are_single_and_together_mean_the_same(a: int, b: int) -> None:
    rule = Rule("icmp", min(a, b), max(a, b), ANY)
    pieces = list(single_selectors(rule))
    assert RuleSet.of(pieces) == RuleSet.of((rule,))
    for piece in pieces:
        type_, code = type_and_code(piece)
        text = "" if type_ is None else f"{type_}" if code is None else f"{type_}/{code}"
        assert Rule.of("icmp", text, ANY) == piece


def test_a_range_of_protocols_is_a_rule_for_each() -> None:
    pieces = list(single_selectors(Rule.of("50-52", "", ANY)))
    assert [piece.protocol for piece in pieces] == ["esp", "ah", "52"]
    assert list(single_selectors(Rule.of("all", "", ANY))) == [Rule.of("all", "", ANY)]
