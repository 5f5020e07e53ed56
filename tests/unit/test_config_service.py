"""The tables `[report]` and `[watch]`: optional, strict, shown back."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from cloudsync.config.configuration import ReportSettings, WatchSettings
from cloudsync.config.models import listen_address
from cloudsync.config.show import show
from cloudsync.provider.settings import SecretRef
from tests.unit.test_config import GOOD, loaded, problems

TABLES = """
[report]
health = { env = "HEALTH" }
webhook = { credential = "hook" }
webhook_secret = { file = "key" }
metrics_file = "m.prom"
[watch]
interval = "1m"
debounce_min = "1s"
debounce_max = "20s"
listen = "[::1]:9741"
"""


def test_both_may_be_left_out(tmp_path: Path) -> None:
    config = loaded(tmp_path)
    assert (config.report, config.watch) == (
        ReportSettings(),
        WatchSettings(300.0, 2.0, 30.0, None),
    )


def test_they_are_loaded_and_shown_back_as_references(tmp_path: Path) -> None:
    config = loaded(tmp_path, GOOD + TABLES)
    assert config.watch == WatchSettings(60.0, 1.0, 20.0, ("::1", 9741))
    assert config.report == ReportSettings(
        SecretRef(env="HEALTH"), SecretRef(credential="hook"), SecretRef(file="key"), "m.prom"
    )
    again = loaded(tmp_path, show(config))
    assert (again.report, again.watch) == (config.report, config.watch)


@pytest.mark.parametrize("audit", ["2h", "off"])
def test_the_token_of_the_page_and_the_audit_are_shown_too(tmp_path: Path, audit: str) -> None:
    """What is left out is not what it was once the shown file is loaded: a page without a token."""
    more = f"""audit = "{audit}"
token = {{ env = "PAGE" }}
[[audit.ignore]]
id = "CS004"
object = "web-*"
reason = "behind a proxy"
until = 2027-01-31
[[audit.ignore]]
id = "CS001"
reason = "wanted"
"""
    config = loaded(tmp_path, GOOD + TABLES + more)
    again = loaded(tmp_path, show(config))
    assert config.watch.token == SecretRef(env="PAGE")
    assert (again.watch, again.audit_ignores) == (config.watch, config.audit_ignores)
    assert [ignore.id for ignore in again.audit_ignores] == ["CS004", "CS001"]


@pytest.mark.parametrize("until", ["2027-01-31", '"2027-01-31"', "2027-01-31T12:00:00Z"])
def test_an_ignore_ends_on_a_day_however_it_is_written(tmp_path: Path, until: str) -> None:
    ignore = f'[[audit.ignore]]\nid = "CS004"\nreason = "x"\nuntil = {until}\n'
    (accepted,) = loaded(tmp_path, GOOD + ignore).audit_ignores
    assert accepted.until == date(2027, 1, 31)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "health =",
            "helth =",
            'config.toml:25:1: report.helth: unknown key, did you mean "health"?',
        ),
        ('{ env = "HEALTH" }', '"https://x"', "report.health"),
        ('webhook = { credential = "hook" }', "", "webhook_secret needs webhook"),
        ('"1m"', '"5s"', "interval must be 10s or more"),
        ('"1s"', '"0s"', "debounce_min must be 1s or more"),
        ('"1s"', '"25s"', "not above debounce_max"),
        ('"20s"', '"2m"', "debounce_max must not be above interval: it is 120s, interval 60s"),
        ('"[::1]:9741"', '"0.0.0.0:9741"', "watch.listen: must be a loopback address"),
        ("listen", "lissen", "unknown key"),
    ],
)
def test_mistakes_are_named_with_their_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = GOOD + TABLES
    assert old in text
    (problem,) = problems(tmp_path, text.replace(old, new, 1))
    assert said in problem
    assert problem.startswith("config.toml:")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ('[[audit.ignore]]\nid = "4"\nreason = "x"', 'id: must be the id of a finding such as "CS'),
        (
            '[[audit.ignore]]\nid = "CS004"\nreason = "x"\nuntil = "soon"',
            "until: must be a day such as 2027-06-30",
        ),
        ('[networks.Home]\nfile = "home.txt"', "must be named with a-z, 0-9, _ and -"),
        ('[providers.aws]\nregion = "Mars"', "region: must match ^[a-z]{2,}"),
        (
            '[hosts.web-2]\ninventory = "store"\ntrusted_keys = ["ssh-rsa AAAA"]',
            'trusted_keys.0: must be an OpenSSH public key such as "ssh-ed25519 AAAA..."',
        ),
    ],
)
def test_what_must_look_in_some_way_is_said_in_words(
    tmp_path: Path, more: str, message: str
) -> None:
    assert any(message in problem for problem in problems(tmp_path, f"{GOOD}\n{more}\n"))


@pytest.mark.parametrize("text", ["127.0.0.1:0", "127.8.8.8:65535", "[::1]:1"])
def test_loopback_addresses_can_be_listened_at(text: str) -> None:
    assert listen_address(text)[1] == int(text.rsplit(":", 1)[1])


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":80",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:x",
        "::1:80",
        "[127.0.0.1]:80",
        "localhost:80",
        "10.0.0.1:80",
        "[::]:80",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:٣",
    ],
)
def test_other_addresses_cannot(text: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        listen_address(text)
