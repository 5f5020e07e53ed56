"""VPC firewall rules and ours. One firewall is a handful of VPC rules: one a source set and address
family, with all its ports.

A VPC rule is never taken for what its name says: every field that decides what it does is compared,
both ways.
"""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any, Literal, TypeAlias

from cloudsync.provider.contract import Target
from cloudsync.provider.marker import Marker
from cloudsync.rules import NOTHING, Rule, RuleSet, protocols
from cloudsync.rules.networks import (
    ANY4,
    ANY6,
    NOWHERE,
    NetworkSet,
)
from cloudsync_gcp.settings import GcpFirewall

VendorRule: TypeAlias = Mapping[str, Any]
MAX_RANGES = 256
MAX_DESCRIPTION = 2048
SUFFIX = r"any[46][b-z]?|v[46][b-z]?-[0-9a-f]{8}"
_LETTERS = ("", *string.ascii_lowercase[1:])
_MARKER = re.compile(
    r"cloudsync owner=([a-z0-9-]+) firewall=([a-z0-9._-]+) hosts=([0-9a-f]{8})(?:: (.*))?",
    re.DOTALL,
)
_NAMED = {
    "1": "icmp",
    "4": "ipip",
    "6": "tcp",
    "17": "udp",
    "50": "esp",
    "51": "ah",
    "58": "icmpv6",
    "132": "sctp",
}
# What the API takes by name; everything else goes by its number.
_WRITTEN = ("tcp", "udp", "icmp", "esp", "ah", "ipip", "sctp")


class UnknownRule(ValueError):
    """A rule of the vendor that cannot be understood; the message is one line."""


@dataclass(frozen=True, slots=True)
class Wished:
    """One VPC rule as it should be: an `allow` for `sources` (one family, at most 256 networks)."""

    name: str
    allowed: RuleSet
    sources: NetworkSet
    description: str


@dataclass(frozen=True, slots=True)
class Listed:
    """One VPC rule as it is. `effect`: what it lets in on all the targets of the firewall. `reach`:
    what it lets in anywhere.

    `wrong`: the fields that are not as this firewall's rules are, in words. `fixed`: an update
    cannot mend it (another network or direction). `others`: its sources, where none of them is a
    network. `turned`: it denies, and was one of this firewall's allow rules. The kind `denial` is
    one of the rules of `denials.py`.
    """

    native: VendorRule = field(compare=False)
    name: str
    marker: Marker | None
    kind: Literal["allow", "deny", "denial", "egress"]
    effect: RuleSet
    reach: RuleSet
    wrong: tuple[str, ...]
    fixed: bool
    others: tuple[str, ...]
    turned: bool = False

    @property
    def mendable(self) -> bool:
        """Whether an update can make it what it should be."""
        return (self.kind == "allow" or self.turned) and not self.fixed and not self.others


def listed(rule: VendorRule, prefix: str, settings: GcpFirewall) -> Listed:
    """A rule that is the firewall's by its name. Raises `UnknownRule`."""
    try:
        name = str(rule["name"])
        kind: Literal["allow", "deny", "egress"] = (
            "egress"
            if rule.get("direction", "INGRESS") != "INGRESS"
            else "deny"
            if rule.get("denied")
            else "allow"
        )
        network = network_of(rule) == settings.network
        others = (
            ()
            if rule.get("sourceRanges")
            else tuple(
                f'{name}: from the {word} "{one}"'
                for key, word in (
                    ("sourceTags", "tag"),
                    ("sourceServiceAccounts", "service account"),
                )
                for one in rule.get(key) or ()
            )
        )
        reach = (
            let_in(rule)
            if kind == "allow" and not rule.get("disabled") and not rule.get("destinationRanges")
            else NOTHING
        )
        acts = network and covers_targets(rule, settings)
        sources_of(rule)
        return Listed(
            native=rule,
            name=name,
            marker=marker_of(rule),
            kind=kind,
            effect=reach if acts else NOTHING,
            reach=reach,
            wrong=tuple(_wrong(rule, settings)),
            fixed=kind == "egress" or not network,
            others=others,
            turned=kind == "deny" and marker_of(rule) is not None and is_ours(name, prefix),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UnknownRule(
            f"a rule that cannot be understood ({str(rule.get('name'))[:63]!r})"
        ) from None


def let_in(rule: VendorRule) -> RuleSet:
    """What an allow rule lets in from networks, wherever it acts. Raises `ValueError`."""
    return matched(rule, "allowed")


def matched(rule: VendorRule, key: Literal["allowed", "denied"]) -> RuleSet:
    """What a rule is about, from networks, wherever it acts: what it allows, or what it denies.
    Raises `ValueError`."""
    sources = sources_of(rule)
    entries = rule.get(key) or ()
    return (
        RuleSet.of(
            one
            for entry in entries
            for one in traffic(entry["IPProtocol"], entry.get("ports") or (), sources)
        )
        if sources
        else NOTHING
    )


def sources_of(rule: VendorRule) -> NetworkSet:
    """Its source networks; without any source at all it is open to IPv4's world."""
    ranges = rule.get("sourceRanges") or ()
    if not ranges:
        return NOWHERE if rule.get("sourceTags") or rule.get("sourceServiceAccounts") else ANY4
    return networks_of(ranges)


def networks_of(ranges: Iterable[str]) -> NetworkSet:
    """Networks as they are answered, in whatever spelling. Raises `ValueError`."""
    return NetworkSet.of(str(ip_network(one, strict=False)) for one in ranges)


def network_of(rule: VendorRule) -> str:
    """The name of its network, which is answered as an URL."""
    return str(rule.get("network") or "global/networks/default").rsplit("/", 1)[-1]


def covers_targets(rule: VendorRule, settings: GcpFirewall) -> bool:
    """Whether it acts on every machine the firewall is for. Without a target it acts on every
    machine of its network."""
    tags, accounts = set(rule.get("targetTags") or ()), set(rule.get("targetServiceAccounts") or ())
    if not tags and not accounts:
        return True
    return (
        tags >= set(settings.target_tags)
        if settings.target_tags
        else accounts >= set(settings.target_service_accounts or ())
    )


def touches_targets(rule: VendorRule, settings: GcpFirewall) -> bool | None:
    """Whether it acts on some machine the firewall may be for. None: it is by service account and
    the firewall by tag, or the other way round; a machine may have both."""
    tags, accounts = set(rule.get("targetTags") or ()), set(rule.get("targetServiceAccounts") or ())
    if not tags and not accounts:
        return True
    if bool(tags) != bool(settings.target_tags):
        return None
    return not tags.isdisjoint(settings.target_tags or ()) or not accounts.isdisjoint(
        settings.target_service_accounts or ()
    )


def wishes(
    prefix: str,
    rules: RuleSet,
    target: Target,
    found: Sequence[Listed] = (),
    taken: Collection[str] = (),
) -> tuple[Wished, ...]:
    """The VPC rules that say `rules`, by name. A rule of `found` for the same sources keeps its
    name, whatever it is; `taken`: names that somebody else's rules have."""
    by_sources: dict[NetworkSet, list[Rule]] = {}
    for family in (4, 6):
        for rule in _expressible(rules, rules.everything_from()):
            if part := rule.sources.family(family):
                by_sources.setdefault(part, []).append(
                    Rule(rule.protocol, rule.first, rule.last, part)
                )
    chunks: dict[NetworkSet, list[Rule]] = {}
    for sources, said in by_sources.items():
        cidrs = sources.cidrs()
        for start in range(0, len(cidrs), MAX_RANGES):
            chunks.setdefault(NetworkSet.of(cidrs[start : start + MAX_RANGES]), []).extend(said)
    names = _names(prefix, list(chunks), found, taken)
    wished = []
    for sources, said in chunks.items():
        allowed = RuleSet.of(Rule(r.protocol, r.first, r.last, sources) for r in said)
        texts = dict.fromkeys(
            text for r in allowed for text in target.describe(r).split(", ") if text
        )
        wished.append(
            Wished(
                names[sources],
                allowed,
                sources,
                written_marker(target.spec.marker, ", ".join(texts)),
            )
        )
    return tuple(wished)


def _names(
    prefix: str, wanted: Sequence[NetworkSet], found: Sequence[Listed], taken: Collection[str]
) -> dict[NetworkSet, str]:
    there = {one.name: one for one in found}
    names: dict[NetworkSet, str] = {}
    for sources in wanted:
        usual = f"{prefix}-{suffix(sources)}"
        same = [one.name for one in found if one.mendable and sources_of(one.native) == sources]
        if same:
            names[sources] = usual if usual in same else min(same)
    for sources in wanted:
        usual = f"{prefix}-{suffix(sources)}"
        if sources not in names:
            mine = usual not in (*names.values(), *taken) and (
                usual not in there or there[usual].mendable
            )
            names[sources] = (
                usual if mine else spare_name(prefix, sources, {*there, *names.values(), *taken})
            )
    return names


def spare_name(prefix: str, sources: NetworkSet, taken: Collection[str]) -> str:
    """A name for these sources that nothing has: names are the project's, and two rules may be for
    the same sources for a moment."""
    return next(
        name for letter in _LETTERS if (name := f"{prefix}-{suffix(sources, letter)}") not in taken
    )


def is_ours(name: str, prefix: str) -> bool:
    """Whether it is a name this firewall's rules are given."""
    return re.fullmatch(SUFFIX, name.removeprefix(prefix).removeprefix("-")) is not None


def suffix(sources: NetworkSet, letter: str = "") -> str:
    """Stable for a source set: opening one more port to it is the same rule. With the longest
    prefix it makes 63 characters."""
    if sources in (ANY4, ANY6):
        return f"any4{letter}" if sources == ANY4 else f"any6{letter}"
    digest = hashlib.sha256("\n".join(sources.cidrs()).encode()).hexdigest()[:8]
    return f"v4{letter}-{digest}" if sources.v4 else f"v6{letter}-{digest}"


def body(wished: Wished, settings: GcpFirewall, found: VendorRule | None = None) -> dict[str, Any]:
    """The whole resource for insert and PUT: every field that decides is said, so that lists really
    clear; logging stays as it was."""
    resource: dict[str, Any] = {
        "name": wished.name,
        "network": f"global/networks/{settings.network}",
        "direction": "INGRESS",
        "priority": settings.priority,
        "disabled": False,
        "allowed": allowed_entries(wished.allowed),
        "sourceRanges": list(wished.sources.cidrs()),
        "description": wished.description,
    }
    if settings.target_tags:
        resource["targetTags"] = sorted(settings.target_tags)
    else:
        resource["targetServiceAccounts"] = sorted(settings.target_service_accounts or ())
    if found is not None:
        resource["network"] = found.get("network", resource["network"])
        if found.get("logConfig"):
            resource["logConfig"] = found["logConfig"]
    return resource


def allowed_entries(rules: RuleSet) -> list[dict[str, Any]]:
    """`allowed`: the ports of a protocol together."""
    if rules.everything_from():
        return [{"IPProtocol": "all"}]
    entries: dict[str, dict[str, Any]] = {}
    for rule in rules:
        low, high = protocols.numbers(rule.protocol)
        for number in range(low, high + 1):
            text = protocols.name(number, number)
            protocol = text if text in _WRITTEN else str(number)
            entry = entries.setdefault(protocol, {"IPProtocol": protocol})
            if rule.has_ports and (rule.first, rule.last) != protocols.EVERY_PORT:
                entry.setdefault("ports", []).append(rule.ports)
    return list(entries.values())


def inexpressible(rules: RuleSet, known: Iterable[str]) -> RuleSet:
    """The part VPC rules cannot say: ICMP types, and ports of another protocol than `known` ones.
    All of a protocol they can."""
    types = RuleSet.of(rule for rule in rules.of_protocols("icmp", "icmpv6") if rule.ports)
    rest = rules - rules.of_protocols(*known) - rules.where(rules.everything_from())
    return types | RuleSet.of(
        rule for rule in rest if rule.has_ports and (rule.first, rule.last) != protocols.EVERY_PORT
    )


def marker_of(rule: VendorRule) -> Marker | None:
    """The owner marker in a rule's description."""
    match = _MARKER.fullmatch(str(rule.get("description") or ""))
    return Marker(match[1], match[2], match[3]) if match else None


def text_of(rule: VendorRule) -> str:
    """Its description without the owner marker."""
    text = str(rule.get("description") or "")
    match = _MARKER.fullmatch(text)
    return match[4] or "" if match else text


def written_marker(marker: Marker, text: str = "") -> str:
    """A description with the marker, and who needs the rule."""
    plain = "".join(character for character in text if character.isprintable())
    head = f"cloudsync owner={marker.owner} firewall={marker.firewall} hosts={marker.hosts}"
    return (f"{head}: {plain}" if plain else head)[:MAX_DESCRIPTION]


def _expressible(rules: RuleSet, whole: NetworkSet) -> list[Rule]:
    return [*rules.apart_from_everything(whole), *([Rule.of("all", "", whole)] if whole else [])]


def traffic(said: object, ports: Iterable[object], sources: NetworkSet) -> Iterable[Rule]:
    """Protocol and ports as Google writes them, from these sources. Raises `ValueError`."""
    protocol = _NAMED.get(str(said).lower(), str(said).lower())
    if protocol == "all":
        return [Rule.of("all", "", sources)]
    if not ports or protocol not in ("tcp", "udp", "sctp"):
        return [Rule.of(protocol, "", sources)]
    found = []
    for text in ports:
        first, _, last = str(text).partition("-")
        if (high := int(last or first)) >= 1:
            found.append(Rule(protocol, max(int(first), 1), high, sources))
    return found


def _wrong(rule: VendorRule, settings: GcpFirewall) -> Iterable[str]:
    if rule.get("denied"):
        yield "it denies"
    yield from wrong_place(rule, settings, settings.priority)
    inner = [*(rule.get("sourceTags") or ()), *(rule.get("sourceServiceAccounts") or ())]
    if inner and rule.get("sourceRanges"):
        yield f"it also lets in {', '.join(inner)}"


def wrong_place(rule: VendorRule, settings: GcpFirewall, priority: int) -> Iterable[str]:
    """What of a rule's network, targets and priority is not as the firewall's rules are, in
    words."""
    if rule.get("disabled"):
        yield "it is disabled"
    if network_of(rule) != settings.network:
        yield f"it is on the network {network_of(rule)}, not on {settings.network}, and goes from there"
    if int(rule.get("priority", 1000)) != priority:
        yield f"its priority is {int(rule.get('priority', 1000))}, not {priority}"
    tags, accounts = (
        sorted(rule.get("targetTags") or ()),
        sorted(rule.get("targetServiceAccounts") or ()),
    )
    if tags != sorted(settings.target_tags or ()) or accounts != sorted(
        settings.target_service_accounts or ()
    ):
        yield f"it is for {', '.join((*tags, *accounts)) or 'every machine of the network'}"
    if rule.get("destinationRanges"):
        yield "it is for some destinations only"
