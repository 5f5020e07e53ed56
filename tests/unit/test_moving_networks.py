"""Networks that move: what is read from files, https addresses and DNS, and what is no answer."""

from __future__ import annotations

import gzip
import http.server
import json
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cloudsync.config.configuration import MovingNetwork
from cloudsync.config.load import load
from cloudsync.config.problems import ConfigError
from cloudsync.config.show import show
from cloudsync.model.memory import NetworkMemory
from cloudsync.rules.networks import NetworkSet
from cloudsync.runtime.serving import ServerThread
from cloudsync.sources.networks import NetworkUnread, read_networks
from cloudsync.sources.networks.dns import addresses_of
from cloudsync.sources.networks.listed import MAX_BYTES, networks_in
from cloudsync.state import StateError
from cloudsync.state import networks as state
from tests.engine.certificates import Authority
from tests.world import PLACE

CONFIGURATION = """version = 1
owner = "shop"
[ssh]
ports = [22]
sources = ["@home", "198.51.100.7"]
[networks]
{networks}
[policy]
expose = "published"
[providers.local]
[firewalls.web]
provider = "local"
static = true
path = "fw.json"
[[firewalls.web.allow]]
ports = ["9100/tcp", "icmp"]
sources = ["@home", "@office"]
"""


def written(folder: Path, *networks: str) -> Path:
    path = folder / "cloudsync.toml"
    path.write_text(CONFIGURATION.format(networks="\n".join(networks)))
    return path


def unread(raw: bytes) -> NetworkUnread:
    with pytest.raises(NetworkUnread) as caught:
        networks_in(raw)
    return caught.value


class TestConfiguration:
    def test_a_moving_network_is_a_table_and_counts_as_an_address(self, tmp_path: Path) -> None:
        path = written(
            tmp_path,
            'home = { dns = "home.example.net" }',
            'office = ["203.0.113.0/24"]',
            'cdn = { url = ["https://lists.example/v4", "https://lists.example/v6"] }',
            'partners = { file = "partners.txt", refresh = "5m" }',
        )
        configuration = load(path)
        moving = configuration.moving
        assert {name: network.kind for name, network in moving.items()} == {
            "home": "dns",
            "cdn": "url",
            "partners": "file",
        }
        assert [moving[name].refresh for name in ("home", "cdn", "partners")] == [0, 3600, 300]
        assert configuration.ssh.written.moving == ("home",)
        assert configuration.ssh.sources == NetworkSet.of(["198.51.100.7"])

    def test_show_writes_it_so_that_it_loads_to_the_same(self, tmp_path: Path) -> None:
        path = written(
            tmp_path, 'home = { dns = ["a.example", "b.example"] }', 'office = ["203.0.113.0/24"]'
        )
        configuration = load(path)
        again = tmp_path / "again.toml"
        again.write_text(show(configuration))
        second = load(again)
        assert {n: m.origins for n, m in second.moving.items()} == {
            "home": ("a.example", "b.example")
        }
        (first_allow,) = configuration.firewalls["web"].allow
        (second_allow,) = second.firewalls["web"].allow
        assert second_allow.written == first_allow.written
        assert second.ssh.written == configuration.ssh.written

    @pytest.mark.parametrize(
        ("table", "message"),
        [
            ('{ url = "http://lists.example/v4" }', "https://"),
            ('{ url = "https://user:secret@lists.example/v4" }', "https://"),
            ('{ url = "file:///etc/passwd" }', "https://"),
            ('{ dns = "198.51.100.7" }', "DNS names"),
            ('{ dns = "home example" }', "DNS names"),
            ('{ dns = "a.example", file = "a.txt" }', "exactly one"),
            ("{}", "exactly one"),
            ('{ dns = "a.example", refresh = "soon" }', "duration"),
            ('{ adress = "a.example" }', "unknown key"),
        ],
    )
    def test_a_mistake_is_named_with_its_place_and_without_its_value(
        self, tmp_path: Path, table: str, message: str
    ) -> None:
        path = written(tmp_path, f"home = {table}", 'office = ["203.0.113.0/24"]')
        with pytest.raises(ConfigError) as caught:
            load(path)
        assert message in str(caught.value)
        assert "secret" not in str(caught.value)
        assert "cloudsync.toml:7" in str(caught.value)

    def test_the_query_of_an_address_is_not_shown(self) -> None:
        network = MovingNetwork("x", "url", ("https://lists.example/v4?token=s3cret",), 0, PLACE)
        assert network.source == "https://lists.example/v4"


class TestList:
    def test_comments_blank_lines_and_both_families(self) -> None:
        raw = b"\xef\xbb\xbf# ours\r\n203.0.113.0/24 # office\r\n\r\n2001:db8::/32;v6\n198.51.100.7"
        expected = NetworkSet.of(["203.0.113.0/24", "2001:db8::/32", "198.51.100.7"])
        assert networks_in(raw) == expected

    @pytest.mark.parametrize(
        "raw",
        [
            b"203.0.113.0/24\nany\n",
            b"203.0.113.0/24\n203.0.113.5/24\n",
            b"203.0.113.0/24\n<html>",
            b"203.0.113.0/24, 198.51.100.0/24",
            b"::ffff:198.51.100.0/120",
            b"203.0.113.0/24\n\xff\xfe",
        ],
    )
    def test_one_line_that_is_no_network_makes_all_of_it_unread(self, raw: bytes) -> None:
        assert not unread(raw).temporary

    @pytest.mark.parametrize("raw", [b"", b"# nothing here\n\n"])
    def test_an_empty_list_is_unread_and_not_empty(self, raw: bytes) -> None:
        assert unread(raw).reason == "it lists no network"

    @pytest.mark.parametrize("wide", ["0.0.0.0/0", "128.0.0.0/1", "::/0", "2000::/3", "0.0.0.0/7"])
    def test_a_list_never_opens_to_everyone(self, wide: str) -> None:
        assert wide in unread(f"203.0.113.0/24\n{wide}\n".encode()).reason

    def test_it_is_bounded_in_size_and_number(self) -> None:
        assert "KiB" in unread(b"#" * (MAX_BYTES + 1)).reason
        lines = "\n".join(f"10.{n // 250}.{n % 250}.0/24" for n in range(20_001))
        assert "20000 networks" in unread(lines.encode()).reason


class TestFile:
    def read(self, folder: Path, name: str = "list.txt") -> NetworkSet | NetworkUnread:
        network = MovingNetwork("x", "file", (name,), 0, PLACE)
        return read_networks([network], folder, time.monotonic() + 5)["x"]

    def test_it_is_relative_to_the_configuration(self, tmp_path: Path) -> None:
        (tmp_path / "list.txt").write_text("203.0.113.0/24\n")
        assert self.read(tmp_path) == NetworkSet.of(["203.0.113.0/24"])

    def test_what_is_not_a_file_is_unread_and_waits_for_nobody(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "list.txt")
        begin = time.monotonic()
        answer = self.read(tmp_path)
        assert isinstance(answer, NetworkUnread)
        assert time.monotonic() - begin < 3
        assert isinstance(self.read(tmp_path, "missing.txt"), NetworkUnread)
        assert isinstance(self.read(tmp_path, "."), NetworkUnread)

    def test_a_file_that_everybody_can_write_opens_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "list.txt").write_text("203.0.113.0/24\n")
        (tmp_path / "list.txt").chmod(0o666)
        answer = self.read(tmp_path)
        assert isinstance(answer, NetworkUnread)
        assert "every user" in answer.reason


class TestDns:
    """The resolver is the machine's; what it answers is played here, by address family."""

    @pytest.fixture
    def answers(self, monkeypatch: pytest.MonkeyPatch) -> dict[int, Any]:
        by_family: dict[int, Any] = {}

        def getaddrinfo(_name: str, _port: None, family: int, kind: int) -> list[Any]:
            answer = by_family.get(family, socket.gaierror(socket.EAI_NONAME, "no such name"))
            if isinstance(answer, Exception):
                raise answer
            return [(family, kind, 6, "", (address, 0)) for address in answer]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        return by_family

    def test_all_addresses_of_both_families(self, answers: dict[int, Any]) -> None:
        answers[socket.AF_INET] = ["198.51.100.7", "198.51.100.8"]
        answers[socket.AF_INET6] = ["2001:db8::7"]
        expected = NetworkSet.of(["198.51.100.7", "198.51.100.8", "2001:db8::7"])
        assert addresses_of("home.example") == expected

    def test_a_name_without_ipv6_has_its_ipv4_addresses(self, answers: dict[int, Any]) -> None:
        answers[socket.AF_INET] = ["198.51.100.7"]
        assert addresses_of("home.example") == NetworkSet.of(["198.51.100.7"])

    def test_half_an_answer_is_none(self, answers: dict[int, Any]) -> None:
        answers[socket.AF_INET] = ["198.51.100.7"]
        answers[socket.AF_INET6] = socket.gaierror(socket.EAI_AGAIN, "try again")
        with pytest.raises(NetworkUnread) as caught:
            addresses_of("home.example")
        assert caught.value.temporary

    def test_a_name_without_any_address_is_unread(self, answers: dict[int, Any]) -> None:
        answers.clear()
        with pytest.raises(NetworkUnread) as caught:
            addresses_of("home.example")
        assert not caught.value.temporary

    @pytest.mark.parametrize(
        "address", ["0.0.0.0", "127.0.0.1", "169.254.1.1", "224.0.0.1", "fe80::1%eth0", "::1", "::"]
    )
    def test_an_address_nobody_comes_from_is_no_answer(
        self, answers: dict[int, Any], address: str
    ) -> None:
        answers[socket.AF_INET6 if ":" in address else socket.AF_INET] = [address]
        with pytest.raises(NetworkUnread):
            addresses_of("home.example")


class ListServer(http.server.ThreadingHTTPServer):
    """An https server on 127.0.0.1 whose answers are functions of the request handler."""

    daemon_threads = True

    def __init__(self, certificate: Path, key: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.pages: dict[str, Callable[[http.server.BaseHTTPRequestHandler], None]] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []

    def handle_error(self, *_: Any) -> None:
        """A client that refuses the certificate, or hangs up, is what is tested."""

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self.server_address[1]}"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, ListServer)
        server.requests.append((self.path, dict(self.headers)))
        server.pages[self.path](self)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


def says(body: bytes, status: int = 200, **headers: str) -> Callable[[Any], None]:
    def page(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = True

    return page


class TestHttps:
    @pytest.fixture
    def lists(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ListServer]:
        authority = Authority(tmp_path / "ca")
        server = ListServer(*authority.issue("lists", address="127.0.0.1"))
        thread = ServerThread(server)
        thread.start()
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca" / "ca.pem"))
        yield server
        thread.stop(5)

    def read(
        self, lists: ListServer, *paths: str, seconds: float = 5.0
    ) -> NetworkSet | NetworkUnread:
        origins = tuple(f"{lists.address}{path}" for path in paths)
        network = MovingNetwork("cdn", "url", origins, 0, PLACE)
        return read_networks([network], Path(), time.monotonic() + seconds)["cdn"]

    def refused(self, lists: ListServer, *paths: str, seconds: float = 5.0) -> NetworkUnread:
        answer = self.read(lists, *paths, seconds=seconds)
        assert isinstance(answer, NetworkUnread)
        return answer

    def test_several_lists_are_united(self, lists: ListServer) -> None:
        lists.pages = {"/v4": says(b"203.0.113.0/24\n"), "/v6": says(b"2001:db8::/32\n")}
        assert self.read(lists, "/v4", "/v6") == NetworkSet.of(["203.0.113.0/24", "2001:db8::/32"])

    def test_one_list_that_fails_makes_all_unread(self, lists: ListServer) -> None:
        lists.pages = {"/v4": says(b"203.0.113.0/24\n"), "/v6": says(b"", 503)}
        answer = self.refused(lists, "/v4", "/v6")
        assert answer.temporary
        assert "503" in answer.reason

    @pytest.mark.parametrize(("status", "temporary"), [(404, False), (403, False), (429, True)])
    def test_an_error_says_whether_trying_again_may_help(
        self, lists: ListServer, status: int, temporary: bool
    ) -> None:
        lists.pages = {"/v4": says(b"203.0.113.0/24\n", status)}
        assert self.refused(lists, "/v4").temporary is temporary

    def test_redirects_go_to_https_only(self, lists: ListServer) -> None:
        lists.pages = {
            "/old": says(b"", 301, Location="/v4"),
            "/v4": says(b"203.0.113.0/24\n"),
            "/plain": says(b"", 302, Location=f"http://127.0.0.1:{lists.server_address[1]}/v4"),
            "/login": says(b"", 302, Location=f"https://me:pw@127.0.0.1:{lists.server_address[1]}"),
            "/file": says(b"", 302, Location="file:///etc/hosts"),
            "/loop": says(b"", 302, Location="/loop"),
        }
        assert self.read(lists, "/old") == NetworkSet.of(["203.0.113.0/24"])
        for path in ("/plain", "/login", "/file"):
            assert "redirects to something else" in self.refused(lists, path).reason
        assert "more than 5 redirects" in self.refused(lists, "/loop").reason

    def test_an_answer_too_large_is_cut_off_and_unread(self, lists: ListServer) -> None:
        lists.pages = {"/v4": says(b"# long\n" * MAX_BYTES)}
        assert "KiB" in self.refused(lists, "/v4").reason

    def test_an_answer_that_breaks_off_is_unread(self, lists: ListServer) -> None:
        lists.pages = {"/v4": says(b"203.0.113.0/24\n", Content_Length="5000")}
        assert self.refused(lists, "/v4").temporary

    def test_an_answer_that_trickles_ends_with_its_time(self, lists: ListServer) -> None:
        def trickle(handler: http.server.BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
            for _ in range(60):
                handler.wfile.write(b"#")
                handler.wfile.flush()
                time.sleep(0.1)

        lists.pages = {"/v4": trickle}
        begin = time.monotonic()
        assert self.refused(lists, "/v4", seconds=0.4).reason.endswith("no answer in time")
        assert time.monotonic() - begin < 3

    def test_a_compressed_answer_is_refused(self, lists: ListServer) -> None:
        bomb = gzip.compress(b"# " * 10_000_000)
        lists.pages = {"/v4": says(bomb, Content_Encoding="gzip")}
        assert "compressed" in self.refused(lists, "/v4").reason

    def test_no_credentials_are_sent(
        self, lists: ListServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password s3cret\n")
        (tmp_path / "netrc").chmod(0o600)
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        lists.pages = {"/v4": says(b"203.0.113.0/24\n")}
        self.read(lists, "/v4")
        ((_, headers),) = lists.requests
        assert "Authorization" not in headers
        assert "Cookie" not in headers

    def test_a_certificate_of_somebody_else_is_refused(
        self, lists: ListServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Authority(tmp_path / "other")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "other" / "ca.pem"))
        lists.pages = {"/v4": says(b"203.0.113.0/24\n")}
        assert "certificate" in self.refused(lists, "/v4").reason
        assert lists.requests == []

    def test_nothing_of_the_answer_is_in_the_message(self, lists: ListServer) -> None:
        lists.pages = {"/v4?token=abc": says(b"my-session-s3cret\n")}
        reason = self.refused(lists, "/v4?token=abc").reason
        assert "s3cret" not in reason
        assert "abc" not in reason


class TestMemory:
    MEMORY = NetworkMemory(
        "0123456789abcdef",
        NetworkSet.of(["203.0.113.0/24", "::1"]),
        datetime(2026, 1, 2, tzinfo=UTC),
    )

    def test_what_is_remembered_is_read_back(self, tmp_path: Path) -> None:
        state.remember(tmp_path, "shop", {"home": self.MEMORY}, ["home"])
        assert state.load(tmp_path, "shop").entries == {"home": self.MEMORY}

    def test_what_the_configuration_does_not_name_any_more_is_forgotten(
        self, tmp_path: Path
    ) -> None:
        state.remember(tmp_path, "shop", {"home": self.MEMORY}, ["home"])
        state.remember(tmp_path, "shop", {}, ["office"])
        assert state.load(tmp_path, "shop").entries == {}

    @pytest.mark.parametrize(
        "content",
        [
            "",
            "[]",
            '{"version": 1}',
            '{"version": 1, "networks": {"home": {"origin": "x", "read": "yesterday"}}}',
            json.dumps(
                {
                    "version": 1,
                    "networks": {"home": {"origin": "x", "read": "2026-01-02", "networks": []}},
                }
            ),
        ],
    )
    def test_a_damaged_file_is_like_none_and_is_said(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "shop.networks.json").write_text(content)
        loaded = state.load(tmp_path, "shop")
        assert loaded.entries == {}
        assert loaded.damaged is not None
        state.remember(tmp_path, "shop", {}, [])
        assert state.load(tmp_path, "shop").damaged is None

    def test_a_file_of_a_newer_version_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "shop.networks.json").write_text('{"version": 2, "networks": {}}')
        with pytest.raises(StateError):
            state.load(tmp_path, "shop")

    def test_it_is_written_only_if_something_is_new(self, tmp_path: Path) -> None:
        state.remember(tmp_path, "shop", {"home": self.MEMORY}, ["home"])
        path = tmp_path / "shop.networks.json"
        before = path.stat().st_ino
        state.remember(tmp_path, "shop", {"home": self.MEMORY}, ["home"])
        assert path.stat().st_ino == before
        later = NetworkMemory(
            self.MEMORY.origin, self.MEMORY.networks, self.MEMORY.read + timedelta(seconds=1)
        )
        state.remember(tmp_path, "shop", {"home": later}, ["home"])
        assert path.stat().st_ino != before
