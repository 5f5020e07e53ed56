"""The HTTP client that REST providers share: opaque page tokens, and headers of one call."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from cloudsync.provider.contract import Account
from cloudsync.provider.errors import Conflict, Transient
from cloudsync.provider.http import Dialect, Paging, Rest
from cloudsync.provider.settings import AccountSettings, SecretRef
from cloudsync.testing.http import Double, Request

DIALECT = Dialect("Pebble", Paging(2, token="next", page_parameter="after"))


class Stone(BaseModel):
    id: int


class Nothing(BaseModel):
    pass


class Pebble(Double):
    """Five stones on three pages; a write needs the right `If-Match`."""

    def __init__(self) -> None:
        super().__init__()
        self.pages: dict[str, dict[str, Any]] = {
            "": {"stones": [{"id": 1}, {"id": 2}], "next": "b"},
            "b": {"stones": [{"id": 3}, {"id": 4}], "next": "c"},
            "c": {"stones": [{"id": 5}], "next": None},
        }

    def handle(self, request: Request) -> tuple[int, Any]:
        if request.method == "GET":
            return 200, self.pages[request.query.get("after", [""])[0]]
        if request.headers.get("If-Match") != "7":
            return 412, {"error": {"code": "stale", "message": "changed meanwhile"}}
        return 200, {}


@pytest.fixture
def pebble() -> Iterator[Pebble]:
    with Pebble() as double:
        yield double


@pytest.fixture
def rest(pebble: Pebble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rest:
    monkeypatch.setenv("PEBBLE_TOKEN", "secret-of-a-test")
    account = Account("pebble", AccountSettings(), tmp_path, time.monotonic() + 2)
    return Rest(account, pebble.endpoint, SecretRef(env="PEBBLE_TOKEN"), DIALECT)


def test_pages_by_an_opaque_token_are_read_to_the_last(rest: Rest) -> None:
    assert [stone.id for stone in rest.pages("/stones", "stones", Stone)] == [1, 2, 3, 4, 5]


def test_a_page_without_its_token_is_an_error_and_not_the_last(rest: Rest, pebble: Pebble) -> None:
    del pebble.pages["b"]["next"]
    with pytest.raises(Transient, match="page"):
        rest.pages("/stones", "stones", Stone)


def test_a_token_that_comes_twice_ends_in_an_error(rest: Rest, pebble: Pebble) -> None:
    pebble.pages["b"]["next"] = "b"
    with pytest.raises(Transient, match="twice"):
        rest.pages("/stones", "stones", Stone)


def test_a_write_sends_headers_of_its_own(rest: Rest) -> None:
    rest.write("PUT", "/stones/1", {}, Nothing, {"If-Match": "7"})
    with pytest.raises(Conflict):
        rest.write("PUT", "/stones/1", {}, Nothing, {"If-Match": "6"})


class Labelled(BaseModel):
    labels: dict[str, str]


def test_a_key_of_the_vendors_in_a_message_is_short_and_printable(
    rest: Rest, pebble: Pebble
) -> None:
    pebble.pages[""] = {"labels": {"\x1b[2J\u202e" + "x" * 500: 7}}
    with pytest.raises(Transient) as raised:
        rest.get("/stones", Labelled)
    assert raised.value.message.isprintable()
    assert len(raised.value.message) < 200
    assert "(labels.[2Jxxx" in raised.value.message
