"""What is derived from a recorded engine's answers, against what could really be reached there from outside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cloudsync.sources.containers import container_of, counts, needs_of, network_of
from cloudsync.sources.discovery import LabelScope

FIXTURES = Path(__file__).parent / "fixtures" / "docker"
SCOPE = LabelScope({}, frozenset())
OPEN_BUT_NOT_REQUIRED = {
    "publish-all": "the engine picked the port: refused",
    "random-port": "the engine picked the port: refused",
    "range-pick": "the engine picked one port of the range: refused",
    "host-network": "answers without being published: only a label can ask",
    "host-network-p": "answers without being published: only a label can ask",
    "host-network-expose": "answers without being published: only a label can ask",
}
REQUIRED_BUT_NOT_OPEN = {
    "restarting": "a crash loop keeps its ports",
    "paused": "a paused container keeps its ports",
}


def required(sample: str) -> dict[str, set[tuple[str, int, int]]]:
    """By container: (protocol, port, IP version) of every required port."""
    networks = [network_of(one) for one in json.loads((FIXTURES / sample / "networks.json").read_text())]
    known = {network.id: network for network in networks} | {network.name: network for network in networks}
    found = {}
    for answer in json.loads((FIXTURES / sample / "inspect.json").read_text()):
        container = container_of(answer)
        needs = needs_of("host", container, known, {}, SCOPE) if counts(container) else None
        found[container.name] = {
            (port.protocol, number, port.address.version)
            for port in (needs.required if needs else ())
            if port.address is not None
            for number in range(port.first, port.last + 1)
        }
    return found


def reachable(sample: str) -> dict[str, set[tuple[str, int, int]]]:
    measured = json.loads((FIXTURES / sample / "reachability.json").read_text())
    return {
        name: {(row["Type"], row["Port"], version) for row in rows for version in (4, 6) if row[f"IPv{version}"] == "open"}
        for name, rows in measured.items()
    }


@pytest.mark.parametrize("sample", ["engine-20.10", "engine-20.10-ipv6"])
def test_what_is_required_is_what_was_reachable(sample: str) -> None:
    derived, measured = required(sample), reachable(sample)
    assert set(measured) <= set(derived)
    for name, ports in derived.items():
        answers = measured.get(name, set())
        if name in OPEN_BUT_NOT_REQUIRED:
            assert ports == set(), OPEN_BUT_NOT_REQUIRED[name]
        elif name in REQUIRED_BUT_NOT_OPEN:
            assert ports > answers or ports, REQUIRED_BUT_NOT_OPEN[name]
        else:
            assert ports == answers, name


@pytest.mark.parametrize("sample", ["engine-20.10", "engine-20.10-ipv6"])
def test_every_exception_is_still_one(sample: str) -> None:
    derived, measured = required(sample), reachable(sample)
    assert all(measured[name] for name in OPEN_BUT_NOT_REQUIRED)
    assert all(derived[name] and not measured[name] for name in REQUIRED_BUT_NOT_OPEN)
