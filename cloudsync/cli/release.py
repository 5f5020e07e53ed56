"""`cloudsync release`."""

from __future__ import annotations

import click

from cloudsync import exit_codes
from cloudsync.cli.shared import Shell, check_firewall, common, log
from cloudsync.cli.terminal import echo
from cloudsync.render.escape import plain
from cloudsync.runtime.signals import listening
from cloudsync.state import StateError
from cloudsync.state.lock import LockHeld


@click.command("release")
@click.argument("name")
@click.option(
    "--lock-timeout",
    type=click.FloatRange(0),
    default=0.0,
    metavar="S",
    help="Wait so many seconds for another run to end.",
)
@common
def command(shell: Shell, *, name: str, lock_timeout: float) -> int:
    """Take the owner marker off the firewall NAME at its vendor, and leave its rules and
    attachments as they are.

    Afterwards cloudsync refuses it until --adopt NAME. Another owner's firewall is never released.
    """
    from cloudsync.reconcile.release import release

    configuration = shell.load(fleet=True)
    check_firewall(configuration, name)
    try:
        with listening() as interruption:
            done = release(
                configuration,
                name,
                lock_timeout=lock_timeout,
                progress=shell.progress,
                interruption=interruption,
            )
    except LockHeld as error:
        log.error("cloudsync: %s", error, extra={"event": "locked"})
        return exit_codes.LOCKED
    except StateError as error:
        raise click.ClickException(str(error)) from None
    for note in done.notes:
        log.warning("note: %s", plain(note))
    outcome = done.outcome
    if done.error is not None:
        log.error("%s: not read, so nothing was changed: %s", name, plain(done.error.message))
        return exit_codes.TRY_AGAIN if done.error.temporary else exit_codes.FAILED
    if done.guard is not None:
        log.error("%s: not released, %s: %s", name, done.guard.id, plain(done.guard.message, 1500))
        return exit_codes.GUARD
    if outcome.status in ("done", "unchanged"):
        if not shell.quiet or outcome.status == "done":
            sentence = (
                "released; its rules stay as they are"
                if outcome.status == "done"
                else "nothing to release: it carries no mark"
            )
            echo(f"{name}: {sentence}")
        return exit_codes.DONE
    log.error("%s: %s: %s", name, outcome.status, plain(outcome.message or "", 1500))
    if outcome.status == "not-begun" and interruption.number is not None:
        return 128 + interruption.number
    return exit_codes.PARTLY
