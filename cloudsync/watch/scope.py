"""What the next run of `watch` is about: everything, or the firewalls of the hosts where something
happened. Pure.

| what happened                                                 | the run is about             |
|---------------------------------------------------------------|------------------------------|
| the interval is over, a held rule may close, another try      | everything                   |
| a firewall was flushed, the configuration changed             | everything                   |
| events at hosts that the last run about everything read       | what they feed, and its ties |
| - one of these hosts is in a Swarm: others know what it needs | everything                   |
| - one of these firewalls was in trouble: is it over?          | everything                   |
| - and that is every firewall there is                         | everything                   |

A run about some firewalls reads every host of each of them, so that it decides each as a run about
everything would.
"""

from __future__ import annotations

from dataclasses import replace

from cloudsync import exit_codes
from cloudsync.model.outcome import Report
from cloudsync.model.plan import Plan
from cloudsync.planning.ties import Ties, ties_of
from cloudsync.rules.frozen import dataclass

EVERYTHING: tuple[str, ...] = ()
"""As in `Options.firewalls`."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the last runs say of how things stand."""

    ties: Ties | None = None
    """Of the last run about everything; None: the next one must be about everything."""
    trouble: frozenset[str] = frozenset()
    """The firewalls that the last run about each of them left in trouble."""

    def after(self, report: Report | None, firewalls: tuple[str, ...]) -> Outlook:
        """After a run about these firewalls. Trouble that is no firewall's own (the state, a
        network) leaves nothing to go by. A label that does not parse is the trouble of the
        firewalls that its host feeds."""
        trouble = None if report is None else _trouble(report)
        if report is None or trouble is None:
            return Outlook()
        if firewalls == EVERYTHING:
            return Outlook(ties_of(report.plan), trouble)
        return replace(self, trouble=(self.trouble - set(firewalls)) | trouble)

    def elsewhere(self, firewalls: tuple[str, ...]) -> bool:
        """Whether a run about these firewalls leaves others in trouble."""
        return firewalls != EVERYTHING and bool(self.trouble - set(firewalls))

    def scope(self, hosts: frozenset[str], swarm: frozenset[str]) -> tuple[str, ...]:
        """The firewalls to look at after events at these hosts. `swarm`: hosts that are members of
        one."""
        if self.ties is None or not hosts:
            return EVERYTHING
        names = self.ties.affected(hosts)
        if names is None or names & self.trouble or len(names) == len(self.ties.groups):
            return EVERYTHING
        return EVERYTHING if self.ties.feeding(names) & swarm else tuple(sorted(names))


def _trouble(report: Report) -> frozenset[str] | None:
    """The firewalls in trouble after a run; None if it cannot be said which they are."""
    if exit_codes.of_report(report) == exit_codes.DONE:
        return frozenset()
    plan = report.plan
    if report.busy or report.moved is not None or report.interrupted is not None:
        return None
    if any(network.status.status != "complete" for network in plan.networks):
        return None
    feeding = frozenset(host for firewall in plan.firewalls for host in firewall.hosts)
    if not plan.malformed_on <= feeding:
        return None
    trouble = _in_plan(plan) | {
        outcome.firewall
        for outcome in report.outcomes
        if outcome.status not in ("done", "unchanged")
    }
    return trouble or None


def _in_plan(plan: Plan) -> frozenset[str]:
    unread = {host for host, status in plan.hosts if status.status != "complete"}
    unread |= plan.malformed_on
    return frozenset(
        firewall.name
        for firewall in plan.firewalls
        if firewall.read.status != "complete" or unread & set(firewall.hosts)
    ) | {guard.firewall for guard in plan.guards}
