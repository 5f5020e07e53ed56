"""Whose a VPC rule is: by whom it is for, not by its name.

| a rule                                                           | is                            |
|------------------------------------------------------------------|-------------------------------|
| for other machines (targets, network), some destinations, or     | somebody else's               |
| outbound                                                         |                               |
| with this firewall's marker                                      | the firewall's                |
| with another firewall's marker, under a name that ours are given | the firewall's (a guard asks) |
| with another firewall's marker                                   | somebody else's               |
| without a marker, with the prefix, enabled                       | the firewall's (a guard asks) |
| without a marker, disabled or with another name                  | somebody else's               |

Somebody else's rules are left alone, their names are avoided, and what they let in on the
firewall's machines is reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cloudsync.provider.answers import printable
from cloudsync.provider.contract import FirewallSpec
from cloudsync.provider.errors import Unsupported
from cloudsync.provider.marker import Marker
from cloudsync.provider.phrases import first_of
from cloudsync.rules import RuleSet
from cloudsync_gcp import denials, provider
from cloudsync_gcp.names import given_prefix, has_prefix, is_generated
from cloudsync_gcp.native import Firewall, Owned
from cloudsync_gcp.settings import GcpFirewall
from cloudsync_gcp.vpc_rules import VpcRule, unknown

_SHOWN = 3
Owners = Mapping[str, FirewallSpec | None]
"""By the name of a rule, the firewall of the configuration that it belongs to."""


def owners(rules: Iterable[VpcRule], specs: Sequence[FirewallSpec]) -> Owners:
    """Whose every rule is."""
    return {rule.name: _owner(rule, specs) for rule in rules}


def _owner(rule: VpcRule, specs: Sequence[FirewallSpec]) -> FirewallSpec | None:
    here = [spec for spec in specs if rule.is_exactly_for(provider.settings_of(spec))]
    for spec in here:
        if rule.marker is not None and _same_firewall(rule.marker, spec.marker):
            return spec
    named = [spec for spec in here if has_prefix(rule.name, provider.identity(spec))]
    if not named:
        return None
    spec = max(named, key=lambda each: len(provider.identity(each)))
    if rule.marker is None:
        return None if rule.disabled else spec
    return spec if given_prefix(rule.name) == provider.identity(spec) else None


def firewall_of(spec: FirewallSpec, rules: Sequence[VpcRule], owned: Owners) -> Firewall:
    """All that matters for one firewall. Raises `Unsupported` for a rule of its own that cannot be
    understood."""
    settings, owner = provider.settings_of(spec), spec.marker.owner
    mine = [rule for rule in rules if owned[rule.name] is spec]
    foreign = [rule for rule in rules if owned[rule.name] is not spec]
    for rule in mine:
        if not rule.understood:
            prefix = provider.identity(spec)
            raise Unsupported(f'next to the firewall "{prefix}" there is {unknown(rule.name)}')
    denied = denials.families_denied(mine, settings)
    stopped = denials.denied_traffic(denied)
    acting = [rule for rule in foreign if not rule.disabled and rule.touches(settings) is not False]
    known = [rule for rule in acting if rule.understood]
    return Firewall(
        spec,
        owned=tuple(_as_owned(rule, settings, stopped) for rule in mine),
        taken=frozenset(rule.name for rule in foreign),
        foreign_denials=tuple(rule for rule in known if rule.denied and rule.owner != owner),
        foreign_allowances=tuple(rule for rule in known if rule.allowed and rule.covers(settings)),
        notes=(
            *_opened(foreign, settings, behind_denials=denied != denials.DENIED.keys()),
            *(_left_over(rule) for rule in foreign if is_left_over(rule, spec)),
        ),
        overruled=tuple(
            rule.name
            for rule in acting
            if rule.allowed and rule.owner == owner and settings.is_behind_denials(rule.priority)
        ),
    )


def _as_owned(rule: VpcRule, settings: GcpFirewall, stopped: RuleSet) -> Owned:
    generated = is_generated(rule.name)
    if denials.is_denial(rule):
        wrong = tuple(denials.wrong(rule, settings))
        return Owned(rule, "denial", generated, wrong=wrong)
    if rule.denied and (rule.marker is None or not generated or rule.other_sources):
        return Owned(rule, "strange", generated)
    behind = settings.is_behind_denials(rule.priority)
    effect = rule.lets_in - stopped if behind else rule.lets_in
    return Owned(rule, "allow", generated, effect, tuple(_wrong(rule, settings)))


def _wrong(rule: VpcRule, settings: GcpFirewall) -> Iterable[str]:
    if rule.denied:
        yield "it denies"
    if rule.disabled and not rule.other_sources:
        # With tags or service accounts in it, to enable it would let in more than networks.
        yield "it is disabled"
    if settings.is_behind_denials(rule.priority):
        yield (
            f"its priority is {rule.priority}, behind this firewall's denials "
            f"({settings.denial_priority})"
        )


def is_left_over(rule: VpcRule, spec: FirewallSpec) -> bool:
    """Whether it carries the firewall's marker and is for other machines, or another network."""
    marker = rule.marker
    return (
        marker is not None
        and _same_firewall(marker, spec.marker)
        and rule.inbound
        and not rule.is_exactly_for(provider.settings_of(spec))
    )


def _left_over(rule: VpcRule) -> str:
    who = printable(", ".join(rule.targets)) or "every machine of the network"
    network = f" on the network {rule.network_name}"
    if rule.destination_ranges:
        network += ", for some destinations only"
    return (
        f"{rule.name} carries this firewall's marker but is for {who}{network}: it is left"
        " as it is; delete it if nothing needs it"
    )


def _opened(
    foreign: Iterable[VpcRule], settings: GcpFirewall, *, behind_denials: bool
) -> Iterable[str]:
    """A sentence for each of somebody else's rules that lets something in from networks on the
    firewall's machines. `behind_denials`: those that the firewall's denials would stop too."""
    for rule in foreign:
        touches = rule.touches(settings)
        heeded = behind_denials or rule.priority < settings.denial_priority
        if heeded and touches is not False and (not rule.understood or rule.lets_in):
            yield _foreign(rule, touches=touches)


def _foreign(rule: VpcRule, *, touches: bool | None) -> str:
    what = "something that cannot be understood"
    if rule.understood:
        what = first_of(rule.lets_in, _SHOWN, "; ")
    machines = "on these targets"
    if touches is None:
        machines = (
            f"on machines of these targets that are {printable(', '.join(rule.targets))}'s too"
        )
    if rule.destination_ranges:
        machines += f", to {', '.join(rule.destination_ranges[:_SHOWN])} only"
    return (
        f"{rule.name} (not of this firewall, priority {rule.priority}) also lets in {what}"
        f" {machines}"
    )


def _same_firewall(marker: Marker, wanted: Marker) -> bool:
    return (marker.owner, marker.firewall) == (wanted.owner, wanted.firewall)
