"""Engines leave nothing on the machine: what would be noticed if they did."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.engines.held import control_groups
from tests.engines.remains import Traces, remains_of

pytestmark = pytest.mark.engine


@pytest.fixture
def traces(tmp_path: Path) -> Traces:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    folder = tmp_path / f"cs-remains-{os.getpid()}"
    return Traces(folder, (f"cs-remains-{os.getpid()}",))


def test_nothing_of_an_engine_that_left_nothing(traces: Traces) -> None:
    assert remains_of(traces) == []


def test_a_folder_and_what_is_mounted_in_it(traces: Traces) -> None:
    traces.folder.mkdir()
    assert remains_of(traces) == [f"folder {traces.folder}"]
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", traces.folder], check=True)
    try:
        assert f"mount {traces.folder}" in remains_of(traces)
    finally:
        subprocess.run(["umount", traces.folder], check=True)


def test_a_network_namespace(traces: Traces) -> None:
    (name,) = traces.namespaces
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        assert remains_of(traces) == [f"network namespace {name}"]
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def test_a_daemon_that_was_started_with_the_folder_in_its_words(traces: Traces) -> None:
    words = ["sh", "-c", "echo; read wait", "daemon", "--exec-root", str(traces.folder)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as daemon:
        assert daemon.stdout is not None
        daemon.stdout.readline()
        (line,) = remains_of(traces)
        assert line.startswith(f"process {daemon.pid}: sh -c")
        daemon.communicate(b"\n")
    assert remains_of(traces) == []


def test_a_container_whose_words_say_nothing_of_it(traces: Traces) -> None:
    """Its root does."""
    lower, (upper, work, merged) = traces.folder / "lower", (traces.folder / n for n in "uwm")
    for path in (lower, upper, work, merged):
        path.mkdir(parents=True)
    script = f"""mount --make-rprivate /
mount -t overlay overlay -o lowerdir=/,upperdir={upper},workdir={work} {merged}
cd {merged}; mkdir -p .old; pivot_root . .old; echo; exec sh -c 'read wait'"""
    words = ["unshare", "--mount", "sh", "-ec", script]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as container:
        assert container.stdout is not None
        container.stdout.readline()
        assert any(line.startswith(f"process {container.pid}: ") for line in remains_of(traces))
        container.communicate(b"\n")
    assert not any(line.startswith("process") for line in remains_of(traces))


def test_a_process_in_its_control_group_and_the_group(traces: Traces) -> None:
    group = control_groups() / f"cs-{traces.folder.name}"
    group.mkdir()
    try:
        with subprocess.Popen(
            ["sh", "-c", f"echo 0 > {group}/cgroup.procs; cd /; echo; exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            process.stdout.readline()
            left = remains_of(traces)
            process.communicate(b"")
        assert left[-1] == f"control group {group}"
        assert any(line.startswith(f"process {process.pid}: ") for line in left)
    finally:
        group.rmdir()
    assert remains_of(traces) == []
