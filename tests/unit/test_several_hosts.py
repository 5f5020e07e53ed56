"""What is the same on several hosts stands once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cloudsync.model.plan import Refused
from cloudsync.model.ports import Origin
from cloudsync.render.several_hosts import hosts_named, on_hosts, refusals, remarks

HOSTS = [f"web-{number}" for number in range(1, 13)]


def refused(host: str, reason: str = "the label cloudsync.expose is false") -> Refused:
    origin = Origin(host, container="debug")
    return Refused("tcp", "9000", ("0.0.0.0/0",), "labelled-out", reason, (origin,))


def test_hosts_are_named_while_they_are_few() -> None:
    assert hosts_named(["web-1"]) == "web-1"
    assert hosts_named(["web-1", "web-2", "web-1"]) == "web-1 and web-2"
    assert hosts_named(HOSTS) == "web-1 and 11 more"


def test_a_name_stands_once_with_all_its_hosts() -> None:
    named = [("ftp", "web-1", ""), ("wg", "web-2", " (compose.yaml:7)"), ("ftp", "web-2", "")]
    assert on_hosts(named) == ("ftp on web-1 and web-2", "wg on web-2 (compose.yaml:7)")
    assert on_hosts([("ftp", "", "")]) == ("ftp",)


def test_the_same_refusal_of_twelve_hosts_is_one_and_another_reason_is_another() -> None:
    other = refused("web-1", "the engine picks it")
    merged = refusals([*map(refused, HOSTS), other])
    assert [refusal.reason for refusal in merged] == [refused("web-1").reason, other.reason]
    assert [origin.host for origin in merged[0].origins] == HOSTS


def test_a_remark_about_several_hosts_names_them_and_others_stay_as_they_are() -> None:
    texts = ["web-1: on loopback", "fleet: 3000/tcp", "web-2: on loopback", "no colon"]
    assert list(remarks(texts, HOSTS)) == [
        "web-1 and web-2: on loopback",
        "fleet: 3000/tcp",
        "no colon",
    ]


@given(st.lists(st.tuples(st.sampled_from(HOSTS), st.sampled_from(["a", "b: c", "d"]))))
def test_no_remark_is_lost_and_none_stands_twice(pairs: list[tuple[str, str]]) -> None:
    shown = list(remarks([f"{host}: {text}" for host, text in pairs], HOSTS))
    assert len(shown) == len({text for _, text in pairs})
    assert {line.partition(": ")[2] for line in shown} == {text for _, text in pairs}
