"""The whole of a small provider: a firewall is a text file, one rule a line, its mark in the
first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from cloudsync.provider.contract import (
    Absent,
    Account,
    AccountModel,
    Capabilities,
    FirewallModel,
    FirewallSpec,
    Observation,
    Present,
    Refusal,
    Step,
    StepKind,
    Target,
    Unreadable,
)
from cloudsync.provider.errors import ProviderError
from cloudsync.provider.marker import Marker
from cloudsync.provider.settings import AccountSettings, FirewallSettings
from cloudsync.rules import Rule, RuleSet


class AcmeAccount(AccountSettings):
    """`folder`: where the files are, relative to the configuration."""

    folder: str


class AcmeFirewall(FirewallSettings):
    """`name`: of the file."""

    name: str


class AcmeProvider:
    """Every change is one new file."""

    api_version: ClassVar[str] = "1.1"
    type: ClassVar[str] = "acme"
    sdk: ClassVar[str | None] = None
    extra: ClassVar[str | None] = None
    account_settings: ClassVar[AccountModel] = AcmeAccount
    firewall_settings: ClassVar[FirewallModel] = AcmeFirewall
    capabilities: ClassVar[Capabilities] = Capabilities(
        notes=(("no machines", "a file is attached to nothing: https://acme.example/firewalls"),),
        protocols=frozenset({"tcp", "udp"}),
        icmp_types=False,
        private_is_public=False,
        attaches=False,
        descriptions=False,
        limited=True,
        remote=False,
    )

    def identity(self, spec: FirewallSpec) -> str:
        """The file's name."""
        return _name(spec)

    def endpoint(self, account: Account) -> str:
        """The folder."""
        return str(_folder(account))

    def plan_steps(self, observed: Present | Absent, target: Target) -> tuple[Step, ...] | Refusal:
        """One new file, of at most ten rules."""
        lines = [
            f"{rule.protocol} {rule.ports} {','.join(rule.sources.cidrs())}"
            for rule in target.rules.fewest()
        ]
        if len(lines) > 10:
            return Refusal(f"{len(lines)} rules are needed, acme allows 10")
        marker = target.spec.marker
        text = "\n".join([f"# {marker.owner} {marker.firewall} {marker.hosts}", *lines])
        if target.release:
            name = _name(target.spec)
            return (
                Step(
                    f"unmark {name}",
                    StepKind.MARK,
                    target.rules,
                    native=(name, "\n".join(["#", *lines])),
                ),
            )
        same = isinstance(observed, Present) and observed.rules == target.rules
        if same and target.marker is None:
            return ()
        kind = StepKind.MARK if same else StepKind.REPLACE
        name = _name(target.spec)
        return (Step(f"write {name}", kind, target.rules, native=(name, text)),)

    def open_reader(self, account: Account) -> AcmeReader:
        """Nothing to log in to."""
        return AcmeReader(_folder(account))

    def open_writer(self, account: Account) -> AcmeWriter:
        """Nothing to log in to."""
        return AcmeWriter(_folder(account))


class AcmeReader:
    """Reads files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, specs: Sequence[FirewallSpec]) -> Mapping[str, Observation]:
        """One file a firewall."""
        return {spec.name: self._one(_name(spec)) for spec in specs}

    def _one(self, name: str) -> Observation:
        try:
            lines = (self.folder / name).read_text().splitlines()
            first = lines[0].removeprefix("#").split() if lines else []
            rules = RuleSet.of(
                Rule.of(p, ports, s.split(","))
                for p, ports, s in (one.split(" ") for one in lines[1:])
            )
        except FileNotFoundError:
            return Absent()
        except (OSError, ValueError) as error:
            return Unreadable(ProviderError(f"{name} cannot be read: {type(error).__name__}"))
        return Present(name, rules, Marker(*first) if len(first) == 3 else None)


class AcmeWriter:
    """Writes files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, step: Step) -> None:
        """One file."""
        name, text = step.native  # type: ignore[misc]  # what plan_steps put there
        temporary = self.folder / f".{name}"
        temporary.write_text(text)
        temporary.replace(self.folder / name)


def _name(spec: FirewallSpec) -> str:
    assert isinstance(spec.settings, AcmeFirewall)
    return spec.settings.name


def _folder(account: Account) -> Path:
    assert isinstance(account.settings, AcmeAccount)
    return account.base / account.settings.folder


provider = AcmeProvider()
