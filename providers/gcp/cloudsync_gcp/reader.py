"""Reading a project: all its firewall rules, one call per 500. They tell the firewalls' own rules
and who else lets something in, and with the instances and the networks' policies what the Internet
reaches (`machines.py`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cloudsync.provider.contract import (
    Absent,
    Description,
    FirewallSpec,
    Kept,
    Observation,
    Pending,
    Present,
    Unreadable,
)
from cloudsync.provider.errors import ProviderError, Transient, Unsupported
from cloudsync.provider.machines import Fleet, Marked
from cloudsync.provider.marker import Marker
from cloudsync.rules import NOTHING, RuleSet
from cloudsync_gcp import denials
from cloudsync_gcp.client import Api
from cloudsync_gcp.machines import fleet, marked
from cloudsync_gcp.native import Found
from cloudsync_gcp.rules import (
    Listed,
    UnknownRule,
    VendorRule,
    is_ours,
    let_in,
    listed,
    marker_of,
    network_of,
    text_of,
    touches_targets,
)
from cloudsync_gcp.settings import GcpFirewall, denial_priority, prefix_of, settings_of


@dataclass(slots=True)
class GcpReader:
    """Reads one project, the list of its rules once."""

    api: Api
    _rules: list[dict[str, Any]] | None = None

    def read(self, specs: Sequence[FirewallSpec]) -> Mapping[str, Observation]:
        """Every firewall asked for; where the list cannot be had, none of them is known."""
        try:
            rules = self._listed()
            owned = _owners(rules, specs)
        except ProviderError as error:
            return {spec.name: Unreadable(error) for spec in specs}
        except (KeyError, TypeError):
            return {
                spec.name: Unreadable(
                    Transient("Google answered with rules that cannot be understood")
                )
                for spec in specs
            }
        foreign = _Foreign()
        return {spec.name: _one(spec, rules, owned, foreign) for spec in specs}

    def read_machines(self, specs: Sequence[FirewallSpec]) -> Fleet | Unreadable:
        """Instances in one call per 500; for each network that their public interfaces are in its
        order and its policies, and for each region there the regional policies."""
        try:
            rules = self._listed()
            return fleet(self.api, rules, _owners(rules, specs), specs)
        except ProviderError as error:
            return Unreadable(error)
        except (KeyError, TypeError, AttributeError, ValueError):
            return Unreadable(Transient("the instances of Google Cloud cannot be understood"))

    def read_marked(
        self,
        owner: str,
        specs: Sequence[FirewallSpec],
        *,
        ask: bool,  # noqa: ARG002 - no call is needed
    ) -> Sequence[Marked] | Unreadable:
        """Out of the list of rules."""
        try:
            rules = self._listed()
            return marked(rules, owner, _owners(rules, specs))
        except ProviderError as error:
            return Unreadable(error)

    def _listed(self) -> list[dict[str, Any]]:
        if self._rules is None:
            self._rules = self.api.pages("global/firewalls")
        return self._rules


def _stopped(mine: Sequence[Listed], settings: GcpFirewall) -> Callable[[VendorRule], bool]:
    """Whether what a rule lets in from the Internet is denied by the firewall: all of the denial is
    in force."""
    right = [one for one in mine if one.kind == "denial" and not one.wrong]
    return lambda rule: (
        len(right) == len(denials.DENIED)
        and int(rule.get("priority", 1000)) >= denial_priority(settings)
    )


def _owners(
    rules: Sequence[VendorRule], specs: Sequence[FirewallSpec]
) -> Mapping[str, FirewallSpec | None]:
    return {str(rule["name"]): _owning(rule, specs) for rule in rules}


def _one(
    spec: FirewallSpec,
    rules: Sequence[VendorRule],
    owned: Mapping[str, FirewallSpec | None],
    said: _Foreign,
) -> Observation:
    settings = settings_of(spec)
    try:
        mine = tuple(
            _listed(rule, prefix_of(spec), settings)
            for rule in rules
            if owned[str(rule["name"])] is spec
        )
        stopped = _stopped(mine, settings)
        foreign = tuple(
            Kept(text)
            for rule in rules
            if owned[str(rule["name"])] is not spec
            and not stopped(rule)
            and (text := said.of(rule, settings)) is not None
        )
        overruled = denials.overruled(
            rules, {one.name for one in mine}, spec.marker.owner, settings
        )
    except UnknownRule as error:
        return Unreadable(Unsupported(f'the firewall "{prefix_of(spec)}" has {error}'))
    except (KeyError, TypeError, ValueError, AttributeError):
        return Unreadable(
            Unsupported(
                f'beside the firewall "{prefix_of(spec)}" there is a rule that cannot be understood'
            )
        )
    inbound = [one for one in mine if one.kind != "egress"]
    taken = frozenset(
        name for name, owner in owned.items() if owner is not spec and _fits(name, spec)
    )
    native = Found(mine, taken, overruled)
    if not inbound:
        return Absent(
            attachments=denials.standing(native, settings), foreign=foreign, native=native
        )
    effect = NOTHING
    for one in inbound:
        effect = effect | one.effect
    return Present(
        id=prefix_of(spec),
        rules=effect,
        marker=_marker(inbound, spec.marker),
        listed=tuple(rule for one in inbound for rule in one.effect),
        attachments=denials.standing(native, settings),
        kept=tuple(Kept(text) for one in inbound for text in one.others),
        pending=tuple(
            Pending(f"rule {one.name}", f"not as configured: {', '.join(one.wrong)}")
            for one in inbound
            if one.wrong and not one.others and one.kind != "denial"
        )
        + denials.pending(native, prefix_of(spec), settings),
        foreign=foreign,
        described=tuple(
            Description(one.effect, text_of(one.native))
            for one in inbound
            if one.marker is not None and one.kind != "denial"
        ),
        native=native,
    )


def _listed(rule: VendorRule, prefix: str, settings: GcpFirewall) -> Listed:
    one = listed(rule, prefix, settings)
    try:
        if not denials.is_denial(rule, prefix):
            return one
        return replace(
            one,
            kind="denial",
            wrong=tuple(denials.wrong(rule, prefix, settings)),
            others=(),
            turned=False,
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UnknownRule(f"a rule that cannot be understood ({one.name[:63]!r})") from None


def _owning(rule: VendorRule, specs: Sequence[FirewallSpec]) -> FirewallSpec | None:
    """Whose rule it is by its name: of the longest prefix that fits. A rule that another firewall's
    marker claims, and whose name is not one we would give, belongs to a longer prefix than is
    configured here; one on another network, and without any marker, is somebody else's who chose
    the same name."""
    name, marker = str(rule["name"]), marker_of(rule)
    fitting = [spec for spec in specs if _fits(name, spec)]
    if not fitting:
        return None
    spec = max(fitting, key=lambda one: len(prefix_of(one)))
    if marker is None:
        return spec if network_of(rule) == settings_of(spec).network else None
    claimed = (marker.owner, marker.firewall) != (spec.marker.owner, spec.marker.firewall)
    own = is_ours(name, prefix_of(spec)) or denials.family_of(name, prefix_of(spec)) is not None
    return None if claimed and not own else spec


def _fits(name: str, spec: FirewallSpec) -> bool:
    return name == prefix_of(spec) or name.startswith(f"{prefix_of(spec)}-")


def _marker(rules: Sequence[Listed], wanted: Marker) -> Marker | None:
    """The mark of all of them together: another owner's if one has it, none if one has none, else
    the one that is not as wanted."""
    markers = [one.marker for one in rules]
    foreign = next((one for one in markers if one is not None and one.owner != wanted.owner), None)
    if foreign is not None:
        return foreign
    if None in markers:
        return None
    return next((one for one in markers if one != wanted), wanted)


class _Foreign:
    """What somebody else's rules let in from networks, in words; each is worked out once, however
    many firewalls it touches."""

    def __init__(self) -> None:
        self._known: dict[str, str | None] = {}

    def of(self, rule: VendorRule, settings: GcpFirewall) -> str | None:
        """None where it lets in nothing, or nothing on the targets of this firewall."""
        if (
            rule.get("direction", "INGRESS") != "INGRESS"
            or rule.get("disabled")
            or not rule.get("allowed")
        ):
            return None
        touches = touches_targets(rule, settings)
        if network_of(rule) != settings.network or touches is False:
            return None
        name = str(rule["name"])
        if name not in self._known:
            self._known[name] = _opening(rule)
        if (opened := self._known[name]) is None:
            return None
        who = f"{name} (not of this firewall, priority {rule.get('priority', 1000)})"
        if touches:
            return f"{who} also lets in {opened} on these targets"
        targets = ", ".join(
            (*(rule.get("targetTags") or ()), *(rule.get("targetServiceAccounts") or ()))
        )
        return f"{who} also lets in {opened} on machines of these targets that are {targets}'s too"


def _opening(rule: VendorRule) -> str | None:
    try:
        opened: RuleSet = let_in(rule)
    except (KeyError, TypeError, ValueError):
        return "something that cannot be understood"
    if not opened:
        return None
    said = [str(one) for one in opened]
    return "; ".join(said[:3]) + (f" and {len(said) - 3} more" if len(said) > 3 else "")
