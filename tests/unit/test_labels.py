"""The grammar of labels: anchored, strict, and nothing but LabelError comes out of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudsync.model.ports import LabelScope
from cloudsync.rules.networks import ANY4, NetworkSet
from cloudsync.sources.labels import ContainerLabels, LabelError, parse_labels

SCOPE = LabelScope({"office": NetworkSet.of(["203.0.113.0/24"])}, frozenset({"web", "db"}))


def parsed(key: str, value: str) -> ContainerLabels:
    return parse_labels({f"cloudsync.{key}": value, "other.label": "kept out"}, SCOPE)


def test_expose() -> None:
    assert parsed("expose", "true").expose is True
    assert parsed("expose", "false").expose is False


def test_ports() -> None:
    assert [
        str(part) for part in parsed("ports", "443,8000-8010/udp,1-65535/sctp").ports or ()
    ] == [
        "443/tcp",
        "8000-8010/udp",
        "1-65535/sctp",
    ]


def test_sources() -> None:
    sources = parsed("sources", "any4,@office,2001:db8::/32").sources
    assert sources is not None
    assert sources.networks == ANY4 | NetworkSet.of(["2001:db8::/32"])
    assert sources.families == {4, 6}


def test_firewalls_and_description() -> None:
    assert parsed("firewall", "web,db").firewalls == {"web", "db"}
    assert parsed("description", "anything at all").description == "anything at all"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("expose", "yes"),
        ("expose", "True"),
        ("expose", "true\n"),
        ("expose", ""),
        ("ports", ""),
        ("ports", "443, 80"),
        ("ports", "443,"),
        ("ports", "0"),
        ("ports", "65536"),
        ("ports", "20-10"),
        ("ports", "443/icmp"),
        ("ports", "443\n"),
        ("ports", "４４３"),
        ("ports", "all"),
        ("ports", "8080:80"),
        ("ports", "1" * 5000),
        ("sources", ""),
        ("sources", "any, 10.0.0.0/8"),
        ("sources", "10.0.0.1/8"),
        ("sources", "@home"),
        ("sources", "example.com"),
        ("sources", "fe80::1%eth0"),
        ("port.443", "any"),
        ("port.443.source", "any"),
        ("port.0.sources", "any"),
        ("port.9-1.sources", "any"),
        ("port.443/icmp.sources", "any"),
        ("firewall", "web,other"),
        ("firewall", ""),
        ("exposed", "true"),
        ("", "true"),
        ("source", "any"),
    ],
)
def test_what_does_not_parse(key: str, value: str) -> None:
    with pytest.raises(LabelError) as error:
        parsed(key, value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


def test_the_nearest_label_is_suggested() -> None:
    with pytest.raises(LabelError, match=r'did you mean "cloudsync.sources"'):
        parsed("source", "any")


@pytest.mark.parametrize(
    ("one", "other", "fine"),
    [
        ("1-10", "5", True),
        ("1-10", "1-5", True),
        ("1-10", "11-20", True),
        ("1-10", "5-15", False),
        ("1-10", "5-15/udp", True),
        ("5", "5/tcp", False),
    ],
)
def test_ranges_may_nest_but_not_overlap(one: str, other: str, fine: bool) -> None:
    labels = {f"cloudsync.port.{one}.sources": "any", f"cloudsync.port.{other}.sources": "any4"}
    if fine:
        assert len(parse_labels(labels, SCOPE).port_sources) == 2
    else:
        with pytest.raises(LabelError, match="overlaps"):
            parse_labels(labels, SCOPE)


@given(
    st.dictionaries(
        st.sampled_from(
            ["expose", "ports", "sources", "firewall", "port.1.sources", "port.1-9/udp.sources"]
        )
        | st.text(),
        st.text(),
    )
)
def test_any_labels_parse_or_are_a_label_error(labels: dict[str, str]) -> None:
    try:
        found = parse_labels({f"cloudsync.{key}": value for key, value in labels.items()}, SCOPE)
    except LabelError:
        return
    assert isinstance(found, ContainerLabels)
