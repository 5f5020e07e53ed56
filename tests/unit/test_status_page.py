"""The status page over HTTP: to nobody without its token, if one is set."""

from __future__ import annotations

import base64
import http.client
from collections.abc import Iterator

import pytest

from cloudsync.provider.settings import SecretError
from cloudsync.watch.listen import Board, Server

TOKEN = "correct horse"


@pytest.fixture
def board() -> Board:
    made = Board()
    made.page = lambda: "<p>every port</p>"
    return made


@pytest.fixture
def server(board: Board) -> Iterator[Server]:
    running = Server(("127.0.0.1", 0), board)
    yield running
    running.stop()


def get(server: Server, path: str = "/", authorization: str | None = None) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    headers = {} if authorization is None else {"Authorization": authorization}
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body, answer.headers.get("WWW-Authenticate", "")


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_without_a_token_whoever_is_on_the_machine_sees_it(server: Server) -> None:
    assert get(server)[:2] == (200, "<p>every port</p>")


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer wrong", "Basic !", basic("me", "wrong"), f"Digest {TOKEN}",
     basic(TOKEN, ""), "Bearer correct"],
)  # fmt: skip
def test_with_a_token_others_see_nothing_and_a_browser_asks(
    server: Server, board: Board, authorization: str | None
) -> None:
    board.token = lambda: TOKEN
    status, body, challenge = get(server, authorization=authorization)
    assert (status, body) == (401, "the page needs its token\n")
    assert challenge.startswith("Basic ")


@pytest.mark.parametrize("authorization", [f"Bearer {TOKEN}", basic("", TOKEN), basic("a", TOKEN)])
def test_with_the_token_the_page_is_seen(server: Server, board: Board, authorization: str) -> None:
    board.token = lambda: TOKEN
    assert get(server, authorization=authorization)[:2] == (200, "<p>every port</p>")


def test_the_token_is_for_the_page_alone(server: Server, board: Board) -> None:
    board.token = lambda: TOKEN
    board.metrics = "up 1\n"
    assert get(server, "/metrics")[:2] == (200, "up 1\n")


def test_a_token_that_cannot_be_had_shows_nobody_the_page(server: Server, board: Board) -> None:
    def fails() -> str:
        raise SecretError("the variable PAGE is not set")

    board.token = fails
    assert get(server)[:2] == (503, "the variable PAGE is not set\n")
