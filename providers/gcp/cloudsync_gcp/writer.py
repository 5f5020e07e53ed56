"""Writing: every call of a step is started, then every operation is waited for.

Every write has a request id, so that one whose answer was lost is sent again and done once.
"""

from __future__ import annotations

import uuid
from functools import partial

from pydantic import Field

from cloudsync.provider.answers import printable
from cloudsync.provider.contract import Step
from cloudsync.provider.errors import ProviderError
from cloudsync.provider.failures import Failure
from cloudsync.provider.retry import retried
from cloudsync.provider.several import Several
from cloudsync.provider.waiting import wait_until
from cloudsync.rules.frozen import dataclass
from cloudsync_gcp.client import Api, NotReady, error_of
from cloudsync_gcp.native import Write, Writes
from cloudsync_gcp.vpc_rules import GoogleAnswer

# Google answers a wait after two minutes at the latest; it may answer at once that the operation
# still runs.
WAIT_SECONDS = 130.0
# An operation that runs on the same rule ends by itself, in seconds; it is waited for until the
# deadline.
MOST_CALLS_WHILE_BUSY = 100
_VERBS = {"insert": "POST", "update": "PUT", "delete": "DELETE"}


class Problem(GoogleAnswer):
    """Why an operation failed."""

    code: str = ""
    message: str = ""


class Problems(GoogleAnswer):
    """All of why an operation failed."""

    errors: tuple[Problem, ...] = ()


class Operation(GoogleAnswer):
    """A write that Google accepted."""

    name: str
    status: str
    error: Problems = Field(default_factory=Problems)
    http_error_status_code: int = 0
    http_error_message: str = ""


@dataclass(frozen=True, slots=True)
class GcpWriter:
    """Writes to one project."""

    api: Api

    def run(self, step: Step) -> None:
        """All writes of a step, in effect when this returns. Raises `ProviderError`; what was
        started is waited for even then."""
        if not isinstance(step.native, Writes):
            raise ProviderError("this step was not made by the provider gcp")
        several = Several()
        started: list[tuple[Write, Operation]] = []
        for write in step.native.writes:
            operation = several.attempt(partial(self._start, write), deletes=write.deletes)
            if operation is not None:
                started.append((write, operation))
            if several.failed:
                break
        for write, operation in started:
            ended = partial(self._wait, step.summary, write, operation)
            several.attempt(ended, deletes=write.deletes)
        several.raise_worst()

    def _start(self, write: Write) -> Operation:
        path = self.api.path("global/firewalls")
        path += "" if write.method == "insert" else f"/{write.name}"
        query = {"requestId": str(uuid.uuid4())}
        return retried(
            lambda: self.api.write(_VERBS[write.method], path, write.body, Operation, query=query),
            deadline=self.api.account.deadline,
            safe=lambda error: isinstance(error, NotReady),
            most=MOST_CALLS_WHILE_BUSY,
        )

    def _wait(self, summary: str, write: Write, operation: Operation) -> None:
        """Raises `ProviderError` if the operation fails, which then did nothing."""
        if operation.status == "DONE":
            _check(write, operation)
            return
        account, look = self.api.account, partial(self._missing, write, operation.name)
        account.progress(f"{summary}: waiting for {write.name}")
        wait_until(look, account, summary, "Google", write.name)

    def _missing(self, write: Write, name: str) -> str | None:
        """The rule that an operation still writes; None once it has ended."""
        path = self.api.path(f"global/operations/{name}/wait")
        operation = self.api.ask(path, Operation, seconds=WAIT_SECONDS)
        if operation.status != "DONE":
            return write.name
        _check(write, operation)
        return None


def _check(write: Write, operation: Operation) -> None:
    """Raises `ProviderError` if an operation that has ended failed."""
    errors, status = operation.error.errors, operation.http_error_status_code
    if not errors and status < 400:
        return
    message = printable(errors[0].message if errors else operation.http_error_message)[:200]
    failure = Failure(write.name, status or 400, "", message, write=False)
    raise error_of(failure, [error.code for error in errors if error.code])
