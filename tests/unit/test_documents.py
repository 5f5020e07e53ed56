"""What the pages point at exists: decisions, links, files, modules."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    {*DOCS.rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / ".github").rglob("*.md")}
    - {ROOT / "CHANGELOG.md"}
)
CODE = [
    path
    for folder in ("cloudsync", "providers", "docs", "examples")
    for path in sorted((ROOT / folder).rglob("*.py"))
]


def page_id(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", PAGES, ids=page_id)
def test_every_relative_link_of_a_page_leads_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text())
    missing = [
        link
        for link in links
        if not re.match(r"[a-z]+:", link) and not (path.parent / link).exists()
    ]
    assert missing == []


@pytest.mark.parametrize("path", PAGES, ids=page_id)
def test_every_file_of_the_project_that_a_page_names_exists(path: Path) -> None:
    named = re.findall(
        r"`((?:cloudsync|providers|tests|docs|examples|deploy|benchmarks)/[\w./-]+(?:\.\w+|/))`",
        path.read_text(),
    )
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_decision_that_is_referred_to_is_written_down() -> None:
    written = {path.name[:4] for path in (DOCS / "decisions").glob("[0-9]*.md")}
    missing = [
        f"{page_id(path)}: {number}"
        for path in (*CODE, *PAGES)
        for number in re.findall(r"[Dd]ecisions? (\d{4})", path.read_text())
        if number not in written
    ]
    assert missing == []
    assert written


def test_the_list_of_decisions_is_complete() -> None:
    listed = set(re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (DOCS / "decisions/index.md").read_text()))
    assert listed == {path.name for path in (DOCS / "decisions").glob("[0-9]*.md")}


def test_nothing_refers_to_a_document_that_readers_do_not_have() -> None:
    assert [page_id(path) for path in CODE if re.search(r"\bdesign \d", path.read_text())] == []


def test_every_function_in_the_life_of_a_port_exists() -> None:
    named = re.findall(
        r"`(cloudsync/[\w/]+\.py)`:\s+`(\w+)`", (DOCS / "life-of-a-port.md").read_text()
    )
    missing = [
        f"{path}: {name}"
        for path, name in named
        if not re.search(rf"^(?:def|class) {name}\b", (ROOT / path).read_text(), re.MULTILINE)
    ]
    assert missing == []
    assert len(named) > 15
