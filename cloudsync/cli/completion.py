"""`cloudsync completion bash|zsh|fish`."""

from __future__ import annotations

import click

from cloudsync.cli.shared import Shell, common

_WHERE = {
    "bash": '# In ~/.bashrc:   eval "$(cloudsync completion bash)"\n',
    "zsh": '# In ~/.zshrc, behind compinit:   eval "$(cloudsync completion zsh)"\n',
    "fish": "# cloudsync completion fish >~/.config/fish/completions/cloudsync.fish\n",
}


@click.command("completion")
@click.argument("for_shell", metavar="bash|zsh|fish", type=click.Choice(list(_WHERE)))
@common
def command(shell: Shell, *, for_shell: str) -> int:  # noqa: ARG001 - every command takes it
    """Print the script that completes commands, options and names of firewalls in a shell; its
    first line says where it goes."""
    from click.shell_completion import get_completion_class

    from cloudsync.cli.main import cloudsync

    kind = get_completion_class(for_shell)
    if kind is None:
        raise click.UsageError(f"this version of click completes nothing in {for_shell}")
    maker = kind(cloudsync, {}, "cloudsync", "_CLOUDSYNC_COMPLETE")
    # The template itself: bash would first be asked for its version, and need not be on this
    # machine.
    click.echo(_WHERE[for_shell] + maker.source_template % maker.source_vars())
    return 0
