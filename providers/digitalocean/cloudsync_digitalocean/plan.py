"""How a firewall comes to what it should be: create in one call; else add, remove and attach by one
call each, or one full replace. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cloudsync.provider.contract import Absent, Present, Refusal, Step, StepKind, Target, Touched
from cloudsync.provider.flat_list import Entry, Wanted, wanted_list
from cloudsync.provider.phrases import count
from cloudsync.provider.private_networks import cut_warning
from cloudsync.rules.frozen import dataclass
from cloudsync_digitalocean.answers import Firewall, Rule
from cloudsync_digitalocean.native import Write
from cloudsync_digitalocean.rules import GRAMMAR, MAX_RULES, bodies, clash, others_of, written

Steps = tuple[Step, ...]
Rules = Sequence[Rule]
ByKey = Mapping[str, Rule]
"""The rules that are there, by `VendorRule.key`."""
MAX_DROPLETS = 10
MAX_TAGS = 5
FIELDS = {"droplet": "droplet_ids", "tag": "tags"}
"""What a firewall is attached by, and the field of its body for it."""


@dataclass(frozen=True, slots=True)
class Planner:
    """One firewall and what it should be."""

    observed: Present | Absent
    there: Firewall
    """As it was listed; `NEW` if there is none."""
    target: Target
    name: str
    """The whole name that it gets."""

    def steps(self) -> Steps | Refusal:
        """The writes in order. Refused if the vendor has no room."""
        if (crowded := self._crowded()) is not None:
            return Refusal(crowded)
        present = self.observed if isinstance(self.observed, Present) else None
        objects = present.vendor_rules if present is not None else ()
        before = dict(zip((rule.key for rule in objects), self.there.inbound_rules, strict=True))

        def broken(entries: Sequence[Entry]) -> str | None:
            return GRAMMAR.too_many(len(written(entries, before)), len(self.there.outbound_rules))

        wanted = wanted_list(objects, self.target, GRAMMAR, broken)
        if isinstance(wanted, Refusal):
            return wanted
        inbound = written(wanted.entries, before)
        if present is None:
            steps = [self._creating(inbound)]
        else:
            steps = [*self._rules(present, wanted, inbound, before), *self._attaching()]
        if steps:
            steps[0] = replace(steps[0], warning=cut_warning(self.observed, self.target))
        return tuple(steps)

    def releasing(self, base: str, *, taken: bool) -> Steps | Refusal:
        """To take the marker off is to rename, and only a full replace renames: with the rules as
        they are spelled. `taken`: whether another firewall has the name."""
        if taken:
            return Refusal(
                f'there is another firewall named "{base}": rename or delete it first, or the two '
                f"could not be told apart"
            )
        write = self._replacing(base, self.there.inbound_rules)
        summary = f'rename "{self.there.name}" to "{base}"'
        return (Step(summary, StepKind.MARK, self.target.rules, native=write),)

    def _creating(self, inbound: Rules) -> Step:
        targets = tuple(attachment.target for attachment in self.target.attach)
        body = {
            "name": self.name,
            "inbound_rules": bodies(inbound),
            "outbound_rules": bodies(self.there.outbound_rules),
            **{field: self._of(kind) for kind, field in FIELDS.items()},
        }
        attached = f", attached to {', '.join(targets)}" if targets else ""
        summary = f'create "{self.name}" with {count(len(inbound), "rule")}{attached}'
        write = Write("call", body=body)
        return Step(summary, StepKind.REPLACE, self.target.rules, targets, write)

    def _rules(self, present: Present, wanted: Wanted, inbound: Rules, before: ByKey) -> Steps:
        """The steps to the rules and to the name. A rule that fits stays as it is spelled."""
        target, there = self.target, self.there
        whole = target.marker is not None or target.reapply
        if present.rules == target.rules:
            if target.reapply and target.marker is None and there.status != "failed":
                write = Write("wait", there.id)
                summary = f'wait for "{self.name}" to be in effect'
                return (Step(summary, StepKind.REPLACE, present.rules, native=write),)
            if not (whole or wanted.redundant):
                return ()
        if not whole and (steps := self._in_parts(present, wanted, inbound, before)) is not None:
            return steps
        summary = f'replace "{self.name}" with {count(len(inbound), "rule")}'
        touches = wanted.touches
        if there.name != self.name:
            # To adopt is to rename: the marker can only live in the name.
            summary += f', renamed from "{there.name}"'
            renamed = Touched(there.name, "renames", f"renamed to {self.name}", counts=False)
            touches = (*touches, renamed)
        write = self._replacing(self.name, inbound)
        return (Step(summary, StepKind.REPLACE, target.rules, native=write, touches=touches),)

    def _in_parts(
        self, present: Present, wanted: Wanted, inbound: Rules, before: ByKey
    ) -> Steps | None:
        """One call to add and one to take away, each only if there is something for it; None if
        that is not safe: no room for both, or a rule loses a part of its sources."""
        lasting = {entry.before.key for entry in wanted.entries if entry.before is not None}
        leaving = [rule for key, rule in before.items() if key not in lasting]
        staying = [rule for key, rule in before.items() if key in lasting]
        adding = [rule for rule in inbound if not any(rule is stays for stays in staying)]
        rewritten = any(e.before and not e.lets_in_what_it_did for e in wanted.entries)
        room = len(before) + len(adding) + len(self.there.outbound_rules) <= MAX_RULES
        if rewritten or not room or any(map(others_of, leaving)):
            return None
        if clash(leaving, [*staying, *adding]):
            return None
        steps = []
        if adding:
            write, rules = self._changing("POST", adding), present.rules | self.target.rules
            summary = f'add {count(len(adding), "rule")} to "{self.name}"'
            steps.append(Step(summary, StepKind.WIDEN, rules, native=write))
        if leaving:
            write, rules = self._changing("DELETE", leaving), self.target.rules
            leaves = count(len(leaving), "rule")
            summary, touches = f'remove {leaves} from "{self.name}"', wanted.touches
            steps.append(Step(summary, StepKind.NARROW, rules, native=write, touches=touches))
        return tuple(steps)

    def _attaching(self) -> Steps:
        """One call for all droplets, one for all tags."""
        steps = []
        for kind, field in FIELDS.items():
            if ids := self._of(kind):
                names = tuple(f"{kind} {id_}" for id_ in ids)
                write = Write("call", self.there.id, "POST", f"/{kind}s", {field: ids})
                summary = f'attach "{self.name}" to {", ".join(names)}'
                steps.append(Step(summary, StepKind.ATTACH, self.target.rules, names, write))
        return tuple(steps)

    def _changing(self, method: str, rules: Rules) -> Write:
        return Write("call", self.there.id, method, "/rules", {"inbound_rules": bodies(rules)})

    def _replacing(self, name: str, inbound: Rules) -> Write:
        body = {"name": name, "inbound_rules": bodies(inbound)}
        return Write("replace", self.there.id, body=body, expected=self.there.inbound_rules)

    def _crowded(self) -> str | None:
        droplets = len({*self.there.droplet_ids, *self._of("droplet")})
        tags = len({*self.there.tags, *self._of("tag")})
        if self.target.attach and droplets > MAX_DROPLETS:
            return (
                f"{droplets} droplets would be attached by id, DigitalOcean allows {MAX_DROPLETS} "
                f"a firewall; attach by a tag instead"
            )
        if self.target.attach and tags > MAX_TAGS:
            return f"{tags} tags would be attached, DigitalOcean allows {MAX_TAGS} a firewall"
        return None

    def _of(self, kind: str) -> list[Any]:
        natives = (attachment.native for attachment in self.target.attach)
        return [n[1] for n in natives if isinstance(n, tuple) and n[0] == kind]
