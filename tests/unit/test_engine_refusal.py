"""An engine over TLS 1.3 that does not accept our certificate says so after the handshake, and may
cut the connection off before that is heard."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cloudsync.sources.docker.client import Engine, EngineError
from cloudsync.sources.docker.endpoint import TlsFiles
from tests.engine.certificates import Authority

CUT_OFF = struct.pack("ii", 1, 0)
"""SO_LINGER: what was not sent is lost, and the other side gets a reset."""


@contextmanager
def engine(pki: Authority, trusted: Authority) -> Iterator[int]:
    """The port of an engine that resets the first connection after the handshake, and judges the
    certificate of the next by `trusted`."""
    chain = pki.issue("server", address="127.0.0.1")
    hasty = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    strict = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for context in (hasty, strict):
        context.load_cert_chain(*chain)
    strict.verify_mode = ssl.CERT_REQUIRED
    strict.load_verify_locations(trusted.folder / "ca.pem")

    def serve() -> None:
        connection, _ = listening.accept()
        with hasty.wrap_socket(connection, server_side=True) as first:
            first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, CUT_OFF)
        try:
            connection, _ = listening.accept()
        except OSError:  # nobody came a second time
            return
        with connection:
            try:
                with strict.wrap_socket(connection, server_side=True) as second:
                    second.recv(1)
            except ssl.SSLError:
                pass

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(30)
        assert not thread.is_alive()


def reason(port: int, pki: Authority, seconds: float = 20) -> EngineError:
    cert, key = pki.issue("client")
    tls = TlsFiles(pki.folder / "ca.pem", cert, key)
    with pytest.raises(EngineError) as raised:
        Engine(f"tcp://127.0.0.1:{port}", time.monotonic() + seconds, tls)
    return raised.value


def test_what_it_says_of_the_certificate_is_heard_on_a_second_connection(tmp_path: Path) -> None:
    pki, stranger = Authority(tmp_path / "pki"), Authority(tmp_path / "stranger")
    with engine(pki, trusted=stranger) as port:
        error = reason(port, pki)
    assert str(error) == "the engine does not accept our TLS certificate"
    assert not error.temporary


def test_an_engine_that_accepts_it_was_away_for_a_moment(tmp_path: Path) -> None:
    pki = Authority(tmp_path / "pki")
    with engine(pki, trusted=pki) as port:
        error = reason(port, pki, seconds=1)  # it is listened to until then
    assert "certificate" not in str(error)
    assert error.temporary
