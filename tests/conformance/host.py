"""The provider `host` on the stage: a real kernel in a network namespace."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from cloudsync.provider.marker import Marker
from cloudsync.rules import RuleSet
from cloudsync.testing import Spelled, StageBase, Trouble
from cloudsync_host.layout import Shape
from cloudsync_host.transaction import Goal, install
from tests.host import namespace
from tests.host.namespace import Namespace
from tests.host.table import by_hand, drops, lets_in, rules_in, set_rules

# How a vendor's failures look with nft.
_KINDS = {"throttled": "busy", "unavailable": "busy", "meanwhile": "go", "short": "cut-short"}


class HostStage(StageBase):
    type = "host"
    account: ClassVar[Mapping[str, Any]] = {}

    cannot = frozenset({"redirect", "trickle", "failed-after"})
    """A kernel is no server."""

    patience_seconds = 3

    def __init__(self, machine: Namespace, *, enforced: bool) -> None:
        self.machine, self.enforced = machine, enforced
        self.enforcing = enforced

    @property
    def environment(self) -> Mapping[str, str]:
        return {"PATH": f"{self.machine.bin}:{os.environ['PATH']}"}

    def settings(self, name: str) -> Mapping[str, Any]:
        return {
            "enforce": "enforce" if self.enforcing else "observe",
            "interfaces": ["eth0"],
            "confirm": "off",
            "save": "off",
        }

    def put(self, name: str, rules: Sequence[Spelled], marker: Marker | None) -> None:
        shape = Shape(("eth0",), (), (), (), cut_established=False, enforced=self.enforced)
        by_hand(self.machine, install(Goal((), shape, None)), rules, marker)

    def edit(self, name: str, rules: Sequence[Spelled]) -> None:
        set_rules(self.machine, rules)

    def lets_in(self, name: str) -> RuleSet | None:
        return lets_in(self.machine.listing())

    def rules(self, name: str) -> Sequence[Spelled]:
        return rules_in(self.machine.listing())

    def version(self, name: str) -> object:
        # The table has no version, but a transaction is about single elements of its sets.
        return self.rules(name)

    def history(self, name: str) -> Sequence[RuleSet]:
        return [state for text in self.machine.history() if (state := lets_in(text)) is not None]

    def writes(self) -> int:
        return self.machine.writes()

    def trouble(self, trouble: Trouble) -> None:
        calls = {"skip": trouble.skip, "left": trouble.times}
        lock = threading.Lock()

        def decide(words: list[str]) -> str:
            kind = "write" if "-f" in words else "read"
            with lock:
                if kind != trouble.on or calls["left"] == 0:
                    return "go"
                if calls["skip"]:
                    calls["skip"] -= 1
                    return "go"
                calls["left"] -= 1
            if trouble.action is not None:
                trouble.action()
            if trouble.kind == "slow":
                return f"slow {trouble.seconds}"
            return _KINDS.get(trouble.kind, trouble.kind)

        if self.machine.trouble is not None:
            self.machine.trouble.close()
        namespace.Trouble(self.machine, decide, only=trouble.on)

    def attached(self, name: str) -> int:
        return int(drops(self.machine.listing()))

    def attaching(self, name: str) -> Mapping[str, Any]:
        return {"enforce": "enforce"}
