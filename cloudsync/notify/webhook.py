"""The webhook: told of changes, of a failure once per streak and exit code, and of the recovery.
The body is `webhook.schema.json`.

A message that could not be delivered is not marked as told: the next run tries again.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from cloudsync import __version__
from cloudsync.config.configuration import ReportSettings
from cloudsync.notify.counters import Streak
from cloudsync.notify.http import Sending, post
from cloudsync.notify.run import Run
from cloudsync.render.escape import plain

Event = Literal["change", "failure", "recovery"]
SIGNATURE_HEADER = "X-Cloudsync-Signature"
EVENT_HEADER = "X-Cloudsync-Event"
_MOST = 50


def event_of(run: Run, streak: Streak | None) -> Event | None:
    """What there is to tell, None where nothing is. `streak`: as it is after this run was
    entered."""
    if run.well and streak is not None and streak.over:
        return "recovery"
    if (
        not run.succeeded
        and not run.skipped
        and streak is not None
        and run.code not in streak.reported
    ):
        return "failure"
    return "change" if run.changed else None


def send(
    settings: ReportSettings, base: Path, event: Event, run: Run, streak: Streak | None
) -> Sending | None:
    """Begin to send it; None where no webhook is configured."""
    reference, secret = settings.webhook, settings.webhook_secret
    if reference is None:
        return None
    body = json.dumps(message(event, run, streak), sort_keys=True).encode()

    def deliver() -> None:
        headers = {"Content-Type": "application/json", EVENT_HEADER: event}
        if secret is not None:
            headers[SIGNATURE_HEADER] = signature(
                secret.resolve(base, for_header=False).get_secret_value(), body
            )
        post(reference, base, body, headers)

    return Sending("webhook", deliver)


def signature(secret: str, body: bytes) -> str:
    """`sha256=` and the HMAC-SHA256 of the body in hex."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def message(event: Event, run: Run, streak: Streak | None) -> dict[str, Any]:
    """The body. Every list is cut at 50; texts of strangers are made harmless."""
    report = run.report
    plan = report.plan if report is not None else None
    return {
        "version": 1,
        "id": str(uuid.uuid4()),
        "event": event,
        "text": _for_chat(
            f"cloudsync {run.owner}: {run.sentence()}"
            + (" (recovered)" if event == "recovery" else "")
        ),
        "tool_version": __version__,
        "owner": run.owner,
        "command": run.command,
        "time": _time(run.started + run.seconds),
        "failing_since": _time(streak.since) if streak is not None else None,
        "seconds": round(run.seconds, 3),
        "exit_code": run.code,
        "opened": run.opened,
        "closed": run.closed,
        "firewalls": [
            {
                "name": outcome.firewall,
                "status": outcome.status,
                "opened": outcome.opened,
                "closed": outcome.closed,
                "message": _described(outcome.message),
            }
            for outcome in (report.outcomes if report is not None else ())
            if outcome.status != "unchanged"
        ][:_MOST],
        "guards": [
            {
                "id": guard.id,
                "firewall": guard.firewall,
                "withholds": guard.withholds,
                "message": _described(guard.message),
            }
            for guard in (plan.guards if plan is not None else ())
        ][:_MOST],
        "hosts": [
            {"name": name, "status": status.status, "reason": _described(status.reason)}
            for name, status in (plan.hosts if plan is not None else ())
            if status.status != "complete"
        ][:_MOST],
        "error": _described(run.error),
    }


def _described(text: str | None) -> str | None:
    return None if text is None else plain(text)


def _for_chat(text: str) -> str:
    """A sentence that a chat service shows as it is: names in it are strangers' words, and
    `<!channel>` or a link in them would be carried out (Slack's and Mattermost's rule: these three,
    escaped)."""
    return (
        text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "@\u200b")
    )


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
