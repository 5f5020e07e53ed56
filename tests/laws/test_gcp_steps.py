"""Laws 2, 3 and 4 over the steps of the provider `gcp`, from whatever VPC rules are there to
whatever is wanted. No call is made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cloudsync.planning.guards import lawful_steps
from cloudsync.provider.contract import Asked, Present, Step, Target
from cloudsync.provider.contract import FirewallSpec as Spec
from cloudsync.provider.marker import Marker
from cloudsync.rules import NOTHING, RuleSet
from cloudsync_gcp import provider
from cloudsync_gcp.native import Firewall, Write, Writes
from cloudsync_gcp.ownership import firewall_of, owners
from cloudsync_gcp.settings import GcpFirewall
from cloudsync_gcp.vpc_rules import MARKER, parse
from tests.effort import examples
from tests.world import rules

MARK = Marker("shop", "web", "0123abcd")
SETTINGS = GcpFirewall(target_tags=["web"], enforce="allow")
SPEC = Spec("web", SETTINGS, MARK)
PREFIX = provider.identity(SPEC)
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
        "sourceTags": st.sampled_from([[], [], [], ["bastion"]]),
        "priority": st.sampled_from([900, 1000, 1000, 1100]),
        "disabled": st.sampled_from([False, False, False, True]),
        "targetTags": st.sampled_from([["web"], ["web"], ["web"], ["web", "db"], ["db"], []]),
        "network": st.sampled_from(["global/networks/default"] * 4 + ["global/networks/other"]),
        "direction": st.just("INGRESS"),
        "description": st.sampled_from(
            [MARKER.write(MARK), MARKER.write(MARK, "by hand"), "by hand"]
        ),
        "logConfig": st.sampled_from([{"enable": False}, {"enable": True}]),
    }
)
firewalls = st.dictionaries(
    st.sampled_from([f"{PREFIX}-{name}" for name in NAMES]), bodies, max_size=5
)
wanted = st.lists(
    st.tuples(st.sampled_from(PORTS[1:]), st.sampled_from(SOURCES)).map(
        lambda one: f"tcp/{one[0]} from {','.join(one[1])}"
    ),
    max_size=4,
)


def seen(state: Mapping[str, Rule]) -> Firewall:
    parsed = [parse({"name": name, **body}) for name, body in state.items()]
    return firewall_of(SPEC, parsed, owners(parsed, [SPEC]))


def ours(state: Mapping[str, Rule]) -> RuleSet:
    """What the firewall's own rules let in."""
    mine = {owned.name for owned in seen(state).owned}
    return RuleSet.of(rule for name in mine for rule in effect(name, json.dumps(state[name])))


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


@settings(max_examples=examples(200), deadline=None)
@given(firewalls, wanted)
def test_law3_whatever_writes_of_a_step_have_ended_what_is_open_stays_between(
    state: dict[str, Rule], texts: list[str]
) -> None:
    final = rules(*texts) | SSH
    before, at_first, firewall = ours(state), state, seen(state)
    wrong = any(owned.wrong for owned in firewall.owned)
    wish = target(texts, firewall, reapply=wrong)
    steps = provider.plan_steps(Present(PREFIX, before, MARK, native=firewall), wish)
    assert isinstance(steps, tuple)
    assert not steps or lawful_steps("web", ours(state), wish, steps) is None
    for step in steps:
        assert isinstance(step.native, Writes)
        ended = {frozenset[int](): state}
        for number, write in enumerate(step.native.writes):
            for done, then in list(ended.items()):
                ended[done | {number}] = after(then, write)
        opened = {done: ours(then) for done, then in ended.items()}
        for done, now in opened.items():
            assert now.covers(before & final), "closed for a moment"
            assert (before | final).covers(now), "open for a moment"
            for last in done:
                earlier = opened[done - {last}]
                assert now.covers(earlier) or now.covers(SSH), (
                    "something closed before SSH was open"
                )
        state = ended[frozenset(range(len(step.native.writes)))]
        assert ours(state) == step.after
    assert ours(state) == final
    what_stays_is_as_it_was(at_first, state, firewall, final)
    everything_that_goes_is_named(at_first, state, firewall, steps)
    again = seen(state)
    assert not any(owned.wrong for owned in again.owned), "law 4: nothing is left to put right"
    reached = Present(PREFIX, final, MARK, native=again)
    assert provider.plan_steps(reached, target(texts, again)) == ()


def target(texts: list[str], firewall: Firewall, *, reapply: bool = False) -> Target:
    """As the core asks for it: every rule by itself, whether another covers it or not, and the
    marker if a rule lacks it."""
    unmarked = any(owned.rule.marker is None for owned in firewall.owned)
    asked = tuple(Asked(rule) for text in (*texts, "tcp/22") for rule in rules(text))
    marker = MARK if unmarked else None
    final = rules(*texts) | SSH
    return Target(SPEC, final, SSH, asked=asked, marker=marker, reapply=reapply)


def what_stays_is_as_it_was(
    before: Mapping[str, Rule], now: Mapping[str, Rule], firewall: Firewall, final: RuleSet
) -> None:
    """Law 4, and whose a rule is (design 5.3)."""
    owned = {each.name: each for each in firewall.owned}
    for name, rule in before.items():
        if name not in owned:
            assert now[name] == rule, "somebody else's"
            continue
        if rule["sourceTags"]:
            assert now[name]["sourceTags"] == rule["sourceTags"], "tags stay in their rule"
            assert now[name]["allowed"] == rule["allowed"], "with its ports"
        if name in now:
            assert now[name]["priority"] == rule["priority"]
            assert now[name]["logConfig"] == rule["logConfig"]
            assert text_of(now[name]) == text_of(rule) or owned[name].generated
        fits = final.covers(owned[name].effect) and not owned[name].wrong
        if fits and not owned[name].generated:
            assert {**now[name], "description": ""} == {**rule, "description": ""}


def text_of(rule: Rule) -> str:
    return parse({"name": "x", "description": rule["description"]}).text


def everything_that_goes_is_named(
    before: Mapping[str, Rule],
    now: Mapping[str, Rule],
    firewall: Firewall,
    steps: Sequence[Step],
) -> None:
    """Law 8."""
    named = {touched.key: touched.effect for step in steps for touched in step.touches}
    for owned in firewall.owned:
        name = owned.name
        if name not in now:
            assert named[name] == "deletes"
        elif owned.effect - effect(name, json.dumps(now[name])):
            assert named[name] == "rewrites"
    assert named.keys() <= before.keys()
