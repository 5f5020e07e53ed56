"""The manual pages and the completion scripts, from the objects that `--help` is made of.

`generate.py` writes them to `deploy/`, and the wheel installs them where `man` and the shells look.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import click
from click.shell_completion import get_completion_class

from cloudsync import exit_codes
from cloudsync.cli.examples import EXAMPLES
from cloudsync.cli.main import COMMANDS, cloudsync

_COMMON = ("config", "color", "quiet", "verbose", "log_format")
_SHELLS = {"bash": "cloudsync.bash", "zsh": "_cloudsync", "fish": "cloudsync.fish"}
FILES = (
    (
        "./cloudsync.toml, $XDG_CONFIG_HOME/cloudsync/config.toml, /etc/cloudsync/config.toml",
        (
            "The configuration, by the first of them that exists; --config and CLOUDSYNC_CONFIG "
            "come before. Its keys: cloudsync config schema, and config.example.toml."
        ),
    ),
    (
        "/var/lib/cloudsync, $XDG_STATE_HOME/cloudsync",
        "The lock, and what applies remember: for root, and for other users.",
    ),
)
ENVIRONMENT = (
    ("CLOUDSYNC_CONFIG", "The configuration file."),
    ("DOCKER_HOST, DOCKER_CONTEXT", "The engine that discover and init look at, as for docker."),
    ("NO_COLOR, FORCE_COLOR, CLICOLOR", "Colours, without --color."),
    ("COLUMNS", "The width of the output, if it is not the terminal's."),
)


def manual_pages() -> Mapping[str, str]:
    """Every page by the name of its file: `cloudsync.1`, `cloudsync-plan.1`, …"""
    context = click.Context(cloudsync, info_name="cloudsync")
    pages = {
        "cloudsync.1": _page(
            "cloudsync", "keep cloud firewalls in step with containers", _overview()
        )
    }
    for name, (_, purpose) in COMMANDS.items():
        command = cloudsync.get_command(context, name)
        assert command is not None  # noqa: S101 - it is in the list
        inner = click.Context(command, info_name=name, parent=context)
        body = [*_command(command, inner, name), *_see_also(name)]
        summary = purpose.partition(".")[0].partition(";")[0]
        pages[f"cloudsync-{name}.1"] = _page(
            f"cloudsync-{name}", summary[0].lower() + summary[1:], body
        )
    return pages


def completion_scripts() -> Mapping[str, str]:
    """The script of every shell by the name of its file, as `cloudsync completion` prints it."""
    scripts = {}
    for shell, name in _SHELLS.items():
        kind = get_completion_class(shell)
        assert kind is not None  # noqa: S101 - click has the three of them
        maker = kind(cloudsync, {}, "cloudsync", "_CLOUDSYNC_COMPLETE")
        scripts[name] = maker.source_template % maker.source_vars()
    return scripts


def _page(name: str, purpose: str, body: Iterator[str] | list[str]) -> str:
    head = [
        '.\\" Written by docs/generate.py from the code; change it there.',
        f'.TH {name.upper()} 1 "" "cloudsync" "cloudsync"',
        ".SH NAME",
        f"{_text(name)} \\- {_text(purpose)}",
    ]
    return "\n".join([*head, *body]) + "\n"


def _overview() -> Iterator[str]:
    yield from (".SH SYNOPSIS", r"\fBcloudsync\fR \fICOMMAND\fR [\fIOPTIONS\fR]")
    yield ".SH DESCRIPTION"
    yield from _paragraphs((cloudsync.help or "").partition("\n\n")[0])
    yield from _paragraphs(
        "\n\ncloudsync init writes a first configuration, cloudsync plan shows what it would do, "
        "cloudsync apply does it, cloudsync doctor checks the installation."
    )
    yield ".SH COMMANDS"
    for name, (_, purpose) in COMMANDS.items():
        yield from (".TP", rf"\fBcloudsync-{_text(name)}\fR(1)", _text(purpose))
    yield ".SH OPTIONS"
    yield "Every command takes these, before its name or after it."
    context = click.Context(cloudsync, info_name="cloudsync")
    plan = cloudsync.get_command(context, "plan")
    assert plan is not None  # noqa: S101 - it is in the list
    yield from _options(plan, click.Context(plan), common=True)
    yield ".SH EXIT STATUS"
    for code, meaning in exit_codes.MEANINGS:
        yield from (
            ".TP",
            rf"\fB{code}\fR",
            _text(re.sub(r"[`*]|\[([^]]*)\]\([^)]*\)", r"\1", meaning)),
        )
    yield from _listed("FILES", FILES)
    yield from _listed("ENVIRONMENT", ENVIRONMENT)


def _listed(title: str, rows: tuple[tuple[str, str], ...]) -> Iterator[str]:
    yield f".SH {title}"
    for name, meaning in rows:
        yield from (".TP", rf"\fI{_text(name)}\fR", _text(meaning))


def _command(command: click.Command, context: click.Context, words: str) -> Iterator[str]:
    yield ".SH SYNOPSIS"
    yield _synopsis(command, context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                yield ".br"
                yield _synopsis(inner, click.Context(inner, info_name=name, parent=context))
    yield ".SH DESCRIPTION"
    yield from _paragraphs(command.help or "")
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                yield f".SS {_text(f'cloudsync {words} {name}')}"
                yield from _paragraphs(inner.help or "")
    yield ".SH OPTIONS"
    own = list(_options(command, context, common=False))
    yield from (*own, ".PP") if own else ()
    yield r"The options of every command are in \fBcloudsync\fR(1)."
    yield ".SH EXAMPLES"
    for path, examples in EXAMPLES.items():
        if path == words or path.startswith(f"{words} "):
            for example in examples:
                yield from (".TP", rf"\fB{_text(example.typed)}\fR", _text(example.why))


def _synopsis(command: click.Command, context: click.Context) -> str:
    pieces = " ".join(command.collect_usage_pieces(context))
    return rf"\fB{_text(context.command_path)}\fR {_text(pieces)}"


def _options(command: click.Command, context: click.Context, *, common: bool) -> Iterator[str]:
    for option in command.get_params(context):
        if isinstance(option, click.Option) and (option.name in _COMMON) == common:
            record = option.get_help_record(context)
            if record is not None and "--help" not in option.opts:
                yield from (".TP", rf"\fB{_text(record[0])}\fR", _text(record[1]))


def _see_also(name: str) -> Iterator[str]:
    others = [other for other in ("", "plan", "apply", "doctor") if other != name]
    pages = (rf"\fBcloudsync{'-' if other else ''}{other}\fR(1)" for other in others)
    yield from (".SH SEE ALSO", ", ".join(pages))


def _paragraphs(help_: str) -> Iterator[str]:
    for number, paragraph in enumerate(help_.strip().split("\n\n")):
        if number or help_.startswith("\n"):
            yield ".PP"
        yield _text(" ".join(paragraph.split()))


def _text(text: str) -> str:
    """Text that roff prints as it is."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...")
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped
