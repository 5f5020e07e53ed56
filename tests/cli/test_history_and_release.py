"""`cloudsync history` and `cloudsync release`, as a person types them."""

from __future__ import annotations

import json

from tests.cli.conftest import Shell


def test_history_lists_what_applies_did_and_not_the_runs_that_found_nothing(shell: Shell) -> None:
    shell.code("apply", "--auto-approve")
    shell.code("apply", "--auto-approve")
    shell.configure('"8443/tcp"')
    shell.code("apply", "--auto-approve")
    done = shell.types("history")
    assert done.returncode == 0
    assert [line.split()[3] for line in done.stdout.splitlines()[1:-1]] == ["done", "done"]
    assert "web: +1 -1; by " in done.stdout
    assert "1 run that found nothing to do is not shown" in done.stdout
    assert "nothing-to-do" in shell.types("history", "--all").stdout
    assert len(json.loads(shell.types("history", "-n", "1", "--output", "json").stdout)) == 1


def test_history_of_one_entry_says_how_to_get_a_port_back(shell: Shell) -> None:
    shell.code("apply", "--auto-approve")
    shell.configure('"8443/tcp"', policy='deny = ["443"]')
    shell.code("apply", "--auto-approve")
    entry = json.loads(shell.types("history", "--output", "json").stdout)[-1]
    done = shell.types("history", entry["id"])
    assert done.returncode == 0
    assert "- closed  443/tcp from everyone" in done.stdout
    assert "to get it back: take it out of policy.deny" in done.stdout
    assert '[[firewalls.web.allow]] ports = ["443/tcp"] sources = ["any"]' in done.stdout
    assert entry["firewalls"][0]["closed"][0]["way_back"][0] == "take it out of policy.deny"
    assert json.loads(shell.types("history", entry["id"], "--output", "json").stdout) == entry


def test_history_of_nothing_and_of_no_such_entry(shell: Shell) -> None:
    assert "No apply has left an entry yet" in shell.types("history").stdout
    shell.code("apply", "--auto-approve")
    assert shell.types("history", "nonsense").returncode == 64


def test_history_names_each_rule_as_it_was_planned_and_who_needed_it(shell: Shell) -> None:
    """21 and 22 are two rules of two reasons, though their numbers touch."""
    shell.configure('"21/tcp"')
    assert shell.types("apply", "--auto-approve").returncode == 0
    shown = shell.types("history", "last").stdout
    assert "+ opened  22/tcp from everyone\n" in shown
    assert "+ opened  21/tcp from everyone" in shown
    assert "\n  sha256:" in shown
    assert "web: created, +2 -0; by " in shell.types("history").stdout


def test_history_says_why_a_run_failed_without_a_firewall(shell: Shell) -> None:
    assert shell.code("apply", "--auto-approve") == 0
    shell.configure(ports="", host='compose = ["missing.yaml"]')
    assert shell.types("apply", "--auto-approve").returncode == 1
    assert "web-1 not read; by " in shell.types("history").stdout


def test_history_shows_strangers_text_harmlessly(shell: Shell) -> None:
    shell.code("apply", "--auto-approve")
    path = shell.folder / "state" / "shop.history.jsonl"
    entry = json.loads(path.read_text())
    entry["message"] = "\x1b[31mred\x1b[0m\nsecond line"
    entry["firewalls"] = [
        {
            "name": "\x1b[1m",
            "opened": [{"protocol": "tcp", "ports": 5, "sources": "x"}],
            "closed": 7,
        },
        3,
    ]
    path.write_text(json.dumps(entry) + "\nno json\n[1]\n")
    done = shell.types("history", entry["id"], "--color", "never")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout


def test_release_takes_the_mark_off_and_leaves_the_rules(shell: Shell) -> None:
    shell.code("apply", "--auto-approve")
    before = json.loads((shell.folder / "fw.json").read_text())
    done = shell.types("release", "web")
    assert (done.returncode, done.stdout) == (0, "web: released; its rules stay as they are\n")
    after = json.loads((shell.folder / "fw.json").read_text())
    assert after == {**before, "marker": None}
    plan = shell.types("plan")
    assert plan.returncode == 3
    assert "without the mark of cloudsync" in plan.stdout
    assert shell.types("release", "web").stdout == "web: nothing to release: it carries no mark\n"
    assert shell.code("apply", "--auto-approve", "--adopt", "web") == 0
    assert json.loads((shell.folder / "fw.json").read_text()) == before
    assert [
        e["outcome"] for e in json.loads(shell.types("history", "--output", "json").stdout)
    ] == ["done", "released", "done"]


def test_another_owners_firewall_is_not_released(shell: Shell) -> None:
    shell.code("apply", "--auto-approve")
    path = shell.folder / "fw.json"
    path.write_text(path.read_text().replace('"owner": "shop"', '"owner": "blog"'))
    before = path.read_text()
    done = shell.types("release", "web")
    assert done.returncode == 3
    assert "foreign-owner" in done.stderr
    assert path.read_text() == before


def test_release_of_what_the_configuration_does_not_name_or_cannot_be_read(shell: Shell) -> None:
    assert shell.code("release", "wep") == 64
    (shell.folder / "fw.json").write_text("{")
    done = shell.types("release", "web")
    assert done.returncode == 1
    assert "not read, so nothing was changed" in done.stderr


def test_history_by_firewall_host_and_time(shell: Shell) -> None:
    shell.code("apply", "--auto-approve")

    def listed(*words: str) -> int:
        return len(json.loads(shell.types("history", "--output", "json", *words).stdout))

    assert listed() == 1
    assert listed("--firewall", "web") == listed("--host", "web-1") == listed("--since", "1h") == 1
    assert listed("--firewall", "other") == listed("--since", "2999-01-01") == 0
    assert shell.types("history", "--host", "nobody").returncode == 64
    for written in ("yesterday", "0001-01-01T00:00:00+14:00"):
        assert shell.types("history", "--since", written).returncode == 64
