"""The HTTP client that REST providers share: opaque page tokens, and headers of one call."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from cloudsync.provider.answers import printable
from cloudsync.provider.contract import Account
from cloudsync.provider.errors import AuthError, Conflict, Forbidden, ProviderError, Transient
from cloudsync.provider.http import Dialect, Paging, Rest
from cloudsync.provider.retry import backoff
from cloudsync.provider.settings import AccountSettings, SecretRef
from cloudsync.testing.http import Double, Fault, Request

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
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    monkeypatch.setenv("PEBBLE_TOKEN", "secret-of-a-test")
    return Account("pebble", AccountSettings(), tmp_path, time.monotonic() + 2)


@pytest.fixture
def rest(pebble: Pebble, account: Account) -> Rest:
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


def test_a_text_of_the_vendors_is_one_line_whose_words_stay_apart() -> None:
    assert printable("web\nadmin\tof\x1b[31m it\u202e") == "web admin of[31m it"


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


@pytest.mark.parametrize(
    ("status", "code", "error", "fate_unknown"),
    [
        (422, "scope_missing", Forbidden, False),
        (401, "token_unknown", AuthError, False),
        (400, "locked", Transient, False),
        (400, "timeout", Transient, True),
    ],
)
def test_a_code_means_what_the_dialect_says_and_not_what_its_status_says(
    pebble: Pebble,
    account: Account,
    status: int,
    code: str,
    error: type[ProviderError],
    fate_unknown: bool,
) -> None:
    means = {"scope_missing": 403, "locked": 503, "timeout": 504}
    pebble.fail(Fault("PUT", "/stones/1", status=status, body=refused(code), times=99))
    with backoff(0.001, 0.001), pytest.raises(ProviderError) as raised:
        speaking(pebble, account, means=means).write("PUT", "/stones/1", {}, Nothing)
    assert type(raised.value) is error
    assert raised.value.fate_unknown is fate_unknown


@pytest.mark.parametrize(
    ("advice", "message"),
    [
        ({409: "look again"}, "PUT /stones/1: taken: no (look again)"),
        ({"taken": "rename it", 409: "look again"}, "PUT /stones/1: taken: no (rename it)"),
        ({"other": "rename it"}, "PUT /stones/1: taken: no"),
    ],
)
def test_a_person_is_advised_by_the_code_or_else_by_the_status(
    pebble: Pebble, account: Account, advice: dict[str | int, str], message: str
) -> None:
    pebble.fail(Fault("PUT", "/stones/1", status=409, body=refused("taken")))
    with pytest.raises(Conflict) as raised:
        speaking(pebble, account, advice=advice).write("PUT", "/stones/1", {}, Nothing)
    assert raised.value.message == message


class Versioned(BaseModel):
    etag: str = ""


@pytest.mark.parametrize(
    ("status", "body", "headers", "etag"),
    [
        (200, {}, {"ETag": "8"}, "8"),
        (204, None, {"ETag": "8"}, "8"),
        (200, {"etag": "of the body"}, {}, "of the body"),
        (204, None, {}, ""),
    ],
)
def test_a_version_that_a_header_says_is_a_field_of_the_answer(
    pebble: Pebble,
    account: Account,
    status: int,
    body: dict[str, Any] | None,
    headers: dict[str, str],
    etag: str,
) -> None:
    pebble.fail(Fault("PUT", "/stones/1", status=status, body=body, headers=headers))
    rest = speaking(pebble, account, from_headers={"etag": "ETag"})
    assert rest.write("PUT", "/stones/1", {}, Versioned).etag == etag


def refused(code: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": "no"}}


def speaking(pebble: Pebble, account: Account, **dialect: Any) -> Rest:
    return Rest(
        account, pebble.endpoint, SecretRef(env="PEBBLE_TOKEN"), replace(DIALECT, **dialect)
    )
