"""What a request without an answer means: whether a write may have taken effect. Real sockets, for
the library wraps what they tell."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
import requests

from cloudsync.provider.errors import Transient
from cloudsync.provider.retry import seconds_of
from cloudsync.provider.transport import lost


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def posted(port: int, *, write: bool, seconds: float = 10.0) -> Transient:
    with requests.Session() as session:
        session.trust_env = False
        with pytest.raises(requests.RequestException) as raised:
            session.post(f"http://127.0.0.1:{port}/", json={}, timeout=seconds)
    return lost("POST /", raised.value, "an answer that is not JSON", write=write)


def test_a_refused_connection_carried_nothing(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    listener.close()
    error = posted(port, write=True)
    assert (error.message, error.fate_unknown) == ("POST /: the connection failed", False)


@pytest.mark.parametrize("write", [True, False])
def test_a_connection_lost_on_the_way_may_have_carried_a_write(
    listener: socket.socket, write: bool
) -> None:
    def hang_up() -> None:
        peer, _ = listener.accept()
        with peer:
            peer.recv(65536)

    thread = threading.Thread(target=hang_up)
    thread.start()
    error = posted(listener.getsockname()[1], write=write)
    thread.join()
    assert (error.message, error.fate_unknown) == ("POST /: the connection failed", write)


@pytest.mark.parametrize("write", [True, False])
def test_so_may_one_that_nobody_answers(listener: socket.socket, write: bool) -> None:
    error = posted(listener.getsockname()[1], write=write, seconds=0.2)
    assert (error.message, error.fate_unknown) == ("POST /: no answer in time", write)


@pytest.mark.parametrize("write", [True, False])
def test_so_may_one_whose_answer_cannot_be_read(write: bool) -> None:
    error = lost("POST /", ValueError("not JSON"), "an answer that is not JSON", write=write)
    assert (error.message, error.fate_unknown) == ("POST /: an answer that is not JSON", write)


@pytest.mark.parametrize(
    ("hint", "seconds"),
    [("7", 7.0), ("0", 0.0), ("", None), ("-1", None), ("Wed, 21 Oct 2026 07:28:00 GMT", None)],
)
def test_a_hint_in_seconds_is_honoured(hint: str, seconds: float | None) -> None:
    assert seconds_of(hint) == seconds
