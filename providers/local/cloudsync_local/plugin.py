"""What the plugin is: its capabilities, its settings, how it plans. Reading and writing are two
small classes at the end."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, ClassVar

from pydantic import field_validator

from cloudsync.provider.access import Access
from cloudsync.provider.contract import (
    API_VERSION,
    Absent,
    Account,
    AccountModel,
    Capabilities,
    Description,
    FirewallModel,
    FirewallSpec,
    Kept,
    Observation,
    Present,
    Refusal,
    Step,
    StepKind,
    Target,
    Unreadable,
)
from cloudsync.provider.errors import ProviderError
from cloudsync.provider.machines import Fleet
from cloudsync.provider.phrases import count
from cloudsync.provider.rule_list import Line, keyed, lines
from cloudsync.provider.settings import AccountSettings, FirewallSettings
from cloudsync.provider.spelling import spell
from cloudsync.rules import RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync_local.file import Content, ListedRule, read, write

if TYPE_CHECKING:
    from cloudsync.provider.init import Starter


class LocalFirewall(FirewallSettings):
    """The keys of a `[firewalls.X]` table."""

    path: str
    """The file that stands for the firewall, relative to the configuration."""

    @field_validator("path")
    @classmethod
    def _not_empty(cls, value: str) -> str:
        if not value or "\0" in value:
            raise ValueError("must name a file")
        return value


@dataclass(frozen=True, slots=True)
class Write:
    """What a step of this provider carries: the whole new content of one file."""

    path: str
    content: Content


class LocalProvider:
    """One firewall a file; every change is one atomic replacement of the file."""

    api_version: ClassVar[str] = API_VERSION
    type: ClassVar[str] = "local"
    sdk: ClassVar[str | None] = None
    extra: ClassVar[str | None] = None
    account_settings: ClassVar[AccountModel] = AccountSettings
    firewall_settings: ClassVar[FirewallModel] = LocalFirewall
    capabilities: ClassVar[Capabilities] = Capabilities(
        protocols=None,
        icmp_types=True,
        private_is_public=False,
        attaches=False,
        descriptions=True,
        all_protocols=True,
        other_sources=True,
        remote=False,
        notes=(
            (
                "no packet is filtered",
                (
                    "the file is for trying cloudsync out, for tests, and for programs of your own"
                    " that read it"
                ),
            ),
        ),
    )

    @property
    def starter(self) -> Starter:
        """What `cloudsync init` asks."""
        from cloudsync_local.init import STARTER

        return STARTER

    def identity(self, spec: FirewallSpec) -> str:
        """The file's path as configured; `./web.json` is the file that `web.json` is."""
        return str(PurePath(_path(spec)))

    def endpoint(self, account: Account) -> str:  # noqa: ARG002 - the contract's signature
        """Files need no endpoint."""
        return "file"

    def plan_steps(self, observed: Present | Absent, target: Target) -> tuple[Step, ...] | Refusal:
        """One replacement for everything; a step of its own where only the owner marker changes."""
        content = observed.native if isinstance(observed, Present) else None
        before = content if isinstance(content, Content) else Content(None, (), ())
        path = _path(target.spec)
        if target.release:
            released = Write(path, Content(None, before.rules, before.kept))
            summary = f"take the owner marker out of {path}"
            return (Step(summary, StepKind.MARK, target.rules, native=released),)
        there = observed.vendor_rules if isinstance(observed, Present) else ()
        spelling = spell(there, target)
        marker = target.marker or before.marker
        if (
            isinstance(observed, Present)
            and observed.rules == target.rules
            and not spelling.redundant
        ):
            if target.marker is None:
                return ()
            marked = Write(path, Content(marker, before.rules, before.kept))
            summary = f"write the owner marker into {path}"
            return (Step(summary, StepKind.MARK, target.rules, native=marked),)
        listed = dict(zip((rule.key for rule in there), before.rules, strict=True))
        rules = tuple(_line(line, listed) for line in lines(there, spelling, target))
        verb = "create" if isinstance(observed, Absent) else "replace"
        return (
            Step(
                f"{verb} {path} with {count(len(rules), 'rule')}",
                StepKind.REPLACE,
                target.rules,
                native=Write(path, Content(marker, rules, before.kept)),
                touches=spelling.touches(),
            ),
        )

    def check_access(self, account: Account, specs: Sequence[FirewallSpec]) -> Sequence[Access]:
        """Files need no credentials; whether they can be read and replaced is what can be told."""
        rows = []
        for spec in specs:
            path = account.base / _path(spec)
            folder = next(parent for parent in path.parents if parent.exists())
            readable = not path.exists() or os.access(path, os.R_OK)
            rows.append(Access(f"read {_path(spec)}", "plan", "ok" if readable else "missing"))
            rows.append(
                Access(
                    f"write {_path(spec)}",
                    "apply",
                    "ok" if os.access(folder, os.W_OK | os.X_OK) else "missing",
                )
            )
        return rows

    def open_reader(self, account: Account) -> LocalReader:
        """Nothing to log in to."""
        return LocalReader(account.base)

    def open_writer(self, account: Account) -> LocalWriter:
        """Nothing to log in to."""
        return LocalWriter(account.base)


@dataclass(frozen=True, slots=True)
class LocalReader:
    """Reads files below `base`."""

    base: Path

    def read(self, specs: Sequence[FirewallSpec]) -> Mapping[str, Observation]:
        """A file that is not there is `Absent`; one that cannot be understood is `Unreadable`,
        never empty."""
        return {spec.name: self._observed(_path(spec)) for spec in specs}

    def read_machines(self, specs: Sequence[FirewallSpec]) -> Fleet:  # noqa: ARG002 - the contract's signature
        """There is none: a file filters no packet."""
        return Fleet(
            (),
            not_evaluated=(
                "a file filters no packet: what reaches a machine is decided elsewhere",
            ),
        )

    def _observed(self, path: str) -> Observation:
        try:
            content = read(self.base / path)
        except ProviderError as error:
            return Unreadable(error)
        if content is None:
            return Absent()
        return Present(
            id=self._identified(path),
            rules=content.rule_set,
            marker=content.marker,
            listed=tuple(listed.rule for listed in content.rules),
            kept=tuple(Kept(text) for text in content.kept),
            described=tuple(
                Description(RuleSet.of((rule.rule,)), rule.description)
                for rule in content.rules
                if rule.description
            ),
            native=content,
            objects=keyed(
                [
                    (str(listed.rule), RuleSet.of((listed.rule,)), listed.description)
                    for listed in content.rules
                ]
            ),
        )

    def _identified(self, path: str) -> str:
        """Two spellings of one path are one file; below the configuration's folder it is the same
        file in every checkout."""
        file, base = (self.base / path).resolve(), self.base.resolve()
        return str(file.relative_to(base) if file.is_relative_to(base) else file)


@dataclass(frozen=True, slots=True)
class LocalWriter:
    """Writes files below `base`."""

    base: Path

    def run(self, step: Step) -> None:
        """Replace one file. Raises `ProviderError` with the file left as it was."""
        if not isinstance(step.native, Write):
            raise ProviderError("this step was not made by the provider local")
        write(self.base / step.native.path, step.native.content)


def _line(line: Line, listed: Mapping[str, ListedRule]) -> ListedRule:
    """A rule of the list as the file has it."""
    if line.rule is not None:
        return ListedRule(line.rule, line.description)
    if line.at is None:
        raise ValueError("a new line without a rule")
    return replace(listed[line.at.key], description=line.description)


def _path(spec: FirewallSpec) -> str:
    if not isinstance(spec.settings, LocalFirewall):
        raise TypeError(f"settings of another provider for the firewall {spec.name}")
    return spec.settings.path
