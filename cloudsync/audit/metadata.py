"""Findings about the cloud's metadata service, which containers can ask too (CS030)."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from cloudsync.audit.findings import Finding, about
from cloudsync.audit.user_chain import DROPS
from cloudsync.model.machine_facts import Facts, FilterRule

_ADDRESS = ip_address("169.254.169.254")


def find(facts: Facts) -> Iterator[Finding]:
    """Every finding of this family: by what the vendor's API says of the machine, and by the user
    data on it."""
    if facts.engine is None or not facts.engine.containers or _is_dropped(facts):
        return
    reasons = [facts.cloud.metadata] if facts.cloud and facts.cloud.metadata else []
    data = facts.user_data
    if data is not None and data.has_secrets:
        reasons.append(
            f"{data.vendor} repeats the user data, which mentions passwords or tokens ({data.file})"
        )
    if reasons:
        yield about(
            facts, "CS030", "medium", "metadata service",
            f"containers reach it: {'; '.join(reasons)}", reachable="none",
        )  # fmt: skip


def _is_dropped(facts: Facts) -> bool:
    """Whether something drops what containers send there."""
    chain = facts.docker_user
    by_chain = chain is not None and any(map(_drops, chain.rules))
    return by_chain or (facts.nft is not None and facts.nft.drops_metadata)


def _drops(rule: FilterRule) -> bool:
    destination = rule.value("-d")
    if rule.target not in DROPS or destination is None or rule.is_negated("-d"):
        return False
    if rule.value("-p") not in (None, "all", "tcp") or rule.value("--dport") not in (None, "80"):
        return False
    try:
        return _ADDRESS in ip_network(destination, strict=False)
    except ValueError:
        return False
