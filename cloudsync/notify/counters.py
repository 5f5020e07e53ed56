"""What reporting remembers from run to run, in a file of its own in the state directory: counters,
last figures, what was told already.

Losing it loses counters and may repeat a message; it never stops a run.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cloudsync.model.state_url import StatePlace
from cloudsync.state import StateError
from cloudsync.state.documents import document, where_documents_are
from cloudsync.state.lock import LockHeld, locked

log = logging.getLogger("cloudsync.notify")
_LOCK_SECONDS = 5.0
_KIND = "report.json"


class _Kept(BaseModel):
    model_config = ConfigDict(extra="ignore", validate_assignment=True)


class Figures(_Kept):
    """One firewall as the last run that looked at it left it. Rules are canonical rules, `held` by
    reason, `refused` by code, `guards` by id. `drift`: rules that differed from what is wanted when
    it was read; `pending`: those that still do. `foreign`: rules through which other firewalls let
    the Internet reach its machines; None where nobody looked."""

    provider: str
    read: bool
    drift: int = 0
    pending: int = 0
    held: dict[str, int] = {}
    refused: dict[str, int] = {}
    guards: dict[str, int] = {}
    foreign: int | None = None
    changes: dict[str, int] = {}


class AuditFigures(_Kept):
    """What the last audit of `watch` found."""

    ended: float
    """Unix seconds."""
    findings: dict[str, int]
    """By severity, every one of them."""
    blind: int
    """Inputs that could not be looked at."""


class Streak(_Kept):
    """Runs that failed one after the other. `since`: Unix seconds. `reported`: the exit codes that
    a webhook has delivered, under its old name `told` in the file. `over`: a run succeeded since,
    and the webhook does not know yet."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    since: float
    reported: list[int] = Field(default=[], alias="told")
    over: bool = False


class Memory(_Kept):
    """`last_success` is 0 where there was none yet."""

    version: int = 1
    owner: str
    last_run: float = 0.0
    last_success: float = 0.0
    last_code: int = 0
    last_seconds: float = 0.0
    runs: dict[int, int] = {}
    errors: dict[str, int] = {}
    firewalls: dict[str, Figures] = {}
    hosts: dict[str, bool] = {}
    streak: Streak | None = None
    audit: AuditFigures | None = None


def recall(state: StatePlace, owner: str) -> Memory:
    """What was remembered; a fresh memory if there is none or it cannot be used."""
    where = where_documents_are(state, owner, _KIND)
    try:
        if (raw := document(state, owner, _KIND).read()) is None:
            return Memory(owner=owner)
        memory = Memory.model_validate_json(raw)
        if memory.version == 1 and memory.owner == owner:
            return memory
        log.warning("%s is not of this version or owner: counters start again at 0", where)
    except StateError as error:
        log.warning("%s: counters start again at 0", error)
    except ValidationError:
        log.warning("%s is damaged: counters start again at 0", where)
    return Memory(owner=owner)


@contextmanager
def remembering(state: StatePlace, owner: str) -> Iterator[Memory]:
    """The memory, to be changed in here and kept afterwards. Where it cannot be locked or kept,
    that is logged."""
    with ExitStack() as stack:
        kept = True
        try:
            if isinstance(state, Path):  # in a bucket every shard has its own
                stack.enter_context(locked(state, f"{owner}.report", _LOCK_SECONDS))
        except (LockHeld, StateError) as error:
            log.warning("what is reported cannot be remembered: %s", error)
            kept = False
        memory = recall(state, owner)
        yield memory
        if not kept:
            return
        try:
            data = memory.model_dump_json(indent=1).encode()
            document(state, owner, _KIND).update(lambda _: data, "the counters stay as they were")
        except StateError as error:
            log.warning("what is reported cannot be remembered: %s", error)
