"""Phrases that messages of providers share."""

from __future__ import annotations

from cloudsync.provider.phrases import first_of


def test_the_first_words_and_how_many_more_there_are() -> None:
    assert first_of(["a", "b", "c", "d"], 2) == "a, b and 2 more"
    assert first_of(range(4), 3, "; ", "rules") == "0; 1; 2 and 1 more rules"


def test_as_many_words_as_are_shown_are_no_more() -> None:
    assert first_of(["a", "b"], 2) == "a, b"
    assert first_of([], 2) == ""
