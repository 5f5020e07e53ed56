"""Secret references: where a secret may come from, and that it never shows."""

from __future__ import annotations

import sys
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
