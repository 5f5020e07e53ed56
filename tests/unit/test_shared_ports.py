"""What is open on a host only because another one needs it: host by host, exactly, and not dearer
than saying it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from cloudsync.model.ports import (
    Complete,
    Discovery,
    Failed,
    Partial,
)
from cloudsync.model.sharing import Shared
from cloudsync.planning.shared_ports import sharing_of
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.networks import ANY
from tests.growth import growth
from tests.world import build, required, rules

PORTS = st.lists(
    st.tuples(st.integers(1, 12), st.sampled_from(["0.0.0.0", "::"])), max_size=5, unique=True
)
STATES = st.sampled_from(
    [Complete, Complete, lambda ports: Partial(("half read",), ports), lambda _: Failed("down")]
)
OPENED = RuleSet.of([Rule.of("tcp", "1-9", ANY)])


def found(discoveries: Mapping[str, Discovery], opened: RuleSet = OPENED) -> tuple[Shared, ...]:
    world = build(Path("/nowhere"))
    world.firewall(hosts=tuple(discoveries))
    world.ssh("any", numbers=(3,))
    sharing = sharing_of(
        world.configuration, world.configuration.firewalls["web"], opened, discoveries
    )
    return sharing.entries()


@given(st.lists(st.tuples(PORTS, STATES), min_size=2, max_size=5))
def test_it_is_what_others_need_and_the_host_does_not(
    hosts: list[tuple[list[tuple[int, str]], object]],
) -> None:
    discoveries: dict[str, Discovery] = {}
    needs: dict[str, RuleSet] = {}
    for number, (ports, state) in enumerate(hosts):
        host = f"web-{number}"
        published = tuple(
            required(f"{port}/tcp", host=host, address=address) for port, address in ports
        )
        discoveries[host] = state(published)  # type: ignore[operator]
        failed = isinstance(discoveries[host], Failed)
        needs[host] = RuleSet.of(
            Rule(p.protocol, p.first, p.last, p.sources) for p in published if not failed
        )
    expected = []
    for host, said in discoveries.items():
        if isinstance(said, Complete):
            others = RuleSet.of(
                rule for other, part in needs.items() if other != host for rule in part
            )
            for rule in (others & OPENED) - needs[host] - rules("tcp/3"):
                by = tuple(
                    other
                    for other, part in needs.items()
                    if other != host and part & RuleSet.of((rule,))
                )
                expected.append(Shared(host, rule, by))
    assert found(discoveries) == tuple(expected)


def test_four_times_the_hosts_take_as_long_as_what_is_said_of_them() -> None:
    """Each of n hosts is told of n - 1 others' ports: 16 times as much for four times the hosts,
    and not 64 times."""

    def hosts(count: int) -> dict[str, Discovery]:
        return {
            f"web-{n}": Complete((required(f"{2 * n + 1001}/tcp", host=f"web-{n}"),))
            for n in range(count)
        }

    all_of_them = RuleSet.of([Rule.of("tcp", "", ANY)])
    discoveries = {count: hosts(count) for count in (20, 80)}
    assert len(found(discoveries[20], all_of_them)) == 20 * 19
    assert growth(lambda count: found(discoveries[count], all_of_them), 20) < 30
