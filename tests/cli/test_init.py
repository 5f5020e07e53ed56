"""`cloudsync init`: from nothing to a configuration that can be planned with, by flags and by
answers typed on a terminal."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from cloudsync.config import init_file as first_run
from cloudsync.config import load
from cloudsync.provider import registry
from tests import command
from tests.doubles.engine import FakeEngine

SETTINGS = {
    "aws": ("region=eu-central-1", "group=sg-0123456789abcdef0"),
    "digitalocean": ("droplets=web-1, 4711",),
    "gcp": ("project=shop-prod-123", "tags=web,db"),
    "hetzner": ("servers=web-1",),
    "host": (),
    "local": (),
    "openstack": ("cloud=prod", "servers=web-1"),
}


def environment(folder: Path, **environ: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "DOCKER_HOST": f"unix://{folder}/none.sock",
        "NO_COLOR": "1",
        "COLUMNS": "400",
        **environ,
    }


def init(folder: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return command.typed("init", *words, folder=folder, environment=environment(folder, **environ))


def typed(folder: Path, answers: str, *words: str, **environ: str) -> tuple[int, str]:
    """The command on a terminal, with these keys typed; its code and everything the terminal
    showed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "cloudsync", "init", *words],
        cwd=folder,
        env=environment(folder, TERM="xterm", **environ),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    os.write(ours, answers.encode())
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:  # the other end of a terminal that closed
        pass
    os.close(ours)
    return process.wait(60), shown.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("provider", sorted(SETTINGS))
def test_flags_alone_write_a_file_that_passes_config_check(tmp_path: Path, provider: str) -> None:
    words = [word for setting in SETTINGS[provider] for word in ("--set", setting)]
    done = init(tmp_path, "--provider", provider, "--ports", "443, 51820/udp", "--no-plan", *words)
    assert done.returncode == 0, done.stderr
    configuration = load(tmp_path / "cloudsync.toml")
    assert configuration.accounts[provider].type == provider
    assert [(p.protocol, p.first) for p in next(iter(configuration.hosts.values())).ports] == [
        ("tcp", 443),
        ("udp", 51820),
    ]


def test_every_provider_of_ours_can_be_started_with() -> None:
    assert set(registry.names()) == set(SETTINGS)
    assert all(hasattr(registry.load(name), "starter") for name in SETTINGS)


def test_it_shows_what_plan_would_do_and_writes_nothing_but_the_file(tmp_path: Path) -> None:
    done = init(tmp_path, "--ports", "443", XDG_STATE_HOME=str(tmp_path / "state"))
    assert "+ 443/tcp  everyone" in done.stdout
    assert "Plan: create 1 firewall, open 2 ports." in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["cloudsync.toml"]


def test_the_engine_of_the_docker_command_is_found_and_its_ports_are_shown(tmp_path: Path) -> None:
    with FakeEngine(tmp_path, containers=2) as engine:
        done = init(tmp_path, DOCKER_HOST=engine.endpoint)
        assert f"engine: {engine.endpoint}, whose containers publish 8000, 8001/tcp" in done.stdout
        assert "+ 8000/tcp  everyone" in done.stdout
        assert "+ 8001/tcp  everyone" in done.stdout
    assert tomllib.loads((tmp_path / "cloudsync.toml").read_text())["hosts"]
    assert f'docker = "{engine.endpoint}"' in (tmp_path / "cloudsync.toml").read_text()


def test_a_context_of_the_docker_command_is_followed(tmp_path: Path) -> None:
    with FakeEngine(tmp_path) as engine:
        name = "c7cb1e1b1c0a7d7d9b8f3ad5b3cbbd8d9c0b1e1f8b4c0f1f9f0ce2b5a6a5cc7b"
        import hashlib

        meta = (
            tmp_path / ".docker" / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
        )
        meta.mkdir(parents=True)
        (meta / "meta.json").write_text(
            json.dumps({"Name": name, "Endpoints": {"docker": {"Host": engine.endpoint}}})
        )
        (tmp_path / ".docker" / "config.json").write_text(json.dumps({"currentContext": name}))
        done = init(tmp_path, "--no-plan", DOCKER_HOST="")
        assert f"engine: {name}, whose containers publish 8000/tcp" in done.stdout
    assert f'docker = "{name}"' in (tmp_path / "cloudsync.toml").read_text()


def test_without_an_engine_and_ports_it_says_what_is_missing(tmp_path: Path) -> None:
    done = init(tmp_path)
    assert done.returncode == 64
    assert "could not be read" in done.stderr
    assert "--engine URL or --ports LIST is needed" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_engine_that_is_named_is_written_even_if_it_does_not_answer_now(tmp_path: Path) -> None:
    done = init(tmp_path, "--engine", "unix:///run/later.sock", "--no-plan")
    assert done.returncode == 0
    assert 'docker = "unix:///run/later.sock"' in (tmp_path / "cloudsync.toml").read_text()


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "cloudsync.toml").write_text("mine")
    done = init(tmp_path, "--ports", "443")
    assert done.returncode == 64
    assert "never overwritten" in done.stderr
    assert (tmp_path / "cloudsync.toml").read_text() == "mine"


def test_a_link_that_leads_nowhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "cloudsync.toml").symlink_to(tmp_path / "elsewhere")
    assert init(tmp_path, "--ports", "443").returncode == 64
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_that_came_into_being_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("theirs")
    with pytest.raises(FileExistsError):
        first_run.write(path, "ours")
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        first_run.write(path, "ours")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("environ", "provider", "where"),
    [
        ({"HCLOUD_TOKEN": "s3cret"}, "hetzner", "HCLOUD_TOKEN"),
        ({"HCLOUD_TOKEN_FILE": "/s3cret"}, "hetzner", "HCLOUD_TOKEN"),
        ({"DIGITALOCEAN_ACCESS_TOKEN": "s3cret"}, "digitalocean", "DIGITALOCEAN_ACCESS_TOKEN"),
    ],
)
def test_credentials_are_found_by_name_and_no_value_is_shown_or_written(
    tmp_path: Path, environ: dict[str, str], provider: str, where: str
) -> None:
    done = init(tmp_path, "--ports", "443", "--no-plan", **environ)
    assert f"credentials: {provider} ({where})" in done.stdout
    text = (tmp_path / "cloudsync.toml").read_text()
    assert f'token = {{ env = "{where}" }}' in text
    assert "s3cret" not in text + done.stdout + done.stderr


def test_a_file_of_credentials_is_found_and_the_region_taken_from_the_environment(
    tmp_path: Path,
) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text("[default]\naws_secret_access_key = s3cret\n")
    done = init(
        tmp_path,
        "--ports",
        "443",
        "--no-plan",
        "--set",
        "group=vpc-01234567",
        AWS_REGION="eu-west-1",
    )
    assert "credentials: aws (~/.aws/credentials)" in done.stdout
    assert 'region = "eu-west-1"' in (tmp_path / "cloudsync.toml").read_text()
    assert "s3cret" not in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--owner", "Shop"), "--owner must be 1 to 20"),
        (("--host", "../x"), "--host must be"),
        (("--ports", "99999"), "--ports must lie in 1-65535"),
        (("--ssh-port", "0"), "--ssh-port must be a port"),
        (("--ssh-source", '"]'), "--ssh-source must be"),
        (("--ssh-source", "203.0.113.1/24"), "the network is 203.0.113.0/24, the single"),
        (("--expose", "all"), "--expose must be"),
        (("--provider", "azure"), "--provider must be one of aws"),
        (("--set", 'path=x"\ny'), "--set path=… must be"),
        (("--set", "nothing=1"), "--set takes KEY=VALUE"),
        (("--engine", "ftp://x"), "--engine is not an engine such as"),
    ],
)
def test_a_flag_that_is_wrong_is_named_and_nothing_is_written(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    ports = () if words[0] in ("--ports", "--engine") else ("--ports", "443")
    done = init(tmp_path, *ports, *words)
    assert (done.returncode, said in done.stderr) == (64, True), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_is_needed_and_has_no_default_is_asked_for_by_its_flag(
    tmp_path: Path,
) -> None:
    done = init(tmp_path, "--provider", "aws", "--ports", "443")
    assert done.returncode == 64
    assert all(f"--set {key}=…" in done.stderr for key in ("region", "group")), (
        "all that is needed at once"
    )


def test_answers_typed_on_a_terminal(tmp_path: Path) -> None:
    answers = (
        "hetzner\nweb-1, web-2\nweb-1\nNo Good\nshop\n443,"
        " 51820/udp\n2222\n203.0.113.0/24\nlabelled\n"
    )
    elsewhere = ("--set", "endpoint=http://127.0.0.1:9")  # nothing listens there
    code, shown = typed(tmp_path, answers, *elsewhere, HCLOUD_TOKEN="s3cret")
    assert code == 0, shown
    assert "hetzner       Hetzner Cloud (found: HCLOUD_TOKEN)" in shown
    assert "note: the machines cannot be listed: " in shown
    assert "Where the firewall is, one of these [hetzner]:" in shown
    assert "must be 1 to 20 of a-z" in shown  # and asks again
    assert "s3cret" not in shown
    configuration = load(tmp_path / "cloudsync.toml")
    assert (configuration.owner, configuration.ssh.ports) == ("shop", (2222,))
    assert 'servers = ["web-1", "web-2"]' in (tmp_path / "cloudsync.toml").read_text()
    assert "cloudsync apply --allow-attach web-1" in shown


def test_return_alone_takes_what_is_suggested(tmp_path: Path) -> None:
    with FakeEngine(tmp_path) as engine:
        code, shown = typed(
            tmp_path,
            "\n" * 9,
            DOCKER_HOST=engine.endpoint,
            SSH_CONNECTION="203.0.113.5 4000 203.0.113.9 2222",
        )
    assert code == 0, shown
    assert "+ 8000/tcp  everyone" in shown
    assert "+ 2222/tcp  everyone" in shown  # the port this very session came in by


def a_machine_with_nft(folder: Path) -> str:
    """A PATH whose `nft` knows no table, of somebody who may use it."""
    if os.geteuid() != 0:
        pytest.skip("needs root: nobody else may read the rules of a kernel")
    program = folder / "bin" / "nft"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'Error: No such file or directory' >&2\nexit 1\n")
    program.chmod(0o755)
    return f"{program.parent}:{os.environ['PATH']}"


def test_without_a_clouds_credentials_the_machine_itself_is_offered_and_observes_first(
    tmp_path: Path,
) -> None:
    path = a_machine_with_nft(tmp_path)
    code, shown = typed(tmp_path, "\n\n\n443\n\n\n\n", PATH=path)
    assert code == 0, shown
    assert "one of these [host]:" in shown
    assert 'enforce = "observe"' in (tmp_path / "cloudsync.toml").read_text()
    rows = [line.split("#")[0].strip() for line in shown.partition("Next:")[2].splitlines()]
    order = [row for row in rows if row]
    assert order.index("cloudsync apply") < order.index("cloudsync observe")
    assert order.index("cloudsync observe") < order.index('enforce = "enforce"')


def test_with_a_clouds_credentials_the_cloud_comes_first(tmp_path: Path) -> None:
    path = a_machine_with_nft(tmp_path)
    _, shown = typed(tmp_path, "\x04", PATH=path, HCLOUD_TOKEN="s3cret")
    assert "one of these [hetzner]:" in shown


def test_nobody_is_given_a_machines_firewall_without_a_question(tmp_path: Path) -> None:
    done = init(tmp_path, "--ports", "443", "--no-input", PATH=a_machine_with_nft(tmp_path))
    assert done.returncode == 0, done.stderr
    assert 'type = "host"' not in (tmp_path / "cloudsync.toml").read_text()
    assert "[providers.local]" in (tmp_path / "cloudsync.toml").read_text()


def test_answers_that_end_too_early_write_nothing(tmp_path: Path) -> None:
    code, shown = typed(tmp_path, "local\n\x04")
    assert (code, "interrupted" in shown) == (130, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "vm",
        "Web_1.example.com",
        "ünïcode",
        "",
        "-",
        "1234",
        "a" * 80,
        "x..",
        "web.prod.example.com",
    ],
)
def test_any_hostname_makes_an_owner_and_a_host(name: str) -> None:
    assert first_run.owner_problem(first_run.owner_of(name)) is None
    assert first_run.name_problem(first_run.host_of(name)) is None
