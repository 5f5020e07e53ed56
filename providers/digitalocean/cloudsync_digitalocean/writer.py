"""Writing: one call a step, then the firewall is asked until the vendor has it in effect."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cloudsync.provider.contract import Step
from cloudsync.provider.errors import Conflict, ProviderError, Transient
from cloudsync_digitalocean.client import Api, plain
from cloudsync_digitalocean.native import Change
from cloudsync_digitalocean.reader import visible
from cloudsync_digitalocean.rules import NativeRule, UnknownRule, from_vendor, written

FIRST_POLL_SECONDS = 0.1
LONGEST_POLL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class DigitalOceanWriter:
    """Writes to one team."""

    api: Api

    def run(self, step: Step) -> None:
        """One write, in effect when this returns. Raises `ProviderError`."""
        change = step.native
        if not isinstance(change, Change):
            raise ProviderError("this step was not made by the provider digitalocean")
        try:
            self._wait(step.summary, self._send(change))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise Transient(
                "DigitalOcean's answer cannot be understood", fate_unknown=True
            ) from None

    def _send(self, change: Change) -> str:
        """Do it; the firewall's id."""
        path = f"firewalls/{change.id}"
        inbound = [written(rule) for rule in change.inbound]
        if change.verb == "create":
            body = {
                "name": change.name,
                "inbound_rules": inbound,
                "outbound_rules": [written(rule) for rule in change.outbound],
            }
            answer = self.api.write(
                "POST",
                "firewalls",
                body | {"droplet_ids": list(change.droplets), "tags": list(change.tags)},
            )
            try:
                return str(answer["firewall"]["id"])
            except (KeyError, TypeError):
                raise Transient(
                    "created, but the answer cannot be understood", fate_unknown=True
                ) from None
        if change.verb == "replace":
            self._replace(change, path, inbound)
        elif change.verb == "add":
            self.api.write("POST", f"{path}/rules", {"inbound_rules": inbound})
        elif change.verb == "remove":
            self.api.write("DELETE", f"{path}/rules", {"inbound_rules": inbound})
        elif change.verb == "attach-droplets":
            self.api.write("POST", f"{path}/droplets", {"droplet_ids": list(change.droplets)})
        elif change.verb == "attach-tags":
            self.api.write("POST", f"{path}/tags", {"tags": list(change.tags)})
        return str(change.id)

    def _replace(self, change: Change, path: str, inbound: list[dict[str, Any]]) -> None:
        """A full replace resets whatever it does not name, so attachments are read again just
        before, by a token that sees them all."""
        visible(self.api, "droplets", "droplet:read")
        visible(self.api, "tags", "tag:read")
        now = self._firewall(str(change.id))
        if _meanings(now.get("inbound_rules") or ()) != _meanings(change.expected):
            raise Conflict(f"{change.name}: its rules were changed since the plan was made")
        body = {
            "name": change.name,
            "inbound_rules": inbound,
            "outbound_rules": [written(rule) for rule in now.get("outbound_rules") or ()],
            "droplet_ids": list(now.get("droplet_ids") or ()),
            "tags": list(now.get("tags") or ()),
        }
        self.api.write("PUT", path, body)

    def _wait(self, summary: str, id_: str) -> None:
        pause = FIRST_POLL_SECONDS
        while True:
            firewall = self._firewall(id_)
            status, pending = firewall.get("status"), firewall.get("pending_changes") or ()
            if status == "failed":
                raise Transient(
                    f"DigitalOcean could not put it into effect{_where(pending)}; the next run tries again"
                )
            if status == "succeeded" and not pending:
                return
            if time.monotonic() + pause >= self.api.account.deadline:
                raise Transient(
                    f"accepted by DigitalOcean, but not in effect when the run's deadline was reached{_where(pending)}"
                )
            self.api.account.progress(f"{summary}: waiting until it is in effect")
            time.sleep(pause)
            pause = min(pause * 1.6, LONGEST_POLL_SECONDS)

    def _firewall(self, id_: str) -> dict[str, Any]:
        firewall = self.api.get(f"firewalls/{id_}").get("firewall")
        if not isinstance(firewall, dict):
            raise Transient("an answer without a firewall", fate_unknown=True)
        return firewall


def _meanings(rules: Iterable[NativeRule]) -> set[object]:
    try:
        listed = [from_vendor(rule) for rule in rules]
    except UnknownRule as error:
        raise Conflict(f"the firewall has {error}") from None
    return {(one.rules, one.others) for one in listed}


def _where(pending: Iterable[Any]) -> str:
    names = sorted({plain(str(one.get("droplet_id"))) for one in pending if isinstance(one, dict)})
    return f" on droplet {', '.join(names)}" if names else ""
