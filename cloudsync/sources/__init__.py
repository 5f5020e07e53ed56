"""Sources read what hosts need: container engines, Compose files and static lists. They judge
nothing but loopback; policy decides."""

from __future__ import annotations

from collections.abc import Sequence

from cloudsync.model.ports import (
    Complete,
    Discovery,
    Failed,
    Partial,
    incomplete,
)


def united(discoveries: Sequence[Discovery]) -> Discovery:
    """Several sources of one host as one: everything they know together, and as complete as the
    worst of them."""
    if len(discoveries) == 1:
        return discoveries[0]
    read = [discovery for discovery in discoveries if not isinstance(discovery, Failed)]
    lacking = [discovery for discovery in discoveries if not isinstance(discovery, Complete)]
    reasons = tuple(reason for discovery in lacking for reason in reasons_of(discovery))
    temporary = all(discovery.temporary for discovery in lacking)
    if lacking and not read:
        skipped = all(isinstance(discovery, Failed) and discovery.skipped for discovery in lacking)
        return Failed("; ".join(reasons), temporary=temporary, skipped=skipped)
    whole = Complete(
        required=tuple(port for discovery in read for port in discovery.required),
        unopened=tuple(port for discovery in read for port in discovery.unopened),
        malformed=tuple(bad for discovery in read for bad in discovery.malformed),
        remarks=tuple(remark for discovery in read for remark in discovery.remarks),
        local=tuple(port for discovery in read for port in discovery.local),
        routed=tuple(behind for discovery in read for behind in discovery.routed),
        engines=tuple(engine for discovery in read for engine in discovery.engines),
        unpublished=tuple(container for discovery in read for container in discovery.unpublished),
        narrowed=tuple(port for discovery in read for port in discovery.narrowed),
        uncertain=tuple(c for discovery in read for c in discovery.uncertain),
        shut=tuple(port for discovery in read for port in discovery.shut),
        sequence=max((discovery.sequence for discovery in read), default=0),
    )
    return incomplete(whole, reasons, temporary=temporary)


def reasons_of(discovery: Partial | Failed) -> tuple[str, ...]:
    """Why it is not complete."""
    return (discovery.reason,) if isinstance(discovery, Failed) else discovery.reasons


__all__ = ["Complete", "Discovery", "Failed", "Partial", "reasons_of", "united"]
