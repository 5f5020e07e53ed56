"""Break the code of each target in every way that cosmic-ray knows, and tell which breakages no
test noticed.

`python tests/mutants/run.py [--most N] [TARGET ...]` (or `make mutants`); it takes minutes to hours
and is no part of CI. `--most` breaks a target in N ways only, spread over all of them: the way to
see that a target starts. It works on a copy of the tree in `.mutants/`, with cosmic-ray in a
virtual environment of its own there; the tests run in the checkout's environment, their imports
turned to the copy.
"""

from __future__ import annotations

import argparse
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


def _under(folder: str, *without: str) -> tuple[str, ...]:
    """Every module below a folder."""
    return tuple(
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path.name != "__init__.py" and path.stem not in without
    )


def _provider(name: str, first: str, further: str) -> Target:
    return Target(_under(f"providers/{name}"), first, further)


TARGETS = {
    "guards": Target(("cloudsync/planning/guards.py",), f"tests/unit/test_guards.py {LAWS}"),
    "holds": Target(("cloudsync/planning/holds.py",), f"tests/unit/test_holds.py {LAWS}"),
    "policy": Target(
        tuple(
            f"cloudsync/planning/{name}.py"
            for name in (
                "policy",
                "verdicts",
                "container_ports",
                "configured_rules",
                "sensitive_ports",
            )
        ),
        f"tests/unit/test_policy.py {LAWS}",
        "tests/unit/test_containers.py tests/unit/test_explain.py",
    ),
    "grace": Target(
        ("cloudsync/planning/grace.py", "cloudsync/model/memory.py"),
        "tests/laws/test_grace.py",
        LAWS,
    ),
    "decide": Target(
        (
            "cloudsync/planning/decide.py",
            "cloudsync/planning/unlisted.py",
            "cloudsync/planning/own_rules.py",
        ),
        LAWS,
        "tests/runs/test_hetzner_runs.py",
    ),
    "changes": Target(
        ("cloudsync/planning/diff.py", "cloudsync/model/plan.py", "cloudsync/planning/approval.py"),
        f"{LAWS} tests/unit/test_plan_document.py",
    ),
    "plans": Target(
        ("cloudsync/model/plan_json.py", "cloudsync/model/plan_digest.py"),
        "tests/unit/test_plan_document.py",
        "tests/cli/test_plan_files.py",
    ),
    "reconcile": Target(
        _under("cloudsync/reconcile", "execute"),
        LAWS,
        "tests/unit/test_history.py tests/runs/test_engine_identity.py"
        " tests/cli/test_exit_codes.py",
    ),
    "execute": Target(
        ("cloudsync/reconcile/execute.py",),
        LAWS,
        "tests/runs/test_side_by_side.py tests/crash/test_races.py",
    ),
    "state": Target(
        _under("cloudsync/state"),
        "tests/unit/test_state.py tests/unit/test_lock.py tests/unit/test_history.py",
        "tests/laws/test_grace.py tests/crash/test_crash_files.py",
    ),
    "rules": Target(
        ("cloudsync/rules/ruleset.py",), "tests/unit/test_rules.py tests/unit/test_rules_algebra.py"
    ),
    "docker": Target(
        _under("cloudsync/sources/docker"),
        "tests/unit/test_containers.py tests/unit/test_docker_networks.py tests/unit/test_joined.py"
        " tests/unit/test_hostile_answers.py tests/laws/test_images_only_narrow.py",
        "tests/runs/test_engine_faults.py tests/runs/test_many_hosts.py",
    ),
    "labels": Target(
        (
            "cloudsync/sources/labels.py",
            "cloudsync/sources/static.py",
            "cloudsync/sources/read_hosts.py",
        ),
        "tests/unit/test_labels.py",
        "tests/unit/test_containers.py tests/runs/test_many_hosts.py",
    ),
    "compose": Target(
        _under("cloudsync/sources/compose"),
        "tests/unit/test_compose_examples.py tests/unit/test_compose_source.py"
        " tests/unit/test_compose_syntax.py",
        "tests/compose/test_compose_limits.py tests/compose/test_compose_beside_docker.py",
    ),
    "action": Target(_under("cloudsync/action"), "tests/action"),
    "watch": Target(_under("cloudsync/watch"), "tests/unit/test_rhythm.py tests/cli/test_watch.py"),
    "notify": Target(
        _under("cloudsync/notify"), "tests/unit -k report", "tests/cli/test_unattended.py"
    ),
    "local": _provider(
        "local", f"{CONFORMANCE} -k TestLocal", "tests/providers/test_local_provider.py"
    ),
    "hetzner": _provider(
        "hetzner", "tests/providers/test_hetzner_provider.py", f"{CONFORMANCE} -k TestHetzner"
    ),
    "digitalocean": _provider(
        "digitalocean",
        "tests/providers/test_digitalocean_provider.py",
        f"{CONFORMANCE} -k TestDigitalOcean",
    ),
    "aws": _provider("aws", "tests/providers/test_aws_provider.py", f"{CONFORMANCE} -k TestAws"),
    "gcp": _provider(
        "gcp",
        "tests/laws/test_gcp_steps.py tests/providers/test_gcp_provider.py",
        f"tests/providers/test_gcp_deny_others.py tests/providers/test_gcp_fields.py {CONFORMANCE}"
        " -k gcp",
    ),
    "host": _provider("host", "tests/providers/test_host_provider.py", "tests/host"),
    "openstack": _provider("openstack", "tests/openstack/test_rules.py", "tests/openstack"),
}


def main(words: list[str]) -> int:
    """0 if every breakage was noticed."""
    parser = argparse.ArgumentParser(description="Break the code; see what no test notices.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--most", type=int, help="breakages of a target; all without it")
    options = parser.parse_args(words)
    if unknown := [name for name in options.targets if name not in TARGETS]:
        parser.error(f"there is no target {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    survived = [
        _survivors(name, TARGETS[name], options.most) for name in options.targets or TARGETS
    ]
    return 1 if any(survived) else 0


def _survivors(name: str, target: Target, most: int | None) -> int:
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
            if most is not None:
                _thin(session, most)
        else:
            with contextlib.closing(sqlite3.connect(session)) as results, results:
                results.execute("DELETE FROM work_results WHERE test_outcome = 'SURVIVED'")
        cosmic_ray("exec", config, str(session))
    report = cosmic_ray("--show-diff", "--surviving-only", str(session), tool="cr-report")
    (WORK / name / "survivors.txt").write_text(report)
    print(report, flush=True)
    return report.count("test outcome: TestOutcome.SURVIVED")


def _thin(session: Path, most: int) -> None:
    """Leave `most` of the breakages that are still to be tried, spread evenly over all of them."""
    with contextlib.closing(sqlite3.connect(session)) as database, database:
        untried = (
            "SELECT job_id FROM work_items WHERE job_id NOT IN (SELECT job_id FROM work_results)"
        )
        jobs = [job for (job,) in database.execute(untried)]
        chosen = {jobs[len(jobs) * number // most] for number in range(min(most, len(jobs)))}
        for table in ("mutation_specs", "work_items"):
            database.executemany(
                f"DELETE FROM {table} WHERE job_id = ?",
                [(job,) for job in jobs if job not in chosen],
            )


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
