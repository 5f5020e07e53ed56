"""The audit of `watch`: what it found is kept for the metrics, and nothing of it ends a service."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cloudsync.audit.findings import SEVERITIES
from cloudsync.config import Configuration, load
from cloudsync.model.machine_facts import Engine, Facts
from cloudsync.notify import metrics
from cloudsync.notify.counters import AuditFigures, Memory, recall
from cloudsync.reconcile import machine_facts
from cloudsync.watch import auditing
from cloudsync.watch.auditing import Auditing
from cloudsync.watch.service import Overrides, Service
from tests.doubles.engine import FakeEngine
from tests.unit.audit_facts import container, publish
from tests.unit.test_metrics import parsed

PATIENCE = 20.0


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[FakeEngine]:
    with FakeEngine(tmp_path) as double:
        yield double


def configured(folder: Path, more: str = "", watch: str = "", docker: str = "") -> Configuration:
    (folder / "cloudsync.toml").write_text(f"""version = 1
owner = "shop"
state = "file://{folder}/state"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
[watch]
{watch}
[providers.local]
[hosts.web-1]
{f'docker = "{docker}"' if docker else 'ports = ["443/tcp"]'}
[firewalls.web]
provider = "local"
hosts = ["web-1"]
path = "fw.json"
{more}""")
    return load(folder / "cloudsync.toml")


class Once:
    """The audits of a configuration, until the first has ended."""

    def __init__(self, configuration: Configuration) -> None:
        self.ended = threading.Event()
        self.auditing = Auditing(lambda: configuration, self.ended.set)

    def run(self) -> Auditing:
        self.auditing.start()
        try:
            assert self.ended.wait(PATIENCE)
        finally:
            self.auditing.stop()
        return self.auditing


def test_its_findings_are_metrics_by_severity(tmp_path: Path, engine: FakeEngine) -> None:
    configuration = configured(tmp_path, docker=engine.endpoint)
    last = Once(configuration).run().last
    assert last is not None
    assert not last.complete, "nothing of the machine beyond a double of its engine can be read"
    counts = {
        severity: sum(finding.severity == severity for finding in last.findings)
        for severity in SEVERITIES
    }
    # Without root two files of iptables are unreadable: two blind spots of one input, one finding.
    assert counts["note"] == len({spot.input for spot in last.blind}) > 0
    exposition = metrics.text(recall(configuration.state, configuration.owner))
    for severity, count in counts.items():
        assert (
            f'cloudsync_audit_findings{{owner="shop",severity="{severity}"}} {count}' in exposition
        )
    assert f'cloudsync_audit_blind_spots{{owner="shop"}} {len(last.blind)}' in exposition


def test_an_accepted_finding_is_in_no_metric(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = container("db", publish(5432))
    facts = Facts("web-1", engine=Engine("docker", "29.0.0", (database,)))
    monkeypatch.setattr(machine_facts, "of_hosts", lambda *_: (facts,))
    plain = Once(configured(tmp_path)).run().last
    ignore = '[[audit.ignore]]\nid = "CS002"\nobject = "db"\nreason = "a test machine"\n'
    accepted = Once(configured(tmp_path, ignore)).run().last
    assert plain is not None
    assert accepted is not None
    assert [finding.id for finding in plain.findings] == ["CS002"]
    assert (accepted.findings, accepted.ignored) == ((), 1)


def test_what_passes_by_itself_is_looked_at_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = replace(container("slow", publish(8080, 80)), listening=frozenset())
    up = replace(slow, listening=frozenset({("tcp", 80)}))
    looks = [
        (Facts("web-1", engine=Engine("docker", "29.0.0", (workload,))),) for workload in (slow, up)
    ]
    monkeypatch.setattr(machine_facts, "of_hosts", lambda *_: looks.pop(0))
    monkeypatch.setattr(auditing, "SECOND_LOOK_SECONDS", 0.0)
    last = Once(configured(tmp_path)).run().last
    assert last is not None
    assert last.findings == ()
    assert looks == []


def test_none_is_made_if_it_is_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[object] = []
    monkeypatch.setattr(machine_facts, "of_hosts", lambda *words: looks.append(words) or ())
    monkeypatch.setattr(auditing, "_LOOK_SECONDS", 0.0)
    asked = threading.Event()
    configuration = configured(tmp_path, watch='audit = "off"')
    times = 0

    def current() -> Configuration:
        nonlocal times
        times += 1
        if times > 2:
            asked.set()
        return configuration

    auditor = Auditing(current, lambda: None)
    auditor.start()
    assert asked.wait(PATIENCE)
    auditor.stop()
    assert (looks, auditor.last) == ([], None)


def test_a_bug_in_it_is_logged_and_the_next_audit_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looks = iter([RuntimeError("secret"), (Facts("web-1"),)])

    def looked(*_: object) -> object:
        if isinstance(look := next(looks), Exception):
            raise look
        return look

    monkeypatch.setattr(machine_facts, "of_hosts", looked)
    monkeypatch.setattr(auditing, "_LOOK_SECONDS", 0.0)
    configuration = configured(tmp_path)
    often = replace(configuration, watch=replace(configuration.watch, audit=0.0))
    with caplog.at_level(logging.WARNING, "cloudsync.watch"):
        last = Once(often).run().last
    assert last is not None
    assert "the audit ended with an internal error: RuntimeError" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("run_is_shown_last", [True, False])
def test_neither_a_run_nor_an_audit_takes_the_other_off_the_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_is_shown_last: bool
) -> None:
    """What a run remembers may have been read before the audit ended, and be shown after it."""
    configured(tmp_path)
    service = Service(tmp_path / "cloudsync.toml", Overrides(), lambda _: None)
    figures = AuditFigures(ended=7.0, findings={"critical": 3}, blind=0)
    monkeypatch.setattr(service.auditing, "figures", figures)
    steps: list[Callable[[], None]] = [
        service._audited,
        lambda: service._post(Memory(owner="shop", runs={0: 5})),
    ]
    for step in steps if run_is_shown_last else reversed(steps):
        step()
    shown = parsed(service.board.metrics)
    assert shown["cloudsync_audit_findings", (("severity", "critical"),)] == 3
    assert shown["cloudsync_runs_total", (("exit_code", "0"),)] == 5
