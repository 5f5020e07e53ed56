"""For vendors whose firewalls filter private networks too (`Capabilities.filters_private`): the key
that asks the user, the rules it means, and the warning if traffic between machines is cut."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal

from pydantic import AfterValidator

from cloudsync.provider.contract import Absent, Present, Target
from cloudsync.rules import NOTHING, Rule, RuleSet
from cloudsync.rules.networks import ANY4, NOWHERE, NetworkSet

RFC1918 = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")


def _networks(value: str | list[str]) -> str | list[str]:
    if isinstance(value, list):
        NetworkSet.of(value)
    return value


PrivateSetting = Annotated[Literal["allow", "cut"] | list[str], AfterValidator(_networks)]
"""The type of the key: `allow` (RFC 1918), `cut` (nothing), or CIDRs."""


def private_rules(
    setting: str | list[str], protocols: Collection[str], all_of_it: Collection[str] = RFC1918
) -> RuleSet:
    """What a new firewall lets in from private networks: everything that the vendor's `protocols`
    can say. `all_of_it`: the networks that `allow` means."""
    if setting == "cut":
        return NOTHING
    sources = NetworkSet.of(all_of_it if isinstance(setting, str) else setting)
    family = {"icmp": sources.family(4), "icmpv6": sources.family(6)}
    rules = ((protocol, family.get(protocol, sources)) for protocol in protocols)
    return RuleSet.of(Rule.of(protocol, "", own) for protocol, own in rules if own != NOWHERE)


def cut_warning(
    observed: Present | Absent, target: Target, networks: Collection[str] = RFC1918
) -> str | None:
    """What to say (`Step.warning`) if machines come, or are, under a firewall that lets nothing in
    from private networks."""
    private = NetworkSet.of(networks)
    before = observed.rules if isinstance(observed, Present) else NOTHING
    had = bool(_only_private(before - target.rules).where(private))
    if _only_private(target.rules).where(private) or not (had or target.attach):
        return None
    return (
        f"this firewall filters private networks too, and lets nothing in from "
        f"{', '.join(networks)} but what is open to the world: traffic between the machines is cut"
    )


def _only_private(rules: RuleSet) -> RuleSet:
    return rules - RuleSet.of(rule for rule in rules if rule.sources.covers(ANY4))
