"""`enforce = "deny-others"`: what other allow rules of the network let in from the Internet on the
firewall's targets is denied.

Two VPC rules, one per family, for the same targets, stand between our allowances and everybody
else's: the lowest priority number is evaluated first, so that 900 (ours) is let in, 950 (these)
stops the rest, and 1000 (Google's default for everybody's rules) is never reached.

Only public space is denied, so that what does not come from the Internet stays as it is: private
networks, and the ranges that Google's own health checks, load balancers and Identity-Aware Proxy
send from (https://cloud.google.com/load-balancing/docs/firewall-rules,
https://cloud.google.com/iap/docs/using-tcp-forwarding).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cloudsync.provider.contract import Attachment, Pending
from cloudsync.provider.marker import Marker
from cloudsync.provider.phrases import first_of
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.address_classes import PRIVATE
from cloudsync.rules.networks import ANY4, ANY6, NetworkSet
from cloudsync_gcp.names import denial_family, free_denial_name
from cloudsync_gcp.native import Firewall, Owned, Write
from cloudsync_gcp.settings import GcpFirewall
from cloudsync_gcp.vpc_rules import VpcRule, marked, new_resource

TARGET = "the denial of everything else"
_TEXT = "what no rule of this firewall lets in from the Internet is denied here"
_SHOWN = 5
# What a denial leaves alone though it is public: others' rules let it in on purpose.
SPARED = NetworkSet.of(
    (
        "35.191.0.0/16",
        "130.211.0.0/22",
        "209.85.152.0/22",
        "209.85.204.0/22",
        "35.235.240.0/20",
        "2600:2d00:1:b029::/64",
        "2600:2d00:1:1::/64",
        "2600:1901:8001::/48",
        "2600:2d00:1:7::/64",
    )
)
_LEFT_ALONE = SPARED | PRIVATE | NetworkSet.of(["fe80::/10"])
# 97 and 114 networks: one VPC rule a family.
DENIED = {"4": ANY4 - _LEFT_ALONE, "6": ANY6 - _LEFT_ALONE}


def traffic_of(families: Iterable[str]) -> RuleSet:
    """What denials of these families keep out."""
    return RuleSet.of(Rule.of("all", "", DENIED[family]) for family in families)


def is_denial(rule: VpcRule) -> bool:
    """Whether it is one of a firewall's denials, right or not. A rule that lets in is none,
    whatever its name."""
    return denial_family(rule.name) is not None and bool(rule.denied)


def wrong(rule: VpcRule, settings: GcpFirewall) -> Iterable[str]:
    """The fields of a denial that are not as they should be, in words. Raises `UnknownRule`."""
    if not any(entry.protocol.lower() == "all" and not entry.ports for entry in rule.denied):
        yield "it denies some protocols only"
    if rule.other_sources:
        yield "it denies tags or service accounts too"
    if not rule.source_ranges or rule.sources != DENIED[denial_family(rule.name) or ""]:
        yield "it denies other networks"
    if rule.disabled:
        yield "it is disabled"
    if rule.priority != settings.denial_priority:
        yield f"its priority is {rule.priority}, not {settings.denial_priority}"


def families_denied(mine: Iterable[VpcRule], settings: GcpFirewall) -> frozenset[str]:
    """The families of the firewall's denials that are right."""
    denials = (rule for rule in mine if is_denial(rule) and not any(wrong(rule, settings)))
    return frozenset(family for rule in denials if (family := denial_family(rule.name)))


def attachments(firewall: Firewall, settings: GcpFirewall) -> tuple[Attachment, ...]:
    """The denial as an attachment: nothing lists all that it closes, so that it needs the user's
    confirmation. It is there if a rule of it is; the rest is put right."""
    if settings.enforce != "deny-others":
        return ()
    who = ", ".join(settings.target_tags or settings.target_service_accounts or ())
    reason = (
        f"on {who}, what other rules let in from the Internet is denied: what no rule of this "
        f"firewall lets in closes there"
    )
    if closing := list(_closing(firewall.others.allowances, settings)):
        reason += f", such as {first_of(closing, _SHOWN, noun='rule')}"
    return (Attachment(TARGET, bool(firewall.denials), reason=reason, in_place=True),)


def _closing(allowances: Iterable[VpcRule], settings: GcpFirewall) -> Iterable[str]:
    """What others let in from the Internet on all the targets, behind the denial."""
    denied = traffic_of(DENIED)
    for rule in allowances:
        if rule.priority >= settings.denial_priority and (closing := rule.lets_in & denied):
            ports = dict.fromkeys(
                f"{rule.protocol}/{rule.ports}" if rule.ports else rule.protocol for rule in closing
            )
            yield f"{' '.join(list(ports)[:_SHOWN])} ({rule.name})"


def pending(firewall: Firewall, prefix: str, settings: GcpFirewall) -> Iterable[Pending]:
    """What of the denial is not as configured."""
    there = firewall.denials
    if not there:
        return
    if settings.enforce == "allow":
        again = 'enforce = "allow": what other rules of the network let in comes in again, without'
        reason = f"{again} {', '.join(denial.name for denial in there)}"
        yield Pending(TARGET, reason, lifts=True)
        return
    chosen = _chosen(there)
    for family in [family for family in DENIED if family not in chosen]:
        reason = f"it is not there: what others let in by IPv{family} is not denied"
        yield Pending(f"rule {prefix}-deny{family}", reason)
    for denial in there:
        if denial not in chosen.values():
            reason = "another rule denies the same; this one is deleted"
            yield Pending(f"rule {denial.name}", reason)
        elif denial.wrong:
            yield denial.fault


def overruled(foreign: Iterable[VpcRule], owner: str, settings: GcpFirewall) -> tuple[str, ...]:
    """Allow rules of the same owner's other firewalls on these targets that the denial would
    stop."""
    return tuple(
        rule.name
        for rule in foreign
        if rule.marker is not None
        and rule.marker.owner == owner
        and rule.allowed
        and not rule.disabled
        and rule.touches(settings) is not False
        and rule.priority >= settings.denial_priority
    )


def lifting(firewall: Firewall) -> tuple[Write, ...]:
    """Deletes the denials."""
    return tuple(Write("delete", denial.name) for denial in firewall.denials)


def denying(
    firewall: Firewall, prefix: str, settings: GcpFirewall, marker: Marker
) -> tuple[tuple[Write, ...], tuple[Write, ...]]:
    """The denials as they should be, and the ones that are deleted after that."""
    there = firewall.denials
    chosen = _chosen(there)
    writes = []
    for family, sources in DENIED.items():
        denial = chosen.get(family)
        if denial is None:
            name = free_denial_name(prefix, family, firewall.names)
            writes.append(Write("insert", name, _body(name, sources, settings, marker)))
        elif denial.wrong or denial.rule.marker != marker:
            body = _body(denial.name, sources, settings, marker)
            kept = {"network": denial.rule.network, "logConfig": denial.rule.log_config}
            writes.append(Write("update", denial.name, body | kept))
    staying = {denial.name for denial in chosen.values()}
    surplus = [denial.name for denial in there if denial.name not in staying]
    return tuple(writes), tuple(Write("delete", name) for name in surplus)


def _chosen(denials: Iterable[Owned]) -> dict[str, Owned]:
    """By family, the rule that stays: one that is right before others."""
    chosen: dict[str, Owned] = {}
    for denial in sorted(denials, key=lambda each: (bool(each.wrong), each.name)):
        chosen.setdefault(denial_family(denial.name) or "", denial)
    return chosen


def _body(name: str, sources: NetworkSet, settings: GcpFirewall, marker: Marker) -> dict[str, Any]:
    description, priority = marked(marker, _TEXT), settings.denial_priority
    body = new_resource(name, settings, priority, sources.cidrs(), description)
    return body | {"denied": [{"IPProtocol": "all"}]}
