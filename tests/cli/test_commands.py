"""Commands as a person meets them."""

from __future__ import annotations

import io
import json
import logging
import tomllib

import pytest

from cloudsync.cli.shared import JsonLines, colours
from tests.cli.conftest import Shell


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("choice", "environ", "terminal", "coloured"),
    [
        ("always", {"NO_COLOR": "1"}, False, True),
        ("never", {"FORCE_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"FORCE_COLOR": "1", "CLICOLOR": "0"}, False, True),
        ("auto", {"CLICOLOR_FORCE": "1"}, False, True),
        ("auto", {"CLICOLOR": "0"}, True, False),
        ("auto", {"TERM": "dumb"}, True, False),
        ("auto", {}, True, True),
        ("auto", {}, False, False),
    ],
)
def test_when_there_are_colours(
    choice: str, environ: dict[str, str], terminal: bool, coloured: bool
) -> None:
    assert colours(choice, environ, Terminal() if terminal else io.StringIO()) is coloured


def test_colours_of_a_plan_can_be_forced(shell: Shell) -> None:
    assert "\x1b[32m" in shell.types("plan", "--color", "always").stdout
    assert "\x1b" not in shell.types("plan").stdout


def test_config_show_can_be_loaded_again(shell: Shell) -> None:
    shown = shell.types("config", "show").stdout
    (shell.folder / "shown.toml").write_text(shown)
    assert tomllib.loads(shown)["policy"]["max_close"] == 5
    assert shell.types("config", "show", "-c", "shown.toml").stdout == shown


def test_config_show_says_of_a_secrets_command_the_program_alone(shell: Shell) -> None:
    path = shell.folder / "cloudsync.toml"
    text = path.read_text()
    token = 'token = { command = ["curl", "-H", "X-Vault-Token: s.hunter2"] }'
    path.write_text(
        text.replace("[providers.local]", f"[providers.local]\n[providers.hetzner]\n{token}")
    )
    done = shell.types("config", "show")
    assert done.returncode == 0, done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    shown = tomllib.loads(done.stdout)["providers"]["hetzner"]["token"]["command"]
    assert (shown[0], len(shown)) == ("curl", 2)


def test_config_schema_is_json(shell: Shell) -> None:
    assert json.loads(shell.types("config", "schema").stdout)["$schema"].startswith(
        "http://json-schema.org/draft-07"
    )


def test_providers_lists_what_each_can_do(shell: Shell) -> None:
    rows = {
        row["type"]: row for row in json.loads(shell.types("providers", "--output", "json").stdout)
    }
    assert rows["local"]["capabilities"]["protocols"] is None
    assert rows["hetzner"]["capabilities"]["attaches"] is True
    assert "hetzner" in shell.types("providers").stdout


def test_discover_shows_static_ports_with_their_place(shell: Shell) -> None:
    done = shell.types("discover")
    assert done.returncode == 0
    assert "443/tcp" in done.stdout
    assert "cloudsync.toml:13" in done.stdout


def test_markdown_of_a_plan_is_a_table(shell: Shell) -> None:
    assert "| ➕ | 443/tcp | everyone |" in shell.types("plan", "--output", "markdown").stdout


def test_logs_can_be_json_lines() -> None:
    record = logging.LogRecord("cloudsync", logging.INFO, "", 1, "reading %s", ("web-1",), None)
    assert json.loads(JsonLines().format(record))["message"] == "reading web-1"


def test_explain_tells_one_port_and_takes_its_protocol_from_the_text(shell: Shell) -> None:
    done = shell.types("explain", "443")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("443/tcp\n")
    assert "an apply would open it" in done.stdout
    document = json.loads(shell.types("explain", "443/udp", "--output", "json").stdout)
    assert [(one["protocol"], one["ports"]) for one in document["explained"]] == [("udp", "443")]
    assert shell.types("explain", "everything").returncode == 64


def test_no_command_at_all_prints_the_help_once(shell: Shell) -> None:
    done = shell.types()
    assert done.returncode == 64
    assert done.stderr.count("Usage: cloudsync [OPTIONS]") == 1
    assert "Error" not in done.stderr


@pytest.mark.parametrize(
    ("words", "suggested"),
    [
        (("plna",), 'no command "plna", did you mean "plan"?'),
        (("config", "chekc"), 'no command "chekc", did you mean "check"?'),
        (("release", "wbe"), 'no firewall "wbe", did you mean "web"?'),
        (("plan", "--firewall", "mail"), 'no firewall "mail": it has web'),
        (("history", "--host", "web1"), 'no host "web1", did you mean "web-1"?'),
        (("audit", "mail"), 'no host "mail": it has web-1'),
        (("watch", "--firewall", "wbe"), 'no firewall "wbe", did you mean "web"?'),
    ],
)
def test_a_name_that_does_not_exist_is_answered_with_the_nearest(
    shell: Shell, words: tuple[str, ...], suggested: str
) -> None:
    done = shell.types(*words)
    assert (done.returncode, suggested in done.stderr) == (64, True), done.stderr


def test_explain_says_why_a_port_is_held_in_a_row_of_its_own(shell: Shell) -> None:
    shell.types("apply", "--auto-approve")
    shell.configure(ports="", host='compose = ["missing.yaml"]')
    done = shell.types("explain", "443")
    assert "  stays open  443/tcp from everyone, because web-1 could not be read\n" in done.stdout
    assert "  closes      once every host of the firewall can be read" in done.stdout
    assert done.stdout.count("missing.yaml") == 1


@pytest.mark.parametrize("command", ["confirm", "observe"])
def test_commands_about_a_machines_own_firewall_say_that_there_is_none(
    shell: Shell, command: str
) -> None:
    done = shell.types(command)
    assert (done.returncode, done.stdout) == (64, "")
    assert "acts on a machine itself" in done.stderr


PER_HOST = """
[hosts.web-2]
ports = ["8443/tcp"]
[firewalls.edge]
provider = "local"
per_host = true
hosts = ["web-*"]
path = "{host}.json"
"""


def test_the_name_of_a_table_for_every_host_chooses_all_its_firewalls(shell: Shell) -> None:
    shell.configure(more=PER_HOST)

    def planned(*words: str) -> list[str]:
        document = json.loads(shell.types("plan", "--output", "json", *words).stdout)
        return [firewall["name"] for firewall in document["firewalls"]]

    assert planned("--firewall", "edge") == ["edge-web-1", "edge-web-2"]
    assert planned("--firewall", "edge-web-2") == ["edge-web-2"]
    assert planned("--firewall", "edge", "--firewall", "web") == ["web", "edge-web-1", "edge-web-2"]
    assert shell.code("apply", "--auto-approve", "--firewall", "edge") == 0
    assert sorted(file.name for file in shell.folder.glob("*.json")) == ["web-1.json", "web-2.json"]
    assert shell.code("exposure", "--firewall", "edge") == 0
    assert shell.code("plan", "--firewall", "edges") == 64


@pytest.mark.parametrize(
    "words", [("plan", "--adopt", "edge"), ("plan", "--allow-attach", "edge"), ("release", "edge")]
)
def test_what_is_granted_names_each_firewall(shell: Shell, words: tuple[str, ...]) -> None:
    """One word does not take over a whole fleet."""
    shell.configure(more=PER_HOST)
    done = shell.types(*words)
    assert done.returncode == 64
    assert "edge is a firewall for each of its hosts: name edge-web-1, edge-web-2" in done.stderr
