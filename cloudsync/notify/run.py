"""A run of `apply` or `watch` that ended, and what it came to in figures and in one sentence."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from cloudsync import exit_codes
from cloudsync.model.outcome import Report
from cloudsync.provider.phrases import count
from cloudsync.render.escape import plain
from cloudsync.render.result import changes
from cloudsync.render.words import message
from cloudsync.rules.frozen import dataclass

Command = Literal["apply", "watch"]
ErrorKind = Literal[
    "configuration",
    "firewall",
    "guard",
    "host",
    "internal",
    "interrupted",
    "locked",
    "malformed-label",
    "network",
    "not-approved",
    "state",
    "write",
]
ERROR_KINDS: dict[ErrorKind, str] = {
    "configuration": (
        "a changed configuration file could not be used (watch goes on with the old one)"
    ),
    "firewall": "a firewall could not be read",
    "guard": "a guard refused something",
    "host": "a host could not be read completely",
    "internal": "a bug of cloudsync or of a provider plugin",
    "interrupted": "a signal stopped the run",
    "locked": "another run held the lock",
    "malformed-label": "the labels of a container do not parse",
    "network": "a network of [networks] could not be read",
    "not-approved": "the plan was not the approved one any more, or a person said no",
    "state": "the state directory could not be used",
    "write": "a write to a firewall failed, or it is unknown whether it took effect",
}
_CAUSES = 3
_CHANGES = 5


@dataclass(frozen=True, slots=True)
class Run:
    """A run that ended. `started`: Unix seconds. `code`: its exit code (decision 0007). `report` is
    None where it ended before there was one; then `error` says why and `kind` of what sort it
    is."""

    owner: str
    """Of the configuration."""
    command: Command
    """Which one ran."""
    started: float
    seconds: float
    """How long it took."""
    code: int
    report: Report | None = None
    error: str | None = None
    kind: ErrorKind | None = None
    firewalls: tuple[str, ...] = ()
    """It was about these alone, since something happened at their hosts; empty: about all that the
    service looks after."""
    elsewhere: bool = False
    """Other firewalls were left in trouble by an earlier run, so that its success says nothing of
    the whole."""

    @property
    def succeeded(self) -> bool:
        return self.code == exit_codes.DONE

    @property
    def well(self) -> bool:
        """Whether all is well after it, as far as known."""
        return self.succeeded and not self.elsewhere

    @property
    def skipped(self) -> bool:
        """Whether another run was at work, so that this one says nothing of how things stand."""
        return self.code == exit_codes.LOCKED

    @property
    def changed(self) -> tuple[str, ...]:
        """The firewalls that are not what they were before, as far as known."""
        outcomes = self.report.outcomes if self.report is not None else ()
        return tuple(
            outcome.firewall
            for outcome in outcomes
            if outcome.status == "done" or outcome.opened or outcome.closed
        )

    @property
    def opened(self) -> int:
        return (
            sum(outcome.opened for outcome in self.report.outcomes)
            if self.report is not None
            else 0
        )

    @property
    def closed(self) -> int:
        return (
            sum(outcome.closed for outcome in self.report.outcomes)
            if self.report is not None
            else 0
        )

    def errors(self) -> Counter[ErrorKind]:
        """What went wrong, by kind."""
        counts: Counter[ErrorKind] = Counter()
        if self.kind is not None:
            counts[self.kind] += 1
        if (report := self.report) is None:
            return counts
        if report.moved is not None or report.declined:
            counts["not-approved"] += 1
        counts["host"] += sum(status.status != "complete" for _, status in report.plan.hosts)
        counts["network"] += sum(
            network.status.status != "complete" for network in report.plan.networks
        )
        counts["malformed-label"] += len(report.plan.malformed)
        counts["firewall"] += sum(
            firewall.read.status != "complete" for firewall in report.plan.firewalls
        )
        counts["guard"] += len(report.plan.guards)
        counts["write"] += sum(
            outcome.status in ("failed", "unknown") for outcome in report.outcomes
        )
        return +counts

    def sentence(self) -> str:
        """`web: opened 443/tcp (shop/web); exit 75: db-1 could not be read completely: …`, harmless
        to show anywhere."""
        phrases = []
        if self.report is not None:
            phrases += [plain(phrase, 600) for phrase in changes(self.report)[:_CHANGES]]
            if (unnamed := len(self.changed) - _CHANGES) > 0:
                phrases.append(f"and {count(unnamed, 'more firewall')} changed")
        if not self.succeeded:
            causes = self.causes() or ["see the log"]
            more = f" (and {len(causes) - _CAUSES} more)" if len(causes) > _CAUSES else ""
            phrases.append(
                f"exit {self.code}:"
                f" {'; '.join(message(cause, 500) for cause in causes[:_CAUSES])}{more}"
            )
        return "; ".join(phrases) or "nothing to do"

    def causes(self) -> list[str]:
        """Why the run did not succeed, a sentence each."""
        if self.error is not None:
            return [self.error]
        if (report := self.report) is None:
            return []
        if report.moved is not None:
            return [f"not the approved plan any more: {report.moved}"]
        if report.declined:
            return ["a person said no"]
        causes = [
            f"{outcome.firewall}: {outcome.message or outcome.status}"
            for outcome in report.outcomes
            if outcome.status in ("failed", "unknown")
        ]
        causes += [f"{guard.firewall}: {guard.id}: {guard.message}" for guard in report.plan.guards]
        causes += [f"malformed label: {text}" for text in report.plan.malformed]
        causes += [
            f"{f.name} was not read: {f.read.reason}"
            for f in report.plan.firewalls
            if f.read.status != "complete"
        ]
        causes += [
            f"{name} could not be read completely: {s.reason}"
            for name, s in report.plan.hosts
            if s.status != "complete"
        ]
        causes += [
            f"@{network.name} could not be read: {network.status.reason}"
            for network in report.plan.networks
            if network.status.status != "complete"
        ]
        return causes
