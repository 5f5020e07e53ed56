"""Plan files that are stale, half done, or hostile, through the command line."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloudsync.cli.main import run
from cloudsync.model.plan_digest import digest
from cloudsync.model.plan_json import from_document, to_document
from tests.cli.conftest import Shell


@pytest.fixture
def planned(shell: Shell) -> Shell:
    """443 is open; the plan file opens 8443 and 9443 and closes 443. Made in this process, which is
    faster than typed."""
    with contextlib.chdir(shell.folder), contextlib.redirect_stdout(io.StringIO()):
        assert run(["apply", "--auto-approve"]) == 0
        shell.configure('"8443/tcp", "9443/tcp"')
        assert run(["plan", "--out", "plan.json"]) == 0
    return shell


def document(shell: Shell) -> dict[str, Any]:
    return json.loads((shell.folder / "plan.json").read_text())  # type: ignore[no-any-return]


def forge(shell: Shell, change: Callable[[dict[str, Any]], object], *, seal: bool = True) -> None:
    """Change the file; `seal`: with a digest that fits, as whoever can write the file can compute
    one."""
    value = document(shell)
    change(value)
    path = shell.folder / "plan.json"
    if seal:
        value["digest"] = ""
        for part in [value]:
            part["digest"] = _digest_of(part)
    path.write_text(json.dumps(value))


def _digest_of(value: dict[str, Any]) -> str:
    from cloudsync.model.plan_json import PlanDocument, _plan

    return digest(_plan(PlanDocument.model_validate(value)))


def rules(shell: Shell) -> set[str]:
    return {rule["ports"] for rule in json.loads((shell.folder / "fw.json").read_text())["rules"]}


def test_a_plan_that_is_partly_done_goes_on(planned: Shell) -> None:
    path = planned.folder / "fw.json"
    value = json.loads(path.read_text())
    value["rules"].append({"protocol": "tcp", "ports": "8443", "sources": ["0.0.0.0/0", "::/0"]})
    path.write_text(json.dumps(value))
    assert planned.code("apply", "plan.json") == 0
    assert rules(planned) == {"22", "8443", "9443"}


def test_an_expected_digest_is_equality(planned: Shell) -> None:
    wanted = document(planned)["digest"]
    path = planned.folder / "fw.json"
    value = json.loads(path.read_text())
    value["rules"].append({"protocol": "tcp", "ports": "8443", "sources": ["0.0.0.0/0", "::/0"]})
    path.write_text(json.dumps(value))
    assert planned.code("apply", "--expect", wanted) == 4
    assert rules(planned) == {"22", "443", "8443"}


def test_what_moved_is_shown(planned: Shell) -> None:
    planned.configure('"8443/tcp", "9443/tcp", "25/tcp"')
    done = planned.types("apply", "plan.json")
    assert done.returncode == 4
    assert "now also opens 25/tcp" in done.stdout
    assert rules(planned) == {"22", "443"}


def test_a_plan_of_a_firewall_that_is_not_configured_any_more(planned: Shell) -> None:
    path = planned.folder / "cloudsync.toml"
    path.write_text(path.read_text().replace("[firewalls.web]", "[firewalls.shop]"))
    done = planned.types("apply", "plan.json")
    assert done.returncode == 4
    assert "not in the configuration: web" in done.stdout
    assert rules(planned) == {"22", "443"}


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda value: value.update(owner="blog"), "owner"),
        (
            lambda value: value["firewalls"][0].update(endpoint="https://evil.example"),
            "another firewall or another account",
        ),
        (
            lambda value: value["firewalls"][0].update(identity="other.json"),
            "another firewall or another account",
        ),
        (
            lambda value: value["firewalls"][0].update(type="hetzner"),
            "another firewall or another account",
        ),
        (
            lambda value: value["firewalls"][0].update(id="/etc/passwd"),
            "another firewall at the vendor",
        ),
        (lambda value: value["firewalls"][0]["changes"].pop(), "now also"),
        (lambda value: value.update(created="2020-01-01T00:00:00+00:00"), "plan_max_age"),
        (lambda value: value.update(created="9000-01-01T00:00:00+00:00"), "future"),
    ],
)
def test_4_a_plan_file_that_fits_something_else(
    planned: Shell, change: Callable[[dict[str, Any]], object], word: str
) -> None:
    forge(planned, change)
    done = planned.types("apply", "plan.json")
    assert done.returncode == 4, done.stdout + done.stderr
    assert word in done.stdout
    assert rules(planned) == {"22", "443"}


def test_steps_of_a_file_are_never_executed(planned: Shell) -> None:
    forge(
        planned,
        lambda value: value["firewalls"][0].update(
            steps=[{"summary": "open everything", "kind": "widen"}]
        ),
    )
    assert planned.code("apply", "plan.json") == 0
    assert rules(planned) == {"22", "8443", "9443"}


def test_changes_that_nobody_wants_are_not_made_because_a_file_names_them(planned: Shell) -> None:
    change = {
        "action": "open",
        "protocol": "tcp",
        "ports": "3306",
        "sources": ["0.0.0.0/0"],
        "reason": "please",
    }
    forge(planned, lambda value: value["firewalls"][0]["changes"].append(change))
    assert planned.code("apply", "plan.json") == 0
    assert rules(planned) == {"22", "8443", "9443"}


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value["firewalls"][0]["changes"].pop(),
        lambda value: value["firewalls"][0]["changes"][0].update(ports="1-65535"),
        lambda value: value["firewalls"][0]["changes"][0].update(ports="0"),
        lambda value: value["firewalls"][0]["changes"][0].update(sources=["10.0.0.1/8"]),
        lambda value: value["firewalls"][0]["changes"][0].update(action="explode"),
        lambda value: value["firewalls"][0].pop("changes"),
        lambda value: value.update(digest="sha256:" + "0" * 64),
        lambda value: value.update(digest=7),
        lambda value: value.update(format_version="2.0"),
        lambda value: value.update(created="yesterday"),
        lambda value: value.update(created="2026-01-01T00:00:00"),
        lambda value: value.update(granted={"adopt": "web"}),
        lambda value: value.update(firewalls={"web": []}),
        lambda value: value["firewalls"][0].update(
            held=[{"protocol": "tcp", "ports": "1", "sources": ["x"], "reason": "grace"}]
        ),
    ],
)
def test_64_a_plan_file_that_is_none(
    planned: Shell, change: Callable[[dict[str, Any]], object]
) -> None:
    forge(planned, change, seal=False)
    done = planned.types("apply", "plan.json")
    assert done.returncode == 64, done.stdout
    assert len(done.stderr.splitlines()) <= 4
    assert "Traceback" not in done.stderr
    assert rules(planned) == {"22", "443"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[" * 200_000,
        '{"a":' * 200_000,
        '{"format_version": "1.0", "firewalls": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"format_version": "1.0", "unchanged": ' + "9" * 10_000 + "}",
        '{"format_version": "1.0", "created": "' + "x" * 1_000_000 + '"}',
        "\x00" * 1000,
        '{"format_version": "1.0"' + " " * (17 * 1024 * 1024) + "}",
        '{"format_version": "1.0", "owner": "\\ud800"}',
        '{"format_version": NaN}',
    ],
    ids=lambda text: f"{text[:20]!r} of {len(text)}",
)
def test_64_huge_or_deep_files(planned: Shell, text: str) -> None:
    (planned.folder / "plan.json").write_text(text)
    done = planned.types("apply", "plan.json")
    assert done.returncode == 64, done.stderr[-300:]
    assert "Traceback" not in done.stderr
    assert len(done.stderr) < 1000


def test_64_bytes_that_are_no_text(planned: Shell) -> None:
    (planned.folder / "plan.json").write_bytes(b"\xff\xfe{}")
    assert planned.code("apply", "plan.json") == 64


def test_what_a_file_was_granted_cannot_be_given_to_names_that_are_not_there(
    planned: Shell,
) -> None:
    forge(planned, lambda value: value["granted"].update(adopt=["\x1b[31m"]))
    done = planned.types("apply", "plan.json")
    assert done.returncode == 64
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize(
    "change",
    [
        lambda granted: granted.update(ssh_moved=True),
        lambda granted: granted.update(now=True),
        lambda granted: granted.update(allow_close=1000),
        lambda granted: granted.update(allow_attach=["web"]),
    ],
)
def test_64_what_a_file_was_granted_is_not_changed_by_hand(
    planned: Shell, change: Callable[[dict[str, Any]], object]
) -> None:
    forge(planned, lambda value: change(value["granted"]))
    done = planned.types("apply", "plan.json")
    assert done.returncode == 64
    assert "granted was altered" in done.stderr
    forge(planned, lambda value: value.pop("grants_checksum"))
    assert planned.code("apply", "plan.json") == 64, "to leave the checksum away does not help"


def test_a_file_of_a_version_without_checksum_and_grants_is_applied(planned: Shell) -> None:
    forge(planned, lambda value: value.pop("grants_checksum"))
    assert planned.code("apply", "plan.json") == 0


def test_a_forged_grace_closes_nothing_and_keeps_nothing_open_that_was_approved_to_close(
    planned: Shell,
) -> None:
    held = {
        "protocol": "tcp",
        "ports": "443",
        "sources": ["0.0.0.0/0", "::/0"],
        "reason": "grace",
        "detail": "",
        "until": None,
    }
    forge(planned, lambda value: value["firewalls"][0]["held"].append(held))
    assert planned.code("apply", "plan.json") == 0
    assert rules(planned) == {"22", "8443", "9443"}


def test_a_plan_file_reads_back_as_it_was(planned: Shell) -> None:
    """All of it but what is told of machines: an apply looks at those itself."""
    text = (planned.folder / "plan.json").read_text()
    written, read_back = json.loads(text), to_document(from_document(text))
    for document in (written, read_back):
        for key in ("exposure", "standing", "shared"):
            document["firewalls"][0].pop(key)
    assert written == read_back
    assert Path(planned.folder / "plan.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["-", "/dev/stdout"])
def test_a_plan_on_standard_output_is_the_document_and_nothing_else(
    shell: Shell, name: str
) -> None:
    done = shell.types("plan", "--out", name)
    assert json.loads(done.stdout)["format_version"] == "1.0"
    assert not (shell.folder / "-").exists()


def test_a_plan_is_written_to_the_file_behind_a_link(shell: Shell) -> None:
    (shell.folder / "plan.json").symlink_to("real.json")
    shell.types("plan", "--out", "plan.json")
    assert (shell.folder / "plan.json").is_symlink()
    assert json.loads((shell.folder / "real.json").read_text())["owner"] == "shop"
