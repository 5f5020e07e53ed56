"""Rows of `check-access` out of what a vendor lists."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from cloudsync.provider.access import Access, as_listed
from cloudsync.provider.errors import ProviderError, Transient, Unsupported

WANTED = ("rules.create", "rules.delete")


def test_a_permission_that_the_vendor_does_not_list_is_missing() -> None:
    rows = as_listed(WANTED, "apply", lambda: ["rules.create"], "granted on web", "the role has it")
    assert rows == [
        Access("rules.create", "apply", "ok", "granted on web"),
        Access("rules.delete", "apply", "missing", "the role has it"),
    ]


@pytest.mark.parametrize("error", [Transient("later"), Unsupported("no such question")])
def test_without_an_answer_every_permission_is_unknown(error: ProviderError) -> None:
    def look() -> Collection[str]:
        raise error

    assert as_listed(WANTED, "apply", look, "granted", "missing") == [
        Access(what, "apply", "unknown", error.message, error.temporary) for what in WANTED
    ]
