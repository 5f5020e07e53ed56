"""Laws 2, 3 and 4 over the steps of the provider `gcp`, from whatever VPC rules are there to
whatever is wanted. No call is made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cloudsync.planning.guards import lawful_steps
from cloudsync.provider.contract import FirewallSpec as Spec
from cloudsync.provider.contract import Present, Target
from cloudsync.provider.marker import Marker
from cloudsync.rules import NOTHING, RuleSet
from cloudsync_gcp import provider
from cloudsync_gcp.native import Firewall, Write, Writes
from cloudsync_gcp.ownership import firewall_of, owners
from cloudsync_gcp.settings import GcpFirewall, prefix_of
from cloudsync_gcp.vpc_rules import marked, parse
from tests.effort import examples
from tests.world import rules

MARK = Marker("shop", "web", "0123abcd")
SETTINGS = GcpFirewall(target_tags=["web"], enforce="allow")
SPEC = Spec("web", SETTINGS, MARK)
PREFIX = prefix_of(SPEC)
SSH = rules("tcp/22")
PORTS = ("22", "80", "443", "8000-8010")
SOURCES = (
    ["0.0.0.0/0"],
    ["::/0"],
    ["203.0.113.0/24"],
    ["203.0.112.0/23"],
    ["2001:db8::/32"],
    ["203.0.113.0/24", "10.0.0.0/8"],
)
NAMES = ("any4", "any6", "any4b", "v4-52e6d8f0", "v6b-00000000", "by-hand")
Rule = dict[str, Any]

entries = st.lists(st.sampled_from(PORTS), min_size=1, max_size=3, unique=True).map(
    lambda p: [{"IPProtocol": "tcp", "ports": p}]
)
bodies = st.fixed_dictionaries(
    {
        "allowed": entries,
        "sourceRanges": st.sampled_from(SOURCES),
        "priority": st.sampled_from([900, 900, 1000]),
        "disabled": st.sampled_from([False, False, True]),
        "targetTags": st.sampled_from([["web"], ["web"], ["web", "db"], ["db"], []]),
        "network": st.sampled_from(["global/networks/default"] * 4 + ["global/networks/other"]),
        "direction": st.just("INGRESS"),
        "description": st.just(marked(MARK)),
    }
)
firewalls = st.dictionaries(
    st.sampled_from([f"{PREFIX}-{name}" for name in NAMES]), bodies, max_size=4
)
wanted = st.lists(
    st.tuples(st.sampled_from(PORTS[1:]), st.sampled_from(SOURCES)).map(
        lambda one: f"tcp/{one[0]} from {','.join(one[1])}"
    ),
    max_size=4,
).map(lambda texts: rules(*texts) | SSH)


def seen(state: Mapping[str, Rule]) -> Firewall:
    parsed = [parse({"name": name, **body}) for name, body in state.items()]
    return firewall_of(SPEC, parsed, owners(parsed, [SPEC]))


def let_in(state: Mapping[str, Rule]) -> RuleSet:
    """What the rules let in on the firewall's machines, whosever they are."""
    return RuleSet.of(
        rule for name, body in state.items() for rule in effect(name, json.dumps(body))
    )


@cache
def effect(name: str, body: str) -> RuleSet:
    rule = parse({"name": name, **json.loads(body)})
    return rule.lets_in if rule.is_exactly_for(SETTINGS) else NOTHING


def after(state: Mapping[str, Rule], write: Write) -> dict[str, Rule]:
    """As the API does it: names are one, and what is not there cannot be updated."""
    assert (write.method == "insert") == (write.name not in state), f"{write.method} {write.name}"
    if write.body is None:
        return {name: body for name, body in state.items() if name != write.name}
    return {**state, write.name: {key: value for key, value in write.body.items() if key != "name"}}


@settings(max_examples=examples(150), deadline=None)
@given(firewalls, wanted)
def test_law3_whatever_writes_of_a_step_have_ended_what_is_open_stays_between(
    state: dict[str, Rule], final: RuleSet
) -> None:
    before, found = let_in(state), seen(state)
    wrong = any(one.wrong for one in found.owned)
    steps = provider.plan_steps(
        Present(PREFIX, before, MARK, native=found), Target(SPEC, final, SSH, reapply=wrong)
    )
    assert isinstance(steps, tuple)
    assert not steps or lawful_steps("web", before, final, SSH, steps) is None
    for step in steps:
        assert isinstance(step.native, Writes)
        ended = {frozenset[int](): state}
        for number, write in enumerate(step.native.writes):
            for done, then in list(ended.items()):
                ended[done | {number}] = after(then, write)
        opened = {done: let_in(then) for done, then in ended.items()}
        for done, now in opened.items():
            assert now.covers(before & final), "closed for a moment"
            assert (before | final).covers(now), "open for a moment"
            for last in done:
                earlier = opened[done - {last}]
                assert now.covers(earlier) or now.covers(SSH), (
                    "something closed before SSH was open"
                )
        state = ended[frozenset(range(len(step.native.writes)))]
        assert let_in(state) == step.after
    assert let_in(state) == final
    again = seen(state)
    assert not any(one.wrong for one in again.owned), "law 4: nothing is left to put right"
    assert (
        provider.plan_steps(Present(PREFIX, final, MARK, native=again), Target(SPEC, final, SSH))
        == ()
    )
