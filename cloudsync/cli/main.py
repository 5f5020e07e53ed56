"""The command line: what every command shares. Commands are imported when they are used, so that
`--help` stays light."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

from cloudsync import exit_codes
from cloudsync.cli.group import SuggestingGroup

COMMANDS = {
    "plan": ("cloudsync.cli.plan", "Show what an apply would change, and why. Writes nothing."),
    "apply": (
        "cloudsync.cli.apply",
        "Make the firewalls allow what the containers need, and only that plus SSH.",
    ),
    "watch": (
        "cloudsync.cli.watch",
        "Run continuously: on container events and at an interval.",
    ),
    "publish": (
        "cloudsync.cli.publish",
        "Write what this machine's containers need into the store.",
    ),
    "status": (
        "cloudsync.cli.status",
        "Show what is open: every port, who needs it, where, and since when.",
    ),
    "doctor": (
        "cloudsync.cli.doctor",
        "Check the whole installation, and say how to fix what is wrong.",
    ),
    "history": (
        "cloudsync.cli.history",
        "Show what applies did, and how to get back a port that one closed.",
    ),
    "release": (
        "cloudsync.cli.release",
        "Take the owner marker off a firewall and leave its rules as they are.",
    ),
    "discover": (
        "cloudsync.cli.discover",
        "Show the ports that containers need; needs no configuration.",
    ),
    "explain": ("cloudsync.cli.explain", "Explain one port: where it is open, and why."),
    "exposure": (
        "cloudsync.cli.exposure",
        "Show what the Internet reaches on the machines, over all firewalls.",
    ),
    "observe": (
        "cloudsync.cli.observe",
        "Show what the firewall on a machine stops, or would stop.",
    ),
    "confirm": (
        "cloudsync.cli.confirm",
        "Keep a change that the firewall on this machine has on trial.",
    ),
    "report": (
        "cloudsync.cli.report",
        "Write a page that shows what is open on which machines, and why.",
    ),
    "audit": (
        "cloudsync.cli.audit",
        "Look for mistakes that open ports, on the machine, in files and in the cloud.",
    ),
    "check-access": (
        "cloudsync.cli.check_access",
        "Check what the credentials are good for, and what is missing.",
    ),
    "config": (
        "cloudsync.cli.config",
        "Check or show the configuration, or print its JSON Schema.",
    ),
    "init": (
        "cloudsync.cli.init",
        "Write a first configuration; finds the engine and the credentials that are there.",
    ),
    "completion": (
        "cloudsync.cli.completion",
        "Print the completion script of a shell: bash, zsh or fish.",
    ),
    "providers": ("cloudsync.cli.providers", "List the providers and what they can do."),
}


class _Formatter(click.HelpFormatter):
    """Help whose lines are not broken within `--no-input`."""

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        super().write_dl([(name, _unbroken(text)) for name, text in rows], col_max, col_spacing)

    def write_text(self, text: str) -> None:
        super().write_text(_unbroken(text))

    def write(self, string: str) -> None:
        super().write(string.replace(_HYPHEN, "-"))


_HYPHEN = "\N{NON-BREAKING HYPHEN}"


def _unbroken(text: str) -> str:
    return text.replace("-", _HYPHEN)


class _Context(click.Context):
    formatter_class = _Formatter


class Lazy(SuggestingGroup):
    """A group whose commands are imported when one of them is called; its help needs none of
    them."""

    context_class = _Context

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name][0]).command
        command.context_class = _Context
        _with_examples(command, cmd_name, ctx.make_formatter().width)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def _with_examples(command: click.Command, words: str, width: int) -> None:
    """Put examples at the end of the help of a command and of its own commands."""
    from cloudsync.cli.examples import epilog

    command.epilog = epilog(words, width) or None
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            inner.context_class = _Context
            _with_examples(inner, f"{words} {name}", width)


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(
    None,
    "--version",
    package_name="cloudsync-firewall",
    prog_name="cloudsync",
    message="%(prog)s %(version)s",
)
def cloudsync() -> None:
    """Keep cloud firewalls in step with the ports that Docker containers need: only those ports,
    plus SSH.

    Exit codes: 0 done, 1 failed, 2 changes pending (plan --detailed-exitcode), 3 a guard refused, 4
    not the approved plan, 5 locked, 6 partly applied, 64 usage or configuration, 75 try again, 130
    and 143 interrupted before anything was begun.

    Before or after every command: -c/--config FILE, --color auto|always|never, -q/--quiet,
    -v/--verbose, --log-format text|json.
    """


def run(words: Sequence[str]) -> int:
    """Run one command line; its exit code. Errors are one line on stderr; `-v` adds the
    traceback."""
    try:
        return _run(_common_last(list(words)))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exit_codes.FAILED
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last place where an error is turned into words
        from cloudsync.cli.errors import code_of

        return code_of(error, words)


def _run(words: list[str]) -> int:
    result: Any = cloudsync.main(args=words, prog_name="cloudsync", standalone_mode=False)
    sys.stdout.flush()  # a full device is told here, and not by Python as it ends
    return result if isinstance(result, int) else exit_codes.DONE


def _common_last(words: list[str]) -> list[str]:
    """The options every command takes may stand before it: they are moved behind it, and those
    between `config` and its own command behind that."""
    before, rest = _leading(words)
    if rest and rest[0] == "config":
        between, own = _leading(rest[1:])
        if own and not own[0].startswith("-"):
            return ["config", own[0], *before, *between, *own[1:]]
    if not before or not rest:
        return words
    return [rest[0], *before, *rest[1:]]


def _leading(words: list[str]) -> tuple[list[str], list[str]]:
    """The common options that words begin with, and the rest."""
    rest = list(words)
    options: list[str] = []
    while rest and rest[0] != "--":
        word = rest[0]
        name, _, value = word.partition("=")
        if word in ("-c", "--config", "--color", "--log-format"):
            options += rest[:2]
            del rest[:2]
        elif (
            word in ("-q", "-v", "--quiet", "--verbose")
            or (value and name in ("--config", "--color", "--log-format"))
            or (word.startswith("-c") and not word.startswith("--"))
        ):
            options.append(rest.pop(0))
        else:
            break
    return options, rest
