"""300 Compose files as people publish them: none stops the audit, and each is quick."""

from __future__ import annotations

import time
from pathlib import Path

from cloudsync.audit.report import of_machine
from cloudsync.reconcile.machine_facts import of_files
from tests.audit.corpus import files

MOST_SECONDS = 0.05


def test_three_hundred_files_are_read_and_each_is_quick(tmp_path: Path) -> None:
    corpus = dict(files())
    assert len(set(corpus.values())) == 300
    slow, kinds = {}, set()
    for name, content in corpus.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "compose.yaml").write_text(content)
        seconds = min(_seconds(folder) for _ in range(2))
        (facts,) = of_files([str(folder)])
        assert facts.blind == (), (name, facts.blind)
        assert facts.services
        kinds |= {finding.id for finding in of_machine(facts)}
        if seconds > MOST_SECONDS:
            slow[name] = seconds
    assert slow == {}
    assert kinds >= {"CS002", "CS004", "CS032", "CS033", "CS034", "CS035", "CS043", "CS044"}


def _seconds(folder: Path) -> float:
    """Of this process, so that others on the machine do not count."""
    begun = time.process_time()
    for facts in of_files([str(folder)]):
        of_machine(facts)
    return time.process_time() - begun


def test_the_world_of_seven_mistakes_has_seven_findings() -> None:
    """The one that `docs/audit.md` compares with its neighbours."""
    world = Path(__file__).parents[2] / "benchmarks" / "audit_world" / "compose.yaml"
    (facts,) = of_files([str(world)])
    found = {(f.object.rpartition("/")[2], f.id, f.severity) for f in of_machine(facts)}
    assert found == {
        ("shop", "CS032", "high"),
        ("db", "CS002", "high"),
        ("panel", "CS004", "high"),
        ("metrics", "CS034", "high"),
        ("app", "CS035", "high"),
        ("reports", "CS027", "medium"),
        ("builder", "CS043", "high"),
    }
