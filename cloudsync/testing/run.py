"""Carries one scenario out: a configuration file is written, loaded, planned and applied, as the
command does it.

While an apply runs nothing is asserted; afterwards every state the vendor went through is held
against laws 2 and 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomlkit

from cloudsync import exit_codes
from cloudsync.config import load
from cloudsync.config.configuration import Configuration
from cloudsync.model.plan import Granted, Plan
from cloudsync.provider.marker import Marker, host_digest
from cloudsync.reconcile import run as reconcile
from cloudsync.reconcile.release import release
from cloudsync.rules import NOTHING, RuleSet
from cloudsync.rules.families import meaningful
from cloudsync.testing import language as say
from cloudsync.testing.language import Scenario, meant, spelled
from cloudsync.testing.stage import (
    HasAnswerOnly,
    HasNeighbours,
    LagsBehind,
    ShowsRules,
    Stage,
    Trouble,
)

NAME, BESIDE, OWNER, HOST = "web", "beside", "shop", "web-1"
DEADLINE, SHORT_DEADLINE = "30s", "6s"
_OURS = Marker(OWNER, NAME, host_digest([HOST]))
_MARKS = {
    "ours": _OURS,
    "nobody": None,
    "another-owner": replace(_OURS, owner="blog"),
    "other-hosts": replace(_OURS, hosts="0badcafe"),
}


class Run:
    """One scenario on one stage."""

    def __init__(self, scenario: Scenario, stage: Stage, folder: Path) -> None:
        self.scenario, self.stage, self.folder = scenario, stage, folder
        self.rules: tuple[str, ...] = ()
        self.policy: Mapping[str, object] = {}
        self.beside = False
        self.disturbed = False
        self.neighbours: list[str] = []
        self.shared_with: list[str] = []
        self.written_before = stage.writes()

    def play(self) -> None:
        """All steps, in order. Raises `AssertionError`."""
        for step in self.scenario.steps:
            self.do(step)
        assert list(self.stage.sound()) == []

    def do(self, step: say.Step) -> None:
        """One step of the scenario. Raises `AssertionError`."""
        if not (self.set_up(step) or self.disturb(step) or self.act(step) or self.check(step)):
            raise AssertionError(f"no such step: {step}")

    def set_up(self, step: say.Step) -> bool:
        """What is there, and what is asked for."""
        stage = self.stage
        match step:
            case say.There(rules, mark):
                stage.put(NAME, [spelled(text) for text in rules], _MARKS[mark])
            case say.ByHand(rules):
                stage.edit(NAME, [spelled(text) for text in rules])
            case say.Other():
                stage.put_other(NAME)
            case say.Wants(rules, policy):
                self.rules, self.policy = rules, dict(policy)
            case say.WantsLimit(beyond):
                self.rules, self.policy = tuple(stage.limit(beyond)), {}
            case say.Boundary(beyond):
                self.beside = True
                stage.put(BESIDE, [spelled(say.SSH)], replace(_OURS, firewall=BESIDE))
                stage.boundary(beyond)
            case say.Neighbour():
                assert isinstance(stage, HasNeighbours)
                self.neighbours.append(stage.add_neighbour(NAME))
            case say.NotShared():
                self.shared_with = self.neighbours
            case say.Lags(reads):
                assert isinstance(stage, LagsBehind)
                stage.lag(reads)
            case say.AnswersMore():
                assert isinstance(stage, HasAnswerOnly)
                stage.answer_only(NAME)
            case _:
                return False
        return True

    def disturb(self, step: say.Step) -> bool:
        """What goes wrong, or happens at the same time."""
        stage = self.stage
        match step:
            case say.Goes(kind, on, times, skip, hint, seconds):
                trouble = Trouble(kind, on, times, skip, hint, seconds)  # type: ignore[arg-type]  # checked by `goes`
            case say.Race():
                other = Run(self.scenario, stage, self.folder / "other")
                other.rules, other.policy = self.rules, self.policy
                trouble = Trouble("meanwhile", "write", action=lambda: other.do(say.Apply()))
            case say.Meanwhile(rules):
                by_hand = [spelled(text) for text in rules]
                trouble = Trouble("meanwhile", "write", action=lambda: stage.edit(NAME, by_hand))
            case _:
                return False
        self.disturbed = True
        stage.trouble(trouble)
        return True

    def act(self, step: say.Step) -> bool:
        """The commands."""
        match step:
            case say.Apply():
                self.apply(step)
            case say.Release(ends):
                self.release(ends)
            case say.NothingLeft():
                self.nothing_left()
            case _:
                return False
        return True

    def check(self, step: say.Step) -> bool:
        """What the vendor has now."""
        stage = self.stage
        match step:
            case say.LetsIn(rules):
                assert_equal(stage.lets_in(NAME), meant(*rules))
            case say.LetsInWanted():
                assert_equal(stage.lets_in(NAME), self.wanted)
            case say.Untouched():
                assert stage.writes() == self.written_before, "something was written"
            case say.Others(count):
                assert stage.others(NAME) == count
            case say.Attached(count):
                assert stage.attached(NAME) == count
            case say.Spells(rules):
                self.spells(rules)
            case _:
                return False
        return True

    @property
    def slow(self) -> bool:
        """Whether the scenario waits for the deadline."""
        return any(
            isinstance(step, say.Goes) and step.kind == "slow" for step in self.scenario.steps
        )

    @property
    def wanted(self) -> RuleSet:
        return meant(say.SSH, *self.rules)

    def apply(self, step: say.Apply) -> None:
        before = self.stage.lets_in(NAME) or NOTHING
        seen = len(self.stage.history(NAME))
        granted = Granted(
            adopt=(NAME,) if step.adopt else (),
            allow_attach=(NAME,) if step.attach else (),
            allow_close=1000,
            ssh_moved=step.ssh_moved,
        )
        report = reconcile.apply(self.configuration(), reconcile.Options(granted=granted))
        messages = _messages(report)
        code = exit_codes.of_report(report)
        assert code in step.ends, f"ended with {code}, not with {step.ends}: {messages}"
        assert step.says in messages
        changes = [
            change
            for firewall in report.plan.firewalls
            if firewall.name == NAME
            for change in firewall.changes
        ]
        if step.opens is not None:
            assert sum(change.action == "open" for change in changes) == step.opens, [
                str(c.rule) for c in changes
            ]
        if step.closes is not None:
            assert sum(change.action == "close" for change in changes) == step.closes, [
                str(c.rule) for c in changes
            ]
        if not any(isinstance(step, say.Race | say.Meanwhile) for step in self.scenario.steps):
            hold_to_the_laws(before, self.wanted, list(self.stage.history(NAME))[seen:])

    def release(self, ends: tuple[str, ...]) -> None:
        before, seen = self.stage.lets_in(NAME), len(self.stage.history(NAME))
        done = release(self.configuration(), NAME)
        assert done.outcome.status in ends, (
            f"ended {done.outcome.status}, not {ends}: {done.outcome.message}"
        )
        for state in (*list(self.stage.history(NAME))[seen:], self.stage.lets_in(NAME)):
            assert state == before, "a release changed what the firewall lets in"

    def spells(self, rules: tuple[str, ...]) -> None:
        """Rules are written as a person would, and keep what people wrote."""
        assert isinstance(self.stage, ShowsRules)
        there = self.stage.rules(NAME)
        for rule in map(spelled, rules):
            same = [r for r in there if (r.protocol, r.ports) == (rule.protocol, rule.ports)]
            networks = {network for other in same for network in other.sources}
            allowed = {
                network
                for other in map(spelled, rules)
                if (other.protocol, other.ports) == (rule.protocol, rule.ports)
                for network in other.sources
            }
            assert networks == allowed, f"{rule.protocol}/{rule.ports} is from {sorted(networks)}"
            described = {n for r in same if r.description == rule.description for n in r.sources}
            assert not rule.description or set(rule.sources) <= described, (
                f"{rule.description!r} is lost: {same}"
            )

    def nothing_left(self) -> None:
        written = self.stage.writes()
        plan = reconcile.plan(self.configuration(), reconcile.Options()).plan
        assert not plan.has_changes, _changes(plan)
        assert plan.guards == (), [guard.message for guard in plan.guards]
        assert exit_codes.of_plan(plan, detailed=True) == 0, [
            firewall.read for firewall in plan.firewalls
        ]
        report = reconcile.apply(self.configuration(), reconcile.Options())
        assert exit_codes.of_report(report) == 0, _messages(report)
        assert self.stage.writes() == written, "a run with nothing to do wrote"

    def configuration(self) -> Configuration:
        """Written to a file and loaded, so that the provider's settings are read as a user's
        are."""
        firewalls: dict[str, Any] = {NAME: self._firewall(NAME, self.rules)}
        if "attaches" in self.scenario.needs:
            firewalls[NAME] |= self.stage.attaching(NAME)
        if self.beside:
            firewalls[BESIDE] = self._firewall(BESIDE, ())
        document = {
            "version": 1,
            "owner": OWNER,
            "state": f"file://{self.folder}/state",
            "ssh": {"ports": [22], "sources": ["any"]},
            "policy": {"expose": "published", "grace": "0s", "max_close": 1000, **self.policy},
            "run": {"deadline": SHORT_DEADLINE if self.slow else DEADLINE},
            "providers": {"vendor": {"type": self.stage.type, **self.stage.account}},
            "hosts": {HOST: {"ports": ["22/tcp"]}},
            "firewalls": firewalls,
        }
        self.folder.mkdir(exist_ok=True)
        path = self.folder / "cloudsync.toml"
        path.write_text(tomlkit.dumps(document))
        return load(path)

    def _firewall(self, name: str, rules: tuple[str, ...]) -> dict[str, Any]:
        allowed = []
        for rule in map(spelled, rules):
            if rule.protocol == "all":
                ports = "all"
            elif rule.protocol in ("icmp", "icmpv6"):
                ports = f"{rule.protocol}/{rule.ports}" if rule.ports else rule.protocol
            else:
                ports = f"{rule.ports}/{rule.protocol}" if rule.ports else rule.protocol
            allowed.append({"ports": [ports], "sources": list(rule.sources)})
        shared = {"shared_with": self.shared_with} if self.shared_with else {}
        return {
            "provider": "vendor",
            "hosts": [HOST],
            **shared,
            "allow": allowed,
            **self.stage.settings(name),
        }


def hold_to_the_laws(before: RuleSet, wanted: RuleSet, states: list[RuleSet]) -> None:
    """Laws 2 and 3 over every state the vendor went through."""
    ssh, lowest, highest = meant(say.SSH), before & wanted, before | wanted
    for number, state in enumerate(states):
        where = f"after write {number + 1} of {len(states)}"
        assert state.covers(lowest), f"{where}: closed for a moment: {_text(lowest - state)}"
        assert highest.covers(state), f"{where}: open for a moment: {_text(state - highest)}"
        assert state.covers(before) or state.covers(ssh), (
            f"{where}: something closed before SSH was open"
        )


def assert_equal(rule_set: RuleSet | None, expected: RuleSet) -> None:
    """With the difference in words."""
    assert rule_set is not None, "the firewall does not exist"
    rule_set, expected = meaningful(rule_set), meaningful(expected)
    assert rule_set == expected, (
        f"beyond: {_text(rule_set - expected)}; missing: {_text(expected - rule_set)}"
    )


def _text(rules: RuleSet) -> str:
    return ", ".join(map(str, rules)) or "nothing"


def _changes(plan: Plan) -> list[str]:
    return [
        f"{c.action} {c.rule or c.target or ''}: {c.reason}"
        for firewall in plan.firewalls
        for c in firewall.changes
    ]


def _messages(report: reconcile.Report) -> str:
    parts = [outcome.message or outcome.status for outcome in report.outcomes] + [
        guard.message for guard in report.plan.guards
    ]
    return "; ".join(
        parts + [firewall.read.reason for firewall in report.plan.firewalls if firewall.read.reason]
    )
