"""Phrases that messages of providers share."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from cloudsync.provider.phrases import count, first_of

ROOT = Path(__file__).parents[2]
_PLURAL = re.compile(r" (?:more )?[a-z]+s\b(?! so far)")


def test_the_first_words_and_how_many_more_there_are() -> None:
    assert first_of(["a", "b", "c", "d"], 2) == "a, b and 2 more"
    assert first_of(range(4), 3, "; ", "rule") == "0; 1; 2 and 1 more rule"


def test_as_many_words_as_are_shown_are_no_more() -> None:
    assert first_of(["a", "b"], 2) == "a, b"
    assert first_of([], 2) == ""


def test_one_thing_is_no_plural() -> None:
    assert count(1, "rule") == "1 rule"
    assert count(0, "rule") == "0 rules"
    assert count(1, "port is", "ports are") == "1 port is"
    assert count(2, "port is", "ports are") == "2 ports are"


def _uncounted(source: str) -> Iterator[str]:
    """f-strings that put the length of something before a plural noun."""
    for text in ast.walk(ast.parse(source)):
        if isinstance(text, ast.JoinedStr):
            for value, behind in zip(text.values, text.values[1:], strict=False):
                if (
                    isinstance(value, ast.FormattedValue)
                    and ast.unparse(value.value).startswith("len(")
                    and isinstance(behind, ast.Constant)
                    and _PLURAL.match(str(behind.value))
                ):
                    yield ast.unparse(text)


def test_no_message_puts_a_plural_behind_a_number_that_may_be_one() -> None:
    assert [*_uncounted("f'set {len(rules)} rules'")]
    assert not [*_uncounted("f'{len(names)} more'")]
    found = {
        f"{path.relative_to(ROOT)}: {text}"
        for folder in ("cloudsync", "examples", "providers")
        for path in (ROOT / folder).rglob("*.py")
        if "len(" in (source := path.read_text())
        for text in _uncounted(source)
    }
    assert not found
