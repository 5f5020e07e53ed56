"""What the plugin is: capabilities, settings, and how it plans. Starts no program.

One firewall is the table `inet cloudsync` of one machine. Any change of its allow-list is one
transaction of the kernel. Dropping what the list does not name is what attaching is elsewhere: a
table that only observes is created first and put into effect by a step of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from cloudsync.provider.contract import (
    API_VERSION,
    Absent,
    Account,
    AccountModel,
    Capabilities,
    FirewallModel,
    FirewallSpec,
    Keeper,
    Present,
    Progress,
    Reader,
    Refusal,
    Step,
    StepKind,
    Target,
    Touched,
    Writer,
)
from cloudsync.provider.marker import Marker
from cloudsync.provider.phrases import count
from cloudsync.provider.settings import AccountSettings
from cloudsync_host.address import LOCAL
from cloudsync_host.elements import (
    Element,
    UnknownElement,
    comment_of,
    elements_of,
    key_of,
    settled,
    vendor_rule,
)
from cloudsync_host.listing import Table
from cloudsync_host.native import Change, Observed
from cloudsync_host.settings import HostFirewall, address_of, settings_of
from cloudsync_host.transaction import Goal
from cloudsync_host.ways_in import no_server, shuts_out

if TYPE_CHECKING:
    from cloudsync.provider.access import Access
    from cloudsync.provider.init import Starter
    from cloudsync.provider.trace import Trace


class HostProvider:
    """nftables on the machine itself."""

    api_version: ClassVar[str] = API_VERSION
    type: ClassVar[str] = "host"
    sdk: ClassVar[str | None] = None
    extra: ClassVar[str | None] = None
    account_settings: ClassVar[AccountModel] = AccountSettings
    firewall_settings: ClassVar[FirewallModel] = HostFirewall
    capabilities: ClassVar[Capabilities] = Capabilities(
        protocols=None,
        icmp_types=True,
        private_is_public=False,
        attaches=True,
        descriptions=True,
        all_protocols=True,
        at_once=8,
        notes=(
            (
                "needs nft on the machine, and root or CAP_NET_ADMIN, for reading too",
                "over ssh `sudo -n nft`, nothing is installed there",
            ),
            (
                "ICMP errors, neighbour discovery, DHCP and replies always pass",
                "a network does not work without them; echo is a rule (policy.icmp)",
            ),
            (
                "a change is on trial until a new connection confirms it",
                'unattended runs set confirm = "off"',
            ),
        ),
    )

    @property
    def starter(self) -> Starter:
        """What `cloudsync init` asks."""
        from cloudsync_host.init import STARTER

        return STARTER

    def identity(self, spec: FirewallSpec) -> str:
        """The machine."""
        return address_of(spec) or f"host {', '.join(spec.hosts)}"

    def endpoint(self, account: Account) -> str:  # noqa: ARG002 - the contract's signature
        """The kernels of the machines."""
        return "nftables"

    def is_here(self, spec: FirewallSpec) -> bool:
        """Whether the firewall is this machine's: the login of the person who runs this may go
        through it."""
        return address_of(spec) == LOCAL

    def plan_steps(self, observed: Present | Absent, target: Target) -> tuple[Step, ...] | Refusal:
        """Create and observe, then enforce; else one transaction for everything that differs."""
        native = observed.native
        if not isinstance(native, Observed):
            raise TypeError("an observation of another provider")
        try:
            elements = _elements(native, observed, target)
        except UnknownElement as error:
            return Refusal(f"{error}: nftables cannot express it")
        if target.attach and (refusal := _lockout(native, target)) is not None:
            return refusal
        if native.seen.table is None:
            return _creating(native, target, elements)
        return _changing(native, native.seen.table, target, elements)

    def check_access(self, account: Account, specs: Sequence[FirewallSpec]) -> Sequence[Access]:
        """Asked of each machine without a write."""
        from cloudsync_host.access import check

        return check(account, specs)

    def open_reader(self, account: Account) -> Reader:
        """Nothing to log in to."""
        from cloudsync_host.reader import HostReader

        return HostReader(account)

    def open_writer(self, account: Account) -> Writer:
        """Nothing to log in to."""
        from cloudsync_host.writer import HostWriter

        return HostWriter(account)

    def confirm_trial(
        self, account: Account, spec: FirewallSpec, environ: Mapping[str, str]
    ) -> str | None:
        """Keep a change that is on trial; None where there is none. Raises `ProviderError`."""
        from cloudsync_host.confirming import confirm_trial

        return confirm_trial(account, spec, environ)

    def read_trace(self, account: Account, specs: Sequence[FirewallSpec]) -> Mapping[str, Trace]:
        """What each table stopped, or would stop, and which elements nobody came by."""
        from cloudsync_host.tracing import read_trace

        return read_trace(account, specs)

    def keep(self, spec: FirewallSpec, notice: Progress) -> Keeper | None:
        """Put a flushed table of this machine back within milliseconds."""
        from cloudsync_host.keeping import keeper

        return keeper(spec, notice)


def _elements(native: Observed, observed: Present | Absent, target: Target) -> tuple[Element, ...]:
    """Raises `UnknownElement`."""
    present = native.seen.table.elements if native.seen.table is not None else ()
    if target.release:
        return present
    written = (
        element
        for rule in target.rules
        for element in elements_of(rule, comment_of(target.describe(rule)))
    )
    return settled(present, target.rules, written, _ours(observed))


def _ours(observed: Present | Absent) -> frozenset[str]:
    """Keys of the elements that cloudsync remembers to have made."""
    rules = observed.vendor_rules if isinstance(observed, Present) else ()
    return frozenset(rule.key for rule in rules if rule.ours)


def _lockout(native: Observed, target: Target) -> Refusal | None:
    """Why nobody could log in any more once the rest is dropped."""
    ways, where = native.seen.ways_in, _where(target.spec)
    if ways is None:
        return None
    if (problem := no_server(ways, target.ssh)) is not None:
        return Refusal(
            f"{problem}, {where}: nobody could log in once the rest is dropped. Let [ssh] name the "
            f"port that the SSH server listens on, or start it",
            guard="no-ssh-server",
        )
    if (problem := shuts_out(ways, target.rules, native.settings.peers)) is not None:
        return Refusal(problem, guard="own-ssh")
    return None


def _creating(native: Observed, target: Target, elements: tuple[Element, ...]) -> tuple[Step, ...]:
    goal = Goal(elements, native.shape(enforced=False), target.spec.marker)
    created = _change(native, target, goal, before=None)
    where = _where(target.spec)
    steps = [
        Step(
            f"create the table inet cloudsync {where} with "
            f"{count(len(elements), 'element')}; it drops "
            f"nothing yet",
            StepKind.REPLACE,
            target.rules,
            native=created,
        )
    ]
    if target.attach:
        enforcing = replace(goal, shape=native.shape(enforced=True))
        change = _change(native, target, enforcing, before=elements, owner=target.spec.marker)
        steps.append(_enforcing(change, target))
    return tuple(steps)


def _changing(
    native: Observed, table: Table, target: Target, elements: tuple[Element, ...]
) -> tuple[Step, ...] | Refusal:
    marker = None if target.release else target.marker or table.marker
    # Chains that would close more wait with everything else that closes (law 1).
    postponed = native.drift_closes and not target.reapply and not target.attach
    rules_only = bool(native.drift) and (target.release or postponed)
    drift = () if rules_only else native.drift
    if table.has_strangers_in(drift):
        return Refusal(
            f"the table inet cloudsync {_where(target.spec)} has rules of somebody else in chains "
            f"that must be rewritten ({', '.join(drift)}); take them out (nft -a list table inet "
            f"cloudsync; nft delete rule inet cloudsync CHAIN handle N) and plan again"
        )
    enforces = settings_of(target.spec).enforce == "enforce"
    entering = bool(target.attach) and not native.enforced
    stays = native.enforced and (enforces or rules_only or target.release)
    goal = Goal(elements, native.shape(enforced=stays), marker)
    steps = []
    change = _change(native, target, goal, before=table.elements, owner=table.marker)
    change = replace(change, rules_only=rules_only)
    judged = set(elements) != set(table.elements) or bool(drift)
    if stays and judged and not rules_only:
        change = replace(change, trial=settings_of(target.spec).trial_seconds)
    if (step := _step(native, table, target, change, entering=entering)) is not None:
        steps.append(step)
    if entering:
        enforced = replace(goal, shape=native.shape(enforced=True))
        steps.append(
            _enforcing(_change(native, target, enforced, before=elements, owner=marker), target)
        )
    return tuple(steps)


def _step(
    native: Observed, table: Table, target: Target, change: Change, *, entering: bool
) -> Step | None:
    """What comes before enforcing; None where that is all there is to do."""
    where = _where(target.spec)
    before, after = set(table.elements), set(change.goal.elements)
    opened, closed = len(after - before), len(before - after)
    loosened = native.enforced and not change.goal.shape.enforced
    attaches = () if entering else tuple(attachment.target for attachment in target.attach)
    words = []
    if opened or closed:
        words.append(f"add {opened} and remove {closed} elements of inet cloudsync {where}")
    if native.drift and not change.rules_only:
        words.append(f"rewrite {', '.join(native.drift)} of inet cloudsync {where}")
    if loosened:
        words.append(f"drop nothing any more {where}")
    if table.in_trial:
        words.append(f"end the trial {where}")
    kind = StepKind.REPLACE if words else StepKind.MARK
    if target.release:
        words.append(f"take the owner marker off inet cloudsync {where}")
    elif table.marker != change.goal.marker:
        words.append(f"write the owner marker into inet cloudsync {where}")
    if not words and (entering or native.is_saved):
        return None
    if not words:
        words.append(f"save inet cloudsync {where} for the next boot")
    trial = f", on trial for {change.trial} s" if change.trial is not None else ""
    touches = () if target.release else _touches(table, change, target)
    return Step("; ".join(words) + trial, kind, target.rules, attaches, change, touches=touches)


def _touches(table: Table, change: Change, target: Target) -> tuple[Touched, ...]:
    """Elements that go. Elements must not overlap: one that a wider one takes in goes too."""
    staying = set(change.goal.elements)
    labels = {rule.key: rule.label for rule in map(vendor_rule, table.elements)}
    touched = []
    for element in table.elements:
        if element in staying:
            continue
        key = key_of(element)
        if target.rules.covers(element.rules):
            reason = "rewritten together with what is next to it; elements must not overlap"
            touched.append(Touched(labels[key], "rewrites", reason, key, counts=False))
        else:
            touched.append(Touched(labels[key], "deletes", "some of what it lets in closes", key))
    return tuple(touched)


def _enforcing(change: Change, target: Target) -> Step:
    seconds = settings_of(target.spec).trial_seconds
    trial = f", on trial for {seconds} s" if seconds is not None else ""
    return Step(
        f"drop what the list does not name {_where(target.spec)}{trial}",
        StepKind.ATTACH,
        target.rules,
        tuple(attachment.target for attachment in target.attach),
        replace(change, trial=seconds),
    )


def _change(
    native: Observed,
    target: Target,
    goal: Goal,
    *,
    before: tuple[Element, ...] | None,
    owner: Marker | None = None,
) -> Change:
    return Change(
        address=address_of(target.spec),
        goal=goal,
        before=before,
        owner=owner,
        save=native.settings.saved_file,
        ssh=target.ssh,
    )


def _where(spec: FirewallSpec) -> str:
    address = address_of(spec)
    return "on this machine" if address == LOCAL else f"on {address.removeprefix('ssh://')}"
