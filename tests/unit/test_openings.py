"""When what is open was opened."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cloudsync.planning.explain import Asked, since
from cloudsync.planning.openings import Openings
from cloudsync.rules import ANY, Rule
from tests.growth import growth

PORTS = st.integers(1, 6)
RULES = st.tuples(st.sampled_from(["tcp", "udp"]), PORTS, st.integers(0, 2)).map(
    lambda row: {"protocol": row[0], "ports": f"{row[1]}-{row[1] + row[2]}", "sources": ["any"]}
)
ENTRIES = st.lists(
    st.lists(
        st.fixed_dictionaries(
            {
                "name": st.sampled_from(["web", "db"]),
                "opened": st.lists(RULES | st.just({"protocol": "?", "ports": 7}), max_size=3),
            }
        ),
        max_size=2,
    ),
    max_size=5,
)


def history_of(entries: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [
        {"id": str(number), "started": f"2026-01-{number + 1:02}T00:00:00+00:00", "firewalls": rows}
        for number, rows in enumerate(entries)
    ]


@given(ENTRIES, PORTS, st.integers(0, 2))
def test_it_is_what_the_entries_say_one_by_one(
    entries: list[list[dict[str, Any]]], first: int, more: int
) -> None:
    history = history_of(entries)
    events = since(history, "web", Asked("tcp", first, first + more))
    last = next((event.when for event in events if event.verb == "opened"), None)
    assert Openings(history).last("web", Rule("tcp", first, first + more, ANY)) == last


def test_a_history_that_holds_anything_says_nothing() -> None:
    history: list[dict[str, Any]] = [
        {"firewalls": 7},
        {"firewalls": ["x", {"name": "web", "opened": {"tcp": 1}}]},
        {"firewalls": [{"name": "web", "opened": [3, {"protocol": "tcp", "ports": "y"}, {}]}]},
    ]
    assert Openings(history).last("web", Rule("tcp", 1, 65535, ANY)) is None


def test_many_ports_of_many_firewalls_take_time_in_step_with_them() -> None:
    def looked_up(count: int) -> None:
        rows = [
            {"name": f"web-{n}", "opened": [{"protocol": "tcp", "ports": f"{n}", "sources": []}]}
            for n in range(1, count + 1)
        ]
        rows.append({"name": "all", "opened": [row for each in rows for row in each["opened"]]})
        openings = Openings(history_of([rows]))
        for n in range(1, count + 1):
            assert openings.last(f"web-{n}", Rule("tcp", n, n, ANY)) is not None
            assert openings.last("all", Rule("tcp", n, n, ANY)) is not None

    assert growth(looked_up, 150) < 6
