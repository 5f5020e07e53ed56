"""Writing: one call a step, then the firewall is asked until the vendor has it in effect."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cloudsync.provider.answers import Nothing, printable
from cloudsync.provider.contract import Step
from cloudsync.provider.errors import Conflict, ProviderError, Transient, Unsupported
from cloudsync.provider.http import Rest
from cloudsync.provider.waiting import wait_until
from cloudsync.rules.frozen import dataclass
from cloudsync_digitalocean.answers import Firewall, FirewallAnswer, PendingChange, Rule
from cloudsync_digitalocean.client import ask_for_scope
from cloudsync_digitalocean.native import Write
from cloudsync_digitalocean.rules import bodies, lets_in, other_texts


@dataclass(frozen=True, slots=True)
class DigitalOceanWriter:
    """Writes to one team."""

    api: Rest

    def run(self, step: Step) -> None:
        """One write, in effect when this returns. Raises `ProviderError`."""
        if not isinstance(step.native, Write):
            raise ProviderError("this step was not made by the provider digitalocean")
        id_ = self._send(step.native)
        wait_until(lambda: self._missing(id_), self.api.account, step.summary, "DigitalOcean")

    def _send(self, write: Write) -> str:
        """Do it; the firewall's id."""
        if not write.id:
            return self.api.write("POST", "/firewalls", write.body, FirewallAnswer).firewall.id
        path = f"/firewalls/{write.id}{write.path}"
        if write.verb == "replace":
            self.api.write("PUT", path, self._whole(write), Nothing)
        elif write.verb == "call":
            self.api.write(write.method, path, write.body, Nothing)
        return write.id

    def _whole(self, write: Write) -> dict[str, Any]:
        """The body of a full replace. It resets whatever it does not name, so attachments are read
        again just before, by a token that sees them all."""
        ask_for_scope(self.api, "droplets", "droplet:read")
        ask_for_scope(self.api, "tags", "tag:read")
        now = self._firewall(write.id)
        if _meanings(now.inbound_rules) != _meanings(write.expected):
            raise Conflict(f"{now.name}: its rules were changed since the plan was made")
        return {
            **write.body,
            "outbound_rules": bodies(now.outbound_rules),
            "droplet_ids": list(now.droplet_ids),
            "tags": list(now.tags),
        }

    def _missing(self, id_: str) -> str | None:
        """Where it is not in effect yet; None once it is everywhere."""
        firewall = self._firewall(id_)
        where = _where(firewall.pending_changes)
        if firewall.status == "failed":
            raise Transient(
                f"DigitalOcean could not put it into effect{where}; the next run tries again"
            )
        done = firewall.status == "succeeded" and not firewall.pending_changes
        return None if done else where.strip()

    def _firewall(self, id_: str) -> Firewall:
        return self.api.get(f"/firewalls/{id_}", FirewallAnswer).firewall


def _meanings(rules: Iterable[Rule]) -> set[object]:
    try:
        return {(lets_in(rule), other_texts(rule)) for rule in rules}
    except Unsupported as error:
        raise Conflict(f"the firewall has {error}") from None


def _where(pending: Iterable[PendingChange]) -> str:
    names = sorted({printable(str(change.droplet_id)) for change in pending})
    return f" on droplet {', '.join(names)}" if names else ""
