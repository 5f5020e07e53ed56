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

from collections.abc import Collection, Iterable
from typing import Any

from cloudsync.provider.contract import Attachment, Pending
from cloudsync.provider.marker import Marker
from cloudsync.rules import NOTHING, Rule, RuleSet
from cloudsync.rules.networks import ANY4, ANY6, NetworkSet
from cloudsync_gcp.names import LETTERS, denial_family
from cloudsync_gcp.native import Firewall, Owned, Write
from cloudsync_gcp.settings import GcpFirewall, denial_priority
from cloudsync_gcp.vpc_rules import VpcRule, marked

TARGET = "the denial of everything else"
_TEXT = "what no rule of this firewall lets in from the Internet is denied here"
_SHOWN = 5
PRIVATE4 = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
PRIVATE6 = ("fc00::/7", "fe80::/10")
GOOGLE4 = (
    "35.191.0.0/16",
    "130.211.0.0/22",
    "209.85.152.0/22",
    "209.85.204.0/22",
    "35.235.240.0/20",
)
GOOGLE6 = (
    "2600:2d00:1:b029::/64",
    "2600:2d00:1:1::/64",
    "2600:1901:8001::/48",
    "2600:2d00:1:7::/64",
)
# What a denial leaves alone though it is public: others' rules let it in on purpose.
SPARED = NetworkSet.of((*GOOGLE4, *GOOGLE6))
# 97 and 114 networks: one VPC rule a family.
DENIED = {
    "4": ANY4 - NetworkSet.of((*PRIVATE4, *GOOGLE4)),
    "6": ANY6 - NetworkSet.of((*PRIVATE6, *GOOGLE6)),
}


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
    if rule.priority != denial_priority(settings):
        yield f"its priority is {rule.priority}, not {denial_priority(settings)}"


def in_effect(mine: Iterable[VpcRule], settings: GcpFirewall) -> bool:
    """Whether all of the denial is in effect."""
    right = {
        denial_family(rule.name)
        for rule in mine
        if is_denial(rule) and not any(wrong(rule, settings))
    }
    return right == set(DENIED)


def denied_by(mine: Iterable[VpcRule], settings: GcpFirewall) -> RuleSet:
    """What the firewall's denials that are right keep out."""
    families = [
        denial_family(rule.name) or ""
        for rule in mine
        if is_denial(rule) and not any(wrong(rule, settings))
    ]
    return RuleSet.of(Rule.of("all", "", DENIED[family]) for family in families) or NOTHING


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
        more = f" and {len(closing) - _SHOWN} more rules" if len(closing) > _SHOWN else ""
        reason += f", such as {', '.join(closing[:_SHOWN])}{more}"
    there = bool(_denials(firewall))
    return (Attachment(TARGET, there, reason=reason, in_place=True),)


def _closing(allowances: Iterable[VpcRule], settings: GcpFirewall) -> Iterable[str]:
    """What others let in from the Internet on all the targets, behind the denial."""
    denied = RuleSet.of(Rule.of("all", "", sources) for sources in DENIED.values())
    for rule in allowances:
        if rule.priority >= denial_priority(settings) and (closing := rule.lets_in & denied):
            ports = dict.fromkeys(
                f"{rule.protocol}/{rule.ports}" if rule.ports else rule.protocol for rule in closing
            )
            yield f"{' '.join(list(ports)[:_SHOWN])} ({rule.name})"


def pending(firewall: Firewall, prefix: str, settings: GcpFirewall) -> tuple[Pending, ...]:
    """What of the denial is not as configured."""
    there = _denials(firewall)
    if settings.enforce == "allow":
        names = ", ".join(denial.name for denial in there)
        reason = (
            f'enforce = "allow": what other rules of the network let in comes in again, without '
            f"{names}"
        )
        return (Pending(TARGET, reason, lifts=True),) if there else ()
    if not there:
        return ()
    chosen = _chosen(there)
    missing = [
        Pending(
            f"rule {prefix}-deny{family}",
            f"it is not there: what others let in by IPv{family} is not denied",
        )
        for family in DENIED
        if family not in chosen
    ]
    return (*missing, *(fault for denial in there if (fault := _fault(denial, chosen))))


def _fault(denial: Owned, chosen: dict[str, Owned]) -> Pending | None:
    if chosen.get(denial_family(denial.name) or "") is not denial:
        return Pending(f"rule {denial.name}", "another rule denies the same; this one is deleted")
    if denial.wrong:
        return Pending(f"rule {denial.name}", f"not as configured: {', '.join(denial.wrong)}")
    return None


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
        and rule.priority >= denial_priority(settings)
    )


def lifting(firewall: Firewall) -> tuple[Write, ...]:
    """Deletes the denials."""
    return tuple(Write("delete", denial.name) for denial in _denials(firewall))


def denying(
    firewall: Firewall, prefix: str, settings: GcpFirewall, marker: Marker
) -> tuple[tuple[Write, ...], tuple[Write, ...]]:
    """The denials as they should be, and the ones that are deleted after that."""
    there = _denials(firewall)
    chosen = _chosen(there)
    writes = []
    for family, sources in DENIED.items():
        denial = chosen.get(family)
        if denial is None:
            name = _free_name(f"{prefix}-deny{family}", firewall.names)
            writes.append(Write("insert", name, _body(name, sources, settings, marker)))
        elif denial.wrong or denial.rule.marker != marker:
            body = _body(denial.name, sources, settings, marker)
            kept = {"network": denial.rule.network, "logConfig": denial.rule.log_config}
            writes.append(Write("update", denial.name, body | kept))
    staying = {denial.name for denial in chosen.values()}
    surplus = [denial.name for denial in there if denial.name not in staying]
    return tuple(writes), tuple(Write("delete", name) for name in surplus)


def _denials(firewall: Firewall) -> list[Owned]:
    return [owned for owned in firewall.owned if owned.kind == "denial"]


def _chosen(denials: Iterable[Owned]) -> dict[str, Owned]:
    """By family, the rule that stays: one that is right before others."""
    chosen: dict[str, Owned] = {}
    for denial in sorted(denials, key=lambda each: (bool(each.wrong), each.name)):
        chosen.setdefault(denial_family(denial.name) or "", denial)
    return chosen


def _free_name(name: str, taken: Collection[str]) -> str:
    return next(free for letter in LETTERS if (free := f"{name}{letter}") not in taken)


def _body(name: str, sources: NetworkSet, settings: GcpFirewall, marker: Marker) -> dict[str, Any]:
    """The whole resource; every field that decides is named, so that lists really clear."""
    return {
        "name": name,
        "network": f"global/networks/{settings.network}",
        "direction": "INGRESS",
        "priority": denial_priority(settings),
        "disabled": False,
        "denied": [{"IPProtocol": "all"}],
        "sourceRanges": list(sources.cidrs()),
        "description": marked(marker, _TEXT),
        **target_fields(settings),
    }


def target_fields(settings: GcpFirewall) -> dict[str, Any]:
    """Whom the rules of the firewall are for, as a resource names it."""
    if settings.target_tags:
        return {"targetTags": sorted(settings.target_tags)}
    return {"targetServiceAccounts": sorted(settings.target_service_accounts or ())}
