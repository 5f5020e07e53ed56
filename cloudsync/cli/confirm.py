"""`cloudsync confirm`."""

from __future__ import annotations

import os

import click

from cloudsync import exit_codes
from cloudsync.cli.shared import Shell, common, log, on_the_machine
from cloudsync.cli.terminal import echo
from cloudsync.render.escape import plain


@click.command("confirm")
@click.option(
    "--firewall",
    "firewalls",
    multiple=True,
    metavar="NAME",
    help="Only this firewall (repeatable).",
)
@common
def command(shell: Shell, *, firewalls: tuple[str, ...]) -> int:
    """Keep a change that the firewall on this machine has on trial.

    Run it in an SSH connection that began after the change: that it could begin is the proof that
    the way in still works. Without a proof the kernel goes back to the rules before.

    Exit codes: 0 kept, or nothing on trial; 1 not kept (the message says why), 75 try again, 64
    usage or configuration.
    """
    from cloudsync.provider.errors import ProviderError
    from cloudsync.reconcile.on_machine import confirm

    configuration = shell.load()
    codes = [exit_codes.DONE]
    for name in on_the_machine(configuration, firewalls):
        try:
            kept = confirm(configuration, name, os.environ)
        except ProviderError as error:
            log.error("%s", plain(f"{name}: {error.message}"), extra={"event": "confirm"})
            codes.append(exit_codes.TRY_AGAIN if error.temporary else exit_codes.FAILED)
            continue
        if kept is not None or not shell.quiet:
            echo(plain(f"{name}: {kept or 'nothing is on trial'}"))
    return exit_codes.FAILED if exit_codes.FAILED in codes else max(codes)
