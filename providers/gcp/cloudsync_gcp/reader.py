"""Reading a project: all its firewall rules, one call per 500. They tell the firewalls' own rules and who else lets something in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cloudsync.provider.contract import Absent, Description, FirewallSpec, Kept, Observation, Pending, Present, Unreadable
from cloudsync.provider.errors import ProviderError, Transient, Unsupported
from cloudsync.provider.marker import Marker
from cloudsync.rules import NOTHING, RuleSet
from cloudsync_gcp.rest import Api
from cloudsync_gcp.rules import (
    SUFFIX,
    Listed,
    UnknownRule,
    VendorRule,
    let_in,
    listed,
    marker_of,
    network_of,
    touches_targets,
    without_marker,
)
from cloudsync_gcp.settings import GcpFirewall, prefix_of, settings_of
from cloudsync_gcp.state import Found


@dataclass(frozen=True, slots=True)
class GcpReader:
    """Reads one project."""

    api: Api

    def read(self, specs: Sequence[FirewallSpec]) -> Mapping[str, Observation]:
        """Every firewall asked for; where the list cannot be had, none of them is known."""
        try:
            rules = self.api.pages("global/firewalls")
            owned = {str(rule["name"]): _owning(rule, specs) for rule in rules}
        except ProviderError as error:
            return {spec.name: Unreadable(error) for spec in specs}
        except (KeyError, TypeError):
            return {spec.name: Unreadable(Transient("Google answered with rules that cannot be understood")) for spec in specs}
        return {spec.name: _one(spec, rules, owned) for spec in specs}


def _one(spec: FirewallSpec, rules: Sequence[VendorRule], owned: Mapping[str, FirewallSpec | None]) -> Observation:
    settings = settings_of(spec)
    try:
        mine = tuple(listed(rule, settings) for rule in rules if owned[str(rule["name"])] is spec)
        foreign = tuple(
            Kept(text)
            for rule in rules
            if owned[str(rule["name"])] is not spec and (text := _foreign(rule, settings)) is not None
        )
    except UnknownRule as error:
        return Unreadable(Unsupported(f'the firewall "{prefix_of(spec)}" has {error}'))
    inbound = [one for one in mine if one.kind != "egress"]
    if not inbound:
        return Absent(foreign=foreign, native=Found(mine))
    effect = NOTHING
    for one in inbound:
        effect = effect | one.effect
    return Present(
        id=prefix_of(spec),
        rules=effect,
        marker=_marker(inbound, spec.marker),
        listed=tuple(rule for one in inbound for rule in one.effect),
        kept=tuple(Kept(text) for one in inbound for text in one.others),
        pending=tuple(
            Pending(f"rule {one.name}", f"it was changed by hand: {', '.join(one.wrong)}")
            for one in inbound
            if one.wrong and one.kind == "allow" and not one.others
        ),
        foreign=foreign,
        described=tuple(Description(one.effect, without_marker(one.native)) for one in inbound if one.marker is not None),
        native=Found(mine),
    )


def _owning(rule: VendorRule, specs: Sequence[FirewallSpec]) -> FirewallSpec | None:
    """Whose rule it is by its name: of the longest prefix that fits. A rule that another firewall's marker claims, and whose name is
    not one we would give, belongs to a longer prefix than is configured here."""
    name, marker = str(rule["name"]), marker_of(rule)
    fitting = [spec for spec in specs if name == prefix_of(spec) or name.startswith(f"{prefix_of(spec)}-")]
    if not fitting:
        return None
    spec = max(fitting, key=lambda one: len(prefix_of(one)))
    ours = re.fullmatch(SUFFIX, name.removeprefix(prefix_of(spec)).removeprefix("-")) is not None
    claimed = marker is not None and (marker.owner, marker.firewall) != (spec.marker.owner, spec.marker.firewall)
    return None if claimed and not ours else spec


def _marker(rules: Sequence[Listed], wanted: Marker) -> Marker | None:
    """The mark of all of them together: another owner's if one has it, none if one has none, else the one that is not as wanted."""
    markers = [one.marker for one in rules]
    foreign = next((one for one in markers if one is not None and one.owner != wanted.owner), None)
    if foreign is not None:
        return foreign
    if None in markers:
        return None
    return next((one for one in markers if one != wanted), wanted)


def _foreign(rule: VendorRule, settings: GcpFirewall) -> str | None:
    """What somebody else's rule lets in on the same targets, from networks."""
    if rule.get("direction", "INGRESS") != "INGRESS" or rule.get("disabled") or not rule.get("allowed"):
        return None
    if network_of(rule) != settings.network or not touches_targets(rule, settings):
        return None
    try:
        opened: RuleSet = let_in(rule)
    except (KeyError, TypeError, ValueError):
        return f"{rule['name']} also lets something in on these targets; it cannot be understood"
    if not opened:
        return None
    said = [str(one) for one in opened]
    text = "; ".join(said[:3]) + (f" and {len(said) - 3} more" if len(said) > 3 else "")
    return f"{rule['name']} (not of this firewall, priority {rule.get('priority', 1000)}) also lets in {text} on these targets"
