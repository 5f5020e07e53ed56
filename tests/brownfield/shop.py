"""The configuration of a case, planned and applied as the commands do."""

from __future__ import annotations

import shutil
from pathlib import Path

from cloudsync import exit_codes
from cloudsync.config import load
from cloudsync.config.configuration import Configuration
from cloudsync.model.outcome import Report
from cloudsync.model.plan import Granted, Plan
from cloudsync.reconcile import run as reconcile
from cloudsync.render import text
from tests.brownfield.vendors import Vendor

NAME = "web"


class Shop:
    """One case in a folder of its own, with its vendor."""

    def __init__(self, case: Path, vendor: Vendor, folder: Path) -> None:
        self.vendor, self.folder = vendor, folder
        shutil.copytree(case, folder, dirs_exist_ok=True)
        self.now = "config.toml"

    @property
    def later(self) -> bool:
        """Whether the case asks for something else later."""
        return (self.folder / "config-2.toml").exists()

    def configuration(self) -> Configuration:
        source = (self.folder / self.now).read_text()
        path = self.folder / "cloudsync.toml"
        state = f'state = "file://{self.folder.resolve()}/state"\n'
        path.write_text(state + source.replace("ENDPOINT", self.vendor.endpoint))
        return load(path)

    def plan(self, words: str = "") -> Plan:
        return reconcile.plan(self.configuration(), reconcile.Options(granted=granted(words))).plan

    def apply(self, words: str = "") -> tuple[int, Report]:
        options = reconcile.Options(granted=granted(words))
        report = reconcile.apply(self.configuration(), options)
        return exit_codes.of_report(report), report


def granted(words: str) -> Granted:
    """`adopt`, `attach`, `ssh-moved`, `now`, and a number for --allow-close."""
    said = words.split()
    numbers = [int(word) for word in said if word.isdecimal()]
    return Granted(
        adopt=(NAME,) if "adopt" in said else (),
        allow_attach=(NAME,) if "attach" in said else (),
        allow_close=numbers[0] if numbers else None,
        ssh_moved="ssh-moved" in said,
        now="now" in said,
    )


def on_screen(plan: Plan, *, verbose: bool = True) -> str:
    """The plan as a person reads it."""
    return text.joined(text.plan(plan, verbose=verbose), colour=False)
