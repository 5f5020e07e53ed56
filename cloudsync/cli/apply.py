"""`cloudsync apply`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloudsync import exit_codes
from cloudsync.cli.next_step import following, to_doctor, typed
from cloudsync.cli.reported import reported
from cloudsync.cli.schedule import hint
from cloudsync.cli.shared import Chosen, Shell, common, log, of_shard, options_for, planning
from cloudsync.cli.terminal import clear_progress, echo
from cloudsync.model.plan import Granted, Plan
from cloudsync.render.escape import plain
from cloudsync.render.words import Vocabulary
from cloudsync.rules.frozen import dataclass
from cloudsync.runtime.signals import listening
from cloudsync.state import StateError
from cloudsync.state.lock import LockHeld

if TYPE_CHECKING:
    from cloudsync.config import Configuration
    from cloudsync.reconcile.run import Options, Report, Terms


@dataclass(frozen=True, slots=True)
class _Given:
    """The options of this command alone."""

    planfile: Path | None
    expect: str | None
    auto_approve: bool
    lock_timeout: float
    metrics_file: Path | None


@click.command("apply")
@click.argument("planfile", required=False, type=click.Path(dir_okay=False, path_type=Path))
@planning
@click.option(
    "--expect", metavar="DIGEST", help="Apply only a change set with this digest (sha256:…)."
)
@click.option("--auto-approve", is_flag=True, help="Do not ask.")
@click.option(
    "--lock-timeout",
    type=click.FloatRange(0),
    default=0.0,
    metavar="S",
    help="Wait so many seconds for another run to end.",
)
@click.option(
    "--metrics-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write Prometheus metrics there.",
)
@common
def command(shell: Shell, *, chosen: Chosen, **options: Any) -> int:
    """Make the firewalls allow what the containers need, and only that plus SSH.

    With PLANFILE only what that plan shows is done. Without a terminal it needs --auto-approve,
    --expect or PLANFILE.
    """
    from cloudsync.reconcile.run import Terms, apply

    given = _Given(**options)
    configuration = shell.load(fleet=True)
    approved = None
    if given.planfile is not None:
        if chosen != Chosen((), Granted(), None):
            raise click.UsageError(
                "a plan file carries what it was granted, and accepts no more: omit the other"
                " options"
            )
        approved = _read(given.planfile)
        known = tuple(f.name for f in approved.firewalls if f.name in configuration.firewalls)
        chosen = Chosen(known, approved.granted, None)
        if gone := [f.name for f in approved.firewalls if f.name not in configuration.firewalls]:
            names = ", ".join(plain(name, 60) for name in gone[:5])
            echo(
                "Nothing was applied, this is not the approved plan any more: not in the"
                f" configuration: {names}"
            )
            return exit_codes.NOT_APPROVED
    asks = not (given.auto_approve or given.expect is not None or approved is not None)
    if asks and not sys.stdin.isatty():
        raise click.UsageError(
            "there is no terminal to ask on: pass --auto-approve, --expect DIGEST or a plan file"
        )
    wanted = options_for(configuration, chosen.firewalls, chosen.granted, chosen.shard)
    configuration = of_shard(configuration, chosen.shard)
    how = (
        "a plan file"
        if approved
        else (
            "--expect"
            if given.expect
            else "--auto-approve"
            if given.auto_approve
            else "approved on a terminal"
        )
    )
    unattended = shell.quiet and given.auto_approve and not (approved or given.expect)
    screen = _Screen(shell, configuration, unattended=unattended)
    with reported(configuration, given.metrics_file) as ended:
        try:
            with listening() as interruption:
                run = partial(
                    apply,
                    configuration,
                    progress=shell.progress,
                    interruption=interruption,
                )
                terms = Terms(approved, given.expect, given.lock_timeout, f"apply, {how}")
                report = (
                    _ask_and_apply(screen, configuration, wanted, terms, run)
                    if asks
                    else run(wanted, terms, announce=screen.announce)
                )
        except LockHeld as error:
            log.error("cloudsync: %s", error, extra={"event": "locked"})
            return ended(exit_codes.LOCKED, error=str(error), kind="locked")
        except StateError as error:
            code = exit_codes.TRY_AGAIN if error.temporary else exit_codes.FAILED
            ended(code, error=str(error), kind="state")
            raise click.ClickException(str(error)) from None
        code = ended(exit_codes.of_report(report), report)
        try:
            screen.result(report)
        except OSError as error:
            # What was done is done: a full disk or a pipe nobody reads behind stdout must not turn
            # the code into a lie.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            log.warning("the result could not be printed: %s", error.strerror)
        return code


class _Screen:
    """What this command prints, in this order: the plan before the first write, the question if
    there is one, the result."""

    def __init__(self, shell: Shell, configuration: Configuration, *, unattended: bool) -> None:
        """`unattended`: cron mails what is printed, so the same trouble is printed once a day."""
        self.shell, self._configuration, self._unattended = shell, configuration, unattended
        self._shown = False

    def plan(self, plan: Plan, *, asking: bool = False) -> None:
        """`asking`: the question follows."""
        from cloudsync.render import text

        self._shown = True
        self.shell.print(
            text.plan(
                plan,
                verbose=self.shell.verbose,
                vocabulary=Vocabulary.of(self._configuration.networks, plan),
                changes_only=self.shell.quiet,
                asking=asking,
            )
        )

    def announce(self, plan: Plan) -> None:
        """Show what is about to be done."""
        if not self.shell.quiet:
            try:
                self.plan(plan)
                sys.stdout.flush()
            except OSError as error:
                # Nobody reads it: no reason to leave a firewall undone.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                log.warning("the plan could not be printed: %s", error.strerror)

    def result(self, report: Report) -> None:
        from cloudsync.render import text

        clear_progress()
        if self.shell.quiet and not self._is_news(report):
            for line in text.brief(report):
                echo(line)
            return
        if not self._shown:
            self.plan(report.plan)
        if report.plan.has_changes or report.moved is not None or report.declined:
            echo("")
            done = any(outcome.status == "done" for outcome in report.outcomes)
            after = hint() if done else ()
            if report.moved is not None:
                after = following(typed(self.shell, "plan"), "what an apply would do now")
            self.shell.print([*text.report(report), *after])
        elif report.notes:
            self.shell.print(text.report(replace(report, outcomes=())))
        if exit_codes.of_report(report) == exit_codes.FAILED and not self.shell.quiet:
            echo("")
            self.shell.print(to_doctor(self.shell))

    def _is_news(self, report: Report) -> bool:
        """Whether there is trouble that was not reported already; the end of such is reported
        here."""
        code = exit_codes.of_report(report)
        if not self._unattended:
            return code != exit_codes.DONE
        from cloudsync.cli.streak import noted, trouble_of

        trouble = trouble_of(code, report)
        news, before = noted(self._configuration.state, self._configuration.owner, trouble)
        if news and not trouble and before is not None:
            what = ", ".join(plain(word, 200) for word in before.trouble)
            echo(f"recovered: {what} (since {before.since:%Y-%m-%d %H:%M} UTC)")
        return news and bool(trouble)


def _ask_and_apply(
    screen: _Screen,
    configuration: Configuration,
    options: Options,
    terms: Terms,
    run: Callable[[Options, Terms], Report],
) -> Report:
    from cloudsync.reconcile import run as reconcile
    from cloudsync.render.blocks import Line
    from cloudsync.render.verdict import feasible, needs_yes

    shown = reconcile.plan(configuration, options, screen.shell.progress).plan
    asks = shown.has_changes and feasible(shown)
    screen.plan(shown, asking=asks)
    if not asks:
        return run(options, replace(terms, approved=shown))
    attaching = needs_yes(shown)
    clear_progress()
    if attaching:
        names = ", ".join(plain(name, 60) for name in attaching)
        sentence = (
            f"A yes also attaches what is shown above (as --allow-attach {names} does): what is "
            "not listed closes on those machines."
        )
        echo("")
        screen.shell.print([Line(sentence)])
    if (
        click.prompt(
            f"{'' if attaching else chr(10)}Apply these changes? Only 'yes' is accepted",
            default="",
            show_default=False,
        )
        != "yes"
    ):
        return reconcile.Report(shown, declined=True)
    # The typed yes allows the attachments that were shown (decision 0004).
    granted = replace(
        options.granted, allow_attach=tuple(sorted({*options.granted.allow_attach, *attaching}))
    )
    return run(replace(options, granted=granted), replace(terms, approved=shown))


def _read(path: Path) -> Plan:
    from cloudsync.model.plan_json import MAX_PLAN_BYTES, PlanFileError, from_document

    try:
        with path.open("rb") as file:
            return from_document(file.read(MAX_PLAN_BYTES + 1).decode())
    except OSError as error:
        raise click.UsageError(f"the plan file {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise click.UsageError(f"the plan file {path} is not text") from None
    except PlanFileError as error:
        raise click.UsageError(f"{path}: {error}") from None
