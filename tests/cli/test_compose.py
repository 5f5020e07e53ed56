"""A host described by Compose files, with the command typed in a shell and a firewall of provider
local."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Shell

COMPOSE = """name: shop
services:
  web:
    image: nginx
    ports:
      - "80:80"
      - "${TLS:-443}:443"
    labels:
      cloudsync.description: the shop
  db:
    image: postgres
    ports: ["5432:5432"]
  any:
    image: nginx
    ports: ["8000-8010:80"]
"""


@pytest.fixture
def shop(shell: Shell) -> Shell:
    """The shell's only host is described by compose.yaml."""
    text = (shell.folder / "cloudsync.toml").read_text()
    (shell.folder / "cloudsync.toml").write_text(
        text.replace('ports = ["443/tcp"]', 'compose = ["compose.yaml"]')
    )
    (shell.folder / "compose.yaml").write_text(COMPOSE)
    return shell


def opened(shell: Shell) -> set[tuple[str, str]]:
    rules = json.loads((shell.folder / "fw.json").read_text())["rules"]
    return {(f"{rule['protocol']}/{rule['ports']}", rule.get("description", "")) for rule in rules}


def edit(shell: Shell, old: str, new: str) -> None:
    text = (shell.folder / "compose.yaml").read_text()
    assert old in text
    (shell.folder / "compose.yaml").write_text(text.replace(old, new))


def test_plan_shows_the_line_of_every_port_and_writes_nothing(shop: Shell) -> None:
    done = shop.types("plan")
    assert done.returncode == 0
    assert "+ 80/tcp    everyone    shop/web (compose.yaml:6)" in done.stdout
    assert "+ 443/tcp   everyone    shop/web (compose.yaml:7)" in done.stdout
    assert "x 5432/tcp  not opened  shop/db" in done.stdout
    assert "x ?/tcp     not opened  shop/" in done.stdout
    assert "the engine picks the host port of 80/tcp among 8000-8010" in done.stdout
    assert not (shop.folder / "fw.json").exists()


def test_apply_opens_what_the_file_says_and_the_next_plan_is_empty(shop: Shell) -> None:
    assert shop.code("apply", "--auto-approve") == 0
    assert opened(shop) == {("tcp/22", "ssh"), ("tcp/80", "the shop"), ("tcp/443", "the shop")}
    assert shop.code("plan", "--detailed-exitcode") == 0


def test_what_the_file_no_longer_says_closes_at_once(shop: Shell) -> None:
    text = (shop.folder / "cloudsync.toml").read_text()
    (shop.folder / "cloudsync.toml").write_text(text.replace('grace = "0s"', 'grace = "1h"'))
    assert shop.code("apply", "--auto-approve") == 0
    edit(shop, '      - "80:80"\n', "")
    assert shop.code("apply", "--auto-approve") == 0
    assert opened(shop) == {("tcp/22", "ssh"), ("tcp/443", "the shop")}


def test_variables_come_from_the_file_beside_it_not_from_the_shell(shop: Shell) -> None:
    assert "443/tcp" in shop.types("plan", TLS="8443").stdout
    (shop.folder / ".env").write_text("TLS=8443\n")
    assert "8443/tcp" in shop.types("plan").stdout


def test_law1_a_mistake_in_the_file_closes_nothing_opens_nothing_and_ends_with_1(
    shop: Shell,
) -> None:
    assert shop.code("apply", "--auto-approve") == 0
    before = opened(shop)
    edit(shop, '      - "80:80"\n', '      - "81:81"\n      - "${NOT_SET}:82"\n')
    done = shop.types("apply", "--auto-approve")
    assert done.returncode == 1
    assert (
        "compose.yaml:7: the variable NOT_SET is not set and has no default"
        in done.stdout + done.stderr
    )
    assert "Traceback" not in done.stderr
    assert opened(shop) == before


def test_the_plan_document_has_project_service_file_and_line(shop: Shell) -> None:
    document = json.loads(shop.types("plan", "--output", "json").stdout)
    (opening,) = [
        c
        for c in document["firewalls"][0]["changes"]
        if c["action"] == "open" and c["ports"] == "80"
    ]
    assert opening["origins"] == [
        {
            "host": "web-1",
            "project": "shop",
            "service": "web",
            "container": None,
            "label": None,
            "file": "compose.yaml",
            "line": 6,
        }
    ]
    refused = {one["code"]: one["origins"][0] for one in document["firewalls"][0]["refused"]}
    assert (refused["sensitive"]["file"], refused["sensitive"]["line"]) == ("compose.yaml", 12)
    assert (refused["random-port"]["file"], refused["random-port"]["line"]) == ("compose.yaml", 15)


def test_a_malformed_label_is_named_with_its_line_and_ends_with_1(shop: Shell) -> None:
    edit(shop, "cloudsync.description: the shop", "cloudsync.sorces: any")
    done = shop.types("plan")
    assert done.returncode == 1
    assert (
        'compose.yaml:9: cloudsync.sorces: unknown label, did you mean "cloudsync.sources"?'
        in done.stdout
    )


def test_discover_shows_the_services(shop: Shell) -> None:
    done = shop.types("discover")
    assert done.returncode == 0
    assert "80/tcp" in done.stdout
    assert "shop/web" in done.stdout
    (shop.folder / "compose.yaml").unlink()
    done = shop.types("discover")
    assert done.returncode == 1
    assert "compose.yaml: cannot be read" in done.stdout


def test_config_show_keeps_the_compose_keys(shop: Shell) -> None:
    text = (shop.folder / "cloudsync.toml").read_text()
    more = 'compose = ["compose.yaml", "mail"]\nprofiles = []\nenv_file = ["prod.env"]'
    (shop.folder / "cloudsync.toml").write_text(text.replace('compose = ["compose.yaml"]', more))
    shown = shop.types("config", "show").stdout
    for line in more.splitlines():
        assert line in shown
    (shop.folder / "shown.toml").write_text(shown)
    assert shop.types("config", "show", "-c", "shown.toml").stdout == shown
