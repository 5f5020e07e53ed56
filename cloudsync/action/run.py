"""The story of one step: plan, show it, and for `apply` see that it was approved and carry it
out."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from cloudsync import exit_codes
from cloudsync.action import approval, comment, markdown
from cloudsync.action.approval import NotApproved
from cloudsync.action.audit import audit
from cloudsync.action.comment import Place
from cloudsync.action.event import Event, EventError
from cloudsync.action.github import Comment, GitHub, GitHubError
from cloudsync.action.inputs import PREFIX, InputError, Inputs
from cloudsync.action.runner import Runner
from cloudsync.model.plan import Plan
from cloudsync.model.plan_digest import digest
from cloudsync.model.plan_json import PlanFileError, from_document
from cloudsync.rules.frozen import dataclass

REASONS = {
    exit_codes.DONE: "",
    exit_codes.FAILED: "failed",
    exit_codes.CHANGES: "changes",
    exit_codes.GUARD: "guard",
    exit_codes.NOT_APPROVED: "plan-changed",
    exit_codes.LOCKED: "locked",
    exit_codes.PARTLY: "partly-applied",
    exit_codes.USAGE: "configuration",
    exit_codes.TRY_AGAIN: "try-again",
}
"""The output `failure-reason` for what the command ended with; further ones: inputs, event,
not-approved, comment."""


_WITH_SECRETS = (
    "pull_request_target",
    "pull_request_review",
    "pull_request_review_comment",
    "issue_comment",
    "workflow_run",
)
"""Events that anybody may cause, a stranger with a fork too, and whose runs have secrets."""


@dataclass(frozen=True, slots=True)
class Result:
    """How the step ends. `plan`: what was planned, None where nothing could be. `problem`: the line
    for people."""

    code: int
    """The exit code of the command."""
    reason: str
    """A word for programs, the output `reason`."""
    problem: str = ""
    plan: Plan | None = None
    path: Path | None = None
    """The plan file; None without one."""
    applied: str | None = None
    """What was applied, a line for people."""


def main(environ: Mapping[str, str]) -> int:
    """Do what the step's inputs say; the exit code, which is the command's own (decision 0007)."""
    runner = Runner(environ)
    try:
        inputs, event = Inputs.of(environ), Event.of(environ)
    except (InputError, EventError) as error:
        result = Result(
            exit_codes.USAGE, "inputs" if isinstance(error, InputError) else "event", str(error)
        )
        return _end(runner, result)
    if event.name in _WITH_SECRETS:
        text = (
            f"{event.name} would give a stranger's configuration this repository's secrets: use"
            " pull_request"
        )
        return _end(runner, Result(exit_codes.USAGE, "event", text))
    if inputs.command == "audit":
        return audit(inputs, environ, runner)
    result = _plan(inputs, environ, runner)
    if inputs.command == "plan":
        result = _shown(inputs, event, environ, runner, result)
    elif result.plan is not None:
        result = _apply(inputs, event, environ, runner, result, result.plan)
    runner.summary(markdown.summary(inputs.label, result.plan, result.problem, result.applied))
    return _end(runner, result)


def _plan(inputs: Inputs, environ: Mapping[str, str], runner: Runner) -> Result:
    """`cloudsync plan`: what is there to do, and what stands in the way."""
    path = Path(tempfile.mkdtemp(prefix="cloudsync-", dir=environ.get("RUNNER_TEMP"))) / "plan.json"
    done = _cloudsync(inputs, environ, runner, "plan", f"--out={path}")
    try:
        plan = from_document(path.read_text(encoding="utf-8"))
    except (OSError, PlanFileError):
        return Result(
            done.returncode or exit_codes.FAILED, _reason(done.returncode), done.stderr.strip()
        )
    return Result(done.returncode, _reason(done.returncode), done.stderr.strip(), plan, path)


def _shown(
    inputs: Inputs, event: Event, environ: Mapping[str, str], runner: Runner, result: Result
) -> Result:
    """The plan put into the pull request, and a drift that is to fail the step."""
    result = _commented(inputs, event, environ, runner, result)
    if (
        result.code == exit_codes.DONE
        and inputs.fail_on_changes
        and result.plan is not None
        and result.plan.has_changes
    ):
        return replace(
            result,
            code=exit_codes.CHANGES,
            reason=REASONS[exit_codes.CHANGES],
            problem="changes are pending",
        )
    return result


def _commented(
    inputs: Inputs, event: Event, environ: Mapping[str, str], runner: Runner, result: Result
) -> Result:
    if not inputs.comment or event.pull_request is None:
        return result
    if event.fork:
        runner.warning(
            "the pull request comes from a fork, whose token may not comment: the plan is in the"
            " job summary"
        )
        return result
    place = Place(event.repository, event.pull_request, inputs.label, inputs.approval_secret)
    shown = markdown.comment(inputs.label, result.plan, result.problem, event)
    approvable = digest(result.plan) if result.plan is not None else None
    if not comment.fits(shown):
        shown = markdown.comment(inputs.label, result.plan, result.problem, event, whole=False)
        approvable = None
    text = comment.body(place, approvable, shown)
    try:
        if (github := _github(inputs, event, environ)) is None:
            raise GitHubError("the input token is empty", forbidden=True)
        comment.put(github, place, text)
    except GitHubError as error:
        hint = "; does the job have `permissions: pull-requests: write`?" if error.forbidden else ""
        message = (
            "the plan could not be written into the pull request, and an older one may still be"
            f" there: {error}{hint}"
        )
        if result.code != exit_codes.DONE:
            runner.error(message)
            return result
        return replace(
            result,
            code=exit_codes.TRY_AGAIN if error.temporary else exit_codes.FAILED,
            reason="comment",
            problem=message,
        )
    return result


def _apply(
    inputs: Inputs,
    event: Event,
    environ: Mapping[str, str],
    runner: Runner,
    result: Result,
    plan: Plan,
) -> Result:
    """`cloudsync apply`, held to the digest that was approved: what moves after this is refused
    there (law 6)."""
    if (problem := approval.branch_problem(inputs, event)) is not None:
        return replace(result, code=exit_codes.NOT_APPROVED, reason="not-approved", problem=problem)
    planned, where = digest(plan), None
    github: GitHub | None = None
    try:
        github = _github(inputs, event, environ)
        if plan.has_changes:
            given = approval.approved(inputs, event, planned, github)
            where = given.comment
            if given.remark is not None:
                runner.warning(given.remark)
    except NotApproved as error:
        reason = "plan-changed" if error.changed else "not-approved"
        result = replace(result, code=exit_codes.NOT_APPROVED, reason=reason, problem=str(error))
        for comment in error.comments[:1]:
            _state(github, comment, markdown.state(event, result), runner)
        return result
    except GitHubError as error:
        code = exit_codes.TRY_AGAIN if error.temporary else exit_codes.FAILED
        message = f"nothing was applied, since the approval could not be read: {error}"
        return replace(result, code=code, reason="not-approved", problem=message)
    done = _cloudsync(
        inputs,
        environ,
        runner,
        "apply",
        "--auto-approve" if inputs.approval == "none" else f"--expect={planned}",
    )
    result = replace(
        result,
        code=done.returncode,
        reason=_reason(done.returncode),
        problem=done.stderr.strip(),
        applied=done.stdout,
    )
    if where is not None:
        used = result.code == exit_codes.DONE
        _state(github, where, markdown.state(event, result), runner, used=used)
    return result


def _state(
    github: GitHub | None, shown: Comment, state: str, runner: Runner, *, used: bool = False
) -> None:
    """What became of it, in the pull request. Everything that counts is done: a failure here is a
    warning."""
    try:
        if github is not None:
            github.update_comment(shown, comment.with_state(shown, state, used=used))
    except GitHubError as error:
        runner.warning(
            f"the pull request could not be updated with the outcome of its plan: {error}"
        )


def _cloudsync(
    inputs: Inputs, environ: Mapping[str, str], runner: Runner, command: str, *options: str
) -> subprocess.CompletedProcess[str]:
    """The command as a user would type it. It gets the job's environment without the action's own
    token."""
    words = [
        sys.executable,
        "-I",
        "-m",
        "cloudsync",
        command,
        *options,
        *inputs.args,
        "--color=never",
    ]
    if inputs.config is not None:
        words.append(f"--config={inputs.config}")
    environment = {key: value for key, value in environ.items() if not key.startswith(PREFIX)}
    done = subprocess.run(  # noqa: S603 - an argument list, no shell
        words,
        cwd=inputs.directory,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        stdin=subprocess.DEVNULL,
    )
    runner.log(f"$ cloudsync {command}\n{done.stdout}{done.stderr}")
    return done


def _github(inputs: Inputs, event: Event, environ: Mapping[str, str]) -> GitHub | None:
    if inputs.token is None:
        return None
    api = environ.get("GITHUB_API_URL", "https://api.github.com")
    return GitHub(
        api,
        environ.get("GITHUB_GRAPHQL_URL", "https://api.github.com/graphql"),
        event.repository,
        inputs.token,
    )


def _reason(code: int) -> str:
    return REASONS.get(code, "failed")


def _end(runner: Runner, result: Result) -> int:
    counts = Counter(
        change.action
        for firewall in (result.plan.firewalls if result.plan else ())
        for change in firewall.changes
    )
    runner.output(
        {
            "changes": "true" if counts else "false",
            "opens": str(counts["open"]),
            "closes": str(counts["close"]),
            "digest": digest(result.plan) if result.plan is not None else "",
            "plan-path": str(result.path or ""),
            "exit-code": str(result.code),
            "failure-reason": result.reason,
        }
    )
    if result.code != exit_codes.DONE:
        runner.error(f"{result.reason}: {result.problem.strip() or 'see the lines above'}")
    return result.code
