"""Carries one scenario out: a configuration file is written, loaded, planned and applied, as the
command does it.

While an apply runs nothing is asserted; afterwards every state the vendor went through, and every
step of the provider, is held against laws 2 and 3 and against what the step said of itself.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import tomli_w

from cloudsync import exit_codes
from cloudsync.config import load
from cloudsync.config.configuration import Configuration
from cloudsync.config.specs import spec_of
from cloudsync.model.plan import FirewallPlan, Granted, Plan
from cloudsync.provider.contract import MachineReader, MarkReader, Present, silent
from cloudsync.provider.contract import Step as ProviderStep
from cloudsync.provider.errors import Conflict, ProviderError
from cloudsync.provider.guarded import GuardedProvider
from cloudsync.provider.marker import Marker, host_digest
from cloudsync.reconcile import run as reconcile
from cloudsync.reconcile.observe import accounts_of, observe
from cloudsync.reconcile.release import release
from cloudsync.rules import NOTHING, RuleSet
from cloudsync.rules.families import meaningful
from cloudsync.testing import language as say
from cloudsync.testing.language import Scenario, meant, spelled
from cloudsync.testing.stage import (
    AcceptsByDefault,
    Attaches,
    CanBeDisabled,
    ComparesVersions,
    CoversTwice,
    Denies,
    ExpectsOfNew,
    FiltersPrivate,
    GetsIntoTrouble,
    HasAnswerOnly,
    HasLimit,
    HasNeighbours,
    HasOthers,
    HasPages,
    LacksMachines,
    LagsBehind,
    MarksTwice,
    Pends,
    ShowsAside,
    ShowsRules,
    Stage,
    Trouble,
)

NAME, BESIDE, ORPHAN, OWNER, HOST = "web", "beside", "old", "shop", "web-1"
DEADLINE_SECONDS = 30
_OURS = Marker(OWNER, NAME, host_digest([HOST]))
_MARKS = {
    "ours": _OURS,
    "nobody": None,
    "another-owner": replace(_OURS, owner="blog"),
    "other-hosts": replace(_OURS, hosts="0badcafe"),
}
_DISTURBED = (say.Race, say.Meanwhile, say.ConflictMeanwhile, say.ChangedSinceRead)


@dataclass(slots=True)
class Seen:
    """The vendor after one step of the provider."""

    step: ProviderStep
    error: ProviderError | None
    lets_in: RuleSet | None
    writes: int
    attached: int
    aside: object
    in_effect: bool
    """False while the vendor still works on what it accepted."""


@dataclass(slots=True)
class Transcript:
    """What a scenario did, for people: `--cloudsync-show` prints it."""

    lines: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join(self.lines)


class Run:
    """One scenario on one stage."""

    def __init__(self, scenario: Scenario, stage: Stage, folder: Path) -> None:
        self.scenario, self.stage, self.folder = scenario, stage, folder
        self.rules: tuple[str, ...] = ()
        self.policy: Mapping[str, object] = {}
        self.keys: dict[str, Any] = {}
        self.private = NOTHING
        self.beside = False
        self.neighbours: list[str] = []
        self.shared_with: list[str] = []
        self.transcript = Transcript()
        self.written_before = stage.writes()
        self.slowed = False
        """Whether the next apply waits for the deadline; runs after it have the whole time."""
        self.before_first_step: list[tuple[str, ...]] = []
        """What somebody makes of the rules before the first step of the next apply; at most one."""

    def play(self) -> None:
        """All steps, in order. Raises `AssertionError`."""
        with _everything_logged() as logged:
            for step in self.scenario.steps:
                self.transcript.lines.append(f"- {step}")
                self.do(step)
        violations = list(self.stage.sound())
        assert not violations, f"the vendor's description: {'; '.join(violations)}"
        self._keeps_secrets(logged)

    def do(self, step: say.Step) -> None:
        """One step of the scenario. Raises `AssertionError`."""
        if not (self.set_up(step) or self.disturb(step) or self.act(step) or self.check(step)):
            raise AssertionError(f"no such step: {step}")

    def set_up(self, step: say.Step) -> bool:
        """What is there, and what is asked for."""
        match step:
            case say.Wants(rules, policy):
                self.rules, self.policy = rules, dict(policy)
            case say.WantsLimit(beyond):
                limit = cast("HasLimit", self.stage).limit(beyond)
                self.rules, self.policy = tuple(limit), {}
            case say.WantsMissing():
                self.keys |= cast("LacksMachines", self.stage).attaching_missing(NAME)
            case say.WantsPrivate():
                keys, self.private = cast("FiltersPrivate", self.stage).letting_private_in(NAME)
                self.keys |= keys
            case say.NotShared():
                self.shared_with = self.neighbours
            case _:
                return self._set_up_vendor(step)
        return True

    def _set_up_vendor(self, step: say.Step) -> bool:
        stage = self.stage
        match step:
            case say.There(rules, mark):
                stage.put(NAME, [spelled(text) for text in rules], _MARKS[mark])
                assert_equal(stage.lets_in(NAME), meant(*rules), "the stage does not show what is")
            case say.ByHand(rules):
                stage.edit(NAME, [spelled(text) for text in rules])
                assert_equal(stage.lets_in(NAME), meant(*rules), "the stage does not show what is")
            case say.Other():
                cast("HasOthers", stage).put_other(NAME)
            case say.Boundary(beyond):
                self.beside = True
                stage.put(BESIDE, [spelled(say.SSH)], replace(_OURS, firewall=BESIDE))
                cast("HasPages", stage).boundary(beyond)
            case say.Orphan():
                stage.put(ORPHAN, [spelled(say.SSH)], replace(_OURS, firewall=ORPHAN))
            case _:
                return self._set_up_more(step)
        return True

    def _set_up_more(self, step: say.Step) -> bool:
        """What not every vendor has."""
        stage = self.stage
        match step:
            case say.Neighbour():
                self.neighbours.append(cast("HasNeighbours", stage).add_neighbour(NAME))
            case say.UnderAnother(rules):
                cast("CoversTwice", stage).put_under_another(NAME, [spelled(r) for r in rules])
                assert cast("CoversTwice", stage).under_another(NAME), "it is under no other one"
            case say.Denied(rules):
                cast("Denies", stage).deny(NAME, [spelled(text) for text in rules])
            case say.OpenByDefault():
                cast("AcceptsByDefault", stage).accept_by_default(NAME)
            case say.Disabled():
                cast("CanBeDisabled", stage).disable(NAME)
            case say.NotInEffect():
                cast("Pends", stage).pend(NAME)
                assert not cast("Pends", stage).in_effect(NAME)
            case say.Lags(reads):
                cast("LagsBehind", stage).lag(reads)
            case say.AnswersMore():
                cast("HasAnswerOnly", stage).answer_only(NAME)
            case say.MarkedTwice():
                cast("MarksTwice", stage).mark_twice(NAME, replace(_OURS, owner="blog"))
            case _:
                return False
        return True

    def disturb(self, step: say.Step) -> bool:
        """What goes wrong, or happens at the same time."""
        stage = self.stage
        match step:
            case say.Goes(kind, on, times, skip, hint, seconds):
                self.slowed = kind in ("slow", "trickle")
                trouble = Trouble(kind, on, times, skip, hint, seconds)  # type: ignore[arg-type]  # checked by `goes`
            case say.ChangedSinceRead(rules):
                self.before_first_step.append(rules)
                return True
            case say.Race():
                other = Run(self.scenario, stage, self.folder / "other")
                other.rules, other.policy = self.rules, self.policy
                trouble = Trouble("meanwhile", "write", action=lambda: other.do(say.Apply()))
            case say.Meanwhile(rules) | say.ConflictMeanwhile(rules):
                by_hand = [spelled(text) for text in rules]
                kind = "conflict" if isinstance(step, say.ConflictMeanwhile) else "meanwhile"
                edit = lambda: stage.edit(NAME, by_hand)  # noqa: E731 - one expression
                trouble = Trouble(kind, "write", action=edit)
            case _:
                return False
        cast("GetsIntoTrouble", stage).trouble(trouble)
        return True

    def act(self, step: say.Step) -> bool:
        """The commands."""
        match step:
            case say.Apply():
                self.apply(step)
            case say.AppliesOrRefuses():
                self.applies_or_refuses()
            case say.Release(ends):
                self.release(ends)
            case say.NothingLeft():
                self.nothing_left()
            case say.NotNothing():
                assert not self._is_nothing(), "the plan says that there is nothing to do"
            case say.Shows(what, count):
                self.shows(what, count)
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
                assert cast("HasOthers", stage).others(NAME) == count
            case say.Attached(count):
                assert cast("Attaches", stage).attached(NAME) == count
            case say.StaysUnderAnother():
                assert cast("CoversTwice", stage).under_another(NAME), (
                    "the machine was taken from a firewall of somebody else"
                )
            case say.Reaches(rules):
                self.reaches(rules)
            case say.InEffect():
                assert cast("Pends", stage).in_effect(NAME), "it is not in effect everywhere"
            case say.Enabled():
                enabled = cast("CanBeDisabled", stage).enabled(NAME)
                assert enabled or not self._is_nothing(), "a disabled firewall is taken for done"
            case say.Spells(rules):
                self.spells(rules)
            case say.Described(rules):
                self.described(rules)
            case _:
                return False
        return True

    @property
    def disturbed(self) -> bool:
        """Whether somebody else writes while an apply runs."""
        return any(isinstance(step, _DISTURBED) for step in self.scenario.steps)

    @property
    def wanted(self) -> RuleSet:
        return meant(say.SSH, *self.rules) | self.private

    def apply(self, step: say.Apply) -> None:
        before = self.stage.lets_in(NAME) or NOTHING
        past, written = len(self.stage.history(NAME)), self.stage.writes()
        granted = Granted(
            adopt=(NAME,) if step.adopt else (),
            allow_attach=(NAME,) if step.attach else (),
            allow_close=1000,
            ssh_moved=step.ssh_moved,
        )
        seen = [self._look(None, None)]
        configuration = self._watched(seen)
        self.slowed = False
        report = reconcile.apply(configuration, reconcile.Options(granted=granted))
        messages = _messages(report)
        self.transcript.lines += [f"  {line}" for line in (messages, *_changes(report.plan))]
        self.transcript.lines += [f"  wrote: {then.step.summary}" for then in seen[1:]]
        code = exit_codes.of_report(report)
        assert code in step.ends, f"ended with {code}, not with {step.ends}: {messages}"
        assert step.says in messages
        outcomes = [o for o in report.outcomes if o.firewall == NAME]
        if step.fate:
            assert outcomes[0].status in step.fate, (
                f"its fate is said to be {outcomes[0].status}: {messages}"
            )
        self._counts(step, _changes_of(report.plan))
        sent = self.stage.writes() - written
        if step.writes is not None and not self.stage.recognises_repeats:
            assert sent <= step.writes, f"{sent} writes were sent, at most {step.writes} are right"
        if self.disturbed:
            return
        states = list(self.stage.history(NAME))[past:]
        sampled = [then.lets_in for then in seen[1:] if then.lets_in is not None]
        hold_to_the_laws(before, self.wanted, states)
        hold_to_the_laws(before, self.wanted, sampled)
        self.hold_to_its_word(seen)
        self._sees_itself(before, states, written)

    def applies_or_refuses(self) -> None:
        """All of it, or none of it."""
        before, written = self.stage.lets_in(NAME), self.stage.writes()
        granted = Granted(allow_close=1000, allow_attach=(NAME,))
        report = reconcile.apply(self.configuration(), reconcile.Options(granted=granted))
        code, messages = exit_codes.of_report(report), _messages(report)
        assert code in (0, 3), f"ended with {code}: {messages}"
        if code == 0:
            assert_equal(self.stage.lets_in(NAME), self.wanted)
            return
        assert self.stage.writes() == written, f"refused, but something was written: {messages}"
        assert self.stage.lets_in(NAME) == before

    def release(self, ends: tuple[str, ...]) -> None:
        before, past = self.stage.lets_in(NAME), len(self.stage.history(NAME))
        seen = [self._look(None, None)]
        done = release(self._watched(seen), NAME)
        assert done.outcome.status in ends, (
            f"ended {done.outcome.status}, not {ends}: {done.outcome.message}"
        )
        for state in (*list(self.stage.history(NAME))[past:], self.stage.lets_in(NAME)):
            assert state == before, "a release changed what the firewall lets in"
        self.hold_to_its_word(seen)

    def spells(self, rules: tuple[str, ...]) -> None:
        """Rules are written as a person would, and keep what people wrote."""
        there = cast("ShowsRules", self.stage).rules(NAME)
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

    def described(self, rules: tuple[str, ...]) -> None:
        """What was written says who needs it, and the provider reads it."""
        there = cast("ShowsRules", self.stage).rules(NAME)
        configuration = self.configuration()
        observed = _observed(configuration)
        assert isinstance(observed, Present), observed
        for rule in map(spelled, rules):
            texts = {
                r.description for r in there if (r.protocol, r.ports) == (rule.protocol, rule.ports)
            }
            bare = not texts or "" in texts
            assert not bare, f"{rule.protocol}/{rule.ports} was written without a description"
            known = {d.text for d in observed.described if d.rules & meant(_text_of(rule))}
            assert texts <= known, f"the description of {rule.protocol}/{rule.ports} is not read"

    def shows(self, what: str, count: int) -> None:
        """What a plan lists. Orphans are for readers that look for markers."""
        plan = self._plan()
        if what == "orphans" and not self._reads_marks():
            return
        numbers = {
            "kept": len(_of(plan).kept),
            "orphans": len(plan.orphans),
            "attach": sum(change.action == "attach" for change in _of(plan).changes),
        }
        assert numbers[what] >= count, f"the plan shows {numbers[what]} {what}, not {count}"

    def reaches(self, rules: tuple[str, ...]) -> None:
        """What other firewalls let in on the same machines. For readers that list machines."""
        if not isinstance(self._reader(), MachineReader):
            return
        machines = _of(self._plan()).standing.machines
        beyond = RuleSet.of(b.rule for machine in machines for b in machine.beyond)
        missing = _text(meant(*rules) - beyond)
        assert missing == "nothing", (
            f"another firewall of the machine lets in what the plan does not say: {missing}"
        )

    def _reads_marks(self) -> bool:
        return isinstance(self._reader(), MarkReader)

    def _reader(self) -> object:
        configuration = self.configuration()
        (name,) = configuration.accounts
        account = accounts_of(configuration, [name], time.monotonic() + 30.0, silent)[name]
        return configuration.accounts[name].provider.open_reader(account)

    def nothing_left(self) -> None:
        written = self.stage.writes()
        plan = self._plan()
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
            firewalls[NAME] |= cast("Attaches", self.stage).attaching(NAME)
        firewalls[NAME] |= self.keys
        if self.beside:
            firewalls[BESIDE] = self._firewall(BESIDE, ())
        document = {
            "version": 1,
            "owner": OWNER,
            "state": f"file://{self.folder}/state",
            "ssh": {"ports": [22], "sources": ["any"]},
            "policy": {"expose": "published", "grace": "0s", "max_close": 1000, **self.policy},
            "run": {"deadline": f"{self._deadline()}s"},
            "providers": {"vendor": {"type": self.stage.type, **self.stage.account}},
            "hosts": {HOST: {"ports": ["22/tcp"]}},
            "firewalls": firewalls,
        }
        self.folder.mkdir(exist_ok=True)
        path = self.folder / "cloudsync.toml"
        path.write_text(tomli_w.dumps(document))
        return load(path)

    def _deadline(self) -> int:
        """How long the next run may take as a whole, in seconds."""
        return self.stage.patience_seconds if self.slowed else DEADLINE_SECONDS

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

    def _plan(self) -> Plan:
        return reconcile.plan(self.configuration(), reconcile.Options()).plan

    def _is_nothing(self) -> bool:
        plan = self._plan()
        return exit_codes.of_plan(plan, detailed=True) == 0 and not plan.guards

    def _watched(self, seen: list[Seen]) -> Configuration:
        """The configuration, with the vendor looked at after every step of the provider."""
        configuration = self.configuration()

        def look(step: ProviderStep, error: ProviderError | None) -> None:
            seen.append(self._look(step, error))

        accounts = {
            name: replace(
                account,
                provider=cast("GuardedProvider", account.provider).watched(look, self._interfere),
            )
            for name, account in configuration.accounts.items()
        }
        return replace(configuration, accounts=accounts)

    def _interfere(self) -> None:
        """Somebody changes the firewall although no call fails; the vendor's version shows it."""
        if not self.before_first_step:
            return
        stage = cast("ComparesVersions", self.stage)
        before = stage.version(NAME)
        self.stage.edit(NAME, [spelled(text) for text in self.before_first_step.pop()])
        assert stage.version(NAME) != before, "the stage's version does not change with the rules"

    def _look(self, step: ProviderStep | None, error: ProviderError | None) -> Seen:
        stage = self.stage
        lets_in = stage.lets_in(NAME)
        there = lets_in is not None
        attached = stage.attached(NAME) if there and isinstance(stage, Attaches) else 0
        aside = stage.aside(NAME) if there and isinstance(stage, ShowsAside) else None
        in_effect = stage.in_effect(NAME) if there and isinstance(stage, Pends) else True
        return Seen(step, error, lets_in, stage.writes(), attached, aside, in_effect)  # type: ignore[arg-type]  # the first look is before any step

    def _counts(self, step: say.Apply, changes: list[Any]) -> None:
        for action, expected in (("open", step.opens), ("close", step.closes)):
            rules = [str(change.rule) for change in changes if change.action == action]
            assert expected is None or len(rules) == expected, (
                f"{len(rules)} {action}, not {expected}: {'; '.join(rules)}"
            )

    def hold_to_its_word(self, seen: list[Seen]) -> None:
        """Every step did what it said, and nothing else."""
        for before, now in pairwise(seen):
            step, where = now.step, f'after "{now.step.summary}"'
            if before.aside is not None:
                assert now.aside == before.aside, (
                    f"{where}: what is not cloudsync's changed: {before.aside} -> {now.aside}"
                )
            if now.error is not None:
                self._conflicts_with_nobody(now.error, where)
                continue
            if before.lets_in is None and isinstance(self.stage, ExpectsOfNew):
                new = self.stage.aside_of_new()
                assert now.aside == new, f"{where}: a new firewall has {now.aside}, not {new}"
            expected = meaningful(step.after)
            lets_in = meaningful(now.lets_in) if now.lets_in is not None else None
            assert lets_in is not None, f"{where}: the firewall does not exist"
            difference = _difference(lets_in, expected)
            assert not difference, f"{where}: not as the step says: {difference}"
            changed = now.lets_in != before.lets_in or now.attached != before.attached
            if changed and before.in_effect:
                earlier = "what an earlier step wrote took effect only now: `run` must wait for it"
                uncounted = "the stage did not count the write"
                assert now.writes > before.writes, (
                    f"{where}: {earlier if before.writes > seen[0].writes else uncounted}"
                )
            if isinstance(self.stage, Attaches):
                self._attached_in_order(before, now, where)

    def _conflicts_with_nobody(self, error: ProviderError, where: str) -> None:
        """A version that a write repeats is the one that its own last write left."""
        troubled = any(isinstance(step, (say.Goes, say.Lags)) for step in self.scenario.steps)
        assert troubled or not isinstance(error, Conflict), (
            f"{where}: a conflict, although nobody else wrote: {error.message}"
        )

    def _attached_in_order(self, before: Seen, now: Seen, where: str) -> None:
        """Law 2: a machine comes under the firewall only once all its rules are in effect."""
        if now.attached <= before.attached:
            idle = bool(now.step.attaches) and now.lets_in == before.lets_in
            assert not idle, f"{where}: it says that it attaches, but nothing is attached"
            return
        assert now.step.attaches, f"{where}: it attached a machine, and does not say so"
        closed = _text(self.wanted - (now.lets_in or NOTHING))
        assert closed == "nothing", f"{where}: closed on the machine that was attached: {closed}"

    def _sees_itself(self, before: RuleSet, states: list[RuleSet], written: int) -> None:
        """The instrument works: what changed was counted and remembered."""
        stage, now = self.stage, self.stage.lets_in(NAME)
        if now is None or now == before or not isinstance(stage, GetsIntoTrouble):
            return
        if any(isinstance(step, say.Goes) for step in self.scenario.steps):
            return
        assert stage.writes() > written, "the stage counts no writes: `writes()` has not grown"
        assert states, "the stage remembers nothing: `history()` has not grown"
        difference = _difference(states[-1], now)
        assert not difference, f"the stage's history does not end in what is there: {difference}"

    def _keeps_secrets(self, logged: list[str]) -> None:
        """No value of the environment is in a message, a log, a plan or the state."""
        texts = [*logged, str(self.transcript)]
        texts += [path.read_text(errors="replace") for path in self._files()]
        for name, value in self.stage.environment.items():
            if name in ("PATH", "HOME") or len(value) < 6:
                continue
            leaks = [text for text in texts if value in text]
            assert not leaks, f"the value of {name} shows: {leaks[0].replace(value, '***')[:300]}"

    def _files(self) -> list[Path]:
        state = self.folder / "state"
        return [path for path in state.rglob("*") if path.is_file()] if state.is_dir() else []


@contextmanager
def _everything_logged() -> Iterator[list[str]]:
    """All that the core and the providers log meanwhile, tracebacks too."""
    logged: list[str] = []
    formatter = logging.Formatter()

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logged.append(formatter.format(record))

    logger, handler = logging.getLogger("cloudsync"), Collector(logging.DEBUG)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield logged
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def hold_to_the_laws(before: RuleSet, wanted: RuleSet, states: list[RuleSet]) -> None:
    """Laws 2 and 3 over every state the vendor went through."""
    ssh, lowest, highest = meant(say.SSH), before & wanted, before | wanted
    for number, state in enumerate(states):
        where = f"after write {number + 1} of {len(states)}"
        closed, opened = _text(lowest - state), _text(state - highest)
        assert closed == "nothing", f"{where}: closed for a moment: {closed}"
        assert opened == "nothing", f"{where}: open for a moment: {opened}"
        shut = _text(before - state)
        early = shut != "nothing" and bool(ssh - state)
        assert not early, f"{where}: closed before SSH was open: {shut}"


def assert_equal(rule_set: RuleSet | None, expected: RuleSet, what: str = "") -> None:
    """With the difference in words."""
    assert rule_set is not None, "the firewall does not exist"
    difference = _difference(meaningful(rule_set), meaningful(expected))
    assert not difference, f"{what}{': ' if what else ''}{difference}"


def _difference(rules: RuleSet, expected: RuleSet) -> str:
    """In words; empty if there is none."""
    if rules == expected:
        return ""
    return f"beyond: {_text(rules - expected)}; missing: {_text(expected - rules)}"


def _text(rules: RuleSet) -> str:
    return ", ".join(map(str, rules)) or "nothing"


def _text_of(rule: Any) -> str:
    what = f"{rule.protocol}/{rule.ports}" if rule.ports else rule.protocol
    return f"{what} from {','.join(rule.sources)}"


def _observed(configuration: Configuration) -> object:
    firewall = configuration.firewalls[NAME]
    spec = spec_of(configuration, firewall)
    accounts = accounts_of(configuration, [firewall.account], time.monotonic() + 30.0, silent)
    asked = {NAME: (firewall.account, spec)}
    return observe(configuration, accounts, asked).observed[NAME]


def _of(plan: Plan) -> FirewallPlan:
    return next(firewall for firewall in plan.firewalls if firewall.name == NAME)


def _changes_of(plan: Plan) -> list[Any]:
    return list(_of(plan).changes)


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
