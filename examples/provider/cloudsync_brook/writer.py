"""Writing: one call a step, then the firewall is asked until it is in effect everywhere."""

from __future__ import annotations

from dataclasses import dataclass, field

from cloudsync.provider.contract import Step
from cloudsync.provider.errors import ProviderError, Transient
from cloudsync.provider.http import Rest
from cloudsync.provider.waiting import wait_until
from cloudsync_brook.answers import FirewallAnswer
from cloudsync_brook.native import Write


@dataclass(frozen=True, slots=True)
class BrookWriter:
    """Writes to one account."""

    api: Rest
    left: dict[int, str] = field(default_factory=dict)
    """By firewall, the fingerprint that the last write of this run left. A write repeats it, or
    else the one that it was planned on; never one that is read just before, which would overwrite
    what somebody has changed since."""

    def run(self, step: Step) -> None:
        """One write, in effect when this returns. Raises `ProviderError`."""
        write = step.native
        if not isinstance(write, Write):
            raise ProviderError("this step was not made by the provider brook")
        body = dict(write.body)
        if "fingerprint" in body:
            body["fingerprint"] = self.left.get(write.id, body["fingerprint"])
        answer = self.api.write(write.method, write.path, body, FirewallAnswer)
        id_ = write.id or answer.firewall.id
        self.left[id_] = answer.firewall.fingerprint
        wait_until(lambda: self._missing(id_), self.api.account, step.summary, "Brook")

    def _missing(self, id_: int) -> str | None:
        firewall = self.api.get(f"/firewalls/{id_}", FirewallAnswer).firewall
        if failed := [str(m.id) for m in firewall.machines if m.status == "failed"]:
            raise Transient(
                f"Brook could not put it into effect on machine {', '.join(failed)}; the next run "
                f"tries again"
            )
        waiting = [str(m.id) for m in firewall.machines if m.status != "applied"]
        return f"machine {', '.join(waiting)}" if waiting else None
