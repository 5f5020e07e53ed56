"""What a command imports: the light ones stay light, and one cloud's run never imports another
cloud's SDK."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.cli.conftest import Shell

HEAVY = {
    "pydantic",
    "docker",
    "requests",
    "hcloud",
    "boto3",
    "google.cloud.compute_v1",
    "digitalocean",
    "tomlkit",
    "tenacity",
}
SCRIPT = """
import contextlib, io, json, sys
sys.argv = ["cloudsync", *json.loads(sys.argv[1])]
from cloudsync.__main__ import main
nowhere = io.StringIO()
with (
    contextlib.redirect_stdout(nowhere),
    contextlib.redirect_stderr(nowhere),
    contextlib.suppress(SystemExit),
):
    main()
print(json.dumps(sorted(sys.modules)))
"""


def imported(shell: Shell, *words: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(words)],
        cwd=shell.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("word", ["--version", "--help"])
def test_version_and_help_import_no_sdk_and_no_engine_client(shell: Shell, word: str) -> None:
    assert not imported(shell, word) & HEAVY


def test_version_does_not_even_import_click(shell: Shell) -> None:
    assert "click" not in imported(shell, "--version")


def test_a_local_run_imports_no_sdk_and_no_engine_client(shell: Shell) -> None:
    assert not imported(shell, "plan") & {
        "hcloud",
        "docker",
        "requests",
        "boto3",
        "digitalocean",
        "yaml",
    }


def test_a_plan_imports_nothing_that_only_other_runs_need(shell: Shell) -> None:
    others = {
        "tenacity",  # a call failed
        "tomlkit",  # config show, init
        "yaml",  # Compose files
        "cloudsync.model.plan_json",  # --output json, --out, a plan file
        "cloudsync.render.markdown",
        "cloudsync.provider.init",  # init
        "cloudsync.config.show",
        "cloudsync.sources.compose",
        "cloudsync.sources.docker.engine",
        "cloudsync.notify",
    }
    assert not imported(shell, "plan") & others


MODULES = {("--help",): 80, ("config", "check"): 267, ("plan",): 396}
"""The most modules a command may import beyond those of `--version`: a few more than it does.
Of those of a plan rich, which lays it out, is 50."""


@pytest.mark.parametrize("words", MODULES)
def test_the_number_of_imported_modules_stays_what_it_is(
    shell: Shell, words: tuple[str, ...]
) -> None:
    assert len(imported(shell, *words) - imported(shell, "--version")) <= MODULES[words]


def test_config_check_of_a_hetzner_configuration_imports_no_sdk(shell: Shell) -> None:
    text = (shell.folder / "cloudsync.toml").read_text()
    text = text.replace("[providers.local]", '[providers.hetzner]\ntoken = { env = "X" }').replace(
        '"local"', '"hetzner"'
    )
    (shell.folder / "cloudsync.toml").write_text(text.replace('path = "fw.json"', ""))
    modules = imported(shell, "config", "check")
    assert "cloudsync_hetzner" in modules
    assert not modules & {"hcloud", "requests", "docker"}
