"""The Dockerfile built on a real engine, on a stand-in for the Python image: what gets in, who
runs, what may be written.

No registry is asked: the stand-in is busybox with a `python` that notes what it is told to install.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.engine.lab import Lab

ROOT = Path(__file__).parents[2]
PYTHON = """#!/bin/sh
case "$*" in
"-m venv /opt/cloudsync")
    mkdir -p /opt/cloudsync/bin
    cp /bin/python /opt/cloudsync/bin/python ;;
*" install "*)
    find . -type f | sort >/opt/cloudsync/context
    echo "$@" >/opt/cloudsync/asked
    cd /opt/cloudsync/bin
    printf '#!/bin/sh\\necho "cloudsync $* as $(id -u):$(id -g) in $(pwd)"\\n' >cloudsync
    chmod 755 cloudsync ;;
esac
"""


@pytest.fixture(scope="module")
def image(session_engine: Lab, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    session_engine.start()
    folder = tmp_path_factory.mktemp("stand-in")
    (folder / "python").write_text(PYTHON)
    (folder / "Dockerfile").write_text(
        "FROM bb:1\nCOPY python /bin/python\nRUN busybox --install -s /bin 2>/dev/null; chmod 755"
        " /bin/python; mkdir -m 1777 /tmp\n"
    )
    build(session_engine, folder, "python:stand-in")
    build(
        session_engine,
        ROOT,
        "cloudsync:test",
        "--build-arg",
        "PYTHON=stand-in",
        "--build-arg",
        "EXTRAS=hetzner",
    )
    return session_engine


def build(engine: Lab, context: Path, tag: str, *options: str) -> None:
    """With the builder that is in the engine itself."""
    environment = {**os.environ, "DOCKER_HOST": f"unix://{engine.socket}", "DOCKER_BUILDKIT": "0"}
    environment.pop("DOCKER_CONTEXT", None)
    words = ["docker", "build", "--network", "none", *options, "--tag", tag, str(context)]
    done = subprocess.run(
        words, env=environment, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def runs(engine: Lab, *words: str) -> str:
    safe = [
        "--read-only",
        "--cap-drop",
        "ALL",
        "--security-opt",
        "no-new-privileges",
        "--network",
        "none",
    ]
    return engine.docker("run", "--rm", *safe, *words)


def test_it_runs_plan_as_nobody_in_particular_on_a_file_system_that_is_read_only(
    image: Lab,
) -> None:
    assert runs(image, "cloudsync:test") == "cloudsync plan as 65532:65532 in /var/lib/cloudsync"
    assert runs(image, "cloudsync:test", "--version").startswith("cloudsync --version as 65532")


def test_its_state_can_be_written_and_nothing_else(image: Lab) -> None:
    script = (
        "touch /var/lib/cloudsync/x && ! touch /opt/cloudsync/x 2>/dev/null && ! touch /etc/x"
        " 2>/dev/null && echo ok"
    )
    assert runs(image, "--entrypoint", "sh", "cloudsync:test", "-c", script) == "ok"
    assert (
        runs(
            image,
            "-v",
            "cs-state:/var/lib/cloudsync",
            "--entrypoint",
            "sh",
            "cloudsync:test",
            "-c",
            script,
        )
        == "ok"
    )


def test_the_image_is_built_from_the_sources_and_nothing_else(image: Lab) -> None:
    shown = runs(image, "--entrypoint", "cat", "cloudsync:test", "/opt/cloudsync/context").split()
    tops = {path.split("/")[1] for path in shown}
    assert tops == {
        "LICENSE",
        "README.md",
        "cloudsync",
        "constraints.txt",
        "deploy",
        "docs",
        "examples",
        "providers",
        "pyproject.toml",
    }
    assert "./providers/hetzner/cloudsync_hetzner/plugin.py" in shown
    assert not [path for path in shown if "__pycache__" in path]


def test_the_extras_are_the_ones_asked_for_in_the_versions_that_were_tested(image: Lab) -> None:
    asked = runs(image, "--entrypoint", "cat", "cloudsync:test", "/opt/cloudsync/asked")
    assert asked.endswith("--constraint constraints.txt .[hetzner]")


def test_its_own_ports_are_never_opened_by_itself(image: Lab) -> None:
    assert (
        image.docker(
            "inspect", "--format", '{{index .Config.Labels "cloudsync.expose"}}', "cloudsync:test"
        )
        == "false"
    )
