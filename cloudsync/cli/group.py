"""A group of commands that names the nearest one for a command that does not exist."""

from __future__ import annotations

import click


class SuggestingGroup(click.Group):
    """`cloudsync plna` is answered with `did you mean "plan"?`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first word names. Raises `click.UsageError`."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            from cloudsync.config.problems import did_you_mean
            from cloudsync.render.escape import plain

            hint = did_you_mean(args[0], self.list_commands(ctx))
            raise click.UsageError(f'no command "{plain(args[0], 60)}"{hint}', ctx)
        return super().resolve_command(ctx, args)
