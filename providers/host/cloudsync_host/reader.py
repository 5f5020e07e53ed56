"""Reading: one call a machine, several machines side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import field

from cloudsync.provider.contract import (
    Absent,
    Account,
    Attachment,
    Description,
    FirewallSpec,
    Kept,
    Machine,
    Observation,
    Pending,
    Present,
    Unreadable,
)
from cloudsync.provider.errors import ProviderError, Transient
from cloudsync.provider.machines import Fleet
from cloudsync.provider.retry import retried
from cloudsync.rules.frozen import dataclass
from cloudsync_host.address import destination_of
from cloudsync_host.elements import vendor_rule
from cloudsync_host.exposure import fleet
from cloudsync_host.kernel import Kernel
from cloudsync_host.listing import Table
from cloudsync_host.machine import Seen, look_before_dropping, unfiltered
from cloudsync_host.native import Observed
from cloudsync_host.settings import address_of, settings_of
from cloudsync_host.tracing import would_be_cut

_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class HostReader:
    """Reads tables; holds nothing that could write. `_seen`: what `read` saw, for exposure."""

    account: Account
    _seen: dict[str, Seen] = field(default_factory=dict)

    def read(self, specs: Sequence[FirewallSpec]) -> Mapping[str, Observation]:
        """Every machine once."""
        if len(specs) == 1:  # a thread would take as long as the translation of a short list
            return {specs[0].name: self._observe(specs[0])}
        with ThreadPoolExecutor(min(_AT_ONCE, max(len(specs), 1)), "kernel") as pool:
            return dict(
                zip((spec.name for spec in specs), pool.map(self._observe, specs), strict=True)
            )

    def read_machines(self, specs: Sequence[FirewallSpec]) -> Fleet:
        """The machines behind the firewalls that were read, out of the same answers."""
        return fleet([spec for spec in specs if spec.name in self._seen], self._seen)

    def _observe(self, spec: FirewallSpec) -> Observation:
        try:
            seen = look_at(spec, self.account.deadline)
        except ProviderError as error:
            return Unreadable(error)
        self._seen[spec.name] = seen
        observed = Observed(seen, settings_of(spec))
        if seen.table is None:
            return Absent(attachments=_attachments(spec, observed), native=observed)
        return _present(spec, seen.table, observed)


def look_at(spec: FirewallSpec, deadline: float) -> Seen:
    """The machine of a firewall. Raises `ProviderError`."""
    address, settings = address_of(spec), settings_of(spec)
    if not address:
        raise ProviderError(
            f"it is not known which machine {spec.name} is about: the host's engine is neither a "
            f'socket of this machine nor ssh://; set firewalls.{spec.name}.address = "ssh://user@host"'
        )
    kernel = Kernel(destination_of(address), deadline)
    seen = retried(
        lambda: look_before_dropping(kernel, settings),
        deadline=deadline,
        safe=lambda error: error.temporary,
    )
    if settings.interfaces == "uplinks" and not seen.uplinks:
        raise Transient(
            f"{kernel.where} has no default route now, so no interface is an uplink; if that is "
            f"right, list what to filter: firewalls.{spec.name}.interfaces"
        )
    return seen


def _present(spec: FirewallSpec, table: Table, observed: Observed) -> Present:
    return Present(
        id=f"inet cloudsync on {address_of(spec)}",
        rules=table.rules,
        marker=table.marker,
        listed=tuple(rule for element in table.elements for rule in element.rules),
        attachments=_attachments(spec, observed),
        kept=(*map(Kept, table.strangers), *_peers(spec)),
        pending=_pending(spec, table, observed),
        described=tuple(
            Description(element.rules, element.comment)
            for element in table.elements
            if element.comment
        ),
        native=observed,
        objects=tuple(map(vendor_rule, table.elements)),
    )


def _peers(spec: FirewallSpec) -> tuple[Kept, ...]:
    return tuple(
        Kept(f"every protocol from {network} (peers)") for network in settings_of(spec).peers
    )


def _attachments(spec: FirewallSpec, observed: Observed) -> tuple[Attachment, ...]:
    """A table that drops is attached to its machine; one that only observes is not."""
    settings = settings_of(spec)
    if settings.enforce == "observe":
        return ()
    name = spec.hosts[0] if spec.hosts else spec.name
    machine = Machine(name, name, protected=observed.enforced, kind="machine")
    covered = () if observed.enforced else (machine,)
    table = observed.seen.table
    reason = None
    if table is not None and table.observes:
        reason = f"{name} only observes: everything on it is open now; {would_be_cut(table)}"
    if links := unfiltered(settings, observed.seen.uplinks):
        left_open = f"what comes in by {' or '.join(links)}, its default route, is not filtered"
        reason = f"{reason}; {left_open}" if reason else f"on {name} {left_open}"
    attachments = [Attachment(machine.target, observed.enforced, covered, reason=reason)]
    if observed.enforced and observed.filters_more:
        shape = observed.shape(enforced=True)
        names = "all but loopback, bridges and trusted ones"
        if shape.filtered is not None:
            names = ", ".join(shape.filtered)
        attachments.append(
            Attachment(
                f"interfaces of {name}",
                attached=False,
                reason=f"{name} filters other interfaces than before: {names}; every port that is "
                f"not listed here closes on those that are new",
            )
        )
    return tuple(attachments)


def _pending(spec: FirewallSpec, table: Table, observed: Observed) -> tuple[Pending, ...]:
    settings, drift = settings_of(spec), observed.drift
    name = spec.hosts[0] if spec.hosts else spec.name
    pending = []
    if table.trial is not None:
        pending.append(_of_trial(table.trial.seconds))
    if settings.enforce == "observe" and observed.enforced:
        reason = 'enforce = "observe": nothing is dropped from now on, everything opens'
        pending.append(Pending(f"machine {name}", reason, lifts=True))
    if drift and not observed.filters_more:
        reason = f"not as the configuration wants it: {', '.join(drift)}"
        pending.append(Pending("table inet cloudsync", reason, lifts=not observed.drift_closes))
    elif not drift and not pending and not observed.is_saved:
        reason = "the next boot would not load what is in effect now"
        pending.append(Pending(f"file {settings.save}", reason, lifts=True))
    return tuple(pending)


def _of_trial(seconds: int) -> Pending:
    if seconds:
        reason = (
            f"another run's trial goes on for {seconds} s: `cloudsync confirm` keeps it, an apply "
            f"ends it"
        )
        return Pending("trial", reason)
    reason = "a trial was not confirmed and the kernel rolled it back; what it left is removed"
    return Pending("trial", reason, lifts=True)
