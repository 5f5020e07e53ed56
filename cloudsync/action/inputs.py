"""The action's inputs, as `action.yml` hands them on in variables; checked before anything is
done."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, cast

from cloudsync.rules.frozen import dataclass

PREFIX = "CLOUDSYNC_INPUT_"
Command = Literal["plan", "apply", "audit"]
Approval = Literal["pull-request", "expect", "none"]
_FLAGS = ("--ssh-moved", "--now", "--verbose", "-v")
_SEVERITIES = ("critical", "high", "medium", "low", "none")
_VALUED = ("--firewall", "--adopt", "--allow-attach", "--allow-close")


class InputError(Exception):
    """An input cannot be used; one line that names it."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """`label`: tells the comments of several configurations in one repository apart. `expect`: a
    digest that stands for the approval. `branch`: the one branch that is applied; None is the
    repository's default branch."""

    command: Command
    config: str | None
    directory: Path
    comment: bool
    fail_on_changes: bool
    approval: Approval
    expect: str | None
    branch: str | None
    label: str
    args: tuple[str, ...]
    token: str | None
    approval_secret: str | None = None
    """With it a comment's seal can be made by nobody else."""
    compose: tuple[str, ...] = ()
    """Compose files and folders to audit, relative to the checkout; all of it if empty."""
    fail_on: str = "high"
    """The least severity that fails an audit."""
    upload: bool = True
    """Whether the findings of an audit go to code scanning."""

    @staticmethod
    def of(environ: Mapping[str, str]) -> Inputs:
        """The inputs out of the step's variables. Raises `InputError`."""

        def text(name: str) -> str:
            return environ.get(PREFIX + name.upper().replace("-", "_"), "").strip()

        command, approval, expect = (
            text("command") or "plan",
            text("approval") or "pull-request",
            text("expect") or None,
        )
        if command not in ("plan", "apply", "audit"):
            raise InputError("the input command must be plan, apply or audit")
        fail_on = text("fail-on") or "high"
        if fail_on not in _SEVERITIES:
            raise InputError(f"the input fail-on must be one of {', '.join(_SEVERITIES)}")
        if expect is not None:
            approval = "expect"
        if approval not in ("pull-request", "expect", "none"):
            raise InputError("the input approval must be pull-request or none")
        if approval == "expect" and expect is None:
            raise InputError("the input expect must hold the digest of the plan that is approved")
        workspace = Path(environ.get("GITHUB_WORKSPACE") or ".").resolve()
        directory = workspace / (text("working-directory") or ".")
        if not directory.is_dir():
            raise InputError(
                "the input working-directory is not a directory in the checkout; did you run"
                " actions/checkout first?"
            )
        config = text("config") or None
        return Inputs(
            command=cast("Command", command),
            config=config,
            directory=directory,
            comment=_truth("comment", text("comment"), default=True),
            fail_on_changes=_truth("fail-on-changes", text("fail-on-changes"), default=False),
            approval=cast("Approval", approval),
            expect=expect,
            branch=text("branch") or None,
            label=text("label")
            or "/".join(
                piece for piece in (text("working-directory").strip("./"), config) if piece
            ),
            args=_arguments(text("args")),
            token=text("token") or None,
            approval_secret=text("approval-secret") or None,
            compose=tuple(text("compose").split()),
            fail_on=fail_on,
            upload=_truth("upload", text("upload"), default=True),
        )


def _truth(name: str, text: str, *, default: bool) -> bool:
    if text in ("true", "false", ""):
        return default if not text else text == "true"
    raise InputError(f"the input {name} must be true or false")


def _arguments(text: str) -> tuple[str, ...]:
    """Split as a shell would, with no shell; only options that plan and apply share and the action
    does not set itself."""
    try:
        words = shlex.split(text)
    except ValueError:
        raise InputError("the input args has a quote that is not closed") from None
    return tuple(_allowed(iter(words)))


def _allowed(words: Iterator[str]) -> Iterator[str]:
    for word in words:
        name, equals, _ = word.partition("=")
        if word in _FLAGS or (equals and name in _VALUED):
            yield word
        elif word in _VALUED:
            if (value := next(words, None)) is None:
                raise InputError(f"the input args ends where a value of {word} should stand")
            yield f"{word}={value}"
        else:
            raise InputError(f"the input args takes only {', '.join((*_VALUED, *_FLAGS))}")
