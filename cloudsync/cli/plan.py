"""`cloudsync plan`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloudsync import exit_codes
from cloudsync.cli.next_step import following, to_doctor, typed
from cloudsync.cli.shared import Chosen, Shell, common, options_for, planning
from cloudsync.cli.terminal import clear_progress, echo
from cloudsync.model.plan import Plan
from cloudsync.render.words import Vocabulary
from cloudsync.runtime.files import open_file, write_named
from cloudsync.state import StateError

if TYPE_CHECKING:
    from cloudsync.config import Configuration
    from cloudsync.reconcile.run import Options


@click.command("plan")
@planning
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also write the plan there, for apply; - is standard output, instead of the text.",
)
@click.option(
    "--output",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    help="Output format.",
)
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 where changes are pending.")
@common
def command(
    shell: Shell,
    *,
    chosen: Chosen,
    out: Path | None,
    output: str,
    detailed_exitcode: bool,
) -> int:
    """Show what an apply would change, and why. Writes nothing.

    Exit codes: 0 nothing stands in the way, 2 changes pending (--detailed-exitcode), 3 a guard
    refuses something, 1 or 75 something could not be read (75: try again), 64 usage or
    configuration.
    """
    from cloudsync.reconcile import run as reconcile

    configuration = shell.load(fleet=True)
    options = options_for(configuration, chosen.firewalls, chosen.granted, chosen.shard)
    try:
        plan = reconcile.plan(configuration, options, shell.progress).plan
    except StateError as error:
        raise click.ClickException(str(error)) from None
    if out is not None:
        _write(out, plan)
    if out is not None and open_file(out) == 1:
        return exit_codes.of_plan(plan, detailed=detailed_exitcode)  # stdout holds the plan
    if output == "text":
        applying = (
            typed(
                shell,
                "apply",
                *_shard(options),
                firewalls=options.firewalls,
                granted=options.granted,
            )
            if out is None
            else typed(shell, "apply", str(out))
        )
        _print(shell, configuration, plan, applying)
    else:
        clear_progress()
        _dump(plan, output, configuration)
    return exit_codes.of_plan(plan, detailed=detailed_exitcode)


def _shard(options: Options) -> tuple[str, ...]:
    return () if options.shard is None else ("--shard", str(options.shard))


def _write(path: Path, plan: Plan) -> None:
    from cloudsync.model.plan_json import to_document

    clear_progress()
    try:
        write_named(path, (json.dumps(to_document(plan), indent=2) + "\n").encode())
    except OSError as error:
        raise click.UsageError(f"the plan cannot be written to {path}: {error.strerror}") from None


def _print(shell: Shell, configuration: Configuration, plan: Plan, applying: str) -> None:
    from cloudsync.render import text

    if shell.quiet and not plan.has_changes and exit_codes.of_plan(plan) == exit_codes.DONE:
        return
    vocabulary = Vocabulary.of(configuration.networks, plan)
    blocks = list(
        text.plan(plan, verbose=shell.verbose, vocabulary=vocabulary, changes_only=shell.quiet)
    )
    if text.feasible(plan) and not shell.quiet:
        blocks += following(applying)
    elif exit_codes.of_plan(plan) == exit_codes.FAILED and not shell.quiet:
        blocks += to_doctor(shell)
    shell.print(blocks)


def _dump(plan: Plan, output: str, configuration: Configuration) -> None:
    if output == "json":
        from cloudsync.model.plan_json import to_document

        echo(json.dumps(to_document(plan), indent=2))
    else:
        from cloudsync.render.markdown import plan as markdown

        echo(markdown(plan, Vocabulary.of(configuration.networks, plan)), nl=False)
