"""Compose files as people write them, each with the ports it should come to written down by hand
beside it (`expected.toml`)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cloudsync.model.ports import Complete
from tests.unit.compose_world import Expected, configured, judged, read

EXAMPLES = Path(__file__).parent / "fixtures" / "compose"
FOLDERS = sorted(path for path in EXAMPLES.iterdir() if path.is_dir())


@pytest.fixture
def example(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of the example under its own name: a configuration is written beside it."""
    return Path(shutil.copytree(request.param, tmp_path / request.param.name))


@pytest.mark.parametrize("example", FOLDERS, indirect=True, ids=[path.name for path in FOLDERS])
def test_an_example_comes_to_what_is_written_beside_it(example: Path) -> None:
    expected = Expected.of(example)
    configuration = configured(
        example, compose=expected.compose, env_file=expected.env_file, profiles=expected.profiles
    )
    discovery = read(configuration)
    found = judged(configuration, discovery, private_is_public=expected.private_is_public)
    assert found["failed"] == expected.failed
    for key in ("opens", "refused", "warnings", "remarks", "malformed"):
        assert found[key] == sorted(getattr(expected, key)), key
    if expected.descriptions is not None:
        assert found["descriptions"] == sorted(expected.descriptions)
    if isinstance(discovery, Complete) and discovery.required:
        assert {port.origin.project for port in discovery.required} == {expected.project}
        assert all(port.from_file and not port.declared for port in discovery.required)


def test_there_are_twenty_examples_and_more() -> None:
    assert len(FOLDERS) >= 20
