"""A server that runs in a thread of its own: it answers whoever comes, and ends."""

from __future__ import annotations

import os
import socket
import socketserver

import pytest

from cloudsync.runtime.serving import ServerThread


class Hello(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(b"hello")


@pytest.fixture
def server() -> socketserver.TCPServer:
    return socketserver.TCPServer(("127.0.0.1", 0), Hello)


def greeting(server: socketserver.TCPServer) -> bytes:
    with socket.create_connection(server.server_address[:2], timeout=10) as client:
        return client.recv(16)


def test_it_answers_whoever_comes_until_it_is_stopped(server: socketserver.TCPServer) -> None:
    thread = ServerThread(server)
    thread.start()
    assert [greeting(server) for _ in range(3)] == [b"hello"] * 3
    address = server.server_address[:2]
    thread.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=10)


def test_who_comes_before_it_starts_is_answered_then(server: socketserver.TCPServer) -> None:
    thread = ServerThread(server)
    with socket.create_connection(server.server_address[:2], timeout=10) as early:
        thread.start()
        assert early.recv(16) == b"hello"
    thread.stop()


def test_it_ends_although_a_fork_holds_what_it_is_stopped_with(
    server: socketserver.TCPServer,
) -> None:
    thread = ServerThread(server)
    thread.start()
    held = os.dup(thread._stop.fileno())
    thread.stop(5)
    alive = thread._thread.is_alive()
    os.close(held)
    assert not alive
