"""Secret references: where a secret may come from, and that it never shows."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pydantic import ValidationError

from cloudsync.provider.settings import AccountSettings, SecretError, SecretRef


def test_a_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TOKEN", "s3cret\n")
    assert SecretRef(env="TOKEN").resolve(tmp_path).get_secret_value() == "s3cret"


def test_a_variable_may_name_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "t").write_text("s3cret\n")
    monkeypatch.setenv("TOKEN_FILE", str(tmp_path / "t"))
    assert SecretRef(env="TOKEN").resolve(tmp_path).get_secret_value() == "s3cret"
    monkeypatch.setenv("TOKEN", "other")
    with pytest.raises(SecretError, match="both TOKEN and TOKEN_FILE"):
        SecretRef(env="TOKEN").resolve(tmp_path)


def test_a_file_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("s3cret")
    assert SecretRef(file="t").resolve(tmp_path).get_secret_value() == "s3cret"


def test_a_systemd_credential(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "hcloud").write_text("s3cret")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert SecretRef(credential="hcloud").resolve(Path("/")).get_secret_value() == "s3cret"


def test_a_command_without_a_shell(tmp_path: Path) -> None:
    reference = SecretRef(command=[sys.executable, "-c", "print('s3cret; $HOME')"])
    assert reference.resolve(tmp_path).get_secret_value() == "s3cret; $HOME"


@pytest.mark.parametrize(
    "reference",
    [
        {"env": "CLOUDSYNC_NOT_SET"},
        {"file": "missing"},
        {"file": "nul\0"},
        {"file": "empty"},
        {"file": "binary"},
        {"file": "escape"},
        {"credential": "x"},
        {"command": ["/nonexistent/command"]},
        {"command": ["false"]},
        {"command": ["true", "nul\0"]},
    ],
)
def test_a_secret_that_cannot_be_had_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: dict[str, object]
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xffhunter2")
    (tmp_path / "escape").write_text("hunter2\x1bhunter2")
    with pytest.raises(SecretError) as error:
        SecretRef.model_validate(reference).resolve(tmp_path)
    assert "\n" not in str(error.value)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    "reference",
    [
        {},
        {"env": "A", "file": "b"},
        {"env": ""},
        {"credential": "../x"},
        {"command": []},
        {"env": 3},
    ],
)
def test_a_reference_is_exactly_one_of_the_four(reference: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SecretRef.model_validate(reference)


def test_a_resolved_secret_does_not_show(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("hunter2")
    assert "hunter2" not in f"{SecretRef(file='t').resolve(tmp_path)!r}"


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://api.example/v1",
        "http://127.0.0.1:4110/v1",
        "http://localhost:1",
        "http://[::1]:1/v1",
    ],
)
def test_endpoints_that_are_safe(endpoint: str) -> None:
    assert AccountSettings(endpoint=endpoint).endpoint == endpoint


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://api.example",
        "ftp://x",
        "https://u:p@x",
        "https://",
        "x",
        "http://127.0.0.1.evil.example",
        "https://x/?a=b",
        "http://[::1",
    ],
)
def test_endpoints_that_are_not(endpoint: str) -> None:
    with pytest.raises(ValidationError) as error:
        AccountSettings(endpoint=endpoint)
    assert "u:p" not in str(error.value)


@pytest.mark.parametrize(
    "token", ["\ufefftoken", "tok…en", "tok\u201den", "tök", " token", "token "]
)
def test_what_cannot_be_a_header_is_refused_where_it_is_resolved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("TOKEN", token)
    with pytest.raises(SecretError, match="cannot be sent as a token") as error:
        SecretRef(env="TOKEN").resolve(tmp_path)
    assert "tok" not in str(error.value).replace("token", "")
    value = SecretRef(env="TOKEN").resolve(tmp_path, for_header=False)
    assert value.get_secret_value() == token


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t")
    with pytest.raises(SecretError, match="FIFO"):
        SecretRef(file="t").resolve(tmp_path)


def test_a_command_that_prints_without_end_is_ended(tmp_path: Path) -> None:
    with pytest.raises(SecretError, match="more than 64 KiB"):
        SecretRef(command=["cat", "/dev/zero"]).resolve(tmp_path)


def test_a_command_that_does_not_end_is_ended_with_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloudsync.provider.settings._COMMAND_SECONDS", 0.2)
    with pytest.raises(SecretError, match=r"did not end within 0\.2 s"):
        SecretRef(command=["sh", "-c", "sleep 60 & sleep 60"]).resolve(tmp_path)


def test_what_ended_a_command_is_told_however_slow_the_thread_that_did_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = threading.Event()

    def kill(process: subprocess.Popen[bytes]) -> None:
        process.kill()
        told.wait(30)

    monkeypatch.setattr("cloudsync.provider.settings._COMMAND_SECONDS", 0.05)
    monkeypatch.setattr("cloudsync.provider.settings._kill", kill)
    try:
        with pytest.raises(SecretError, match=r"did not end within 0\.05 s"):
            SecretRef(command=["sleep", "60"]).resolve(tmp_path)
    finally:
        told.set()


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://[::1]evil.example",
        "http://[::1].evil.example/",
        "http://127.0.0.1\r\nX: y",
        "https://a b",
        "https://u@h",
    ],
)
def test_an_endpoint_that_two_readers_could_read_differently_is_refused(endpoint: str) -> None:
    with pytest.raises(ValidationError):
        AccountSettings(endpoint=endpoint)


@pytest.mark.parametrize(
    "endpoint", ["http://[::1]:8080/v1", "https://api.example.com", "http://localhost:4110"]
)
def test_an_ordinary_endpoint_is_taken(endpoint: str) -> None:
    assert AccountSettings(endpoint=endpoint).endpoint == endpoint
