"""What an apply leaves in the history: who did what, why, what was shown and what was really done.
Built here, kept by `state.history`."""

from __future__ import annotations

import os
import pwd
import secrets
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from cloudsync.config.configuration import Configuration
from cloudsync.model.outcome import Outcome, Report
from cloudsync.model.plan import (
    Change,
    FirewallPlan,
    Granted,
    Plan,
    Refused,
)
from cloudsync.model.plan_digest import digest
from cloudsync.model.ports import name_of
from cloudsync.planning.decide import Considered
from cloudsync.provider.contract import Present
from cloudsync.rules import NOTHING, Rule, RuleSet
from cloudsync.runtime.signals import Interrupted
from cloudsync.state import StateError, history

_VERSION = 1
_LONGEST_TEXT = 1000
_LISTED = (1_000_000, 1000, 200, 50, 10, 3)
"""How many of each list an entry holds: all of them, unless that is more than an entry may be."""
_WELL = 20
_CI = {
    "github": ("GITHUB_ACTOR", "GITHUB_REPOSITORY", "GITHUB_RUN_ID"),
    "gitlab": ("GITLAB_USER_LOGIN", "CI_PROJECT_PATH", "CI_JOB_ID"),
}


@contextmanager
def recording(configuration: Configuration, trigger: str, granted: Granted) -> Iterator[Recorder]:
    """Whatever happens in here leaves an entry. `trigger`: why there is a run, in words (`apply
    --auto-approve`)."""
    history.settle(configuration.state, configuration.owner)
    recorder = Recorder(configuration, trigger, granted)
    try:
        yield recorder
    except Interrupted as signal:
        recorder.fails(
            "interrupted", f"stopped by signal {signal.number} before anything was begun"
        )
        raise
    except StateError as error:
        recorder.fails("failed", str(error))
        raise
    except BaseException as error:
        recorder.fails("failed", f"internal error: {type(error).__name__}")
        raise


@dataclass
class Recorder:
    """One entry in the making."""

    configuration: Configuration
    trigger: str
    granted: Granted
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    id: str = ""

    def __post_init__(self) -> None:
        self.id = self.id or f"{self.started:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"

    def begins(self, plan: Plan, considered: tuple[Considered, ...]) -> None:
        """Put what is about to be written on the disk, before the first write. Raises
        `StateError`."""
        begins = {
            firewall.plan.name: firewall.observed.rules
            for firewall in considered
            if isinstance(firewall.observed, Present)
        }
        outcomes = tuple(
            Outcome(firewall.plan.name, "unknown", before=begins.get(firewall.plan.name, NOTHING))
            for firewall in considered
            if firewall.plan.changes
        )
        entry = self._entry("begun", plan, outcomes, None)
        history.begin(self.configuration.state, self.configuration.owner, entry)

    def ends(self, report: Report) -> Report:
        """Write the entry; the report, with a note where that could not be done."""
        problem = self.says(outcome_word(report), report.plan, report.outcomes, report.moved)
        return report if problem is None else replace(report, notes=(*report.notes, problem))

    def says(
        self, word: str, plan: Plan, outcomes: tuple[Outcome, ...], message: str | None = None
    ) -> str | None:
        """Write the entry; why it could not be written, None where it was. `word`: how the run
        ended."""
        entry = self._entry(word, plan, outcomes, message)
        return history.end(
            self.configuration.state, self.configuration.owner, entry, quiet=word == "nothing-to-do"
        )

    def fails(self, word: str, message: str) -> None:
        """Write the entry of a run that ended before it had a report, where that can be done."""
        entry = self._head(word, message)
        history.end(self.configuration.state, self.configuration.owner, entry, quiet=False)

    def _head(self, word: str, message: str | None) -> dict[str, Any]:
        granted = self.granted
        head = {
            "version": _VERSION,
            "id": self.id,
            "started": self.started.isoformat(timespec="milliseconds"),
            "ended": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "owner": self.configuration.owner,
            "who": who(os.environ),
            "why": self.trigger,
            "granted": {
                name: value
                for name, value in (
                    ("adopt", list(granted.adopt)),
                    ("allow_attach", list(granted.allow_attach)),
                    ("allow_close", granted.allow_close),
                    ("ssh_moved", granted.ssh_moved),
                    ("now", granted.now),
                )
                if value not in ([], None, False)
            },
            "outcome": word,
        }
        return head if message is None else {**head, "message": message[:_LONGEST_TEXT]}

    def _entry(
        self, word: str, plan: Plan, outcomes: tuple[Outcome, ...], message: str | None
    ) -> dict[str, Any]:
        """The whole entry, with lists shortened until it fits."""
        entry: dict[str, Any] = {}
        for most in _LISTED:
            entry = {
                **self._head(word, message),
                "digest": digest(plan),
                **_body(plan, outcomes, most),
            }
            if word == "nothing-to-do":
                return _counted(entry)
            if history.size_of(entry) < history.MAX_ENTRY_BYTES:
                return entry
        return {
            **self._head(word, message),
            "digest": digest(plan),
            "truncated": "the entry was too long",
        }


def outcome_word(report: Report) -> str:
    """`done`, `nothing-to-do`, `moved`, `declined`, `interrupted`, `partly`, `refused` or `failed`,
    as the exit code goes (decision 0007)."""
    if report.moved is not None:
        return "moved"
    if report.declined:
        return "declined"
    statuses = {outcome.status for outcome in report.outcomes}
    if statuses & {"failed", "unknown"}:
        return "partly"
    if report.interrupted is not None and any(outcome.stopped for outcome in report.outcomes):
        return "partly" if "done" in statuses else "interrupted"
    if report.plan.guards:
        return "refused"
    if (
        "not-begun" in statuses
        or any(status.status != "complete" for _, status in report.plan.hosts)
        or any(network.status.status != "complete" for network in report.plan.networks)
        or report.plan.malformed
    ):
        return "failed"
    return "done" if "done" in statuses else "nothing-to-do"


def who(environ: Mapping[str, str]) -> dict[str, Any]:
    """The person or the job, as far as the system knows."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    caller: dict[str, Any] = {"user": user, "host": socket.gethostname(), "pid": os.getpid()}
    if sudo := environ.get("SUDO_USER"):
        caller["sudo_user"] = sudo[:100]
    for system, names in _CI.items():
        if (values := [environ[name][:100] for name in names if environ.get(name)]) and environ.get(
            names[2]
        ):
            caller["ci"] = " ".join((system, *values))
    return caller


def _body(plan: Plan, outcomes: tuple[Outcome, ...], most: int) -> dict[str, Any]:
    plans = {firewall.name: firewall for firewall in plan.firewalls}
    shown = [outcome for outcome in outcomes if outcome.status != "unchanged"] or [
        Outcome(firewall.name, "not-begun")
        for firewall in plan.firewalls
        if firewall.changes and not outcomes
    ]
    body: dict[str, Any] = {
        "totals": _totals(shown),
        "hosts": {name: status.status for name, status in plan.hosts[:most]},
        "guards": [{"id": g.id, "firewall": g.firewall} for g in plan.guards[:most]],
        "firewalls": [
            _firewall(plans[outcome.firewall], outcome, most) for outcome in shown[:most]
        ],
        "unchanged": [outcome.firewall for outcome in outcomes if outcome.status == "unchanged"][
            :most
        ],
    }
    dropped = {
        name: len(whole) - most
        for name, whole in (("hosts", plan.hosts), ("firewalls", shown))
        if len(whole) > most
    }
    return {**body, "truncated": dropped} if dropped else body


def _counted(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of a run that found nothing to do, of which there may be one every minute: long
    lists of what was well are counted."""
    long = {name: len(entry[name]) for name in ("hosts", "unchanged") if len(entry[name]) > _WELL}
    return {name: value for name, value in entry.items() if name not in long} | (
        {"counted": long} if long else {}
    )


def _totals(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """What the run came to as a whole, however much of it the lists hold."""
    changed = [
        outcome for outcome in outcomes if outcome.before is not None and outcome.after is not None
    ]
    return {
        "firewalls": len(changed),
        "opened": sum(outcome.opened for outcome in changed),
        "closed": sum(outcome.closed for outcome in changed),
    }


def _firewall(plan: FirewallPlan, outcome: Outcome, most: int) -> dict[str, Any]:
    before, after = outcome.before, outcome.after
    done = None if before is None or after is None else (after - before, before - after)
    lists = {
        "planned": [_change(change, most) for change in plan.changes[:most]],
        "before": _rules(before, most),
        "after": _rules(after, most),
        "opened": None if done is None else _rules(done[0], most),
        "closed": None
        if done is None
        else [_closed(rule, plan, most) for rule in list(done[1])[:most]],
    }
    whole: dict[str, Iterable[object]] = {
        "planned": plan.changes,
        "before": before or NOTHING,
        "after": after or NOTHING,
    }
    dropped = {
        name: count - most for name, parts in whole.items() if (count := len(tuple(parts))) > most
    }
    return {
        "name": plan.name,
        "provider": plan.provider,
        "id": plan.id,
        "status": outcome.status,
        **({"message": outcome.message[:_LONGEST_TEXT]} if outcome.message else {}),
        **lists,
        **({"truncated": dropped} if dropped else {}),
    }


def _change(change: Change, most: int) -> dict[str, Any]:
    what: dict[str, Any] = {"action": change.action}
    if change.rule is not None:
        what |= _rule(change.rule, most)
    if change.target is not None:
        what["target"] = change.target
    names = dict.fromkeys(name_of(origin) for origin in change.origins)
    if names:
        what["for"] = [name[:100] for name in list(names)[:10]]
    return {**what, "reason": change.reason[:200]}


def _closed(rule: Rule, plan: FirewallPlan, most: int) -> dict[str, Any]:
    """A rule that closed, with why: what `cloudsync history` says how to get it back by."""
    closed = RuleSet.of((rule,))
    reason = next(
        (
            c.reason
            for c in plan.changes
            if c.action == "close" and c.rule is not None and RuleSet.of((c.rule,)) & closed
        ),
        "",
    )
    refusals = [refusal for refusal in plan.refused if _touches(refusal, rule)]
    names = dict.fromkeys(name_of(origin) for refusal in refusals for origin in refusal.origins)
    return {
        **_rule(rule, most),
        "reason": reason[:200],
        **({"codes": sorted({refusal.code for refusal in refusals})} if refusals else {}),
        **({"of": [name[:100] for name in list(names)[:10]]} if names else {}),
    }


def _touches(refused: Refused, rule: Rule) -> bool:
    try:
        return bool(
            RuleSet.of((Rule.of(refused.protocol, refused.ports, rule.sources),))
            & RuleSet.of((rule,))
        )
    except ValueError:
        return False


def _rules(rules: Iterable[Rule] | None, most: int) -> list[dict[str, Any]] | None:
    return None if rules is None else [_rule(rule, most) for rule in list(rules)[:most]]


def _rule(rule: Rule, most: int) -> dict[str, Any]:
    cidrs = rule.sources.cidrs()
    shown: dict[str, Any] = {
        "protocol": rule.protocol,
        "ports": rule.ports,
        "sources": list(cidrs[:most]),
    }
    return shown if len(cidrs) <= most else {**shown, "further_sources": len(cidrs) - most}
