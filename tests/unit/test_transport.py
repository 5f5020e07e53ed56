"""What a request without an answer means: whether a write may have taken effect. Real sockets, for
the library wraps what they tell."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import requests

from cloudsync.provider.errors import Transient
from cloudsync.provider.retry import seconds_of
from cloudsync.provider.transport import lost, secured, session, session_until
from cloudsync.runtime.serving import ServerThread


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


class Echo(BaseHTTPRequestHandler):
    """Remembers who came with what; sends whoever asks for /moved elsewhere, and whoever asks for
    /slow an answer byte by byte."""

    seen: ClassVar[list[tuple[str, str | None]]] = []
    over: ClassVar[threading.Event] = threading.Event()

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("Authorization")))
        self.send_response(302 if self.path == "/moved" else 200)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "1000" if self.path == "/slow" else "0")
        self.end_headers()
        if self.path == "/slow":
            while not self.over.wait(0.05):
                self.wfile.write(b"#")

    def log_message(self, *_: object) -> None:
        """Not in the test's output."""


@pytest.fixture
def echo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server, and a user whose ~/.netrc has a password for every host."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("default login bob password geheim\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    Echo.seen.clear()
    Echo.over.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = ServerThread(server)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    Echo.over.set()
    thread.stop()


@pytest.mark.parametrize("token", ["t0ken", None])
@pytest.mark.parametrize("make", [session, lambda token: secured(requests.Session(), token)])
def test_a_password_of_netrc_goes_nowhere(echo: str, make: Any, token: str | None) -> None:
    with make(token) as client:
        client.get(f"{echo}/")
    assert Echo.seen == [("/", None if token is None else f"Bearer {token}")]


def test_nor_does_it_with_requests_that_a_library_makes(echo: str) -> None:
    with session_until(time.monotonic() + 10, 10) as client:
        client.get(f"{echo}/")
        client.post(f"{echo}/", auth=None, headers={"X-Auth-Token": "t0ken"})
    assert Echo.seen == [("/", None)]


@pytest.mark.parametrize(("left", "seconds"), [(0.2, 30.0), (30.0, 0.2)])
def test_an_answer_that_trickles_ends_with_the_deadline_or_its_own_time(
    echo: str, left: float, seconds: float
) -> None:
    begin = time.monotonic()
    with session_until(begin + left, seconds) as client, pytest.raises(requests.Timeout) as raised:
        client.get(f"{echo}/slow", timeout=600)
    assert time.monotonic() - begin < 5
    assert lost("GET /slow", raised.value, "", write=True).fate_unknown


def test_after_the_deadline_nothing_is_sent(echo: str) -> None:
    late = time.monotonic() - 1
    with session_until(late, 30) as client, pytest.raises(requests.Timeout) as raised:
        client.get(f"{echo}/")
    assert Echo.seen == []
    assert not lost("POST /", raised.value, "", write=True).fate_unknown


def test_a_plain_session_would_have_sent_it(echo: str) -> None:
    with requests.Session() as client:
        client.get(f"{echo}/", headers={"Authorization": "Bearer t0ken"})
    assert (Echo.seen[0][1] or "").startswith("Basic ")


def test_a_redirect_is_not_followed(echo: str) -> None:
    with session("t") as client:
        assert client.get(f"{echo}/moved", allow_redirects=True).status_code == 302
    with session_until(time.monotonic() + 10, 10) as client:
        assert client.get(f"{echo}/moved", allow_redirects=True).status_code == 302
    with secured(requests.Session(), "t") as client, pytest.raises(requests.TooManyRedirects):
        client.get(f"{echo}/moved")
    assert {path for path, _ in Echo.seen} == {"/moved"}


SESSIONS = re.compile(
    r"requests\.(Session\(|get\(|post\(|put\(|request\()|AuthorizedSession\("
    # keystoneauth's, which opens one of its own unless it is given one of ours
    r"|(?<![\w.])Session\((?!session=ours)"
)


def test_every_session_of_ours_is_one_of_these() -> None:
    """Whoever opens a session that reads ~/.netrc finds it named here."""
    root = Path(__file__).parents[2]
    sources = [*root.glob("cloudsync/**/*.py"), *root.glob("providers/*/cloudsync_*/*.py")]
    open_ones = [
        path.name
        for path in sources
        if SESSIONS.search(text := path.read_text())
        and "secured(" not in text
        and path.name != "transport.py"
    ]
    assert open_ones == []
