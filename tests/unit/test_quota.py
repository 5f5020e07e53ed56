"""The order of adding and removing within a vendor's quota, and rules with one selector each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from cloudsync.provider.contract import FirewallSpec, StepKind, Target, Touched
from cloudsync.provider.marker import Marker
from cloudsync.provider.quota import Call, Difference, letting_in, within_quota
from cloudsync.provider.selectors import single_selectors, type_and_code
from cloudsync.provider.settings import FirewallSettings
from cloudsync.rules import ANY, Rule, RuleSet

SPEC = FirewallSpec("web", FirewallSettings(), Marker("shop", "web", "0123abcd"))
SSH = RuleSet.of((Rule.of("tcp", "22", ANY),))


@dataclass(frozen=True)
class Object:
    """A rule of a vendor that counts each as one."""

    ports: str

    @property
    def key(self) -> str:
        return self.ports

    @property
    def lets_in(self) -> RuleSet:
        return RuleSet.of((Rule.of("tcp", self.ports, ANY),))


def objects(*ports: str) -> tuple[Object, ...]:
    return tuple(map(Object, ports))


def planned(
    present: Sequence[Object], wanted: Sequence[Object], quota: int
) -> tuple[Call[Object], ...] | None:
    """The calls from what is there to what is wanted and SSH, which is one of `wanted`."""
    removing = tuple(rule for rule in present if rule not in wanted)
    adding = tuple(rule for rule in wanted if rule not in present)
    touches = tuple(Touched(rule.key, "deletes", "", rule.key) for rule in removing)
    return within_quota(
        present,
        letting_in(present),
        Target(SPEC, letting_in(wanted), SSH),
        Difference(adding, removing, touches),
        lambda more, less: len(present) + len(more) - len(less) <= quota,
    )


def said(calls: Sequence[Call[Object]] | None) -> list[str]:
    assert calls is not None
    return [f"{call.kind} {' '.join(rule.key for rule in call.rules)}" for call in calls]


def test_with_room_what_is_wanted_is_opened_before_anything_closes() -> None:
    calls = planned(objects("22", "80"), objects("22", "443"), quota=3)
    assert said(calls) == ["widen 443", "narrow 80"]


def test_without_room_what_nothing_needs_goes_first() -> None:
    calls = planned(objects("22", "80"), objects("22", "443"), quota=2)
    assert said(calls) == ["narrow 80", "widen 443"]


def test_law2_ssh_is_opened_before_anything_closes() -> None:
    calls = planned(objects("80", "81"), objects("22", "443"), quota=3)
    assert said(calls) == ["widen 22", "narrow 80 81", "widen 443"]
    assert planned(objects("80", "81"), objects("22", "443"), quota=2) is None


def test_law3_what_stays_wanted_in_another_spelling_goes_last() -> None:
    present, wanted = objects("22", "80-90", "99"), objects("22", "80-85", "443")
    assert said(planned(present, wanted, quota=4)) == [
        "narrow 99",
        "widen 80-85 443",
        "narrow 80-90",
    ]


def test_what_does_not_fit_after_all_closings_is_left_to_the_provider() -> None:
    assert planned(objects("22", "80"), objects("22", "443", "8443"), quota=2) is None


def test_each_call_names_the_objects_that_it_removes() -> None:
    calls = planned(objects("22", "80-90", "99"), objects("22", "80-85", "443"), quota=4)
    assert calls is not None
    assert [[touched.key for touched in call.touches] for call in calls] == [["99"], [], ["80-90"]]


ports = st.sampled_from(["22", "80", "80-90", "85-99", "443", "440-450", "8080", "1-65535"])


@given(
    st.lists(ports, unique=True, max_size=6),
    st.lists(ports, unique=True, max_size=6),
    st.integers(1, 9),
)
def test_law2_law3_and_the_quota_hold_after_each_call(
    there: list[str], asked: list[str], quota: int
) -> None:
    present, wanted = objects(*there), objects(*{*asked, "22"})
    calls = planned(present, wanted, max(quota, len(present)))
    before, kept = letting_in(present), letting_in(present) & letting_in(wanted)
    now = list(present)
    for call in calls or ():
        if call.kind is StepKind.WIDEN:
            now += call.rules
        else:
            now = [rule for rule in now if rule not in call.rules]
        assert letting_in(now) == call.after
        assert call.after.covers(kept)
        assert (before | letting_in(wanted)).covers(call.after)
        assert not before.covers(SSH) or call.after.covers(SSH)
        assert len(now) <= max(quota, len(present))
    if calls is not None:
        assert letting_in(now) == letting_in(wanted)


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
