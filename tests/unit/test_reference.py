"""The reference pages say what the code says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from cloudsync import exit_codes
from cloudsync.model.ports import LabelScope
from cloudsync.sources.labels import LABELS, PREFIX, parse_labels

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_are_what_the_code_would_write(generate: ModuleType) -> None:
    stale = [
        path.name
        for path, text in generate.pages().items()
        if not path.exists() or path.read_text() != text
    ]
    assert stale == [], "run `make docs`"


def test_every_command_and_every_provider_has_its_part(generate: ModuleType) -> None:
    commands = (DOCS / "reference" / "commands.md").read_text()
    for name in ("plan", "apply", "watch", "release", "config check", "init"):
        assert f"## cloudsync {name}\n" in commands
    assert "`--allow-attach NAME`" in commands
    configuration = (DOCS / "reference" / "configuration.md").read_text()
    for kind in ("aws", "digitalocean", "gcp", "hetzner", "local", "openstack"):
        assert f'## type = "{kind}"\n' in configuration


def test_every_exit_code_has_its_meaning() -> None:
    codes = {
        value
        for name, value in vars(exit_codes).items()
        if name.isupper() and isinstance(value, int)
    }
    assert {code for code, _ in exit_codes.MEANINGS} == codes


@pytest.mark.parametrize("name", [name for name, _, _ in LABELS])
def test_every_label_of_the_list_is_understood(name: str) -> None:
    key = name.replace("<port>[-<port>][/<protocol>]", "8000-8010/udp")
    value = {"expose": "true", "ports": "443", "firewall": "web", "description": "text"}.get(
        key, "any"
    )
    assert parse_labels({PREFIX + key: value}, LabelScope({}, frozenset({"web"}))) != parse_labels(
        {}, LabelScope({}, frozenset())
    )


def test_every_key_of_the_configuration_reference_has_a_text() -> None:
    page = (DOCS / "reference" / "configuration.md").read_text()
    keys = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(keys) > 60
    assert [line for line in keys if line.endswith("|  |")] == []
