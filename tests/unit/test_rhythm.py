"""When `watch` runs next: the table of `watch/rhythm.py`, row by row."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cloudsync.watch.rhythm import (
    FIRST_PAUSE_SECONDS,
    LEAD_SECONDS,
    LOCKED_SECONDS,
    LONGEST_PAUSE_SECONDS,
    Pace,
    Rhythm,
)

PACE = Pace(interval=300, debounce_min=2, debounce_max=30)


def rested(at: float = 1000.0) -> Rhythm:
    """A run ended at `at`, long after anything else."""
    return Rhythm(PACE).begin(at).end(at, "none")


def test_the_first_run_is_at_once() -> None:
    assert Rhythm(PACE).due() == 0


def test_without_events_a_run_comes_at_the_interval() -> None:
    assert rested(1000).due() == 1300


def test_an_event_after_quiet_waits_for_no_debounce() -> None:
    """The leading edge: only as long as a container takes to start."""
    assert rested(1000).event(1100).due() == 1100 + LEAD_SECONDS
    fast = Pace(interval=300, debounce_min=0.1, debounce_max=30)
    assert Rhythm(fast).begin(1000).event(1100).due() == 1100.1


def test_the_events_of_one_start_are_one_flock() -> None:
    """`docker run`: create, connect, start. However many come, the run is begun by the debounce."""
    rhythm = rested(1000)
    for moment in (1100, 1100.2, 1100.4):
        rhythm = rhythm.event(moment)
        assert rhythm.due() == moment + LEAD_SECONDS
    for moment in (1100.6, 1101.0, 1101.9):
        rhythm = rhythm.event(moment)
    assert rhythm.due() == 1102


def test_what_comes_during_the_first_run_waits_for_the_shortest_debounce() -> None:
    rhythm = rested(1000).event(1100).begin(1100.25).event(1100.5).end(1101, "none")
    assert rhythm.due() == 1102.5


def test_further_events_put_the_run_off_but_never_beyond_the_longest_debounce() -> None:
    rhythm = rested(1000).event(1099).begin(1099.5).end(1099.6, "none")
    for second in range(100):
        rhythm = rhythm.event(1100 + second)
        assert rhythm.due() == min(1100 + second + 2, 1130)


def test_a_storm_spaces_runs_out_until_there_is_one_per_longest_debounce() -> None:
    rhythm, now, begun = rested(1000), 2000.0, []
    while now < 3000:
        rhythm = rhythm.event(now)
        now += 5
        if now >= rhythm.due():
            begun.append(now)
            rhythm = rhythm.begin(now).end(now, "none")
    assert len(begun) <= 1000 / PACE.debounce_max + 5
    assert begun[0] - 2000 <= 5
    assert all(later - earlier <= PACE.debounce_max + 5 for earlier, later in pairwise(begun))


def test_after_quiet_the_next_event_is_answered_fast_again() -> None:
    rhythm = rested(1000)
    for moment in (1001, 1040, 1045, 1050):
        rhythm = rhythm.event(moment).begin(moment + 2).end(moment + 2, "none")
    assert rhythm.event(1053).due() > 1055
    assert rhythm.event(1200).due() == 1200 + LEAD_SECONDS


def test_an_event_during_a_run_is_not_lost() -> None:
    rhythm = Rhythm(PACE).begin(1000).event(1003).end(1010, "none")
    assert rhythm.due() <= 1000 + PACE.debounce_max


def test_a_held_lock_is_tried_again_soon() -> None:
    assert Rhythm(PACE).begin(1000).end(1001, "locked").due() == 1001 + LOCKED_SECONDS


def test_a_vendor_that_fails_is_asked_after_pauses_that_double_and_events_do_not_come_before() -> (
    None
):
    rhythm, now, pauses = rested(1000), 2000.0, []
    for _ in range(12):
        rhythm = rhythm.begin(now).end(now, "all").event(now + 0.1)
        pauses.append(rhythm.due() - now)
        now = rhythm.due()
    assert pauses[:4] == [FIRST_PAUSE_SECONDS * factor for factor in (1, 2, 4, 8)]
    assert max(pauses) == LONGEST_PAUSE_SECONDS
    assert rhythm.begin(now).end(now, "none").due() == now + PACE.interval


def test_a_vendor_failing_for_some_firewalls_delays_the_others_by_the_interval_at_most() -> None:
    short = replace(rested(), pace=Pace(60, 2, 30))
    for _ in range(10):
        short = short.begin(2000).end(2000, "some")
    assert short.due() == 2060


def test_what_may_close_at_a_known_moment_is_looked_at_then() -> None:
    assert Rhythm(PACE).begin(1000).end(1001, "none", wake=1040).due() == 1040


def test_a_changed_configuration_is_applied_at_once_whatever_was_waited_for() -> None:
    assert Rhythm(PACE).begin(1000).end(1000, "all").at_once().due() == 0


@given(
    st.lists(st.floats(0.01, 100), max_size=40),
    st.lists(st.sampled_from(["none", "locked", "some", "all"]), min_size=1),
)
def test_events_wait_no_longer_than_the_longest_debounce_and_runs_are_no_closer_than_the_shortest(
    gaps: list[float], ends: list[str]
) -> None:
    rhythm, now, last = rested(0), 1000.0, None
    for number, gap in enumerate(gaps):
        rhythm, now = rhythm.event(now), now + gap
        assert (
            rhythm.due() <= now - gap + PACE.debounce_max + 0.001 or rhythm.not_before > 0
        )  # floats
        if now >= rhythm.due():
            assert last is None or now - last >= PACE.debounce_min - 0.001
            last = now
            rhythm = rhythm.begin(now).end(now, ends[number % len(ends)])  # type: ignore[arg-type]  # drawn from its words


def test_runs_for_events_do_not_put_off_the_run_about_everything() -> None:
    rhythm = rested(1000)
    for moment in range(1010, 1300, 10):
        rhythm = rhythm.event(moment)
        assert not rhythm.needs_everything(moment)
        rhythm = rhythm.begin(moment, everything=False).end(moment + 1, "none")
    assert rhythm.due() == 1300
    assert rhythm.needs_everything(1300)
    assert rhythm.event(1299.9).needs_everything(1301)
    assert rhythm.begin(1301).end(1302, "none").due() == 1601


def test_runs_for_events_do_not_put_off_what_may_close_at_a_known_moment() -> None:
    rhythm = Rhythm(PACE).begin(1000).end(1001, "none", wake=1060)
    rhythm = rhythm.event(1010).begin(1011, everything=False)
    assert rhythm.end(1012, "none").due() == 1060
    assert rhythm.end(1012, "none", wake=1100).due() == 1060
    assert rhythm.end(1012, "none", wake=1050).due() == 1050
    assert rhythm.end(1012, "none").needs_everything(1060)


def test_after_a_run_for_an_event_that_failed_everything_is_looked_at() -> None:
    rhythm = rested(1000).event(1100).begin(1100, everything=False).end(1101, "some")
    assert rhythm.event(1102).needs_everything(1107)
    assert not rested(1000).event(1100).needs_everything(1100)
    assert Rhythm(PACE).needs_everything(0)
