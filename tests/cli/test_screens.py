"""Whole screens as they are recorded, at 80 and at 120 columns, and every command at every width.

`CLOUDSYNC_RECORD=1 pytest tests/cli/test_screens.py` records them again; the diff is the review.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import termios
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from cloudsync.cli.main import COMMANDS as COMMANDS_BY_NAME
from cloudsync.cli.main import cloudsync, run
from cloudsync.cli.shared import Shell as Options
from cloudsync.cli.terminal import Log, fitted, rewrites, width
from cloudsync.render.blocks import BLANK, Block, Line, Row, Table
from cloudsync.render.screen import joined
from tests.cli.conftest import Shell
from tests.cli.test_discover import container
from tests.doubles.engine import FakeEngine
from tests.doubles.hetzner import HetznerDouble

SCREENS = Path(__file__).parent / "screens"
CONFIGURATION = """version = 1
owner = "vm"
state = "file://{folder}/state"
[ssh]
ports = [22]
sources = ["any"]
[networks]
partner = ["203.0.113.0/24"]
[policy]
expose = "published"
grace = "10m"
[providers.hetzner]
token = {{ env = "HCLOUD_TOKEN" }}
endpoint = "{endpoint}"
[hosts.web-1]
docker = "{engine}"
[firewalls.web]
provider = "hetzner"
hosts = ["web-1"]
servers = ["web-1"]
"""


class Machine(Shell):
    """A machine with containers, whose token can see one server."""

    def __init__(self, folder: Path, engine: FakeEngine, cloud: HetznerDouble) -> None:
        super().__init__(folder)
        self.engine, self.cloud = engine, cloud
        self.reads(engine.endpoint)

    def reads(self, engine: str) -> None:
        (self.folder / "cloudsync.toml").write_text(
            CONFIGURATION.format(folder=self.folder, endpoint=self.cloud.endpoint, engine=engine)
        )

    def shows(self, *words: str, columns: int = 80) -> str:
        """The command and its screen, times of the day taken out."""
        done = self.types(*words, HCLOUD_TOKEN=self.cloud.token, COLUMNS=str(columns))
        screen = done.stdout.replace(str(self.folder), "/srv")
        screen = re.sub(r"20\d\d-\d\d-\d\d", "2026-03-01", screen)
        return f"$ cloudsync {' '.join(words)}\n{screen}"

    def asks(
        self, *words: str, answer: str = "", columns: int = 80, until: str | None = None
    ) -> tuple[int, str]:
        """The command on a terminal, with an answer typed; its code and what the terminal
        showed. A command that runs on is interrupted when it has shown `until`."""
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, columns))
        environ = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
        process = subprocess.Popen(
            [sys.executable, "-m", "cloudsync", *words],
            cwd=self.folder,
            env={**environ, "HCLOUD_TOKEN": self.cloud.token, "TERM": "xterm", "NO_COLOR": "1"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        os.write(ours, answer.encode())
        shown = b""
        try:
            with contextlib.suppress(OSError):  # the other end of a terminal that closed
                while chunk := os.read(ours, 65536):
                    shown += chunk
                    if until is not None and until.encode() in shown:
                        process.send_signal(signal.SIGINT)
                        until = None
            process.wait(60)
        finally:
            process.kill()
            os.close(ours)
        return process.wait(), shown.decode().replace("\r\n", "\n")


def named(name: str, number: int, ports: dict[str, str], **more: Any) -> dict[str, Any]:
    made = container(number, ports, **more)
    made["Name"] = f"/{name}"
    return made


@pytest.fixture
def machine() -> Iterator[Machine]:
    # A path that is always as long: lines that name it break alike.
    with (
        tempfile.TemporaryDirectory(dir="/tmp", prefix="c") as name,
        FakeEngine(folder := Path(name), containers=0) as engine,
        HetznerDouble() as cloud,
    ):
        cloud.add_server("web-1")
        engine.routes["/info"] = {"ID": "first", "Swarm": {"LocalNodeState": "inactive"}}
        containers = [
            named("ftp", 0, {"21/tcp": "21", **{f"{n}/tcp": str(n) for n in range(8000, 8005)}}),
            named("traefik", 1, {"80/tcp": "80", "443/tcp": "443", "443/udp": "443"}),
            named("shop-admin", 2, {"3000/tcp": "3000"}),
            named("db", 3, {"5432/tcp": "5432"}),
            named("debug", 4, {"9000/tcp": "9000"}, **{"cloudsync.expose": "false"}),
            named("partner-api", 5, {"8443/tcp": "8443"}, **{"cloudsync.sources": "@partner"}),
            named("cache", 6, {"6379/tcp": "6379"}, address="127.0.0.1"),
        ]
        engine.routes["/containers/json"] = [{"Id": one["Id"]} for one in containers]
        engine.routes |= {f"/containers/{one['Id']}/json": one for one in containers}
        engine.routes["/images/sha256:1/json"] = {"Config": {"Labels": {}}}
        yield Machine(folder, engine, cloud)


def recorded(name: str, screen: str) -> None:
    path = SCREENS / f"{name}.txt"
    if os.environ.get("CLOUDSYNC_RECORD"):
        path.write_text(screen)
    assert screen == path.read_text()


@pytest.mark.parametrize("columns", [80, 120])
def test_the_first_hour(machine: Machine, columns: int) -> None:
    """From the first look to the first apply, and what one asks afterwards."""
    recorded(f"discover-{columns}", machine.shows("discover", columns=columns))
    recorded(f"plan-first-{columns}", machine.shows("plan", columns=columns))
    apply = ("apply", "--auto-approve", "--allow-attach", "web")
    recorded(f"apply-first-{columns}", machine.shows(*apply, columns=columns))
    recorded(f"plan-again-{columns}", machine.shows("plan", columns=columns))
    recorded(f"status-{columns}", machine.shows("status", columns=columns))
    recorded(f"exposure-{columns}", machine.shows("exposure", columns=columns))
    recorded(f"check-access-{columns}", machine.shows("check-access", columns=columns))


@pytest.mark.parametrize("columns", [80, 120])
def test_an_engine_that_is_down_is_one_reason_and_one_row(machine: Machine, columns: int) -> None:
    machine.shows("apply", "--auto-approve", "--allow-attach", "web")
    Path(machine.engine.endpoint.removeprefix("unix://")).unlink()
    screen = machine.shows("plan", columns=columns)
    recorded(f"engine-down-{columns}", screen)
    assert len(screen.splitlines()) < 16
    assert screen.count("could not be read") == 3
    status = machine.shows("status", columns=columns)
    recorded(f"status-engine-down-{columns}", status)
    assert status.count("does not exist") == 1


@pytest.mark.parametrize("columns", [80, 120])
def test_a_wrong_token_is_one_reason_and_the_next_command(machine: Machine, columns: int) -> None:
    commands = (("plan",), ("apply", "--auto-approve"), ("status",), ("exposure",))
    screens = []
    for words in commands:
        done = machine.types(*words, HCLOUD_TOKEN="wrong", COLUMNS=str(columns))
        assert done.returncode == 1
        assert done.stdout.count("unauthorized") == 1, done.stdout
        screens.append(f"$ cloudsync {' '.join(words)}\n{done.stdout}")
    recorded(f"wrong-token-{columns}", "\n".join(screens))


@pytest.mark.parametrize(
    ("words", "summary"),
    [
        (("report",), ""),
        (("explain", "443", "--html"), ""),
        (("audit", "--output", "html", "--fail-on", "none"), r"\. \d+ \w+"),
    ],
)
def test_a_page_that_was_written_is_named_on_a_terminal_alone(
    machine: Machine, words: tuple[str, ...], summary: str
) -> None:
    _, screen = machine.asks(*words, "--out", "page.html", columns=200)
    assert re.search(rf"Written: page\.html{summary}", screen), screen
    _, quiet = machine.asks(*words, "--out", "page.html", "--quiet", columns=200)
    assert "Written" not in quiet
    piped = machine.types(*words, "--out", "page.html", HCLOUD_TOKEN=machine.cloud.token)
    assert "Written" not in piped.stdout + piped.stderr


@pytest.mark.parametrize("columns", [80, 120])
def test_what_is_the_same_on_two_machines_stands_once(machine: Machine, columns: int) -> None:
    file = machine.folder / "cloudsync.toml"
    host = f'[hosts.web-2]\ndocker = "{machine.engine.endpoint}"\n[firewalls.web]'
    two = (
        file.read_text().replace("[firewalls.web]", host).replace('["web-1"]', '["web-1", "web-2"]')
    )
    file.write_text(two)
    machine.cloud.add_server("web-2")
    agent = named("agent", 7, {})
    agent["HostConfig"] = {"NetworkMode": "host", "PortBindings": {}}
    agent["NetworkSettings"] = {"Ports": {}, "Networks": {"host": {"NetworkID": "h"}}}
    machine.engine.routes["/networks"].append(
        {"Id": "h", "Name": "host", "Driver": "host", "Internal": False, "Options": {}}
    )
    machine.engine.routes["/containers/json"].append({"Id": agent["Id"]})
    machine.engine.routes[f"/containers/{agent['Id']}/json"] = agent
    screen = machine.shows("plan", columns=columns)
    recorded(f"plan-two-machines-{columns}", screen)
    assert screen.count("agent on web-1 and web-2") == 1


@pytest.mark.parametrize("columns", [80, 120])
def test_what_closes_and_what_another_firewall_leaves_open(machine: Machine, columns: int) -> None:
    machine.shows("apply", "--auto-approve", "--allow-attach", "web")
    rules = [
        {
            "direction": "in",
            "protocol": "tcp",
            "port": port,
            "source_ips": ["0.0.0.0/0", "::/0"],
        }
        for port in ("22", "80", "443", "8888", "3389")
    ]
    (made,) = machine.cloud.firewalls
    machine.cloud.set_rules_by_hand(made, rules)
    recorded(f"plan-drift-{columns}", machine.shows("plan", columns=columns))


COMMANDS = (
    ("discover",),
    ("plan",),
    ("plan", "-v"),
    ("apply", "--auto-approve"),
    ("explain", "5432"),
    ("explain", "tcp/443"),
    ("exposure",),
    ("status",),
    ("doctor",),
    ("history",),
    ("history", "--all"),
    ("check-access",),
    ("providers",),
)


def test_no_command_breaks_a_word_or_goes_beyond_the_width(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(machine.folder)
    monkeypatch.setenv("HCLOUD_TOKEN", machine.cloud.token)
    monkeypatch.setenv("HOME", "/srv")
    monkeypatch.delenv("CLOUDSYNC_CONFIG", raising=False)
    screens: list[tuple[str, list[Block]]] = []
    monkeypatch.setattr(
        Options, "print", lambda _, blocks: screens.append((" ".join(words), list(blocks)))
    )
    for words in COMMANDS:
        run(words)
    assert {name for name, _ in screens} == {" ".join(words) for words in COMMANDS}
    for name, blocks in screens:
        whole = Counter(joined(blocks, colour=False, width=1000).split())
        for columns in (60, *range(61, 200, 9), 200):
            screen = joined(blocks, colour=False, width=columns)
            assert not [line for line in screen.splitlines() if len(line) > columns], name
            if max(map(len, whole)) <= columns - 10:  # a path of this test may be wider
                assert Counter(screen.split()) == whole, (name, columns)


def test_a_word_that_is_wider_than_the_page_is_the_only_one_that_breaks() -> None:
    screen = joined([Line("to /" + "x" * 70 + " and back")], colour=False, width=60)
    assert all(len(line) <= 60 for line in screen.splitlines())
    assert screen.splitlines()[0] == "to"
    assert screen.endswith(" and back")


def test_wide_characters_count_as_two_columns() -> None:
    table = Table((Row(("全角文字", "a " * 40)), Row(("ab", "b " * 40))), indent=0)
    lines = joined([table], colour=False, width=60).splitlines()
    assert lines[0].startswith("全角文字  a")
    assert lines[2].startswith("ab        b")


def test_prose_without_room_stands_beneath_its_row() -> None:
    table = Table((Row(("x" * 20, "y" * 26, "a reason of several long words")),))
    assert joined([BLANK, table], colour=False, width=60).splitlines() == [
        f"  {'x' * 20}  {'y' * 26}",
        "      a reason of several long words",
    ]


def test_red_is_only_for_what_closes_or_is_open_beyond() -> None:
    for style, code in (("close", "31"), ("beyond", "1;31")):
        line = Line("web", style)  # type: ignore[arg-type]  # of the list above
        assert f"\x1b[{code}m" in joined([line], colour=True)
    for style in ("error", "warning", "attach", "open", "quiet", "title"):
        assert "31m" not in joined([Line("web", style)], colour=True)  # type: ignore[arg-type]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_one_line_that_is_gone_before_anything_else_is_printed() -> None:
    stream = Terminal()
    handler = Log(stream, rewriting=True)
    for message, event in (("reading", "progress"), ("waiting", "progress"), ("note", "log")):
        record = logging.LogRecord("cloudsync", logging.INFO, "", 0, message, None, None)
        record.event = event
        handler.emit(record)
    assert stream.getvalue() == "\r\x1b[Kreading\r\x1b[Kwaiting\r\x1b[Knote\n"
    assert rewrites({"TERM": "xterm"}, stream)
    assert not rewrites({"TERM": "dumb"}, stream)
    assert not rewrites({"TERM": "xterm"}, io.StringIO())


@pytest.mark.parametrize(
    ("environ", "columns"), [({"COLUMNS": "97"}, 97), ({"COLUMNS": "x"}, 80), ({}, 80)]
)
def test_the_width_is_columns_or_the_terminals_or_80(environ: dict[str, str], columns: int) -> None:
    assert width(environ, io.StringIO()) == columns


def test_a_question_is_asked_only_if_a_yes_would_do_something(machine: Machine) -> None:
    (machine.folder / "cloudsync.toml").write_text(
        (machine.folder / "cloudsync.toml")
        .read_text()
        .replace("servers =", 'name = "x"\nservers =')
    )
    made = machine.cloud.add_firewall("x")
    asked, screen = machine.asks("apply", answer="yes\n")
    assert "ownership: nothing of it is applied" in screen
    assert "Only 'yes' is accepted" not in screen
    assert asked == 3
    assert machine.cloud.firewalls[made].rules == []


def test_a_yes_says_what_it_grants_once_and_does_it(machine: Machine) -> None:
    code, screen = machine.asks("apply", answer="yes\n")
    assert "A yes also attaches what is shown above (as --allow-attach web does)" in screen
    assert screen.count("--allow-attach") == 1
    assert "needs your yes" not in screen.lower()
    assert "web: created, attached to web-1; opened " in screen
    assert code == 0


COMPOSE = """name: shop
services:
  db:
    image: postgres
    ports: ["5432:5432"]
  agent:
    image: example/agent
    privileged: true
    volumes: ["/var/run/docker.sock:/var/run/docker.sock"]
"""
ALL_COMMANDS = {
    **{" ".join(words): words for words in COMMANDS},
    "init": ("init", "--no-input", "--provider", "local", "--ports", "443", "-c", "new.toml"),
    "config check": ("config", "check"),
    "audit": ("audit", "--compose", "compose.yaml"),
    "observe": ("observe", "-c", "host.toml"),
    "confirm": ("confirm", "-c", "host.toml"),
    "report": ("report", "--out", "page.html"),
    "history last": ("history", "last"),
    "completion": ("completion", "bash", "--help"),
    "release": ("release", "web"),
}
"""What each command prints for people; `config show`, `config schema`, JSON, HTML and Markdown are
for machines."""
LOGGING = {
    "publish": ("publish",),
    "publish, without an engine": ("publish", "-c", "silent.toml"),
    "watch": ("watch", "-v", "--interval", "1h"),
}
"""What prints a log: on a terminal its lines are wrapped, elsewhere each stays one line."""


def shown(words: tuple[str, ...], columns: int, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(columns))
        run(words)
    return capsys.readouterr().out


def one_moment(screen: str) -> list[str]:
    """Its words, without what differs between two runs."""
    return [word for word in screen.split() if not re.search(r"\d\d:\d\d|\d{8}T\d{6}", word)]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("columns", [60, 72, 80, 100, 133, 200])
def test_what_is_really_printed_fits_the_terminal(
    machine: Machine,
    columns: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(machine.folder)
    monkeypatch.setenv("HCLOUD_TOKEN", machine.cloud.token)
    monkeypatch.setenv("HOME", "/srv")
    monkeypatch.delenv("CLOUDSYNC_CONFIG", raising=False)
    Path("compose.yaml").write_text(COMPOSE)
    host = Path("cloudsync.toml").read_text().replace("hetzner", "host")
    host = re.sub(r"(?m)^(token|endpoint|servers) = .*\n", "", host)
    Path("host.toml").write_text(host + 'enforce = "observe"\n')
    run(("apply", "--auto-approve", "--quiet", "--allow-attach", "web"))
    capsys.readouterr()
    for name, words in ALL_COMMANDS.items():
        narrow = shown(words, columns, capsys)
        Path("new.toml").unlink(missing_ok=True)
        too_wide = [line for line in narrow.splitlines() if len(line) > columns]
        too_wide = [line for line in too_wide if len(line.split()) > 1]  # a path of this test
        assert not too_wide, (name, too_wide)
        wide = shown(words, 1000, capsys)
        Path("new.toml").unlink(missing_ok=True)
        if name == "release":
            continue  # a second time it has nothing to take off
        lost = Counter(one_moment(wide)) - Counter(one_moment(narrow))
        assert not [word for word in lost if len(word) < columns - 12], (name, lost)


def logged(machine: Machine, name: str, columns: int) -> tuple[list[str], list[str]]:
    """The lines that stay on a terminal, and those of progress, which are rewritten and may be
    cut."""
    for firewall in machine.cloud.firewalls:
        machine.cloud.set_rules_by_hand(firewall, [])
    sign = "web: opened" if name == "watch" else None
    code, shown = machine.asks(*LOGGING[name], columns=columns, until=sign)
    assert code == (75 if name == "publish, without an engine" else 0), shown
    states = [line.split("\r\x1b[K") for line in shown.split("\n")]
    return [line[-1] for line in states], [state for line in states for state in line[:-1]]


@pytest.mark.parametrize("name", LOGGING)
def test_what_is_logged_fits_the_terminal(machine: Machine, name: str) -> None:
    configuration = (machine.folder / "cloudsync.toml").read_text()
    silent = re.sub(r'docker = ".*"', 'docker = "unix:///nowhere.sock"', configuration)
    (machine.folder / "silent.toml").write_text(silent)
    machine.shows("apply", "--auto-approve", "--quiet", "--allow-attach", "web")
    wide, _ = logged(machine, name, 1000)
    assert len(wide) > 0
    for columns in (60, 80):
        narrow, progress = logged(machine, name, columns)
        assert not [line for line in progress if len(line) >= columns]
        too_wide = [line for line in narrow if len(line) > columns and len(line.split()) > 1]
        assert not too_wide, too_wide
        lost = set(one_moment(" ".join(wide))) - set(one_moment(" ".join(narrow)))
        assert not [word for word in lost if len(word) < columns - 12], lost
    for columns in range(60, 201):
        for line in wide:
            page = fitted(line, {"COLUMNS": str(columns)}, Terminal())
            too_wide = [row for row in page.splitlines() if len(row) > columns]
            assert not [row for row in too_wide if len(row.split()) > 1]
            lost = Counter(line.split()) - Counter(page.split())
            assert not [word for word in lost if len(word) < columns - 12], lost


@pytest.mark.parametrize(
    "words",
    [
        ("status", "--output", "json"),
        ("discover", "--output", "json"),
        ("audit", "--output", "json"),
        ("report", "--out", "page.html"),
        ("publish",),
    ],
    ids=" ".join,
)
def test_progress_does_not_stay_on_the_terminal(machine: Machine, words: tuple[str, ...]) -> None:
    _, shown = machine.asks(*words)
    assert "\r\x1b[K1 of 1 engine read" in shown
    left = [line.split("\r\x1b[K")[-1] for line in shown.split("\n")]
    assert not [line for line in left if "read" in line.split('"')[0]]


def test_every_command_has_its_width_looked_at() -> None:
    looked_at = {words[0] for words in (*ALL_COMMANDS.values(), *LOGGING.values())}
    assert looked_at == set(COMMANDS_BY_NAME)


def test_help_of_every_command_fits_every_width() -> None:
    """As wide as the terminal, and never wider than 80 columns."""
    for name, command in every_command():
        words = {word for word in helped(command, name, 400).split() if word != "\\"}
        for columns in range(60, 201):
            lines = helped(command, name, columns).splitlines()
            assert max(map(len, lines)) <= columns, (name, columns)
            narrow = {word for line in lines for word in line.split() if word != "\\"}
            assert narrow == words, (name, columns, narrow ^ words)


def every_command() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(cloudsync, info_name="cloudsync")
    yield "", cloudsync
    for name in COMMANDS_BY_NAME:
        command = cloudsync.get_command(context, name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", sub) for inner, sub in command.commands.items())


def helped(command: click.Command, name: str, columns: int) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(columns))
        if command is not cloudsync:
            # The examples are laid out for the terminal when the command is looked up.
            outer = click.Context(cloudsync, info_name="cloudsync")
            cloudsync.get_command(outer, name.split()[0])
            context = command.context_class(command, info_name=name, parent=outer)
        else:
            context = command.context_class(command, info_name="cloudsync")
        return command.get_help(context)
