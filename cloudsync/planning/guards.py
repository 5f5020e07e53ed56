"""The refusals: small pure functions that say what they saw, what they fear and how to go on.

A guard that withholds `closings` lets the openings of its firewall go on; one that withholds the
`firewall` leaves all of it undone. Other firewalls are never touched by it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cloudsync.model.plan import (
    Granted,
    Guard,
    Standing,
    Withholds,
)
from cloudsync.model.ports import Unpublished, name_of
from cloudsync.model.ssh_login import Login
from cloudsync.planning.login_ways import LoginWay
from cloudsync.planning.policy import Desired
from cloudsync.provider.contract import (
    Absent,
    Attachment,
    Present,
    Refusal,
    Step,
    StepKind,
    Target,
    Touched,
    VendorRule,
)
from cloudsync.provider.marker import Marker
from cloudsync.provider.phrases import count, first_of
from cloudsync.rules import NOTHING, Rule, RuleSet
from cloudsync.rules.networks import ANY

if TYPE_CHECKING:
    from cloudsync.provider.machines import ObservedMachine

GUARDS: Mapping[str, tuple[Withholds, str]] = {
    "foreign-owner": ("firewall", "the firewall at the vendor carries another owner's mark"),
    "ownership": (
        "firewall",
        "it carries no mark, or that of another firewall of the same owner; --adopt takes it over",
    ),
    "host-digest": (
        "firewall",
        "another machine manages it: it was last applied for other hosts; --adopt takes it over",
    ),
    "same-firewall": ("firewall", "two firewalls of the configuration are one at the vendor"),
    "attach": (
        "firewall",
        "a machine that is under no firewall would come under this one; --allow-attach confirms it",
    ),
    "own-ssh": ("firewall", "the SSH connection this run was started through would be shut out"),
    "no-ssh-server": (
        "firewall",
        (
            "no SSH server listens on a declared port of the machine whose own firewall would drop"
            " the rest"
        ),
    ),
    "ssh-moved": (
        "firewall",
        "SSH of the last applied plan would close; --ssh-moved confirms it",
    ),
    "ssh": ("firewall", "the provider's steps would close SSH (a defect of the provider)"),
    "steps": (
        "firewall",
        (
            "the provider's steps would open or close something for a moment (a defect of the"
            " provider)"
        ),
    ),
    "unsupported": ("firewall", "the provider cannot say, or fit, what is asked"),
    "passes-denial": (
        "firewall",
        "what a denial of others keeps out would get in; a configured priority confirms it",
    ),
    "unlisted-machines": (
        "closings",
        "it also acts on machines that are not its hosts; shared_with says they need nothing",
    ),
    "max-close": (
        "closings",
        "more would close at once than policy.max_close; --allow-close confirms it",
    ),
    "everything-would-close": (
        "closings",
        "nothing but SSH would stay open, or nothing of a host; --allow-close confirms it",
    ),
    "foreign": (
        "closings",
        (
            "other firewalls leave open what nothing requires, or what they leave open is not"
            ' known, and policy.foreign is "fail"'
        ),
    ),
}
"""Every guard: what it withholds, and what it saw."""
_MANY = 5
_SEVERAL = 2


def _refuse(id_: str, name: str, message: str) -> Guard:
    return Guard(id_, name, GUARDS[id_][0], message)


def ownership(
    name: str, observed: Present | Absent, wanted: Marker, granted: Granted
) -> Guard | None:
    """Decision 0004: two owners never share a firewall; an unmarked one, or one of other hosts,
    waits for `--adopt`."""
    if isinstance(observed, Absent) or observed.marker == wanted:
        return None
    marker = observed.marker
    if marker is not None and marker.owner != wanted.owner:
        return _refuse(
            "foreign-owner",
            name,
            f'the firewall at the vendor ({observed.id}) belongs to the owner "{marker.owner}", '
            f'not to "{wanted.owner}": nothing of it is touched. Give this one another name, or '
            "have the other owner release it",
        )
    if name in granted.adopt:
        return None
    go_on = f"If it is right that this configuration takes it over, pass --adopt {name}"
    if marker is None:
        message = (
            f"the firewall exists at the vendor ({observed.id}) without the mark of cloudsync:"
            f" it was made by hand or released, and rules that nothing here asks for would close."
            f" {go_on}"
        )
        return _refuse("ownership", name, message)
    if marker == wanted.unnamed:
        return None  # of a version whose marks did not know engines
    if marker.firewall != wanted.firewall:
        message = (
            f'the firewall at the vendor ({observed.id}) is managed as "{marker.firewall}" of the '
            f"same owner. {go_on}"
        )
        return _refuse("ownership", name, message)
    message = (
        f"another machine manages it: the firewall at the vendor ({observed.id}) was last applied "
        f"for other hosts, or another engine (digest {marker.hosts}, here {wanted.hosts}). Give "
        f"this machine a firewall with another name; --adopt {name} only if the other machine is "
        "gone, or if it is the same one and its hosts or its engine changed"
    )
    return _refuse("host-digest", name, message)


def releasing(name: str, observed: Present, wanted: Marker) -> Guard | None:
    """A mark is taken off by whom it names only: an owner, a firewall of the configuration, a set
    of hosts."""
    refusal = ownership(name, observed, wanted, Granted())
    if refusal is None:
        return None
    holder = observed.marker or wanted
    mark = f'owner "{holder.owner}", firewall "{holder.firewall}", hosts {holder.hosts}'
    message = (
        f"the firewall at the vendor ({observed.id}) carries another mark ({mark}) than this"
        " configuration writes: releasing it would take it from the configuration that manages it."
        " Release it by the configuration that manages it"
    )
    return _refuse(refusal.id, name, message)


def adopting(observed: Present | Absent, wanted: Marker) -> str | None:
    """Why the marker has to be written onto an existing firewall; None where it carries the right
    one."""
    if isinstance(observed, Absent) or observed.marker == wanted:
        return None
    if observed.marker is None:
        return "it carries no mark of cloudsync"
    if observed.marker == wanted.unnamed:
        return "its mark is to name the engine that is read here too"
    if observed.marker.firewall != wanted.firewall:
        return f'takes over what was managed as "{observed.marker.firewall}"'
    return "it served other hosts, or another engine, until now"


def attaching(
    name: str,
    attach: Sequence[Attachment],
    granted: Granted,
    unpublished: Sequence[Unpublished] = (),
) -> Guard | None:
    """Law 1: to put an open machine under a firewall closes everything not desired on it; it needs
    the user's word. `unpublished`: containers whose ports are not known, and may be cut."""
    machines = {
        m.id: m.name for attachment in attach for m in attachment.newly_covered if not m.protected
    }
    reasons = [attachment.reason for attachment in attach if attachment.reason is not None]
    if not (machines or reasons) or name in granted.allow_attach:
        return None
    if not machines:
        return _refuse(
            "attach",
            name,
            f"{'; '.join(reasons)}. {_unknown_ports(unpublished)}If the list is complete, pass"
            f" --allow-attach {name}",
        )
    names = list(machines.values())
    return _refuse(
        "attach",
        name,
        f"{first_of(names, _MANY)} {'is' if len(names) == 1 else 'are'} under no firewall now. "
        "Under this one, every port that is not listed here would close."
        f" {_unknown_ports(unpublished)}If the list is complete, pass --allow-attach {name}",
    )


def closings(rules: Sequence[VendorRule], closing: RuleSet) -> int:
    """How many rules close, as a person counts them: the vendor's rules that go or lose something,
    one with many sources once, and one for each part of `closing` that is no rule of the vendor."""
    if not closing:
        return 0
    losing = [rule for rule in rules if rule.lets_in & closing]
    rest = closing - RuleSet.union(rule.lets_in for rule in losing)
    return len({rule.counted_with or rule.key for rule in losing}) + len(tuple(rest))


def _unknown_ports(unpublished: Sequence[Unpublished]) -> str:
    """What cannot be in the list of what stays open, by name."""
    hosts = [container for container in unpublished if container.listens_here]
    own = [container for container in unpublished if container.network in ("macvlan", "ipvlan")]
    others = [container for container in unpublished if container not in (*hosts, *own)]
    sentences = (
        (
            hosts,
            (
                "on the machine's own network: what listens there is not known and would close,"
                " unless the label cloudsync.ports lists it"
            ),
        ),
        (
            own,
            (
                "with an address of their own (macvlan, ipvlan): what listens there is not known,"
                " and would close if that address is behind this firewall too"
            ),
        ),
        (others, "publishing nothing at the machine's addresses, by their network"),
    )
    return "".join(
        f"{_containers(containers)}: {what}. " for containers, what in sentences if containers
    )


def _containers(containers: Sequence[Unpublished]) -> str:
    names = [f"{name_of(c.origin)} on {c.origin.host} ({c.network})" for c in containers]
    return first_of(names, _MANY)


def max_close(name: str, closes: int, limit: int, granted: Granted) -> Guard | None:
    """More closings at once than `policy.max_close` look like a mistake until the user names the
    number. `closes`: rules that close."""
    if closes <= limit or (granted.allow_close is not None and granted.allow_close >= closes):
        return None
    return _refuse(
        "max-close",
        name,
        f"{count(closes, 'rule')} would close, more than policy.max_close = {limit}: a mistake in "
        "the configuration or on a host would look like this. The openings go on. If "
        f"{'it is' if closes == 1 else 'all of them are'} right, pass --allow-close {closes}",
    )


def rewriting(name: str, touches: int, limit: int, granted: Granted) -> Guard | None:
    """The same for vendor objects that a plan deletes, retargets or rewrites although no port
    closes by it (law 8). `touches`: see `rewritten`."""
    if touches <= limit or (granted.allow_close is not None and granted.allow_close >= touches):
        return None
    guard = _refuse(
        "max-close",
        name,
        f"{count(touches, 'rule that is', 'rules that are')} there would be deleted or rewritten, "
        f"more than policy.max_close = {limit}, although no port closes by it. If it is right, "
        f"pass --allow-close {touches}",
    )
    return replace(guard, withholds="firewall")


def rewritten(rules: Sequence[VendorRule], touched: Sequence[Touched]) -> int:
    """How many of the objects that are touched count, those of one rule with many sources once."""
    together = {rule.key: rule.counted_with or rule.key for rule in rules}
    return len({together.get(each.key, each.target) for each in touched if each.counts})


def everything_would_close(
    name: str,
    desired: Desired,
    rules: Sequence[VendorRule],
    closing: RuleSet,
    before: Mapping[str, RuleSet],
    granted: Granted,
) -> Guard | None:
    """All closings at once look like an engine that lost its containers, or like the wrong engine,
    until the user says how many are right. One rule alone is not "everything"; what a label,
    `policy.deny` or `[ssh]` closes was the user's decision already.

    `rules`: those the vendor has. `before`: what the containers of each host were last seen to
    need.
    """
    if not closing:
        return None
    ssh = RuleSet.of(Rule(rule.protocol, rule.first, rule.last, ANY) for rule in desired.ssh)
    unexplained = closing - desired.denied - desired.deliberate - ssh
    count = closings(rules, closing)
    if _ports_closing(rules, unexplained) < _SEVERAL or (
        granted.allow_close is not None and granted.allow_close >= count
    ):
        return None
    emptied = [
        host
        for host, needed in before.items()
        if not desired.engines.get(host)
        and _ports_closing(rules, needed & unexplained) >= _SEVERAL
        and unexplained.covers(needed & closing)
    ]
    if not desired.rules - desired.ssh - desired.rules.of_protocols("icmp", "icmpv6"):
        saw = "nothing but SSH would stay open"
    elif emptied:
        saw = f"everything that containers on {', '.join(emptied)} needed would close"
    else:
        return None
    return _refuse(
        "everything-would-close",
        name,
        f"{saw} ({count} {'rule' if count == 1 else 'rules'} would close): an engine that lost "
        "its containers, or the wrong engine, would look like this. The openings go on. If it is "
        f"right, pass --allow-close {count}",
    )


def _ports_closing(rules: Sequence[VendorRule], closing: RuleSet) -> int:
    """How many rules these are to a person, who tells them apart by protocol and ports: 80 and 81
    are two if the vendor has a rule for each. Neither the pieces of one wide rule nor the rules a
    vendor has for several sources, or for the two address families, are several."""
    losing = [rule.lets_in for rule in rules if rule.lets_in & closing]
    ports = {
        (piece.protocol, piece.ports)
        for lets_in in losing
        for piece in lets_in
        if RuleSet.of((piece,)) & closing
    }
    rest = closing - RuleSet.union(losing)
    return len(ports) + len(tuple(rest))


def unlisted_machines(
    name: str, machines: Sequence[ObservedMachine], closing: RuleSet
) -> Guard | None:
    """Law 1: a machine that the firewall acts on and that is not one of its hosts was not read
    either; nothing closes for it unasked."""
    if not machines or not closing:
        return None
    quoted = ", ".join(f'"{machine.name}"' for machine in machines)
    return _refuse(
        "unlisted-machines",
        name,
        (
            f"the firewall also acts on {_named(machines)}, not a host of {name}: what is needed"
            " there is not known, so nothing closes. Make it a host, or, if it needs nothing of"
            f" its own, set firewalls.{name}.shared_with = [{quoted}]"
            if len(machines) == 1
            else (
                f"the firewall also acts on {_named(machines)}, which are not hosts of {name}: what"
                " they need is not known, so nothing closes. Make them hosts, or, if they need"
                f" nothing of their own, set firewalls.{name}.shared_with = [{quoted}]"
            )
        ),
    )


def unread_machines(name: str, reason: str, closing: RuleSet) -> Guard | None:
    """The same while adopting, if the machines could not be read."""
    if not closing:
        return None
    return _refuse(
        "unlisted-machines",
        name,
        f"the machines that the firewall acts on could not be read ({reason}), so whether others "
        f"than its hosts need what would close is not known. If none do, set "
        f'firewalls.{name}.shared_with = ["*"]',
    )


def _named(machines: Sequence[ObservedMachine]) -> str:
    names = [f"{machine.name} ({machine.target})" for machine in machines]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def foreign(
    name: str, standing: Standing, keep: RuleSet, attaching: Collection[str]
) -> Guard | None:
    """`policy.foreign = "fail"`: nothing closes, and the run fails, while other firewalls leave
    open what nobody wants, or nobody knows whether they do. `keep`: what is let through.
    `attaching`: targets of machines that come under this firewall by this very plan."""
    problems = []
    if standing.read is None:
        problems.append("this provider does not report what acts on machines")
    elif standing.read.status != "complete":
        problems.append(standing.read.reason or standing.read.status)
    for machine in standing.machines:
        problems += [f"{machine.machine}: {text}" for text in machine.unknown]
        problems += [
            f"{opening.rule} on {machine.machine} ({opening.through})"
            for opening in machine.beyond
            if RuleSet.of((opening.rule,)) - keep
            and (opening.firewall is not None or machine.target not in attaching)
        ]
    if not problems:
        return None
    shown = first_of(problems, _MANY, "; ")
    return _refuse(
        "foreign",
        name,
        f'beyond this firewall, policy.foreign = "fail": {shown}. The openings go on. Take what is'
        " not wanted out of those firewalls, or allow it in the configuration; cloudsync exposure"
        " shows all of it",
    )


def own_ssh(
    name: str, login: Login | None, before: RuleSet, after: RuleSet, *, attaches: bool, here: bool
) -> Guard | None:
    """The connection a person sits on. `here`: a host of the firewall is this machine. What was
    shut already is not ours to fix."""
    if login is None or not (here and login.here) or after.covers(login.rules):
        return None
    if not (attaches or before.covers(login.rules)):
        return None
    return _refuse(
        "own-ssh",
        name,
        f"this run was started through SSH from {login.peer} to port {login.port} of this machine,"
        " and that would not be let in any more: you could be shut out. Let [ssh] name that port"
        f" and a source that covers {login.peer}, or run it from elsewhere",
    )


def own_ssh_elsewhere(
    login: Login | None, before: RuleSet, after: RuleSet, *, here: bool
) -> str | None:
    """The note where nobody can tell whether the connection goes through this firewall."""
    if (
        login is None
        or (here and login.here)
        or after.covers(login.rules)
        or not before.covers(login.rules)
    ):
        return None
    return (
        f"SSH from {login.peer} to port {login.port}, by which this run was started, would not be"
        " let in any more; it is not known whether it goes through this firewall"
    )


def same_firewall(name: str, id_: str, others: Sequence[str]) -> Guard | None:
    """Two names for one firewall would undo each other's rules for ever."""
    if not others:
        return None
    return _refuse(
        "same-firewall",
        name,
        f"{', '.join(others)} and {name} are one and the same firewall at the vendor ({id_}): each"
        " would close what the other opens. Make them one firewall of the configuration, with the"
        " hosts of both",
    )


def ssh_moved(name: str, last: RuleSet | None, closing: RuleSet, granted: Granted) -> Guard | None:
    """Law 2: an SSH port or source of the last applied plan closes only if the user confirms it."""
    lost = NOTHING if last is None else last & closing
    if not lost or granted.ssh_moved:
        return None
    rules = ", ".join(str(rule) for rule in lost)
    return _refuse(
        "ssh-moved",
        name,
        f"SSH that the last apply declared would close: {rules}. If you can log in by what [ssh] "
        "declares now, pass --ssh-moved",
    )


def ssh_of_today(
    name: str, ways: Sequence[LoginWay], unreached: Sequence[int], granted: Granted
) -> Guard | None:
    """Law 2 at the first adoption: how people log in today is not known, so what looks like it
    closes only if the user confirms it. `unreached`: declared SSH ports that nothing lets in."""
    if granted.ssh_moved or not (ways or unreached):
        return None
    saw = [f"would close: {way}" for way in ways[:_MANY]]
    if len(ways) > _MANY:
        saw.append(f"and {len(ways) - _MANY} more")
    saw += [f"tcp/{port}, declared in [ssh], is not let in from anywhere" for port in unreached]
    return _refuse(
        "ssh-moved",
        name,
        f"the way people log in today may be another than [ssh] declares; {'; '.join(saw)}. If you "
        "can log in by what [ssh] declares, pass --ssh-moved",
    )


def unsupported(name: str, steps: tuple[Step, ...] | Refusal) -> Guard | None:
    """Law 7: what the provider cannot express or fit is refused, never rounded."""
    return _refuse(steps.guard, name, steps.reason) if isinstance(steps, Refusal) else None


def passing_denials(name: str, steps: Sequence[Step]) -> Guard | None:
    """What an existing denial of others keeps out stays out until a priority says otherwise."""
    passed = list(dict.fromkeys(text for step in steps for text in step.passes_denials))
    if not passed:
        return None
    return _refuse(
        "passes-denial",
        name,
        f"denials of others would be passed: {first_of(passed, _MANY, '; ')}. If it is right, set "
        f"priority in [firewalls.{name}]; otherwise choose one that comes after theirs",
    )


def lawful_steps(
    name: str,
    before: RuleSet,
    target: Target,
    steps: Sequence[Step],
) -> Guard | None:
    """Laws 2 and 3 over the steps of a provider, checked before the first write. `before`: what
    the firewall lets in now."""
    problem = _unlawful(before, target.rules, target.ssh, steps) or _unattached(target, steps)
    if problem is None:
        return None
    rule, text = problem
    return _refuse(
        rule,
        name,
        f"the provider's steps are refused: {text}. This is a defect of the provider plugin; please"
        " report it",
    )


def _unlawful(
    before: RuleSet, after: RuleSet, ssh: RuleSet, steps: Sequence[Step]
) -> tuple[str, str] | None:
    lowest, highest = before & after, before | after
    now = before
    for step in steps:
        problem = _closes_ssh(now, step, ssh, before) or _misdeclared(now, step)
        if problem is not None:
            return problem
        if not step.after.covers(lowest):
            return "steps", f'"{step.summary}" would close for a moment what stays wanted'
        if not highest.covers(step.after):
            return "steps", f'"{step.summary}" would open for a moment what nothing requires'
        if step.attaches:
            # A machine under no firewall is open: what it is to let in must be let in by the
            # firewall from the moment on at which it comes under it.
            lowest = after
            open_then = step.after if step.kind is StepKind.REPLACE else now & step.after
            if not open_then.covers(after):
                closed = _some(after - open_then)
                early = f'"{step.summary}" would attach a machine before its rules are in effect'
                return "steps", f"{early}: {closed} would be closed there for a moment"
        now = step.after
    if now != after:
        return "steps", "they do not end where the plan ends"
    return None


def _closes_ssh(now: RuleSet, step: Step, ssh: RuleSet, before: RuleSet) -> tuple[str, str] | None:
    if not step.after.covers(ssh & before):
        return "ssh", f'"{step.summary}" would close SSH'
    safe = step.after.covers(ssh) if step.kind is StepKind.REPLACE else now.covers(ssh)
    if (step.attaches or now - step.after) and not safe:
        return "ssh", f'"{step.summary}" would close or attach before SSH is open'
    return None


def _misdeclared(now: RuleSet, step: Step) -> tuple[str, str] | None:
    """A step whose kind says something else than its rules."""
    closes, opens = bool(now - step.after), bool(step.after - now)
    if step.kind is StepKind.WIDEN and closes:
        return "steps", f'"{step.summary}" says it widens, but closes'
    if step.kind in (StepKind.NARROW, StepKind.ATTACH, StepKind.MARK) and opens:
        return "steps", f'"{step.summary}" says it is a {step.kind}, but opens'
    if step.kind in (StepKind.ATTACH, StepKind.MARK) and closes:
        return "steps", f'"{step.summary}" says it is a {step.kind}, but closes'
    return None


def _unattached(target: Target, steps: Sequence[Step]) -> tuple[str, str] | None:
    """Every attachment of the plan is some step's. A step may attach more: what was taken off by
    hand and is put back is a `reapply` in the plan."""
    wanted = {attachment.target for attachment in target.attach}
    attached = {name for step in steps for name in step.attaches}
    if missing := sorted(wanted - attached):
        return "steps", f"no step attaches {', '.join(missing)}, which the plan shows"
    return None


def _some(rules: RuleSet) -> str:
    return first_of(rules, _MANY)
