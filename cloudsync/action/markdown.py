"""What people read on GitHub: the comment of a pull request, the job summary, the line about what
became of a plan. `render.markdown` writes the plan in them. Texts of strangers are escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloudsync import exit_codes
from cloudsync.action.comment import state_block
from cloudsync.action.event import Event
from cloudsync.model.plan import Plan
from cloudsync.model.plan_digest import digest
from cloudsync.render.escape import markdown, plain
from cloudsync.render.markdown import plan as rendered

if TYPE_CHECKING:
    from cloudsync.action.run import Result


def comment(
    label: str, plan: Plan | None, problem: str, event: Event, *, whole: bool = True
) -> str:
    """The plan as the pull request shows it. The part that must not be cut away stands first.
    `whole`: the comment has room for all of it; otherwise merging approves nothing."""
    head = (
        f" of commit `{plain(event.head[:12], 12)}`" if event.head and event.head.isalnum() else ""
    )
    lines = [f"## cloudsync{_of(label)}", ""]
    if plan is None:
        return "\n".join(
            [
                *lines,
                (
                    f"❌ **There is no plan{head}**, so merging approves nothing."
                    f" [Run]({event.run_url})"
                ),
                "",
                *_problem(problem),
            ]
        )
    verdict = _verdict(plan, head) if whole or not plan.has_changes else _too_long(plan, head)
    lines = [*state_block(f"{verdict} [Run]({event.run_url})"), "", *lines]
    folded = (
        [f"<details><summary>Digest</summary>\n\n`{digest(plan)}`\n\n</details>", ""]
        if plan.has_changes
        else []
    )
    return "\n".join([*lines, *_problem(problem), rendered(plan), *folded])


def _too_long(plan: Plan, head: str) -> str:
    return (
        f"⚠️ **This plan is too long for a comment, so merging does not approve it{head}.** The job"
        " summary has all of it; to apply it, name its digest in the input `expect`:"
        f" `{digest(plan)}`."
    )


def _verdict(plan: Plan, head: str) -> str:
    """What merging does, in a sentence; what a guard refuses comes first."""
    if not plan.has_changes:
        return f"Nothing would change{head}."
    waiting = ", ".join(
        dict.fromkeys(f"{markdown(guard.firewall)} ({guard.id})" for guard in plan.guards)
    )
    approves = f"Merging approves exactly these changes{head}."
    if not waiting:
        return f"✅ {approves}"
    if not any(
        firewall.changes
        and not any(
            guard.firewall == firewall.name and guard.withholds == "firewall"
            for guard in plan.guards
        )
        for firewall in plan.firewalls
    ):
        return (
            f"⚠️ **Merging will apply nothing of this{head}: a guard waits at {waiting}, see"
            " below.**"
        )
    return (
        f"⚠️ **Merging will not apply all of this: a guard waits at {waiting}, see below.**"
        f" {approves}"
    )


def summary(label: str, plan: Plan | None, problem: str, applied: str | None) -> str:
    """The job summary: what the command said, the plan, and what an apply did."""
    lines = [f"## cloudsync{_of(label)}", "", *_problem(problem)]
    if applied is not None:
        lines += ["**Applied:**", "", *_block(applied.strip() or "(the command said nothing)"), ""]
    if plan is not None:
        lines += [f"Digest of the changes: `{digest(plan)}`", "", rendered(plan)]
    return "\n".join(lines)


def state(event: Event, result: Result) -> str:
    """The line in the pull request about what became of the plan it shows."""
    if result.code == exit_codes.DONE:
        return f"✅ **Applied** in [this run]({event.run_url})."
    if result.code == exit_codes.NOT_APPROVED:
        return (
            f"❌ **Nothing was applied** ({result.reason}): {markdown(result.problem, 600)}."
            f" [Run]({event.run_url})"
        )
    sentence = (
        f"❌ **{result.reason}** while it was applied; [the run]({event.run_url}) says what was"
        " done and what was not."
    )
    return (
        sentence
        if result.code != exit_codes.GUARD
        else f"⚠️ **Applied, except what a guard refused**: [the run]({event.run_url})."
    )


def _of(label: str) -> str:
    return f": {markdown(label, 100)}" if label else ""


def _problem(problem: str) -> list[str]:
    return (
        [*(f"> ❌ {markdown(line)}" for line in problem.splitlines()[:50] if line.strip()), ""]
        if problem.strip()
        else []
    )


def _block(text: str) -> list[str]:
    """A code block that no line of it can end."""
    lines = [plain(line, 1000) for line in text.splitlines()]
    longest = max((len(line) - len(line.lstrip("`")) for line in map(str.strip, lines)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", *lines, fence]
