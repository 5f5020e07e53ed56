"""Writing: one call a step, then all its actions awaited together until the vendor has them in
effect."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cloudsync.provider.contract import Step
from cloudsync.provider.errors import ProviderError, Transient
from cloudsync_hetzner.client import Api
from cloudsync_hetzner.native import Change

BATCH = 25  # ids a request, as the vendor's own clients ask
FIRST_POLL_SECONDS = 0.1
LONGEST_POLL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class HetznerWriter:
    """Writes to one project."""

    api: Api

    def run(self, step: Step) -> None:
        """One write, in effect when this returns. Raises `ProviderError`."""
        change = step.native
        if not isinstance(change, Change):
            raise ProviderError("this step was not made by the provider hetzner")
        answer = self._send(change)
        try:
            self._wait(step.summary, answer.get("actions") or ())
        except (KeyError, TypeError, ValueError, AttributeError):
            raise Transient(
                "accepted by Hetzner, but the answer cannot be understood", fate_unknown=True
            ) from None

    def _send(self, change: Change) -> dict[str, Any]:
        wanted = change.wanted
        resources = [
            {key: value for key, value in resource.items() if not key.startswith("_")}
            for resource in wanted.resources
        ]
        rules = [
            {key: value for key, value in rule.items() if value is not None}
            for rule in wanted.rules
        ]
        if change.verb == "create":
            body = {
                "name": wanted.name,
                "labels": dict(wanted.labels),
                "rules": rules,
                "apply_to": resources,
            }
            return self.api.write("POST", "/firewalls", body)
        if change.verb == "mark":
            return self.api.write("PUT", f"/firewalls/{change.id}", {"labels": dict(wanted.labels)})
        if change.verb == "attach":
            return self.api.write(
                "POST",
                f"/firewalls/{change.id}/actions/apply_to_resources",
                {"apply_to": resources},
            )
        return self.api.write("POST", f"/firewalls/{change.id}/actions/set_rules", {"rules": rules})

    def _wait(self, summary: str, actions: Iterable[dict[str, Any]]) -> None:
        """Poll the actions in batches. What is still running at the deadline, or failed, is said by
        server."""
        running = {int(action["id"]): action for action in actions}
        pause = FIRST_POLL_SECONDS
        failed: list[str] = []
        while True:
            failed += [
                _failure(action) for action in running.values() if action["status"] == "error"
            ]
            running = {
                id_: action for id_, action in running.items() if action["status"] == "running"
            }
            if not running:
                break
            if time.monotonic() + pause >= self.api.account.deadline:
                raise Transient(
                    f"accepted by Hetzner, but not in effect when the run's deadline was reached: {_where(running.values())}"
                )
            self.api.account.progress(f"{summary}: waiting for {len(running)} actions")
            time.sleep(pause)
            pause = min(pause * 1.6, LONGEST_POLL_SECONDS)
            ids = sorted(running)
            for start in range(0, len(ids), BATCH):
                for action in self.api.get(
                    "/actions", {"id": ids[start : start + BATCH], "per_page": 50}
                ).get("actions", ()):
                    running[int(action["id"])] = action
        if failed:
            raise Transient(
                f"Hetzner could not put it into effect: {'; '.join(failed)}; the next run tries again"
            )


def _failure(action: dict[str, Any]) -> str:
    code = (action.get("error") or {}).get("code", "unknown")
    return f"{str(code)[:60]} on {_where([action])}"


def _where(actions: Iterable[dict[str, Any]]) -> str:
    names = {
        f"{resource['type']} {resource['id']}"
        for action in actions
        for resource in action.get("resources", ())
        if resource.get("type") == "server"
    }
    return ", ".join(sorted(names)) or "the firewall"
