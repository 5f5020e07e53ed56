"""Sources read what hosts need: container engines, Compose files and static lists. They judge
nothing but loopback; policy decides."""

from __future__ import annotations

from collections.abc import Sequence

from cloudsync.model.ports import (
    Complete,
    Discovery,
    Failed,
    Partial,
)


def united(discoveries: Sequence[Discovery]) -> Discovery:
    """Several sources of one host as one: everything they say together, and as complete as the
    worst of them."""
    if len(discoveries) == 1:
        return discoveries[0]
    read = [one for one in discoveries if not isinstance(one, Failed)]
    lacking = [one for one in discoveries if not isinstance(one, Complete)]
    if lacking and not read:
        failed = [one for one in discoveries if isinstance(one, Failed)]
        return Failed(
            "; ".join(one.reason for one in failed),
            temporary=all(one.temporary for one in failed),
            skipped=all(one.skipped for one in failed),
        )
    required = tuple(port for one in read for port in one.required)
    unopened = tuple(port for one in read for port in one.unopened)
    malformed = tuple(one for part in read for one in part.malformed)
    remarks = tuple(remark for one in read for remark in one.remarks)
    local = tuple(port for one in read for port in one.local)
    routed = tuple(one for part in read for one in part.routed)
    engines = tuple(one for part in read for one in part.engines)
    if not lacking:
        return Complete(required, unopened, malformed, remarks, local, routed, engines)
    reasons = tuple(
        reason
        for one in lacking
        for reason in ((one.reason,) if isinstance(one, Failed) else one.reasons)
    )
    temporary = all(one.temporary for one in lacking)
    return Partial(
        reasons, required, unopened, malformed, remarks, temporary, local, routed, engines
    )


__all__ = ["Complete", "Discovery", "Failed", "Partial", "united"]
