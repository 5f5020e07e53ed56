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
    reasons = tuple(reason for one in lacking for reason in reasons_of(one))
    temporary = all(one.temporary for one in lacking)
    if lacking and not read:
        skipped = all(isinstance(one, Failed) and one.skipped for one in lacking)
        return Failed("; ".join(reasons), temporary=temporary, skipped=skipped)
    whole = Complete(
        required=tuple(port for one in read for port in one.required),
        unopened=tuple(port for one in read for port in one.unopened),
        malformed=tuple(bad for one in read for bad in one.malformed),
        remarks=tuple(remark for one in read for remark in one.remarks),
        local=tuple(port for one in read for port in one.local),
        routed=tuple(behind for one in read for behind in one.routed),
        engines=tuple(engine for one in read for engine in one.engines),
        unpublished=tuple(container for one in read for container in one.unpublished),
        narrowed=tuple(port for one in read for port in one.narrowed),
    )
    return incomplete(whole, reasons, temporary=temporary)


def reasons_of(discovery: Partial | Failed) -> tuple[str, ...]:
    """Why it is not complete."""
    return (discovery.reason,) if isinstance(discovery, Failed) else discovery.reasons


__all__ = ["Complete", "Discovery", "Failed", "Partial", "reasons_of", "united"]
