"""How a firewall comes to what it should be: create in one call; else add, remove and attach by one
call each, or one full replace. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from cloudsync.provider.contract import Absent, Present, Refusal, Step, StepKind, Target, Touched
from cloudsync.provider.flat_list import Entry, Wanted, wanted_list
from cloudsync.provider.private_networks import cut_warning
from cloudsync.rules import RuleSet
from cloudsync_digitalocean.answers import Rule
from cloudsync_digitalocean.native import Observed, Write
from cloudsync_digitalocean.rules import (
    GRAMMAR,
    MAX_RULES,
    OUTBOUND,
    bodies,
    clash,
    others_of,
    too_many,
    written,
)

MAX_DROPLETS = 10
MAX_TAGS = 5


@dataclass(frozen=True, slots=True)
class Planner:
    """One firewall and what it should be. `name`: the whole name it gets."""

    observed: Present | Absent
    there: Observed
    target: Target
    name: str

    def steps(self) -> tuple[Step, ...] | Refusal:
        """The writes in order. Refused if the vendor has no room."""
        if (crowded := self._crowded()) is not None:
            return Refusal(crowded)
        present = self.observed if isinstance(self.observed, Present) else None
        objects = present.vendor_rules if present is not None else ()
        before = dict(zip((rule.key for rule in objects), self.there.inbound, strict=True))
        outbound = self.there.outbound if present is not None else OUTBOUND

        def broken(entries: Sequence[Entry]) -> str | None:
            return too_many(len(written(entries, before)), len(outbound))

        wanted = wanted_list(objects, self.target, GRAMMAR, broken)
        if isinstance(wanted, Refusal):
            return wanted
        inbound = written(wanted.entries, before)
        if present is None:
            return (self._creating(inbound),)
        steps = (*self._rules(present, wanted, inbound, before), *self._attaching())
        return (
            (replace(steps[0], warning=cut_warning(self.observed, self.target)), *steps[1:])
            if steps
            else ()
        )

    def releasing(self, base: str) -> tuple[Step, ...] | Refusal:
        """To take the marker off is to rename, and only a full replace renames: with the rules as
        they are spelled."""
        if self.there.bare_taken:
            return Refusal(
                f'there is another firewall named "{base}": rename or delete it first, or the two '
                f"could not be told apart"
            )
        inbound = self.there.inbound
        body = {"name": base, "inbound_rules": bodies(inbound)}
        write = Write("replace", self.there.id, body=body, expected=inbound)
        summary = f'rename "{self.there.name}" to "{base}"'
        return (Step(summary, StepKind.MARK, self.target.rules, native=write),)

    def _creating(self, inbound: tuple[Rule, ...]) -> Step:
        targets = tuple(attachment.target for attachment in self.target.attach)
        body = {
            "name": self.name,
            "inbound_rules": bodies(inbound),
            "outbound_rules": bodies(OUTBOUND),
            "droplet_ids": self._of("droplet"),
            "tags": self._of("tag"),
        }
        write = Write("call", body=body)
        attached = f", attached to {', '.join(targets)}" if targets else ""
        summary = f'create "{self.name}" with {len(inbound)} rules{attached}'
        return Step(
            summary,
            StepKind.REPLACE,
            self.target.rules,
            targets,
            write,
            cut_warning(self.observed, self.target),
        )

    def _rules(
        self,
        present: Present,
        wanted: Wanted,
        inbound: tuple[Rule, ...],
        before: dict[str, Rule],
    ) -> tuple[Step, ...]:
        """The steps to the rules and to the name. A rule that fits stays as it is spelled."""
        target, there = self.target, self.there
        whole = target.marker is not None or target.reapply
        if present.rules == target.rules:
            if target.reapply and target.marker is None and not there.failed:
                write = Write("wait", there.id)
                summary = f'wait for "{self.name}" to be in effect'
                return (Step(summary, StepKind.REPLACE, present.rules, native=write),)
            if not (whole or wanted.redundant):
                return ()
        touches = (*wanted.touches, *self._renaming())
        if not whole and (step := self._in_parts(wanted, inbound, before, touches)) is not None:
            return step
        body = {"name": self.name, "inbound_rules": bodies(inbound)}
        write = Write("replace", there.id, body=body, expected=there.inbound)
        renamed = f', renamed from "{there.name}"' if there.name != self.name else ""
        summary = f'replace "{self.name}" with {len(inbound)} rules{renamed}'
        return (Step(summary, StepKind.REPLACE, target.rules, native=write, touches=touches),)

    def _in_parts(
        self,
        wanted: Wanted,
        inbound: tuple[Rule, ...],
        before: dict[str, Rule],
        touches: tuple[Touched, ...],
    ) -> tuple[Step, ...] | None:
        """One call to add and one to take away, each only if there is something for it; None if
        that is not safe: no room for both, or a rule loses a part of its sources."""
        entries = [entry for entry in wanted.entries if entry.before is not None]
        staying_keys = {e.before.key for e in entries if e.before and e.lets_in_what_it_did}
        leaving = [rule for key, rule in before.items() if key not in staying_keys]
        staying = [rule for key, rule in before.items() if key in staying_keys]
        adding = tuple(rule for rule in inbound if not any(rule is kept for kept in staying))
        rewritten = any(not entry.lets_in_what_it_did for entry in entries)
        room = len(before) + len(adding) + len(self.there.outbound) <= MAX_RULES
        if rewritten or not room or any(others_of(rule) for rule in leaving):
            return None
        if clash(leaving, [*staying, *adding]):
            return None
        steps, id_, rules = [], self.there.id, self.target.rules
        if adding:
            body = {"inbound_rules": bodies(adding)}
            add = Write("call", id_, "POST", "/rules", body)
            summary = f'add {len(adding)} rules to "{self.name}"'
            after = self._present_rules | rules
            steps.append(Step(summary, StepKind.WIDEN, after, native=add))
        if leaving:
            body = {"inbound_rules": bodies(leaving)}
            remove = Write("call", id_, "DELETE", "/rules", body)
            summary = f'remove {len(leaving)} rules from "{self.name}"'
            step = Step(summary, StepKind.NARROW, rules, native=remove, touches=touches)
            steps.append(step)
        return tuple(steps)

    def _attaching(self) -> tuple[Step, ...]:
        """One call for all droplets, one for all tags."""
        steps = []
        for kind, path, field in (
            ("droplet", "/droplets", "droplet_ids"),
            ("tag", "/tags", "tags"),
        ):
            if not (ids := self._of(kind)):
                continue
            names = tuple(f"{kind} {id_}" for id_ in ids)
            write = Write("call", self.there.id, "POST", path, {field: ids})
            summary = f'attach "{self.name}" to {", ".join(names)}'
            steps.append(Step(summary, StepKind.ATTACH, self.target.rules, names, write))
        return tuple(steps)

    def _renaming(self) -> tuple[Touched, ...]:
        """To adopt is to rename: the marker can only live in the name."""
        if self.there.name == self.name:
            return ()
        return (Touched(self.there.name, "renames", f"renamed to {self.name}", counts=False),)

    def _crowded(self) -> str | None:
        droplets = self.there.droplets | set(self._of("droplet"))
        tags = self.there.tags | set(self._of("tag"))
        if self.target.attach and len(droplets) > MAX_DROPLETS:
            return (
                f"{len(droplets)} droplets would be attached by id, DigitalOcean allows "
                f"{MAX_DROPLETS} a firewall; attach by a tag instead"
            )
        if self.target.attach and len(tags) > MAX_TAGS:
            return f"{len(tags)} tags would be attached, DigitalOcean allows {MAX_TAGS} a firewall"
        return None

    @property
    def _present_rules(self) -> RuleSet:
        return self.observed.rules if isinstance(self.observed, Present) else RuleSet()

    def _of(self, kind: str) -> list[Any]:
        natives = (attachment.native for attachment in self.target.attach)
        return [n[1] for n in natives if isinstance(n, tuple) and n[0] == kind]
