"""What is open beyond the configuration, in the order of protocol and port."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cloudsync.render.exposure import _by_sources
from cloudsync.render.words import PLAIN
from cloudsync.rules import Rule
from cloudsync.rules.networks import ANY

PORTS = ("22", "80", "443", "3000")


@given(st.permutations([Rule.of("tcp", port, ANY) for port in PORTS]))
def test_ports_stand_in_numeric_order_however_they_were_found(rules: list[Rule]) -> None:
    rules = [Rule.of("udp", "443", ANY), *rules]
    assert _by_sources(rules, PLAIN) == "22, 80, 443, 3000/tcp, 443/udp from everyone"
