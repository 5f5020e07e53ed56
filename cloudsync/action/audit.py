"""`command: audit`: the Compose files of the checkout looked at, as SARIF for code scanning and as
a job summary. It needs no credentials, and changes nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from cloudsync import exit_codes
from cloudsync.action.inputs import PREFIX, Inputs
from cloudsync.action.runner import Runner

_COMPOSE = re.compile(r"(docker-)?compose\.ya?ml", re.ASCII)
_ELSEWHERE = ("node_modules", "vendor")
_MOST_FOLDERS = 200


def audit(inputs: Inputs, environ: Mapping[str, str], runner: Runner) -> int:
    """Look at the files; the exit code of `cloudsync audit`, 64 if there are none."""
    workspace = Path(environ.get("GITHUB_WORKSPACE") or ".").resolve()
    paths = inputs.compose or tuple(_projects(inputs.directory, workspace))
    if not paths:
        runner.error(
            "inputs: there is no Compose file in the checkout; name one in the input compose"
        )
        _end(runner, "", exit_codes.USAGE, "inputs", 0)
        return exit_codes.USAGE
    folder = Path(tempfile.mkdtemp(prefix="cloudsync-", dir=environ.get("RUNNER_TEMP")))
    sarif = folder / "audit.sarif"
    words = ["audit", f"--fail-on={inputs.fail_on}", *(f"--compose={path}" for path in paths)]
    if inputs.config is not None:
        words.append(f"--config={inputs.directory / inputs.config}")
    done = _cloudsync(workspace, environ, *words, "--output=sarif", f"--out={sarif}")
    shown = _cloudsync(workspace, environ, *words, "--fix-hints")
    runner.log(f"$ cloudsync audit\n{shown.stdout}{done.stderr}")
    runner.summary(f"### cloudsync audit\n\n{_fenced(shown.stdout or done.stderr)}\n")
    reason = {exit_codes.DONE: "", exit_codes.GUARD: "findings"}.get(done.returncode, "failed")
    count = _count(sarif)
    _end(runner, str(sarif) if count is not None else "", done.returncode, reason, count or 0)
    if inputs.upload and count is not None:
        runner.output({"upload": "true"})
    if done.returncode != exit_codes.DONE:
        runner.error(f"{reason}: {(done.stderr.strip() or 'see the job summary')}")
    return done.returncode


def _end(runner: Runner, sarif: str, code: int, reason: str, count: int) -> None:
    runner.output(
        {
            "sarif-path": sarif,
            "findings": str(count),
            "exit-code": str(code),
            "failure-reason": reason,
        }
    )


def _projects(directory: Path, workspace: Path) -> Iterator[str]:
    """The folders with a Compose file, each a project, relative to the checkout; no link is
    followed, so that nothing outside is read."""
    number = 0
    for folder, names, files in os.walk(directory):
        names[:] = sorted(n for n in names if not n.startswith(".") and n not in _ELSEWHERE)
        if any(_COMPOSE.fullmatch(file) for file in files):
            number += 1
            if number > _MOST_FOLDERS:
                return
            yield os.path.relpath(folder, workspace)


def _count(sarif: Path) -> int | None:
    """How many findings there are; None without a file."""
    try:
        (run,) = json.loads(sarif.read_text(encoding="utf-8"))["runs"]
        return len(run["results"])
    except (OSError, ValueError, KeyError):
        return None


def _fenced(content: str) -> str:
    """As a block of text, whatever is in it."""
    longest = max((len(run) for run in re.findall("`+", content)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{content.rstrip()}\n{fence}"


def _cloudsync(
    workspace: Path, environ: Mapping[str, str], *words: str
) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in environ.items() if not key.startswith(PREFIX)}
    return subprocess.run(  # noqa: S603 - an argument list, no shell
        [sys.executable, "-I", "-m", "cloudsync", *words, "--color=never"],
        cwd=workspace, env=environment, capture_output=True, text=True, errors="replace",
        check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
