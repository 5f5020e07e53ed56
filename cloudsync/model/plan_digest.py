"""The digest of a plan (decision 0006): the same for the same changes on the same targets, whoever
plans them and when."""

from __future__ import annotations

import hashlib
from typing import Any

import rfc8785

from cloudsync.model.plan import Change, Granted, Plan


def digest(plan: Plan) -> str:
    """`sha256:` over the canonical JSON (RFC 8785) of what would change on which targets (decision
    0006)."""
    firewalls = sorted(
        [
            f.name,
            f.provider,
            f.type,
            f.endpoint,
            f.identity,
            [_essence(change) for change in f.changes],
        ]
        for f in plan.firewalls
        if f.changes
    )
    return "sha256:" + hashlib.sha256(rfc8785.dumps([plan.owner, firewalls])).hexdigest()


def grants_checksum(granted: Granted) -> str:
    """`sha256:` over what a plan was granted. It finds a change made by hand, not one by somebody
    who can compute it again: whoever may write a plan file can write another plan."""
    values = [
        sorted(granted.adopt),
        sorted(granted.allow_attach),
        granted.allow_close,
        granted.ssh_moved,
        granted.now,
    ]
    return "sha256:" + hashlib.sha256(rfc8785.dumps(values)).hexdigest()


def _essence(change: Change) -> list[Any]:
    if change.rule is None:
        return [change.action, None, None, None, change.target]
    return [
        change.action,
        change.rule.protocol,
        change.rule.ports,
        list(change.rule.sources.cidrs()),
        change.target,
    ]
