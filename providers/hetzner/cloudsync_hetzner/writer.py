"""Writing: one call a step, then all its actions awaited together until the vendor has them in
effect."""

from __future__ import annotations

from dataclasses import dataclass, field

from cloudsync.provider.answers import printable
from cloudsync.provider.contract import Step
from cloudsync.provider.errors import ProviderError, Transient
from cloudsync.provider.http import Rest
from cloudsync.provider.waiting import wait_until
from cloudsync_hetzner.answers import Action, Actions
from cloudsync_hetzner.native import Write

BATCH = 25  # ids a request, as the vendor's own clients ask


@dataclass(frozen=True, slots=True)
class HetznerWriter:
    """Writes to one project."""

    api: Rest

    def run(self, step: Step) -> None:
        """One write, in effect when this returns. Raises `ProviderError`."""
        if not isinstance(step.native, Write):
            raise ProviderError("this step was not made by the provider hetzner")
        actions = _Actions(self.api, list(self._send(step.native).actions))
        wait_until(actions.still_running, self.api.account, step.summary, "Hetzner")
        if actions.failed:
            raise Transient(
                f"Hetzner could not put it into effect: {'; '.join(actions.failed)}; the next run "
                f"tries again"
            )

    def _send(self, write: Write) -> Actions:
        rules = [rule.model_dump(mode="json", exclude_none=True) for rule in write.rules]
        resources = [dict(resource.body) for resource in write.resources]
        labels = dict(write.labels)
        firewall = f"/firewalls/{write.id}"
        match write.verb:
            case "create":
                created = {"name": write.name, "labels": labels, "rules": rules}
                body = {**created, "apply_to": resources}
                return self.api.write("POST", "/firewalls", body, Actions)
            case "mark":
                return self.api.write("PUT", firewall, {"labels": labels}, Actions)
            case "attach":
                path = f"{firewall}/actions/apply_to_resources"
                return self.api.write("POST", path, {"apply_to": resources}, Actions)
            case "set_rules":
                path = f"{firewall}/actions/set_rules"
                return self.api.write("POST", path, {"rules": rules}, Actions)


@dataclass(slots=True)
class _Actions:
    """The actions of one write, as they were last seen."""

    api: Rest
    running: list[Action]
    failed: list[str] = field(default_factory=list)
    asked: bool = False

    def still_running(self) -> str | None:
        """Where actions still run; None once all have ended. They are asked for in batches."""
        if self.asked:
            ids = sorted(action.id for action in self.running)
            batches = [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]
            self.running = [
                action
                for batch in batches
                for action in self.api.get("/actions", Actions, {"id": batch}).actions
            ]
        self.asked = True
        self.failed += [_failure(action) for action in self.running if action.status == "error"]
        self.running = [action for action in self.running if action.status == "running"]
        return _where(self.running) if self.running else None


def _failure(action: Action) -> str:
    code = action.error.code if action.error is not None else "unknown"
    return f"{printable(code)[:60]} on {_where([action])}"


def _where(actions: list[Action]) -> str:
    names = {
        f"{resource.type} {resource.id}"
        for action in actions
        for resource in action.resources
        if resource.type == "server"
    }
    return ", ".join(sorted(names)) or "the firewall"
