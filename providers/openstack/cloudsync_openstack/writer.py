"""Writing: rules are added in one call, all of them or none; deleted one call each; a group is
created so that of several runs that create it at once one group is left."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import field
from functools import partial

from cloudsync.provider.answers import at, understood
from cloudsync.provider.contract import Step
from cloudsync.provider.errors import Conflict, ProviderError
from cloudsync.provider.several import Several, expected, unless_gone
from cloudsync.provider.single_rules import SingleRule, letting_in
from cloudsync.rules.frozen import dataclass
from cloudsync_openstack.answers import Group, Port
from cloudsync_openstack.client import Api
from cloudsync_openstack.native import (
    CREATED,
    Add,
    Attach,
    Create,
    Delete,
    Mark,
    has_mark,
    mark_tags,
    marked,
    oldest,
    tag_for,
)
from cloudsync_openstack.rules import body_of, from_vendor

_GROUP = "security_group"
DELETES_AT_ONCE = 4
CLOCK_SECONDS = 1.0
"""`created_at` counts whole seconds."""


@dataclass(frozen=True, slots=True)
class OpenStackWriter:
    """Writes to one login."""

    api: Api
    created: dict[tuple[str, str], str] = field(default_factory=dict)
    """Ids of the groups this run created, by project and name."""

    def run(self, step: Step) -> None:
        """One step. Neutron answers once it has stored a change; its agents follow within seconds,
        and no call reports that. Raises `ProviderError`."""
        match step.native:
            case Create() as change:
                self._create(change)
            case Add(group, rules):
                self._add(group, rules)
            case Delete(rules):
                self._delete(rules)
            case Mark() as change:
                self._mark(change)
            case Attach() as change:
                self._attach(change)
            case _:
                raise ProviderError("this step was not made by the provider openstack")

    def _create(self, change: Create) -> None:
        """Neutron takes several groups with one name. Each run marks its group, waits until a later
        one has a later `created_at`, and looks: the oldest stays, the others take theirs back."""
        body = {
            "name": change.name,
            "description": marked(CREATED, change.marker),
            "project_id": change.project,
        }
        answer = self.api.write("POST", "security-groups", {_GROUP: body})
        group = understood("POST security-groups", at(answer, _GROUP), Group, write=True)
        answered = time.monotonic()
        self.created[change.project, change.name] = group.id
        self._complete(group, change.rules)
        if (tag := tag_for(group, change.marker)) is not None:
            self._tag(group, tag)
        time.sleep(max(0.0, answered + CLOCK_SECONDS - time.monotonic()))
        named = {"project_id": change.project, "name": change.name}
        rivals = self.api.list("security-groups", Group, **named)
        if (first := oldest([group, *rivals])).id != group.id:
            del self.created[change.project, change.name]
            unless_gone(self._deleting(f"security-groups/{group.id}"))
            raise Conflict(f"another run created the group {change.name!r} ({first.id}) meanwhile")

    def _complete(self, group: Group, wanted: tuple[SingleRule, ...]) -> None:
        """Bring a new group to the wanted rules. A cloud may give new groups inbound rules of its
        own: those that are not wanted go, those that are need not be written."""
        given, _ = from_vendor(group.inbound)
        target = letting_in(wanted)
        staying = letting_in(rule for rule in given if target.covers(rule.lets_in))
        missing = tuple(rule for rule in wanted if not staying.covers(rule.lets_in))
        self._add(group.id, missing)
        self._delete(tuple(rule.key for rule in given if not target.covers(rule.lets_in)))

    def _add(self, group: str, rules: tuple[SingleRule, ...]) -> None:
        if not rules:
            return
        body = {"security_group_rules": [body_of(rule, group) for rule in rules]}
        expected(partial(self.api.write, "POST", "security-group-rules", body))

    def _delete(self, rules: tuple[str, ...]) -> None:
        """All of them are tried; what is gone already is as it should be."""
        several = Several()

        def delete(rule: str) -> None:
            several.attempt(self._deleting(f"security-group-rules/{rule}"), deletes=True)

        with ThreadPoolExecutor(DELETES_AT_ONCE, thread_name_prefix="delete") as pool:
            list(pool.map(delete, rules))
        several.raise_worst()

    def _deleting(self, path: str) -> Callable[[], object]:
        return partial(self.api.write, "DELETE", path, idempotent=True)

    def _mark(self, change: Mark) -> None:
        """The new marker first, so that a run that dies leaves a marked group. A tag is added or
        taken off by itself: nobody else's tags are in the request."""
        group, marker = change.group, change.marker
        tag = tag_for(group, marker) if marker is not None else None
        in_text = marker is not None and tag is None
        if tag is not None:
            self._tag(group, tag)
        if in_text:
            self._describe(group, marked(group.description, marker))
        for old in mark_tags(group.tags):
            if old != tag:
                unless_gone(self._deleting(f"security-groups/{group.id}/tags/{old}"))
        if not in_text and has_mark(group.description):
            self._describe(group, marked(group.description, None))

    def _describe(self, group: Group, description: str) -> None:
        """Compare and set: by the text, and by the revision from then on."""
        path = f"security-groups/{group.id}"

        def compare_and_set() -> None:
            now = self.api.get(path, _GROUP, Group)
            if now.description != group.description:
                raise Conflict(f"the description of the group {group.name!r} changed meanwhile")
            body = {_GROUP: {"description": description}}
            self.api.write("PUT", path, body, if_revision=now.revision_number)

        expected(compare_and_set)

    def _tag(self, group: Group, tag: str) -> None:
        path = f"security-groups/{group.id}/tags/{tag}"
        expected(partial(self.api.write, "PUT", path, idempotent=True))

    def _attach(self, change: Attach) -> None:
        group = change.group or self.created.get((change.project, change.name))
        if group is None:
            raise Conflict(f"the group {change.name!r} was not created by this run")
        for port in change.ports:
            expected(partial(self._put, port, group))

    def _put(self, port: Port, group: str) -> None:
        """The port's whole list and ours, if it still is the list that was read."""
        body: dict[str, object] = {"security_groups": [*port.security_groups, group]}
        if not port.port_security_enabled:
            body["port_security_enabled"] = True
        if port.revision_number is None:
            # Without revisions there is no compare and set: look as late as possible.
            now = self.api.get(f"ports/{port.id}", "port", Port)
            if set(now.security_groups) != set(port.security_groups):
                raise Conflict(f"the groups of the port {port.id} changed meanwhile")
        self.api.write("PUT", f"ports/{port.id}", {"port": body}, if_revision=port.revision_number)
