"""Publishing: what the engines of this machine answer is written into the store, for controllers
that cannot reach them. Needs no cloud credentials, and writes this machine's inventories only."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cloudsync import __version__
from cloudsync.config.configuration import Configuration, Host, PublishSettings
from cloudsync.model.ports import Failed
from cloudsync.provider.contract import Progress, silent
from cloudsync.provider.phrases import count
from cloudsync.reconcile.inventories import name_of
from cloudsync.rules.frozen import dataclass
from cloudsync.sources.docker.engine import Survey
from cloudsync.sources.docker.inspected import Inspections
from cloudsync.sources.identity import MACHINE_ID, is_local
from cloudsync.sources.inventory.document import (
    FORMAT,
    MOST_BYTES,
    engine_written,
    moment,
    status_of,
)
from cloudsync.sources.inventory.signature import KeyProblem, signed
from cloudsync.sources.read_hosts import surveys_of
from cloudsync.state import StateError
from cloudsync.state.store.contract import Changed, Store, Stored, StoreRefused
from cloudsync.state.store.opened import check_conditional, open_store

DEFAULT = PublishSettings(valid_for=900.0)
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one host's inventory."""

    host: str
    status: str
    """`complete`, `partial` or `failed`: what could be read of its engines."""
    reasons: tuple[str, ...]
    where: str
    problem: StateError | None = None
    """Why it could not be written."""


def local_hosts(configuration: Configuration) -> list[Host]:
    """The hosts whose engines are all reached through sockets of this machine."""
    return [
        host
        for host in configuration.hosts.values()
        if host.docker and not host.retired and is_local(configuration, host)
    ]


def publish(
    configuration: Configuration,
    progress: Progress = silent,
    inspections: Inspections | None = None,
) -> tuple[Outcome, ...]:
    """Read every local host and write its inventory. `inspections`: what an earlier read of this
    process need not ask again. Raises `StateError` if the store or the key cannot be used at
    all."""
    hosts = local_hosts(configuration)
    store = open_store(configuration.state)
    answers = surveys_of(configuration, hosts, progress, inspections)
    return tuple(_written(configuration, store, host, answers[host.name]) for host in hosts)


def _written(
    configuration: Configuration, store: Store, host: Host, answers: list[Survey | Failed]
) -> Outcome:
    status, reasons = status_of(answers)
    name = name_of(configuration.owner, host.name)
    problem: StateError | None = None
    try:
        _write(configuration, store, name, _document(configuration, host, answers))
    except StateError as error:
        problem = error
    return Outcome(host.name, status, tuple(reasons), store.where(name), problem)


def _document(
    configuration: Configuration, host: Host, answers: list[Survey | Failed]
) -> dict[str, Any]:
    status, reasons = status_of(answers)
    settings = configuration.publish or DEFAULT
    return {
        "format_version": FORMAT,
        "tool_version": __version__,
        "owner": configuration.owner,
        "host": host.name,
        "status": status,
        "reasons": [reason[:1000] for reason in reasons[:50]],
        "machine": machine(),
        "sequence": time.time_ns() // 1_000_000,
        "time": moment(datetime.now(UTC)),
        "valid_seconds": int(settings.valid_for),
        "engines": [
            engine_written(str(engine), answer)
            for engine, answer in zip(host.docker, answers, strict=True)
        ],
    }


def machine() -> str:
    """What tells this machine from others, without giving its id away."""
    try:
        id_ = MACHINE_ID.read_text().strip()
    except OSError:
        id_ = ""
    return hashlib.sha256(f"cloudsync {id_}".encode()).hexdigest()[:32] if id_ else "unknown"


def _write(
    configuration: Configuration, store: Store, name: str, document: Mapping[str, Any]
) -> None:
    """Over the inventory that is there, if it is this machine's. Raises `StateError`."""
    for _ in range(_TRIES):
        stored = _present(store, name)
        before = _before(stored)
        _refuse_if_anothers(store.where(name), before, document)
        sequence = max(int(document["sequence"]), _sequence(before) + 1)
        data = _bytes(configuration, {**document, "sequence": sequence})
        try:
            store.put(name, data, None if stored is None else stored.version)
        except Changed:
            continue
        check_conditional(configuration.state, name, data)
        return
    raise StateError(f"{store.where(name)} is written by another process all the time")


def _present(store: Store, name: str) -> Stored | None:
    """What is there. Stores refuse to read an object that is not there to who may list nothing:
    then it is created, or found to be there after all."""
    try:
        return store.get(name)
    except StoreRefused:
        return None


def _bytes(configuration: Configuration, document: Mapping[str, Any]) -> bytes:
    settings = configuration.publish or DEFAULT
    if settings.sign_with is not None:
        try:
            document = signed(document, configuration.base / settings.sign_with)
        except KeyProblem as error:
            raise StateError(f"the inventory cannot be signed: {error}") from None
    data = (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()
    if len(data) > MOST_BYTES:
        size = count(len(data), "byte")
        raise StateError(f"the inventory is too large: {size}, at most {MOST_BYTES}")
    return data


def _before(stored: Stored | None) -> Mapping[str, Any]:
    try:
        value = {} if stored is None else json.loads(stored.data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _sequence(before: Mapping[str, Any]) -> int:
    sequence = before.get("sequence")
    return sequence if isinstance(sequence, int) and 0 < sequence < 2**53 - 1 else 0


def _refuse_if_anothers(where: str, before: Mapping[str, Any], document: Mapping[str, Any]) -> None:
    """Two machines of one name would undo each other; one whose inventory is out of date was
    replaced."""
    if before.get("machine") in (None, document["machine"]):
        return
    try:
        written = datetime.fromisoformat(str(before["time"]))
        valid = timedelta(seconds=int(before["valid_seconds"]))
        if datetime.now(UTC) - written > valid:
            return
    except (KeyError, ValueError, TypeError, OverflowError):
        return
    raise StateError(
        f"{where} was written by another machine at {written:%H:%M} UTC: two machines have the same"
        " host name in their configurations; nothing was published"
    )


def publish_quietly(
    configuration: Configuration,
    progress: Progress = silent,
    inspections: Inspections | None = None,
) -> tuple[str, ...]:
    """Publish, and say in words what went wrong."""
    try:
        outcomes = publish(configuration, progress, inspections)
    except StateError as error:
        return (str(error),)
    return tuple(
        f"{outcome.host}: {outcome.problem or '; '.join(outcome.reasons[:3])}"
        for outcome in outcomes
        if outcome.problem is not None or outcome.status != "complete"
    )
