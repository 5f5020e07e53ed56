"""What commands share: their common options, the configuration or its problems, output, colours,
progress and logs."""

from __future__ import annotations

import functools
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import IO, TYPE_CHECKING, Any, TypeVar

import click

from cloudsync.cli import terminal
from cloudsync.render.escape import plain
from cloudsync.rules.frozen import dataclass
from cloudsync.runtime import signals as interruption

if TYPE_CHECKING:
    from cloudsync.config import Configuration
    from cloudsync.model.plan import Granted
    from cloudsync.reconcile.run import Options
    from cloudsync.render.blocks import Block
    from cloudsync.state.shards import Shard

R = TypeVar("R")
log = logging.getLogger("cloudsync")
_FEW = 5


@dataclass(frozen=True, slots=True)
class Shell:
    """The options every command takes. `color`: auto, always or never."""

    config: str | None
    color: str
    quiet: bool
    verbose: bool

    def load(self, *, fleet: bool = False) -> Configuration:
        """The configuration; a usage error (64) with every problem on a line of its own. `fleet`:
        with the hosts that its store knows."""
        from cloudsync.cli.login import restore_login
        from cloudsync.config import ConfigError, find, load

        restore_login(os.environ)
        try:
            path = find(self.config)
            configuration = load(path, name=str(path))
            if fleet and configuration.hosts_from_store is not None:
                configuration = _with_hosts_from_store(configuration)
        except ConfigError as error:
            raise ConfigProblems([str(problem) for problem in error.problems]) from None
        if self.verbose:
            named = path if path.is_absolute() else f"./{path}"
            log.info("configuration: %s (owner %s)", named, configuration.owner)
        return configuration

    def print(self, blocks: Iterable[Block]) -> None:
        """A result, on stdout, as wide as the terminal."""
        from cloudsync.render.screen import joined

        colour = colours(self.color, os.environ, sys.stdout)
        screen = joined(blocks, colour=colour, width=terminal.width(os.environ, sys.stdout))
        terminal.clear_progress()
        click.echo(screen, color=True)

    def progress(self, text: str) -> None:
        """What is being waited for: one rewritten line on a terminal, and in the logs with -v."""
        log.info("%s", plain(text), extra={"event": "progress"})


def _with_hosts_from_store(configuration: Configuration) -> Configuration:
    from cloudsync.reconcile.inventories import with_hosts_from_store
    from cloudsync.state import StateError

    try:
        return with_hosts_from_store(configuration)
    except StateError as error:
        raise click.ClickException(str(error)) from None


class ConfigProblems(click.UsageError):
    """Problems of the configuration, one a line, without the usage text of a command."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines

    def show(self, file: IO[Any] | None = None) -> None:
        stream = file or sys.stderr
        for line in self.lines:
            click.echo(terminal.fitted(plain(line), os.environ, stream), file=stream)


def common(function: Callable[..., R]) -> Callable[..., R]:
    """Give a command the common options; it receives a `Shell` first."""

    @click.option("-c", "--config", metavar="FILE", help="The configuration file.")
    @click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        help="Colours on stdout.",
    )
    @click.option("-q", "--quiet", is_flag=True, help="Only print changes and errors.")
    @click.option("-v", "--verbose", is_flag=True, help="Print more, and tracebacks.")
    @click.option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default="text",
        help="Format of the logs on stderr.",
    )
    @functools.wraps(function)
    def wrapped(
        *, config: str | None, color: str, quiet: bool, verbose: bool, log_format: str, **rest: Any
    ) -> R:
        set_up_logs(log_format, verbose=verbose, quiet=quiet)
        try:
            return function(Shell(config, color, quiet, verbose), **rest)
        finally:
            terminal.clear_progress()

    return wrapped


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the options of plan and apply say."""

    firewalls: tuple[str, ...]
    granted: Granted
    shard: Shard | None


def planning(function: Callable[..., R]) -> Callable[..., R]:
    """Give a command the options of plan and apply; it receives them as `chosen`."""

    named: dict[str, Any] = {"multiple": True, "metavar": "NAME", "shell_complete": _firewall_names}

    @click.option("--firewall", "firewalls", help="Only this firewall (repeatable).", **named)
    @click.option("--adopt", help="Take over an existing firewall (repeatable).", **named)
    @click.option(
        "--allow-attach",
        help="Attach machines that no firewall protects yet (repeatable).",
        **named,
    )
    @click.option(
        "--allow-close",
        type=click.IntRange(0),
        metavar="N",
        help="Let up to N rules of a firewall close at once.",
    )
    @click.option(
        "--shard",
        metavar="I/N",
        help="Only the firewalls of one of N shards, 0/N to N-1/N (or 1/N to N/N).",
    )
    @click.option("--ssh-moved", is_flag=True, help="Let SSH close that an earlier apply declared.")
    @click.option("--now", is_flag=True, help="Do not wait for grace.")
    @functools.wraps(function)
    def wrapped(
        *args: Any,
        firewalls: tuple[str, ...],
        adopt: tuple[str, ...],
        allow_attach: tuple[str, ...],
        **rest: Any,
    ) -> R:
        from cloudsync.model.plan import Granted

        shard = shard_of(rest.pop("shard"))
        granted = Granted(
            tuple(sorted(set(adopt))),
            tuple(sorted(set(allow_attach))),
            rest.pop("allow_close"),
            ssh_moved=rest.pop("ssh_moved"),
            now=rest.pop("now"),
        )
        return function(*args, chosen=Chosen(firewalls, granted, shard), **rest)

    return wrapped


def _firewall_names(
    context: click.Context,
    parameter: click.Parameter,  # noqa: ARG001 - click's signature
    incomplete: str,
) -> list[str]:
    """For the shell's completion: the firewalls of the configuration, none where it cannot be
    read."""
    from cloudsync.config import ConfigError, find, load

    try:
        configuration = load(find(context.params.get("config")))
    except ConfigError:
        return []
    return [name for name in configuration.firewalls if name.startswith(incomplete)]


def shard_of(words: str | None) -> Shard | None:
    """What `--shard` says. Raises `click.UsageError`."""
    if words is None:
        return None
    from cloudsync.state.shards import Shard

    try:
        return Shard.of(words)
    except ValueError as error:
        raise click.UsageError(f"--shard {error}") from None


def of_shard(configuration: Configuration, shard: Shard | None) -> Configuration:
    """The configuration for a controller of the shard, which remembers its own runs."""
    if shard is None:
        return configuration
    from cloudsync.state.shards import place_of

    return replace(configuration, state=place_of(configuration.state, shard))


def options_for(
    configuration: Configuration,
    firewalls: tuple[str, ...],
    granted: Granted,
    shard: Shard | None = None,
) -> Options:
    """The options with every name checked; a table with `per_host` is all its firewalls. Raises
    `click.UsageError`."""
    from cloudsync.reconcile.run import Options

    chosen = configuration.named(firewalls)
    for name in (*chosen, *granted.adopt, *granted.allow_attach):
        check_firewall(configuration, name)
    return Options(chosen, granted, shard)


def check_firewall(configuration: Configuration, name: str) -> None:
    """Raises `click.UsageError` for the name of no firewall. What a person grants, and what leaves
    a firewall to others, is said of each firewall by its own name."""
    from cloudsync.config.names import not_configured
    from cloudsync.render.words import listed

    if name in configuration.firewalls:
        return
    if (made := configuration.named((name,))) != (name,):
        names = listed(made, _FEW)
        raise click.UsageError(f"{name} is a firewall for each of its hosts: name {names}")
    raise click.UsageError(plain(not_configured("firewall", name, configuration.firewalls)))


def is_configured(shell: Shell) -> bool:
    """Whether a configuration is named, or lies where one is looked for. One that others can change
    counts: it is refused when it is loaded, not passed over."""
    from cloudsync.config import ConfigError, NoConfiguration, find

    try:
        find(shell.config)
    except NoConfiguration:
        return False
    except ConfigError:
        pass  # loading it says what is wrong
    return True


def on_the_machine(configuration: Configuration, firewalls: tuple[str, ...]) -> tuple[str, ...]:
    """The firewalls that act on a machine itself, of those named or of all. Raises
    `click.UsageError` for a name that is not known, and if there are none."""
    from cloudsync.model.plan import Granted
    from cloudsync.reconcile.on_machine import on_machines

    chosen = options_for(configuration, firewalls, Granted()).firewalls
    if names := on_machines(configuration, chosen):
        return names
    raise click.UsageError(
        "no firewall of the configuration acts on a machine itself (a provider of type host)"
    )


def colours(choice: str, environ: Mapping[str, str], stream: IO[Any] | None) -> bool:
    """--color > NO_COLOR > FORCE_COLOR, CLICOLOR_FORCE > CLICOLOR=0 > a terminal that is not dumb
    (no-color.org, bixense.com/clicolors)."""
    if choice != "auto":
        return choice == "always"
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR") or environ.get("CLICOLOR_FORCE"):
        return True
    if environ.get("CLICOLOR") == "0":
        return False
    return is_terminal(stream) and environ.get("TERM") != "dumb"


def set_up_logs(log_format: str, *, verbose: bool, quiet: bool) -> None:
    """Logs on stderr: warnings always, progress on a terminal or with -v."""
    handler = (
        terminal.log_handler(verbose=verbose, as_json=log_format == "json")
        if sys.stderr is not None
        else logging.NullHandler()
    )
    handler.setFormatter(JsonLines() if log_format == "json" else logging.Formatter("%(message)s"))
    log.handlers[:] = [handler]
    log.propagate = False
    log.setLevel(_level(verbose=verbose, quiet=quiet))
    if log_format == "json":
        only_json(handler)


def _level(*, verbose: bool, quiet: bool) -> int:
    """-v shows tracebacks too (DEBUG); progress is for a terminal."""
    if verbose:
        return logging.DEBUG
    if quiet:
        return logging.ERROR
    return logging.INFO if is_terminal(sys.stderr) else logging.WARNING


def is_terminal(stream: IO[Any] | None) -> bool:
    """Whether a person looks at it; a stream that was closed (`2>&-`) is None."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed since
        return False


def only_json(handler: logging.Handler) -> None:
    """What libraries, `warnings` and dying threads would print on stderr becomes a line of the logs
    too."""
    root = logging.getLogger()
    root.handlers[:] = [handler]
    logging.captureWarnings(capture=True)

    def died(args: threading.ExceptHookArgs) -> None:
        log.error("a thread ended with %s", args.exc_type.__name__, extra={"event": "internal"})

    threading.excepthook = died
    # A signal handler may not use what may be in use already: it writes the bytes itself.
    interruption.notice = lambda: (
        _json(interruption.STOPPING, "interrupted", logging.WARNING) + "\n"
    ).encode()


def complain(words: Sequence[str], message: str, event: str) -> None:
    """An error that ends a command, on stderr, in the format that `words` (the command line) ask
    for: it may not be parsed yet."""
    if wants_json(words):
        print(_json(message, event, logging.ERROR), file=sys.stderr)
    else:
        line = terminal.fitted(f"cloudsync: {message}", os.environ, sys.stderr)
        print(line, file=sys.stderr)


def _json(message: str, event: str, level: int) -> str:
    record = logging.LogRecord("cloudsync", level, "", 0, message, None, None)
    record.event = event
    return JsonLines().format(record)


def wants_json(words: Sequence[str]) -> bool:
    """Whether a command line asks for JSON logs."""
    return "--log-format=json" in words or any(
        pair == ("--log-format", "json") for pair in pairwise(words)
    )


class JsonLines(logging.Formatter):
    """One JSON object a record: time (UTC), level, event, message."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        event = getattr(record, "event", "log")
        line = {
            "time": moment,
            "level": record.levelname.lower(),
            "event": event,
            "message": record.getMessage(),
        }
        return json.dumps(
            line | ({"traceback": self.formatException(record.exc_info)} if record.exc_info else {})
        )
