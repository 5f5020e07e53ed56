"""Denials: the firewall's own, and those of others that a plan would pass (`passed`).

By `enforce = "deny-others"` what other allow rules of the network let in from the Internet on the
firewall's targets is denied. Two VPC rules, one per family, for the same targets, stand between our
allowances and everybody else's: the lowest priority number is evaluated first, so that 900 (ours)
is let in, 950 (these) stops the rest, and 1000 (Google's default for everybody's rules) is never
reached.

Only public space is denied, so that what does not come from the Internet stays as it is: private
networks, and the ranges that Google's own health checks, load balancers and Identity-Aware Proxy
send from (https://cloud.google.com/load-balancing/docs/firewall-rules,
https://cloud.google.com/iap/docs/using-tcp-forwarding).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from cloudsync.provider import first_match
from cloudsync.provider.contract import Attachment, Pending, Target, Touched
from cloudsync.provider.first_match import Ranked
from cloudsync.provider.phrases import first_of
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.address_classes import PRIVATE
from cloudsync.rules.networks import ANY4, ANY6, NetworkSet
from cloudsync_gcp import provider
from cloudsync_gcp.names import denial_family, free_denial_name
from cloudsync_gcp.native import Firewall, Owned, Write
from cloudsync_gcp.settings import GcpFirewall
from cloudsync_gcp.vpc_rules import MARKER, VpcRule, new_resource

TARGET = "the denial of everything else"
_TEXT = "what no rule of this firewall lets in from the Internet is denied here"
_TWICE = "another rule denies the same"
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


def denied_traffic(families: Iterable[str]) -> RuleSet:
    """What denials of these families keep out."""
    return RuleSet.of(Rule.of("all", "", DENIED[family]) for family in families)


def is_denial(rule: VpcRule) -> bool:
    """Whether it is one of a firewall's denials, right or not. A rule that lets in is none,
    whatever its name."""
    return denial_family(rule.name) is not None and bool(rule.denied)


def wrong(rule: VpcRule, settings: GcpFirewall) -> Iterable[str]:
    """The fields of a denial that are not as they should be, in words."""
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


def attachments(firewall: Firewall) -> tuple[Attachment, ...]:
    """The denial as an attachment: nothing lists all that it closes, so that it needs the user's
    confirmation. It is there if a rule of it is; the rest is put right."""
    settings = firewall.settings
    if settings.enforce != "deny-others":
        return ()
    who = ", ".join(settings.target_tags or settings.target_service_accounts or ())
    reason = (
        f"on {who}, what other rules let in from the Internet is denied: what no rule of this "
        f"firewall lets in closes there"
    )
    if closing := list(_closing(firewall)):
        reason += f", such as {first_of(closing, _SHOWN, noun='rule')}"
    return (Attachment(TARGET, bool(firewall.denials), reason=reason, in_place=True),)


def _closing(firewall: Firewall) -> Iterator[str]:
    """What others let in from the Internet on all the targets, behind the denial."""
    denied = denied_traffic(DENIED)
    for rule in firewall.foreign_allowances:
        closing = rule.lets_in & denied
        if closing and rule.priority >= firewall.settings.denial_priority:
            ports = dict.fromkeys(each.protocol_and_ports for each in closing)
            yield f"{' '.join(list(ports)[:_SHOWN])} ({rule.name})"


def pending(firewall: Firewall) -> Iterator[Pending]:
    """What of the denial is not as configured."""
    there = firewall.denials
    if not there:
        return
    if firewall.settings.enforce == "allow":
        again = 'enforce = "allow": what other rules of the network let in comes in again, without'
        reason = f"{again} {', '.join(denial.name for denial in there)}"
        yield Pending(TARGET, reason, lifts=True)
        return
    chosen = _chosen(there)
    for family in [family for family in DENIED if family not in chosen]:
        reason = f"it is not there: what others let in by IPv{family} is not denied"
        yield Pending(f"rule {firewall.prefix}-deny{family}", reason)
    for denial in there:
        if denial not in chosen.values():
            yield Pending(f"rule {denial.name}", f"{_TWICE}; this one is deleted")
        elif denial.wrong:
            yield denial.fault


def are_asked(target: Target) -> bool:
    """Whether the denials of others are to be written or put right now."""
    if provider.settings_of(target.spec).enforce == "allow":
        return False
    return target.reapply or any(attachment.target == TARGET for attachment in target.attach)


def overruling(firewall: Firewall, target: Target) -> str | None:
    """Why denying what others let in would stop this owner's other firewalls."""
    if not (are_asked(target) and firewall.overruled):
        return None
    return (
        f"denying what others let in would stop {first_of(firewall.overruled, _SHOWN)} of this "
        "owner's other firewalls on the same machines; give those a priority below "
        f"{firewall.settings.denial_priority}"
    )


def writes(firewall: Firewall, target: Target) -> tuple[Sequence[Write], ...]:
    """Three times calls: the denials that are lifted, those that are written, and those that are
    deleted after that since another one is enough."""
    there = firewall.denials
    if firewall.settings.enforce == "allow":
        return [Write("delete", denial.name) for denial in there], (), ()
    if not are_asked(target):
        return (), (), ()
    chosen = _chosen(there)
    written = [
        write
        for family in DENIED
        if (write := _write(firewall, family, chosen.get(family))) is not None
    ]
    surplus = [
        Write("delete", name, touched=Touched(f"rule {name}", "deletes", _TWICE, counts=False))
        for name in (denial.name for denial in there if denial not in chosen.values())
    ]
    return (), written, surplus


def _chosen(denials: Iterable[Owned]) -> dict[str, Owned]:
    """By family, the rule that stays: one that is right before others."""
    chosen: dict[str, Owned] = {}
    for denial in sorted(denials, key=lambda each: (bool(each.wrong), each.name)):
        chosen.setdefault(denial_family(denial.name) or "", denial)
    return chosen


def _write(firewall: Firewall, family: str, denial: Owned | None) -> Write | None:
    """The denial of a family as it should be; None if `denial`, the one that is there, is."""
    settings, marker = firewall.settings, firewall.spec.marker
    if denial is not None and not denial.wrong and denial.rule.marker == marker:
        return None
    new = free_denial_name(firewall.prefix, family, firewall.names)
    name = new if denial is None else denial.name
    sources, description = DENIED[family].cidrs(), MARKER.write(marker, _TEXT)
    body = new_resource(name, settings, settings.denial_priority, sources, description)
    body["denied"] = [{"IPProtocol": "all"}]
    if denial is None:
        return Write("insert", name, body)
    kept = {"network": denial.rule.network, "logConfig": denial.rule.log_config}
    return Write("update", name, body | kept)


def passed(firewall: Firewall, writes: Iterable[Write]) -> tuple[str, ...]:
    """What denials of others keep out and writes would let in (guard `passes-denial`)."""
    allowing = [(owned.rule, owned.effect) for owned in firewall.owned]
    allowing += [(rule, rule.lets_in) for rule in firewall.foreign_allowances]
    return first_match.passed(
        [Ranked(rule.name, rule.priority, rule.matches) for rule in firewall.foreign_denials],
        [Ranked(rule.name, rule.priority, effect) for rule, effect in allowing],
        [Ranked(write.name, write.priority, write.after) for write in writes],
    )
