"""Examples and manual pages: one source, and it is right."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest

from cloudsync.cli.examples import EXAMPLES, epilog
from cloudsync.cli.main import COMMANDS, cloudsync

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


@pytest.fixture(scope="module")
def manual() -> ModuleType:
    spec = importlib.util.spec_from_file_location("manual", ROOT / "docs" / "manual.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by the words that follow `cloudsync`."""
    context = click.Context(cloudsync, info_name="cloudsync")
    for name in COMMANDS:
        command = cloudsync.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            for inner in command.list_commands(context):
                found = command.get_command(context, inner)
                assert found is not None
                yield f"{name} {inner}", found
        else:
            yield name, command


def test_every_command_has_examples_and_every_example_a_command() -> None:
    assert set(EXAMPLES) == {name for name, _ in commands()}
    assert all(EXAMPLES.values())


@pytest.mark.parametrize(
    ("words", "typed"),
    [(words, example.typed) for words, examples in EXAMPLES.items() for example in examples],
)
def test_every_example_is_a_line_that_its_command_takes(words: str, typed: str) -> None:
    line = typed.removeprefix('eval "$(').removesuffix(')"')
    given = [word for word in shlex.split(line) if not word.startswith(">")]
    given = ["/" if word == "/mnt/copy" else word for word in given]  # a directory that exists
    assert given[0] == "cloudsync"
    assert " ".join(given[1:]).startswith(words)
    command = dict(commands())[words]
    command.make_context(words, given[1 + len(words.split()) :])  # raises what a user would read


@pytest.mark.parametrize("width", [50, 58, 78])
def test_examples_fit_the_width_and_can_still_be_pasted(width: int) -> None:
    for words, examples in EXAMPLES.items():
        shown = epilog(words, width)
        assert all(len(line) <= width for line in shown.splitlines())
        pasted = re.sub(r" \\\n +", " ", shown)
        assert all(f"  {example.typed}\n" in pasted for example in examples)


def test_help_shows_the_examples_and_breaks_no_option(capsys: pytest.CaptureFixture[str]) -> None:
    context = click.Context(cloudsync, info_name="cloudsync", terminal_width=60)
    command = cloudsync.get_command(context, "init")
    assert command is not None
    shown = command.get_help(command.make_context("init", [], parent=context))
    assert "Examples:" in shown
    assert "--no-\n" not in shown
    assert max(map(len, shown.splitlines())) <= 60


def test_the_manual_has_a_page_for_every_command_with_every_option(manual: ModuleType) -> None:
    pages = manual.manual_pages()
    assert set(pages) == {"cloudsync.1", *(f"cloudsync-{name}.1" for name in COMMANDS)}
    for name, command in commands():
        page = pages[f"cloudsync-{name.split()[0]}.1"].replace("\\-", "-")
        for option in command.params:
            if isinstance(option, click.Option) and option.name not in manual._COMMON:
                assert all(flag in page for flag in option.opts), (name, option.opts)
        assert all(example.typed in page for example in EXAMPLES[name])
