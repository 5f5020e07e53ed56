"""An offline runner: carries out a workflow's job and the composite steps of `action.yml` as GitHub
would.

Expressions are evaluated, `run:` is written to a file and handed to `bash --noprofile --norc -eo
pipefail`, outputs come back through GITHUB_OUTPUT, the summary through GITHUB_STEP_SUMMARY. A
composite action gets no INPUT_ variables, as on GitHub. The `python3` of a step is `python`, a real
one or a stand-in. Steps that use other actions (checkout,
setup-python, credentials) are noted and passed over: the checkout is the test's folder.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.doubles.github import GitHubDouble

ROOT = Path(__file__).parents[2]
EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"\s*(?:(==|!=|&&|\|\|)|'((?:[^']|'')*)'|(?!always\()([a-z_]+(?:\.[A-Za-z0-9_-]+)*)|(\d+)|(always\(\)))"
)


@dataclass
class Ran:
    """What a job came to."""

    code: int
    outputs: dict[str, str]
    summary: str
    log: str
    used: list[str] = field(default_factory=list)


class Job:
    """One job of one run. `secrets`: what `${{ secrets.X }}` gives; `environ`: what a test adds to
    every step; `python`: the `python3` of the machine."""

    def __init__(
        self,
        folder: Path,
        checkout: Path,
        github: GitHubDouble,
        event: str,
        payload: Mapping[str, Any],
        *,
        sha: str,
        ref: str,
        environ: Mapping[str, str] | None = None,
        python: Path,
    ) -> None:
        self.folder, self.checkout, self.github = folder, checkout, github
        self.python = python
        self.event, self.payload, self.sha, self.ref = event, payload, sha, ref
        self.environ = dict(environ or {})
        self.temp = folder / "temp"
        self.temp.mkdir(parents=True, exist_ok=True)
        (folder / "event.json").write_text(json.dumps(payload))
        self.used: list[str] = []
        self.given: list[dict[str, str]] = []
        """The inputs of the actions that are used."""
        self.log = ""

    def run(self, workflow: Path, name: str, **changed: str) -> Ran:
        """The job `name` of a workflow file; `changed`: inputs of our action that the test sets
        otherwise."""
        described = yaml.safe_load(workflow.read_text())
        job = described["jobs"][name]
        permissions = job.get("permissions", described.get("permissions", {}))
        token = self.github.token(
            **{key.replace("-", "_"): value for key, value in permissions.items()}
        )
        context: dict[str, Any] = {
            "github": {"token": token, "event_name": self.event, "event": self.payload},
            "secrets": {},
        }
        if "if" in job and not truth(evaluate(str(job["if"]), context)):
            return Ran(0, {}, "", "skipped")
        for step in job["steps"]:
            if not str(step.get("uses", "")).startswith("cloudsync-firewall/cloudsync@"):
                self.used.append(step["uses"])
                continue
            given = {key: str(expand(value, context)) for key, value in step["with"].items()}
            return self.action(
                {
                    **given,
                    "install": "none",
                    **{k.replace("_", "-"): v for k, v in changed.items()},
                },
                token,
            )
        raise AssertionError("the job has no step of ours")

    def action(self, inputs: Mapping[str, str], token: str) -> Ran:
        """The composite action of `action.yml` with these inputs."""
        described = yaml.safe_load((ROOT / "action.yml").read_text())
        unknown = set(inputs) - set(described["inputs"])
        assert not unknown, f"inputs the action does not have: {unknown}"
        context: dict[str, Any] = {"github": {"token": token}, "steps": {}}
        context["inputs"] = {
            name: inputs[name] if name in inputs else str(expand(str(about["default"]), context))
            for name, about in described["inputs"].items()
        }
        code, summary = 0, ""
        for number, step in enumerate(described["runs"]["steps"]):
            condition = (
                evaluate(step["if"].strip().removeprefix("${{").removesuffix("}}"), context)
                if "if" in step
                else True
            )
            if (code and "always()" not in str(step.get("if"))) or not truth(condition):
                continue
            if "uses" in step:
                self.used.append(step["uses"])
                self.given.append({k: str(expand(v, context)) for k, v in step["with"].items()})
                continue
            code, outputs, more = self.step(number, step, context)
            context["steps"][step.get("id", str(number))] = {"outputs": outputs}
            summary += more
        values = {
            name: str(expand(about["value"], context))
            for name, about in described["outputs"].items()
        }
        return Ran(code, values, summary, self.log, self.used)

    def step(
        self, number: int, step: Mapping[str, Any], context: Mapping[str, Any]
    ) -> tuple[int, dict[str, str], str]:
        script = self.temp / f"script-{number}.sh"
        assert not EXPRESSION.search(step["run"]), "an expression in a script is an injection"
        script.write_text(step["run"])
        output, summary = self.temp / f"output-{number}", self.temp / f"summary-{number}"
        output.write_text("")
        summary.write_text("")
        environment = {
            "PATH": f"{self.python.parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_WORKSPACE": str(self.checkout),
            "GITHUB_EVENT_NAME": self.event,
            "GITHUB_EVENT_PATH": str(self.folder / "event.json"),
            "GITHUB_SHA": self.sha,
            "GITHUB_REF": self.ref,
            "GITHUB_REPOSITORY": self.github.repository,
            "GITHUB_RUN_ID": "4711",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_API_URL": self.github.endpoint,
            "GITHUB_GRAPHQL_URL": f"{self.github.endpoint}/graphql",
            "RUNNER_TEMP": str(self.temp),
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(summary),
            **self.environ,
            **{
                name: str(expand(str(value), context))
                for name, value in step.get("env", {}).items()
            },
        }
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=self.checkout,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        self.log += done.stdout + done.stderr
        return done.returncode, parse_outputs(output.read_text()), summary.read_text()


def parse_outputs(text: str) -> dict[str, str]:
    """`name=value` and the heredoc form of GITHUB_OUTPUT."""
    found, lines = {}, iter(text.splitlines())
    for line in lines:
        if match := re.fullmatch(r"([A-Za-z_][\w-]*)<<(.+)", line):
            value = []
            for inner in lines:
                if inner == match[2]:
                    break
                value.append(inner)
            found[match[1]] = "\n".join(value)
        else:
            name, equals, rest = line.partition("=")
            assert equals, f"the runner cannot read {line!r}"
            found[name] = rest
    return found


def expand(text: Any, context: Mapping[str, Any]) -> Any:
    """`text` with its expressions replaced."""
    if not isinstance(text, str):
        return str(text).lower() if isinstance(text, bool) else text
    return EXPRESSION.sub(lambda match: str(evaluate(match[1], context)), text)


def evaluate(text: str, context: Mapping[str, Any]) -> Any:
    """The part of GitHub's expressions that our files use: names, texts, ==, !=, && and ||, from
    left to right."""
    words, place = [], 0
    while text[place:].strip():
        match = _TOKEN.match(text, place)
        assert match, f"the runner does not know the expression {text!r}"
        words.append(match)
        place = match.end()
    value, operator = "", None
    for match in words:
        if match[1]:
            operator = match[1]
            continue
        one = (
            match[2].replace("''", "'")
            if match[2] is not None
            else True
            if match[5]
            else match[4] or look_up(match[3], context)
        )
        if operator is None:
            value = one
        elif operator in ("==", "!="):
            value = (str(value) == str(one)) is (operator == "==")  # type: ignore[assignment]
        elif operator == "&&":
            value = one if truth(value) else value
        else:
            value = value if truth(value) else one
    return value


def look_up(name: str, context: Mapping[str, Any]) -> Any:
    found: Any = context
    for part in name.split("."):
        found = found.get(part, "") if isinstance(found, Mapping) else ""
    return found


def truth(value: Any) -> bool:
    return value not in ("", "false", False, None, 0)
