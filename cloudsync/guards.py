"""The refusals: small pure functions that say what they saw, what they fear and how to go on.

A guard that withholds `closings` lets the openings of its firewall go on; one that withholds the `firewall` leaves all of
it undone. Other firewalls are never touched by it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from cloudsync.plan import Granted, Guard, Standing
from cloudsync.provider.contract import Absent, Attachment, Present, Refusal, Step, StepKind
from cloudsync.provider.marker import Marker
from cloudsync.rules import NOTHING, RuleSet

_MANY = 5


def ownership(name: str, observed: Present | Absent, wanted: Marker, granted: Granted) -> Guard | None:
    """Law of design 5.3: two owners never share a firewall; an unmarked one, or one of other hosts, waits for `--adopt`."""
    if isinstance(observed, Absent) or observed.marker == wanted:
        return None
    found = observed.marker
    if found is not None and found.owner != wanted.owner:
        return Guard(
            "foreign-owner",
            name,
            "firewall",
            f'the firewall at the vendor ({observed.id}) belongs to the owner "{found.owner}", not to "{wanted.owner}": nothing of it is '
            f"touched. Give this one another name, or have the other owner release it",
        )
    if name in granted.adopt:
        return None
    go_on = f"If it is right that this configuration takes it over, pass --adopt {name}"
    if found is None:
        message = (
            f"the firewall exists at the vendor ({observed.id}) without the mark of cloudsync: somebody made it by hand, and rules "
            f"nobody here asks for would close. {go_on}"
        )
        return Guard("ownership", name, "firewall", message)
    if found.firewall != wanted.firewall:
        message = f'the firewall at the vendor ({observed.id}) is managed as "{found.firewall}" of the same owner. {go_on}'
        return Guard("ownership", name, "firewall", message)
    message = (
        f"the firewall at the vendor ({observed.id}) was last managed for another set of hosts (digest {found.hosts}, here "
        f"{wanted.hosts}): another machine may be managing it for itself, or the hosts of this configuration changed. {go_on}"
    )
    return Guard("host-digest", name, "firewall", message)


def adopting(observed: Present | Absent, wanted: Marker) -> str | None:
    """Why the marker has to be written onto an existing firewall; None where it carries the right one."""
    if isinstance(observed, Absent) or observed.marker == wanted:
        return None
    if observed.marker is None:
        return "takes over a firewall that cloudsync did not create"
    if observed.marker.firewall != wanted.firewall:
        return f'takes over what was managed as "{observed.marker.firewall}"'
    return "takes over from another set of hosts"


def attaching(name: str, attach: Sequence[Attachment], granted: Granted) -> Guard | None:
    """Law 1: to put an open machine under a firewall closes everything not desired on it; it needs the user's word."""
    machines = {m.id: m.name for attachment in attach for m in attachment.newly_covered if not m.protected}
    if not machines or name in granted.allow_attach:
        return None
    names = list(machines.values())
    shown = ", ".join(names[:_MANY]) + (f" and {len(names) - _MANY} more" if len(names) > _MANY else "")
    return Guard(
        "attach",
        name,
        "firewall",
        f"{shown} would newly come under this firewall and is under none now: every port that is not listed here would close on it. "
        f"If the list is complete, pass --allow-attach {name}",
    )


def max_close(name: str, closing: RuleSet, limit: int, granted: Granted) -> Guard | None:
    """More closings at once than `policy.max_close` look like a mistake until the user names the number."""
    count = len(tuple(closing))
    if count <= limit or (granted.allow_close is not None and granted.allow_close >= count):
        return None
    return Guard(
        "max-close",
        name,
        "closings",
        f"{count} rules would close, more than policy.max_close = {limit}: a mistake in the configuration or on a host would "
        f"look like this. The openings go on. If all of them are right, pass --allow-close {count}",
    )


def foreign(name: str, standing: Standing, keep: RuleSet, attaching: Collection[str]) -> Guard | None:
    """`policy.foreign = "fail"`: nothing closes, and the run fails, while other firewalls leave open what nobody wants, or nobody knows
    whether they do. `keep`: what is let through. `attaching`: targets of machines that come under this firewall by this very plan."""
    problems = []
    if standing.read is None:
        problems.append("this provider does not tell what acts on machines")
    elif standing.read.status != "complete":
        problems.append(standing.read.reason or standing.read.status)
    for machine in standing.machines:
        problems += [f"{machine.machine}: {text}" for text in machine.unknown]
        problems += [
            f"{one.rule} on {machine.machine} ({one.through})"
            for one in machine.beyond
            if RuleSet.of((one.rule,)) - keep and (one.firewall is not None or machine.target not in attaching)
        ]
    if not problems:
        return None
    shown = "; ".join(problems[:_MANY]) + (f" and {len(problems) - _MANY} more" if len(problems) > _MANY else "")
    return Guard(
        "foreign",
        name,
        "closings",
        f'beyond this firewall, policy.foreign = "fail": {shown}. The openings go on. Take what is not wanted out of those firewalls, or '
        f"allow it in the configuration; cloudsync exposure shows all of it",
    )


def ssh_moved(name: str, last: RuleSet | None, closing: RuleSet, granted: Granted) -> Guard | None:
    """Law 2: an SSH port or source of the last applied plan closes only with the user's word."""
    lost = NOTHING if last is None else last & closing
    if not lost or granted.ssh_moved:
        return None
    rules = ", ".join(str(rule) for rule in lost)
    return Guard(
        "ssh-moved",
        name,
        "firewall",
        f"SSH that the last apply declared would close: {rules}. If you can log in by what [ssh] declares now, pass --ssh-moved",
    )


def unsupported(name: str, steps: tuple[Step, ...] | Refusal) -> Guard | None:
    """Law 7: what the provider cannot express or fit is refused, never rounded."""
    return Guard("unsupported", name, "firewall", steps.reason) if isinstance(steps, Refusal) else None


def lawful_steps(name: str, before: RuleSet, after: RuleSet, ssh: RuleSet, steps: Sequence[Step]) -> Guard | None:
    """Laws 2 and 3 over the steps of a provider, checked before the first write."""
    problem = _unlawful(before, after, ssh, steps)
    if problem is None:
        return None
    rule, text = problem
    return Guard(
        rule,
        name,
        "firewall",
        f"the provider's steps are refused: {text}. This is a defect of the provider plugin; please report it",
    )


def _unlawful(before: RuleSet, after: RuleSet, ssh: RuleSet, steps: Sequence[Step]) -> tuple[str, str] | None:
    lowest, highest = before & after, before | after
    now = before
    for step in steps:
        if not step.after.covers(ssh & before):
            return "ssh", f'"{step.summary}" would close SSH'
        closes = bool(now - step.after)
        safe = step.after.covers(ssh) if step.kind is StepKind.REPLACE else now.covers(ssh)
        if (closes or step.attaches) and not safe:
            return "ssh", f'"{step.summary}" would close or attach before SSH is open'
        if not step.after.covers(lowest):
            return "steps", f'"{step.summary}" would close for a moment what stays wanted'
        if not highest.covers(step.after):
            return "steps", f'"{step.summary}" would open for a moment what nobody wants'
        if step.kind is StepKind.WIDEN and closes:
            return "steps", f'"{step.summary}" says it widens, but closes'
        if step.kind in (StepKind.NARROW, StepKind.ATTACH, StepKind.MARK) and step.after - now:
            return "steps", f'"{step.summary}" says it is a {step.kind}, but opens'
        if step.kind in (StepKind.ATTACH, StepKind.MARK) and closes:
            return "steps", f'"{step.summary}" says it is a {step.kind}, but closes'
        now = step.after
    if now != after:
        return "steps", "they do not end where the plan ends"
    return None
