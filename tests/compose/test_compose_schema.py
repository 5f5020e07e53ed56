"""The examples are Compose files by the public schema of the Compose specification, which
check-jsonschema ships."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.unit.test_compose_examples import EXAMPLES

NOT_BY_THE_SCHEMA = (
    "37-null-service-in-an-override",  # valid only once it is merged
    "45-trailing-tab",  # ruamel.yaml, which reads for the checker, takes no tab there
)


def test_the_examples_are_valid_by_the_compose_specification(tmp_path: Path) -> None:
    checked = []
    for number, path in enumerate(sorted(EXAMPLES.rglob("*.y*ml"))):
        text = path.read_text()
        if "!reset" in text or path.parent.name in NOT_BY_THE_SCHEMA:
            continue  # the schema knows neither the tag nor the null that goes with it
        copy = tmp_path / f"{number}-{path.parent.name}-{path.name}"
        copy.write_text(re.sub(r"!override\b", "", text))
        checked.append(str(copy))
    assert len(checked) > 30
    words = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        *checked,
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_schema_finds_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {web: {prots: ['80:80']}}\n")
    words = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        str(tmp_path / "compose.yaml"),
    ]
    assert subprocess.run(words, capture_output=True, timeout=100, check=False).returncode == 1
