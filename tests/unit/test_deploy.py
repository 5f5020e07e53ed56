"""What is shipped for unattended runs: units that systemd accepts and rates as hardened, a cron
line, documents that are true."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cloudsync.cli.main import run
from cloudsync.model.ports import LabelScope
from cloudsync.notify.metrics import METRICS
from cloudsync.notify.run import ERROR_KINDS
from cloudsync.sources.docker.engine import read_engine
from cloudsync.watch import events
from tests.doubles.engine import FakeEngine

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "deploy" / "systemd"
SERVICES = ("cloudsync.service", "cloudsync-watch.service")
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze (package systemd)"
)


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *words], capture_output=True, text=True, timeout=60, check=False
    )


def installed(tmp_path: Path) -> list[str]:
    """The units as they would lie on a machine, with a command that exists here."""
    command = tmp_path / "cloudsync"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    units = sorted(path for path in UNITS.iterdir() if path.is_file())
    for unit in units:
        (tmp_path / unit.name).write_text(
            unit.read_text().replace("/usr/local/bin/cloudsync", str(command))
        )
    for name in SERVICES:  # with the drop-ins of every cloud
        folder = tmp_path / f"{name}.d"
        folder.mkdir()
        for conf in (UNITS / "clouds").iterdir():
            (folder / conf.name).write_text(conf.read_text())
    return [str(tmp_path / unit.name) for unit in units]


@needs_systemd
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    done = analyze("verify", "--man=no", *installed(tmp_path))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_systemd
def test_verify_would_see_a_mistake(tmp_path: Path) -> None:
    units = installed(tmp_path)
    with (tmp_path / "cloudsync.service").open("a") as unit:
        unit.write("\n[Service]\nProtectSytem=strict\n")
    assert "ProtectSytem" in analyze("verify", "--man=no", *units).stderr


@needs_systemd
@pytest.mark.parametrize("name", SERVICES)
def test_systemd_rates_the_services_as_hardened(name: str) -> None:
    done = analyze("security", "--offline=yes", "--threshold=20", "--no-pager", str(UNITS / name))
    assert done.returncode == 0, done.stdout
    rated = re.search(r"Overall exposure level for .*: ([0-9.]+)", done.stdout)
    assert rated is not None
    assert float(rated.group(1)) < 2.0


def test_the_units_need_no_program_that_a_small_machine_lacks() -> None:
    """`/bin/kill` comes with a package (procps) that minimal systems do without."""
    lines = [line for unit in UNITS.glob("*.service") for line in unit.read_text().splitlines()]
    commands = [line.partition("=")[2].lstrip("-+!@:") for line in lines if line.startswith("Exec")]
    programs = {shlex.split(command)[0] for command in commands}
    assert programs == {"/usr/local/bin/cloudsync", "/bin/sh", "/usr/sbin/nft"}


@pytest.mark.parametrize("name", SERVICES)
def test_the_units_commands_are_commands_of_cloudsync(
    name: str, accepts: Callable[..., None]
) -> None:
    (line,) = [
        line for line in (UNITS / name).read_text().splitlines() if line.startswith("ExecStart=")
    ]
    accepts(*shlex.split(line.removeprefix("ExecStart="))[1:])


def test_the_cron_line_is_a_command_of_cloudsync(accepts: Callable[..., None]) -> None:
    lines = (ROOT / "deploy" / "cron" / "cloudsync").read_text().splitlines()
    (line,) = [
        line for line in lines if line and not line.startswith("#") and "=" not in line.split()[0]
    ]
    minute, hour, day, month, weekday, user, command, *words = line.split()
    assert (minute, hour, day, month, weekday, user, command) == (
        "*/5",
        "*",
        "*",
        "*",
        "*",
        "root",
        "cloudsync",
    )
    accepts(*words)
    assert (
        "\n" in (ROOT / "deploy" / "cron" / "cloudsync").read_text()[-1:]
    )  # cron ignores a last line without an end


@pytest.fixture
def accepts(capsys: pytest.CaptureFixture[str]) -> Callable[..., None]:
    """Whether the command line takes these words: it gets as far as the configuration, which is not
    there."""

    def check(*words: str) -> None:
        assert "/etc/cloudsync/config.toml" in words
        there = [
            word.replace("/etc/cloudsync/config.toml", "/nowhere/config.toml") for word in words
        ]
        assert (run(there), capsys.readouterr().err) == (
            64,
            "/nowhere/config.toml:1:1: cannot be read: No such file or directory\n",
        )

    return check


def between(name: str) -> str:
    found = re.search(
        rf"<!-- {name}:.*?-->\n(.*?)<!-- /{name} -->",
        (ROOT / "docs" / "unattended.md").read_text(),
        re.DOTALL,
    )
    assert found is not None
    return found.group(1)


def metrics_table() -> str:
    """The reference of metrics, from the code."""
    rows = [
        f"| `{one.name}` | {one.kind} | {', '.join(f'`{label}`' for label in one.labels)} |"
        f" {one.help} |"
        for one in METRICS
    ]
    kinds = [f"| `{kind}` | {text} |" for kind, text in ERROR_KINDS.items()]
    head = ["| metric | kind | labels, besides `owner` | |", "|---|---|---|---|"]
    return (
        "\n".join(
            [*head, *rows, "", "| `kind` of `cloudsync_errors_total` | |", "|---|---|", *kinds]
        )
        + "\n"
    )


def test_the_documented_metrics_are_the_codes() -> None:
    assert between("metrics") == metrics_table()


def test_the_documented_requests_are_exactly_those_that_are_made(tmp_path: Path) -> None:
    documented = dict.fromkeys(
        re.findall(r"^\| `(GET /[^`]*)` \|", between("requests"), re.MULTILINE), 0
    )
    with FakeEngine(tmp_path, containers=3) as engine:
        image = "sha256:" + "1" * 64
        for number in range(3):
            container = engine.container(number, **{"cloudsync.ports": str(8000 + number)})
            engine.routes[f"/containers/{engine.id(number)}/json"] = container | {"Image": image}
        engine.routes[f"/images/{image}/json"] = {"Config": {"Labels": None}}
        read_engine("h", engine.endpoint, LabelScope({}, frozenset()), timeout=10, concurrency=4)
        asked = [*engine.requests, ("GET", events.PATH.split("?")[0])]
    for method, path in asked:
        words = [
            re.sub(r"[0-9a-f:]{64,}|sha256:[0-9a-f]{64}", "{id}", part) for part in path.split("/")
        ]
        documented[f"{method} {'/'.join(words)}"] += 1  # a KeyError: made, and not documented
    assert all(documented.values()), documented
    (regex,) = re.findall(
        r"^\^\(/v1.*\$$", (ROOT / "docs" / "unattended.md").read_text(), re.MULTILINE
    )
    pattern = re.compile(regex)
    assert all(pattern.match(path) and pattern.match("/v1.41" + path) for _, path in asked)
    assert not [
        path
        for path in ("/containers/create", "/images/json", "/containers/x/json", "/exec/1/json")
        if pattern.match(path)
    ]


def test_the_documented_webhook_body_fits_its_schema() -> None:
    import jsonschema

    text = (ROOT / "docs" / "unattended.md").read_text()
    body = next(json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL))
    schema = json.loads((ROOT / "cloudsync" / "notify" / "webhook.schema.json").read_text())
    jsonschema.validate(body, schema)
    assert schema["properties"].keys() == body.keys()
