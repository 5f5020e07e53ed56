"""From the name of an engine to the way there; an unknown context is an error and never the local
socket."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from cloudsync.config.engines import TlsEngine, engine_problem
from cloudsync.sources.docker.endpoint import (
    EndpointError,
    SshRoute,
    TlsFiles,
    Way,
    docker_endpoint,
    way_to,
)


def context(folder: Path, name: str, host: Any, **more: Any) -> str:
    """A Docker context as the docker command writes it; the key of its folders."""
    key = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "contexts" / "meta" / key
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(
        json.dumps({"Name": name, "Endpoints": {"docker": {"Host": host, **more}}})
    )
    return key


def material(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text("pem")
    return folder


def way(engine: str | TlsEngine, home: Path, **environ: str) -> Way:
    return way_to(engine, {"DOCKER_CONFIG": str(home), **environ}, home)


@pytest.mark.parametrize(
    ("environ", "engine"),
    [
        ({}, "unix:///var/run/docker.sock"),
        ({"DOCKER_HOST": "unix:///run/x.sock", "DOCKER_CONTEXT": "other"}, "unix:///run/x.sock"),
        ({"DOCKER_HOST": "ssh://me@example.com"}, "ssh://me@example.com"),
        ({"DOCKER_CONTEXT": "other"}, "other"),
    ],
)
def test_the_docker_commands_engine(tmp_path: Path, environ: dict[str, str], engine: str) -> None:
    assert docker_endpoint({"DOCKER_CONFIG": str(tmp_path), **environ}) == engine


def test_the_current_context_is_the_docker_commands_engine(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"currentContext": "shop"}')
    assert docker_endpoint({"DOCKER_CONFIG": str(tmp_path)}) == "shop"


@pytest.mark.parametrize("text", ["{", "[]", '"x"'])
def test_a_damaged_docker_configuration_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(EndpointError):
        docker_endpoint({"DOCKER_CONFIG": str(tmp_path)})


def test_an_unknown_context_is_an_error_and_never_the_local_socket(tmp_path: Path) -> None:
    with pytest.raises(EndpointError, match='"shop" does not exist'):
        way("shop", tmp_path)


def test_contexts_of_every_kind(tmp_path: Path) -> None:
    context(tmp_path, "here", "unix:///run/ctx.sock")
    context(tmp_path, "far", "ssh://me@far.example:2222")
    key = context(tmp_path, "tls", "tcp://far.example:2376", SkipTLSVerify=False)
    folder = material(
        tmp_path / "contexts" / "tls" / key / "docker", "ca.pem", "cert.pem", "key.pem"
    )
    assert way("here", tmp_path) == Way("unix:///run/ctx.sock")
    assert way("far", tmp_path).ssh == SshRoute("far.example", "me", 2222, "/var/run/docker.sock")
    assert way("tls", tmp_path) == Way(
        "tcp://far.example:2376",
        TlsFiles(folder / "ca.pem", folder / "cert.pem", folder / "key.pem"),
    )
    assert way("default", tmp_path) == Way("unix:///var/run/docker.sock")


@pytest.mark.parametrize(
    ("host", "more", "said"),
    [
        ("tcp://far.example:2376", {}, "plain tcp is for loopback"),
        ("tcp://far.example:2375", {}, "plain tcp is for loopback"),
        ("tcp://far.example:2376", {"SkipTLSVerify": True}, "SkipTLSVerify"),
        ("other", {}, "is not an address"),
        (7, {}, "is not an address"),
        ("npipe:////./pipe/docker_engine", {}, "is not an engine"),
    ],
)
def test_a_context_that_cannot_be_used_says_why(
    tmp_path: Path, host: Any, more: dict[str, Any], said: str
) -> None:
    context(tmp_path, "shop", host, **more)
    with pytest.raises(EndpointError, match=said):
        way("shop", tmp_path)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"Endpoints": {}}', '{"Endpoints": {"docker": 1}}', "[" * 100_000]
)
def test_a_damaged_context_is_an_error(tmp_path: Path, text: str) -> None:
    key = context(tmp_path, "shop", "unix:///x")
    (tmp_path / "contexts" / "meta" / key / "meta.json").write_text(text)
    with pytest.raises(EndpointError, match="cannot be read"):
        way("shop", tmp_path)


@pytest.mark.parametrize(
    ("url", "route"),
    [
        ("ssh://web-1", SshRoute("web-1", None, None, "/var/run/docker.sock")),
        ("ssh://me@Web-1:22/", SshRoute("Web-1", "me", 22, "/var/run/docker.sock")),
        (
            "ssh://me@[2001:db8::1]:22/run/user/1000/docker.sock",
            SshRoute("2001:db8::1", "me", 22, "/run/user/1000/docker.sock"),
        ),
        ("ssh://me@host/run/a%20b.sock", SshRoute("host", "me", None, "/run/a b.sock")),
    ],
)
def test_what_ssh_is_told(tmp_path: Path, url: str, route: SshRoute) -> None:
    assert way(url, tmp_path).ssh == route


@pytest.mark.parametrize(
    "url",
    [
        "ssh://",
        "ssh://-oProxyCommand=x",
        "ssh://-l@host",
        "ssh://a b@host",
        "ssh://me:secret@host",
        "ssh://h?x",
        "ssh://h:99999",
    ],
)
def test_nothing_but_a_destination_reaches_ssh(url: str) -> None:
    assert engine_problem(url) is not None


def test_tcp_is_plain_on_loopback_and_tls_with_the_docker_commands_certificates_elsewhere(
    tmp_path: Path,
) -> None:
    assert way("tcp://127.0.0.1:2375", tmp_path) == Way("tcp://127.0.0.1:2375")
    with pytest.raises(EndpointError, match=r"ca\.pem cannot be read"):
        way("tcp://192.0.2.1:2376", tmp_path)
    folder = material(tmp_path / "certs", "ca.pem", "cert.pem", "key.pem")
    found = way("tcp://192.0.2.1:2376", tmp_path, DOCKER_CERT_PATH=str(folder))
    assert found.tls == TlsFiles(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")


def test_the_docker_commands_tls_switch_counts_for_its_own_engine_only(tmp_path: Path) -> None:
    folder = material(tmp_path / "certs", "ca.pem", "cert.pem", "key.pem")
    environ = {
        "DOCKER_TLS_VERIFY": "1",
        "DOCKER_HOST": "tcp://127.0.0.1:2376",
        "DOCKER_CERT_PATH": str(folder),
    }
    assert way("tcp://127.0.0.1:2376", tmp_path, **environ).tls is not None
    assert way("tcp://127.0.0.1:2375", tmp_path, **environ).tls is None


def test_files_of_a_table_are_relative_to_the_configuration(tmp_path: Path) -> None:
    material(tmp_path / "tls", "c.pem", "k.pem")
    found = way(TlsEngine("tcp://127.0.0.1:2376", None, "tls/c.pem", "tls/k.pem"), tmp_path)
    assert found.tls == TlsFiles(None, tmp_path / "tls/c.pem", tmp_path / "tls/k.pem")
    with pytest.raises(EndpointError, match="No such file"):
        way(TlsEngine("tcp://127.0.0.1:2376", "no.pem", "tls/c.pem", "tls/k.pem"), tmp_path)


@pytest.mark.parametrize("path", ["/a%00b", "/a%0Ab", "/%1b%5b31m"])
def test_a_socket_elsewhere_has_no_control_characters_in_its_path(path: str) -> None:
    """NUL ends a word of ssh's command line: Python refuses to start it, and the run ended."""
    with pytest.raises(EndpointError, match="control characters"):
        way_to(f"ssh://web-1{path}", {}, Path())


@pytest.mark.parametrize(
    "endpoint",
    ["unix:/var/run/docker.sock", "unix://var/run/docker.sock", "unix:docker.sock", "unix://"],
)
def test_a_socket_is_written_with_three_slashes(endpoint: str) -> None:
    """One slash was taken, and then said not to exist."""
    assert engine_problem(endpoint) == "needs an absolute path: unix:///var/run/docker.sock"
    assert engine_problem("unix:///var/run/docker.sock") is None
