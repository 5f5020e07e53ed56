"""Writing by the SDK: every call of a step is started, then every operation is waited for, at the
endpoint of the configuration.

Every write has a request id, so that one whose answer was lost is sent again and done once.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import requests
from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth.exceptions import GoogleAuthError
from google.cloud import compute_v1
from google.protobuf.json_format import Error as NoJson

from cloudsync.provider.contract import Account, Step
from cloudsync.provider.errors import Conflict, NotFound, ProviderError, Transient
from cloudsync.provider.retry import retried
from cloudsync.provider.transport import secured
from cloudsync_gcp.client import CALL_SECONDS, credentials_of, settings_of
from cloudsync_gcp.errors import NotReady, of_answer, of_transport
from cloudsync_gcp.native import Write, Writes

# The vendor answers a wait after two minutes at the latest; it may answer at once that the
# operation still runs.
WAIT_SECONDS = 130.0
PAUSE_SECONDS = 0.5
# An operation that runs on the same rule ends by itself, in seconds; it is waited for until the
# deadline.
MOST_CALLS_WHILE_BUSY = 100
_CALLS = {"insert": "insert_unary", "update": "update_unary", "delete": "delete_unary"}


class GcpWriter:
    """Writes to one project. Raises `AuthError` without credentials."""

    def __init__(self, account: Account, base: str) -> None:
        self.account, self.project = account, settings_of(account).project
        options: dict[str, Any] = {
            "credentials": credentials_of(account),
            "client_options": {"api_endpoint": base},
        }
        self._firewalls: Any = compute_v1.FirewallsClient(**options)
        # The SDK's own waiting forgets the endpoint and asks the real one.
        self._operations: Any = compute_v1.GlobalOperationsClient(**options)
        for client in (self._firewalls, self._operations):
            # The SDK has no public way to its session, which follows redirects, writes too.
            transport: Any = client.transport
            secured(transport._session)

    def run(self, step: Step) -> None:
        """All writes of a step, in effect when this returns. Raises `ProviderError`; what was
        started is waited for even then."""
        change = step.native
        if not isinstance(change, Writes):
            raise ProviderError("this step was not made by the provider gcp")
        started: dict[str, Any] = {}
        failed: list[ProviderError] = []
        for write in change.writes:
            try:
                if (operation := self._start(write)) is not None:
                    started[write.name] = operation
            except ProviderError as error:
                failed.append(error)
                break
        for name, operation in started.items():
            try:
                self.account.progress(f"{step.summary}: waiting for {name}")
                self._wait(
                    name,
                    operation,
                    deleting=any(w.name == name and w.method == "delete" for w in change.writes),
                )
            except ProviderError as error:
                failed.append(error)
        if failed:
            raise _worst(failed)

    def _start(self, write: Write) -> Any:
        """The operation; None if there is nothing left to delete."""
        what, request = (
            f"{write.method} {write.name}",
            {"project": self.project, "request_id": str(uuid.uuid4())},
        )
        parameters: dict[str, Any] = dict(request)
        if write.body is not None:
            parameters["firewall_resource"] = compute_v1.Firewall.from_json(
                json.dumps(write.body), ignore_unknown_fields=True
            )
        if write.method != "insert":
            parameters["firewall"] = write.name
        call = getattr(self._firewalls, _CALLS[write.method])

        def once() -> Any:
            return self._call(
                what,
                lambda seconds: call(request=parameters, timeout=seconds, retry=None),
                CALL_SECONDS,
                write=True,
            )

        def sent() -> Any:
            # The request id makes a second sending of the same write safe, whatever became of the
            # first.
            return retried(
                once,
                deadline=self.account.deadline,
                safe=lambda error: error.temporary and not isinstance(error, Conflict | NotReady),
            )

        try:
            return retried(
                sent,
                deadline=self.account.deadline,
                safe=lambda error: isinstance(error, NotReady),
                most=MOST_CALLS_WHILE_BUSY,
            )
        except NotFound:
            if write.method == "delete":
                return None
            raise Conflict(f"{what}: the rule is not there any more") from None

    def _wait(self, name: str, operation: Any, *, deleting: bool) -> None:
        what = f"waiting for {name}"
        late = Transient(
            f"accepted by Google, but {name} was not in effect when the run's deadline was reached"
        )

        def once() -> Any:
            return self._call(
                what,
                lambda seconds: self._operations.wait(
                    project=self.project, operation=operation.name, timeout=seconds, retry=None
                ),
                WAIT_SECONDS,
                write=False,
            )

        while operation.status != compute_v1.Operation.Status.DONE:
            began = time.monotonic()
            if began >= self.account.deadline:
                raise late
            try:
                operation = retried(
                    once, deadline=self.account.deadline, safe=lambda error: error.temporary
                )
            except Transient:
                if time.monotonic() < self.account.deadline:
                    raise
                raise late from None
            if (
                operation.status != compute_v1.Operation.Status.DONE
                and time.monotonic() - began < PAUSE_SECONDS
            ):
                time.sleep(PAUSE_SECONDS)
        errors = list(operation.error.errors)
        status = int(operation.http_error_status_code or 0)
        if not errors and status < 400:
            return
        codes = [str(error.code) for error in errors]
        missing = status == 404 or "RESOURCE_NOT_FOUND" in codes
        if deleting and missing:
            return
        message = str(errors[0].message if errors else operation.http_error_message)
        error = of_answer(name, status or 400, codes, message, write=False)
        # An operation that failed did nothing; another one on the same rule, or a rule that came or
        # went meanwhile, is somebody else's.
        if missing or isinstance(error, NotReady) or "RESOURCE_ALREADY_EXISTS" in codes:
            raise Conflict(error.message)
        raise error

    def _call(self, what: str, call: Callable[[float], Any], most: float, *, write: bool) -> Any:
        left = self.account.deadline - time.monotonic()
        if left <= 0:
            raise Transient(f"{what}: the run's deadline is reached")
        try:
            return call(min(most, left))
        except GoogleAPICallError as error:
            raise _mapped(what, error, write=write) from None
        except (
            RetryError,
            GoogleAuthError,
            requests.RequestException,
            ValueError,
            TypeError,
            AttributeError,
            NoJson,
        ) as error:
            # The last four: the SDK reads an answer, of an error too, as if it could only be right.
            raise of_transport(what, error, write=write) from None


def _mapped(what: str, error: GoogleAPICallError, *, write: bool) -> ProviderError:
    reasons = [str(each.get("reason") or "") for each in error.errors if isinstance(each, Mapping)]
    hint = str(getattr(error.response, "headers", {}).get("Retry-After", ""))
    status = int(error.code or 500)
    return of_answer(
        what,
        status,
        [*reasons, str(error.reason or "")],
        str(error.message),
        write=write,
        hint=hint,
    )


def _worst(errors: list[ProviderError]) -> ProviderError:
    """The first one; where the fate of any is unknown, that one."""
    return next((error for error in errors if error.fate_unknown), errors[0])
