"""Writes the reference pages, and the tables inside other pages, from the objects they are about:
`make docs`.

`tests/unit/test_reference.py` fails where a page is not what this would write.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel

from cloudsync import exit_codes
from cloudsync.audit.catalogue import KINDS
from cloudsync.cli.examples import EXAMPLES
from cloudsync.cli.main import COMMANDS, cloudsync
from cloudsync.config import models, show
from cloudsync.model import plan_json
from cloudsync.model.field_texts import text_of
from cloudsync.provider import registry
from cloudsync.render import audit as audit_document
from cloudsync.sources.labels import LABELS, PREFIX

DOCS = Path(__file__).parent
PACKAGE = DOCS.parent / "cloudsync"
DEPLOY = DOCS.parent / "deploy"
sys.path.insert(0, str(DOCS))
from manual import completion_scripts, manual_pages  # noqa: E402 - beside this file, no package
from rooms import rooms  # noqa: E402 - beside this file, which is no package

GENERATED = "<!-- written by docs/generate.py from the code; change it there -->"
TABLES = (
    ("version, owner, state", models.File),
    ("state, as a table", models.StateTable),
    ("[ssh]", models.SshTable),
    ("[networks] NAME, as a table", models.NetworkTable),
    ("[policy]", models.PolicyTable),
    ("[run]", models.RunTable),
    ("[hosts.NAME]", models.HostTable),
    ("[hosts.NAME] docker, as a table", models.TlsEngineTable),
    ("[hosts-from-store]", models.HostsFromStoreTable),
    ("[publish]", models.PublishTable),
    ("[firewalls.NAME]", models.FirewallTable),
    ("[[firewalls.NAME.allow]]", models.AllowTable),
    ("[report]", models.ReportTable),
    ("[watch]", models.WatchTable),
    ("[[audit.ignore]]", models.IgnoreTable),
)
_ELSEWHERE = (
    "ssh",
    "policy",
    "run",
    "providers",
    "hosts",
    "firewalls",
    "allow",
    "report",
    "watch",
    "audit",
)


def pages() -> Mapping[Path, str]:
    """Every page that has something generated in it, with its whole text as it should be."""
    return {
        DOCS / "reference" / "commands.md": _commands(),
        DOCS / "reference" / "configuration.md": _configuration(),
        PACKAGE / "config" / "schema.json": _json(show.json_schema()),
        PACKAGE / "model" / "plan.schema.json": _json(plan_json.json_schema()),
        PACKAGE / "audit" / "audit.schema.json": _json(audit_document.json_schema()),
        **{DEPLOY / "man" / name: text for name, text in manual_pages().items()},
        **{DEPLOY / "completion" / name: text for name, text in completion_scripts().items()},
        **{DOCS / name: _with_block(DOCS / name, block, text) for name, block, text in _blocks()},
    }


def _json(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, indent=1) + "\n"


def _blocks() -> Iterator[tuple[str, str, str]]:
    """Tables inside pages that people write."""
    yield (
        "labels.md",
        "labels",
        _table(("label", "meaning"), ((f"`{PREFIX}{n}={_cell(v)}`", t) for n, v, t in LABELS)),
    )
    yield (
        "architecture.md",
        "rooms",
        _table(("room", "what is in it", "imports"), _rooms()),
    )
    yield (
        "audit.md",
        "findings",
        _table(
            ("id", "finding", "severity", "looked at", "not a finding", "fix"),
            ((k.id, k.title, k.severity, k.inputs, k.trap, k.fix) for k in KINDS),
        ),
    )
    yield (
        "exit-codes.md",
        "exit codes",
        _table(("code", "meaning"), ((str(code), text) for code, text in exit_codes.MEANINGS)),
    )


def _rooms() -> Iterator[tuple[str, str, str]]:
    everything = rooms()
    for room, (purpose, imported) in everything.items():
        arrows = ", ".join(f"`{other}`" for other in everything if other in imported)
        yield f"`{room}`", purpose, arrows or "nothing of ours"


def _with_block(page: Path, name: str, text: str) -> str:
    before, found, after = re.split(
        rf"(?<=<!-- {name}: generated -->\n)(.*?)(?=<!-- /{name} -->)",
        page.read_text(),
        flags=re.DOTALL,
    )
    del found
    return before + text + after


def _commands() -> str:
    context = click.Context(cloudsync, info_name="cloudsync")
    parts = [
        "# Commands",
        GENERATED,
        (
            "Before or after every command: `-c/--config FILE`, `--color auto|always|never`,"
            " `-q/--quiet`, `-v/--verbose`, `--log-format text|json`. Exit codes:"
            " [exit-codes.md](../exit-codes.md)."
        ),
    ]
    for name in COMMANDS:
        command = cloudsync.get_command(context, name)
        assert command is not None  # noqa: S101 - it is in the list
        parts += _command(command, name, context)
    return "\n\n".join(parts) + "\n"


def _command(command: click.Command, name: str, parent: click.Context) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=parent)
    yield f"## {context.command_path}"
    yield f"```\n{context.command_path} {' '.join(command.collect_usage_pieces(context))}\n```"
    if command.help:
        yield "\n\n".join(" ".join(part.split()) for part in command.help.split("\n\n"))
    shown = (
        one
        for one in command.get_params(context)
        if isinstance(one, click.Option) and not one.hidden
    )
    options = [one for one in shown if one.name not in _COMMON and "--help" not in one.opts]
    if options:
        yield _table(("option", ""), ((_option(one), one.help or "") for one in options)).rstrip()
    yield from _examples(name if parent.parent is None else f"{parent.info_name} {name}")
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            if found is not None:
                yield from _command(found, inner, context)


def _examples(command: str) -> Iterator[str]:
    examples = EXAMPLES.get(command, ())
    if examples:
        width = max(len(example.typed) for example in examples)
        lines = (f"{example.typed:<{width}}  # {example.why}" for example in examples)
        yield "```sh\n" + "\n".join(lines) + "\n```"


_COMMON = ("config", "color", "quiet", "verbose", "log_format")


def _option(one: click.Option) -> str:
    words = "/".join(one.opts)
    if not one.is_flag:
        chosen = one.type.choices if isinstance(one.type, click.Choice) else ()
        words += f" {one.metavar or '|'.join(chosen) or one.type.name.upper()}"
    return f"`{_cell(words)}`"


def _configuration() -> str:
    parts = [
        "# Configuration",
        GENERATED,
        (
            "A file with comments for every key is `config.example.toml`; `cloudsync config schema`"
            " prints the JSON Schema for editors. A key that is not here is an error."
        ),
    ]
    for title, model in TABLES:
        parts += [f"## {_heading(title)}", _keys(model)]
    for kind in registry.names():
        provider = registry.load(kind)
        if provider.extra is None and kind != "local":
            continue
        parts += [
            f'## type = "{kind}"',
            f"In `[providers.NAME]`:\n\n{_keys(provider.account_settings)}",
            f"In `[firewalls.NAME]`:\n\n{_keys(provider.firewall_settings)}",
        ]
    return "\n\n".join(parts) + "\n"


def _heading(title: str) -> str:
    return f"`{title}`" if title.startswith("[") else title


def _keys(model: type[BaseModel]) -> str:
    rows = []
    properties = model.model_json_schema().get("properties", {})
    for name, field in model.model_fields.items():
        if model is models.File and name in _ELSEWHERE:
            continue
        schema = properties[field.alias or name]
        default = (
            "required"
            if field.is_required()
            else ""
            if field.default in (None, [], {})
            else f"`{_toml(field.default)}`"
        )
        text = field.description or schema.get("description") or text_of(model, name)
        rows.append((f"`{field.alias or name}`", default, _cell(text)))
    intro = re.sub(r"\s*\n\s*", " ", (model.__doc__ or "").strip())
    table = _table(("key", "default", ""), rows).rstrip() if rows else ""
    return "\n\n".join(part for part in (intro, table) if part)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, BaseModel):
        return "see below"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def main() -> None:
    """Write what differs."""
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            print(path.relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
