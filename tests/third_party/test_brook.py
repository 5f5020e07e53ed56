"""The example provider passes the suite, and so does a provider that is written out of it."""

from __future__ import annotations

import ast
import io
import os
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudsync.provider.new import NewProviderError, write_provider
from cloudsync.testing import Conformance, Stage
from tests.third_party.brook import EXAMPLE, installed

ROOT = EXAMPLE.parents[1]
_BLANK = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


@pytest.mark.emulator
class TestBrook(Conformance):
    @pytest.fixture
    def stage(self, tmp_path: Path) -> Iterator[Stage]:
        with installed(tmp_path / "site"):
            import importlib

            brook_double: Any = importlib.import_module("brook_double")
            brook_stage: Any = importlib.import_module("brook_stage")
            with brook_double.BrookDouble() as double:
                yield brook_stage.BrookStage(double)


def code_lines(package: Path) -> int:
    """Lines of code: without blank lines, comments and docstrings."""
    return sum(_code_lines(path.read_text()) for path in sorted(package.rglob("*.py")))


def _code_lines(source: str) -> int:
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _BLANK:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else []:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                lines -= set(range(statement.lineno, (statement.end_lineno or 0) + 1))
    return len(lines)


@pytest.mark.parametrize(
    ("package", "most"),
    [
        (EXAMPLE / "cloudsync_brook", 500),
        (ROOT / "providers/hetzner/cloudsync_hetzner", 750),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_flat_vendor_on_the_kit_is_small(package: Path, most: int) -> None:
    assert code_lines(package) <= most


def test_a_new_provider_passes_what_it_is_held_to(tmp_path: Path) -> None:
    written = write_provider("creek", tmp_path)
    project = tmp_path / "cloudsync-creek"
    assert project / "cloudsync_creek" / "plugin.py" in written
    assert not [path for path in written if "brook" in path.read_text().lower()]
    info = tmp_path / "site" / "cloudsync_creek-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: cloudsync-creek\nVersion: 0.1.0\n")
    points = "[cloudsync_firewall.providers]\ncreek = cloudsync_creek:provider\n"
    (info / "entry_points.txt").write_text(points)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path / 'site'}:{project}"}
    some = (
        "whole or port-opens or created or denied or attached or accepts or conflict or redirected"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", some]
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "failed" not in done.stdout


@pytest.mark.parametrize("name", ["", "Creek", "my-cloud", "../creek", "class", "9lives"])
def test_a_name_that_is_not_a_package_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(NewProviderError, match="cannot be the name"):
        write_provider(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_that_exists_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "cloudsync-creek").mkdir()
    with pytest.raises(NewProviderError, match="exists already"):
        write_provider("creek", tmp_path)
