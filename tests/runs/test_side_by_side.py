"""Many firewalls of one account in one run: written side by side as far as the provider says, each
firewall's steps in order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudsync.config import load
from cloudsync.reconcile import run as reconcile
from tests.doubles.ec2 import Ec2Double
from tests.doubles.hetzner import HetznerDouble
from tests.doubles.http import Double, Request

pytestmark = pytest.mark.emulator
FIREWALLS = 20
PATIENCE = 4.0
HEAD = """
version = 1
owner = "shop"
state = "file://{folder}/state"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
grace = "0s"
[run]
concurrency = {concurrency}
[hosts.web-1]
ports = [{ports}]
[providers.cloud]
"""
ACCOUNTS = {
    "hetzner": 'type = "hetzner"\ntoken = {{ env = "HCLOUD_TOKEN" }}\nendpoint = "{endpoint}"\n',
    "aws": 'type = "aws"\nregion = "eu-central-1"\nendpoint = "{endpoint}"\n',
}


class Crowd:
    """How many writes a double has in hand at once; the first waits until `wanted` are, so that
    nothing depends on who is fast."""

    def __init__(self, double: Double, wanted: int) -> None:
        self.wanted, self.now, self.most = wanted, 0, 0
        self._answer, self._changed = double.answer, threading.Condition()
        double.answer = self._counted  # type: ignore[method-assign]

    def _counted(self, request: Request) -> Any:
        if request.method == "GET" or "Describe" in request.path:
            return self._answer(request)
        with self._changed:
            self.now += 1
            self.most = max(self.most, self.now)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self.most >= self.wanted, PATIENCE)
        try:
            return self._answer(request)
        finally:
            with self._changed:
                self.now -= 1


@pytest.fixture(params=["hetzner", "aws"])
def double(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[HetznerDouble | Ec2Double]:
    with HetznerDouble() if request.param == "hetzner" else Ec2Double() as started:
        secret = started.token if isinstance(started, HetznerDouble) else started.access_key
        for name in ("HCLOUD_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, secret)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield started


def applied(
    double: HetznerDouble | Ec2Double, folder: Path, ports: str, concurrency: int = 16
) -> reconcile.Report:
    kind, own = (
        ("hetzner", "")
        if isinstance(double, HetznerDouble)
        else ("aws", f'vpc_id = "{double.vpc}"\n')
    )
    text = HEAD.format(folder=folder, ports=ports, concurrency=concurrency) + ACCOUNTS[kind].format(
        endpoint=double.endpoint
    )
    for number in range(FIREWALLS):
        text += f'[firewalls.web-{number}]\nprovider = "cloud"\nhosts = ["web-1"]\n{own}'
    (folder / "cloudsync.toml").write_text(text)
    return reconcile.apply(load(folder / "cloudsync.toml"), reconcile.Options())


def test_firewalls_of_one_account_are_written_side_by_side(
    double: HetznerDouble | Ec2Double, tmp_path: Path
) -> None:
    crowd = Crowd(double, 4)
    report = applied(double, tmp_path, '"443/tcp"')
    assert {outcome.status for outcome in report.outcomes} == {"done"}
    assert crowd.most == 4
    applied(double, tmp_path, '"443/tcp", "8443/tcp"')
    for name, states in by_firewall(double).items():
        assert sorted(states) == states, f"{name}: its steps are in order, whoever else is written"
    assert not applied(double, tmp_path, '"443/tcp", "8443/tcp"').plan.has_changes
    assert double.violations == []


def test_run_concurrency_bounds_the_writes_too(
    double: HetznerDouble | Ec2Double, tmp_path: Path
) -> None:
    crowd = Crowd(double, 2)
    report = applied(double, tmp_path, '"443/tcp"', concurrency=2)
    assert {outcome.status for outcome in report.outcomes} == {"done"}
    assert crowd.most == 2


def by_firewall(double: HetznerDouble | Ec2Double) -> dict[str, list[int]]:
    """How many rules each firewall had after each write."""
    found: dict[str, list[int]] = {}
    for name, rules in double.history:
        found.setdefault(name, []).append(len(rules))
    assert len(found) == FIREWALLS
    return found
