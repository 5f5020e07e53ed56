"""What the tests of every provider have in common: one account on a double, and one firewall `web`
of it that is read, planned and written as the core does it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from cloudsync.provider.contract import (
    Absent,
    Account,
    FirewallSpec,
    Observation,
    Present,
    Provider,
    Refusal,
    Step,
    Target,
    Unreadable,
)
from cloudsync.provider.marker import Marker
from cloudsync.rules import RuleSet
from cloudsync.testing.http import Double
from tests.world import rules

MARK = Marker("shop", "web", "0123abcd")
Cloud = TypeVar("Cloud", bound=Double)


class Harness(Generic[Cloud]):
    """A provider on its double."""

    provider: ClassVar[Provider]
    attaching: ClassVar[bool] = False
    """Whether steps are asked for with every attachment that is missing."""
    firewall_keys: Mapping[str, Any] = {}
    """Keys of every firewall's table, unless a test says otherwise."""
    account_keys: Mapping[str, Any] = {}
    """Keys of the account's table besides the endpoint."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.spec = self.named("web")

    def named(self, name: str, **settings: Any) -> FirewallSpec:
        whole = {**self.firewall_keys, **settings}
        model = self.provider.firewall_settings(**whole)
        return FirewallSpec(name, model, Marker(MARK.owner, name, MARK.hosts))

    def account(self, seconds: float = 20.0, **settings: Any) -> Account:
        whole = {"endpoint": self.cloud.endpoint, **self.account_keys, **settings}
        model = self.provider.account_settings(**whole)
        return Account(self.provider.type, model, Path("/"), time.monotonic() + seconds)

    def read(self, *specs: FirewallSpec, seconds: float = 20.0, **account: Any) -> Observation:
        asked = specs or (self.spec,)
        return self.provider.open_reader(self.account(seconds, **account)).read(asked)[
            asked[0].name
        ]

    def present(self) -> Present:
        observed = self.read()
        assert isinstance(observed, Present), observed
        return observed

    def target(self, wanted: RuleSet, observed: Observation, **more: Any) -> Target:
        """What `web` is to be. `adopt`: with its marker written."""
        assert not isinstance(observed, Unreadable), observed.error.message
        missing = tuple(a for a in observed.attachments if not a.attached)
        marked = more.pop("adopt", False) or isinstance(observed, Absent)
        given = {
            "marker": self.spec.marker if marked else None,
            "attach": missing if self.attaching else (),
        }
        return Target(self.spec, wanted, rules("tcp/22"), **(given | more))

    def planned(self, *wanted: str | RuleSet, **more: Any) -> tuple[Step, ...] | Refusal:
        observed = self.read()
        assert not isinstance(observed, Unreadable), observed.error.message
        whole = RuleSet()
        for part in wanted:
            whole = whole | (rules(part) if isinstance(part, str) else part)
        return self.provider.plan_steps(observed, self.target(whole, observed, **more))

    def steps(self, *wanted: str | RuleSet, **more: Any) -> tuple[Step, ...]:
        steps = self.planned(*wanted, **more)
        assert isinstance(steps, tuple), steps.reason
        return steps

    def refusal(self, *wanted: str | RuleSet, **more: Any) -> str:
        refusal = self.planned(*wanted, **more)
        assert isinstance(refusal, Refusal), refusal
        return refusal.reason

    def makes(
        self,
        *wanted: str | RuleSet,
        seconds: float = 20.0,
        account: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        """Plan and write; the double's calls are those of the writer alone. `account`: keys of the
        writer's account."""
        steps = self.steps(*wanted, **more)
        writer = self.provider.open_writer(self.account(seconds, **(account or {})))
        self.cloud.reset_calls()
        for step in steps:
            writer.run(step)
