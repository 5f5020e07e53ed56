"""Break the code of each target in every way that cosmic-ray knows, and tell which breakages no
test noticed.

`python tests/mutants/run.py [TARGET ...]` (or `make mutants`); it takes minutes to hours and is no
part of CI. It works on a copy of the tree in `.mutants/`, with cosmic-ray in a virtual environment
of its own there; the tests run in the checkout's environment, their imports turned to the copy.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".mutants"
COSMIC_RAY = "cosmic-ray==8.7.0"
TIMEOUT_SECONDS = 600


@dataclass(frozen=True)
class Target:
    """`files` are broken; `tests`, arguments of pytest, should notice. `further`: what those are
    met with that none of `tests` noticed."""

    files: tuple[str, ...]
    tests: str
    further: str | None = None


LAWS = "tests/laws"
CONFORMANCE = "tests/conformance/test_conformance.py"
TARGETS = {
    "guards": Target(("cloudsync/planning/guards.py",), f"tests/unit/test_guards.py {LAWS}"),
    "holds": Target(("cloudsync/planning/holds.py",), f"tests/unit/test_holds.py {LAWS}"),
    "changes": Target(
        ("cloudsync/planning/diff.py", "cloudsync/model/plan.py", "cloudsync/planning/approval.py"),
        f"{LAWS} tests/unit/test_plan_document.py",
    ),
    "rules": Target(
        ("cloudsync/rules/ruleset.py",), "tests/unit/test_rules.py tests/unit/test_rules_algebra.py"
    ),
    "compose": Target(
        tuple(
            f"cloudsync/sources/compose/{name}.py"
            for name in (
                "merging",
                "extends",
                "includes",
                "services",
                "networks",
                "environment",
                "interpolation",
                "documents",
                "files",
                "project",
                "project_files",
                "ports",
            )
        ),
        "tests/unit/test_compose_examples.py tests/unit/test_compose_source.py tests/unit/test_compose_syntax.py",
        "tests/compose/test_compose_limits.py tests/compose/test_compose_beside_docker.py",
    ),
    "local": Target(("providers/local/cloudsync_local/plugin.py",), f"{CONFORMANCE} -k TestLocal"),
    "hetzner": Target(
        ("providers/hetzner/cloudsync_hetzner/plugin.py",),
        "tests/providers/test_hetzner_provider.py",
        f"{CONFORMANCE} -k TestHetzner",
    ),
    "digitalocean": Target(
        ("providers/digitalocean/cloudsync_digitalocean/plugin.py",),
        "tests/providers/test_digitalocean_provider.py",
        f"{CONFORMANCE} -k TestDigitalOcean",
    ),
    "aws": Target(
        ("providers/aws/cloudsync_aws/plugin.py",),
        "tests/providers/test_aws_provider.py",
        f"{CONFORMANCE} -k TestAws",
    ),
    "gcp": Target(
        ("providers/gcp/cloudsync_gcp/plugin.py",),
        "tests/laws/test_gcp_steps.py tests/providers/test_gcp_provider.py",
        f"tests/providers/test_gcp_deny_others.py tests/providers/test_gcp_fields.py {CONFORMANCE} -k gcp",
    ),
}


def main(names: list[str]) -> int:
    """0 where every breakage was noticed."""
    survived = 0
    for name in names or TARGETS:
        survived += _one(name, TARGETS[name])
    return 1 if survived else 0


def _one(name: str, target: Target) -> int:
    copy, session = WORK / name / "tree", WORK / name / "session.sqlite"
    shutil.rmtree(WORK / name, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for file in listed.stdout.split("\n"):
        if file and (ROOT / file).is_file():
            (copy / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, copy / file)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, [copy, *sorted((copy / "providers").iterdir())])),
    }

    def cosmic_ray(*words: str, tool: str = "cosmic-ray") -> str:
        done = subprocess.run(
            [str(_tools() / tool), *words],
            cwd=copy,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    config = str(WORK / name / "config.toml")
    for tests in (target.tests, target.further):
        if tests is None:
            continue
        _configure(Path(config), target.files, tests)
        print(f"{name}: {tests}, without a breakage", flush=True)
        cosmic_ray("baseline", config)
        if not session.exists():
            cosmic_ray("init", config, str(session))
            cosmic_ray(
                str(ROOT / "tests" / "mutants" / "skip_senseless.py"), str(session), tool="python"
            )
        else:
            with contextlib.closing(sqlite3.connect(session)) as results, results:
                results.execute("DELETE FROM work_results WHERE test_outcome = 'SURVIVED'")
        cosmic_ray("exec", config, str(session))
    report = cosmic_ray("--show-diff", "--surviving-only", str(session), tool="cr-report")
    (WORK / name / "survivors.txt").write_text(report)
    print(report, flush=True)
    return report.count("test outcome: TestOutcome.SURVIVED")


def _configure(path: Path, files: tuple[str, ...], tests: str) -> None:
    options = "-q -x -p no:cacheprovider --timeout=300 --hypothesis-seed=0"
    path.write_text(
        "[cosmic-ray]\n"
        f"module-path = {list(files)!r}\n"
        f"timeout = {TIMEOUT_SECONDS}\n"
        "excluded-modules = []\n"
        f'test-command = "{ROOT}/.venv/bin/python -m pytest {options} {tests}"\n'
        'distributor.name = "local"\n'
    )


def _tools() -> Path:
    """cosmic-ray, apart from the project's own packages."""
    found = WORK / "venv" / "bin"
    if not (found / "cosmic-ray").exists():
        subprocess.run([sys.executable, "-m", "venv", str(WORK / "venv")], check=True)
        subprocess.run(
            [str(found / "python"), "-m", "pip", "install", "--quiet", COSMIC_RAY], check=True
        )
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
