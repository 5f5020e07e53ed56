"""`include`, `[hosts-from-store]`, hosts with `*` and `per_host`: what the file leaves open."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudsync.config import ConfigError, load
from cloudsync.config.configuration import Configuration
from cloudsync.config.expansion import NOBODY, expanded
from cloudsync.config.load import with_published
from cloudsync.config.specs import spec_of
from cloudsync.model.state_url import StateUrl

HEAD = """version = 1
owner = "shop"
state = "file:///tmp/nowhere"
{top}
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
[providers.local]
"""


def configured(folder: Path, tables: str, top: str = "") -> Configuration:
    path = folder / "cloudsync.toml"
    path.write_text(HEAD.format(top=top) + tables)
    return load(path)


def problems(folder: Path, tables: str, top: str = "") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        configured(folder, tables, top)
    return [str(problem).replace(f"{folder}/", "") for problem in caught.value.problems]


EDGE = """
[hosts-from-store]
match = "web-*"
[firewalls.edge]
provider = "local"
per_host = true
hosts = ["web-*"]
path = "edge-{host}.json"
"""
ALL = """
[hosts-from-store]
match = "web-*"
[firewalls.all]
provider = "local"
hosts = ["web-*"]
path = "all.json"
"""


def test_every_published_host_that_matches_is_a_host(tmp_path: Path) -> None:
    configuration = with_published(configured(tmp_path, ALL), ["db-1", "web-1", "web-2"])
    assert sorted(configuration.hosts) == ["web-1", "web-2"]
    assert configuration.firewalls["all"].hosts == ("web-1", "web-2")
    assert all(host.inventory for host in configuration.hosts.values())


def test_one_firewall_for_each_host(tmp_path: Path) -> None:
    configuration = with_published(configured(tmp_path, EDGE), ["web-1", "web-2"])
    assert sorted(configuration.firewalls) == ["edge-web-1", "edge-web-2"]
    one = configuration.firewalls["edge-web-1"]
    assert one.hosts == one.marker_hosts == ("web-1",)
    assert one.settings.model_dump()["path"] == "edge-web-1.json"


def test_a_new_host_leaves_the_marker_of_a_firewall_as_it_is(tmp_path: Path) -> None:
    loaded = configured(tmp_path, ALL)
    markers = {
        spec_of(configuration, configuration.firewalls["all"]).marker
        for configuration in (
            loaded,
            with_published(loaded, ["web-1"]),
            with_published(loaded, ["web-1", "web-2"]),
        )
    }
    assert len(markers) == 1


def test_law1_a_pattern_that_finds_no_host_is_a_host_that_cannot_be_read(tmp_path: Path) -> None:
    for configuration in (
        configured(tmp_path, ALL),
        with_published(configured(tmp_path, ALL), ["db-1"]),
    ):
        assert configuration.firewalls["all"].hosts == (NOBODY,)
        assert configuration.hosts[NOBODY].inventory


def test_law1_a_host_that_a_firewall_names_is_expected_to_publish(tmp_path: Path) -> None:
    configuration = configured(tmp_path, ALL.replace('hosts = ["web-*"]', 'hosts = ["web-7"]'))
    assert configuration.firewalls["all"].hosts == ("web-7",)
    assert configuration.hosts["web-7"].inventory


def test_a_table_of_its_own_wins_over_the_store(tmp_path: Path) -> None:
    tables = ALL + "[hosts.web-1]\nretired = true\n"
    configuration = with_published(configured(tmp_path, tables), ["web-1", "web-2"])
    assert configuration.firewalls["all"].hosts == ("web-2",)


def test_a_host_without_a_key_is_believed_by_nobody_once_keys_are_named(tmp_path: Path) -> None:
    key = f"ssh-ed25519 {'A' * 68}"
    tables = ALL.replace(
        'match = "web-*"', f'match = "web-*"\n[hosts-from-store.trusted_keys]\nweb-1 = ["{key}"]'
    )
    configuration = with_published(configured(tmp_path, tables), ["web-1", "web-2"])
    assert configuration.hosts["web-1"].trusted_keys == (key,)
    assert configuration.hosts["web-2"].trusted_keys == ()


def test_per_host_and_patterns_serve_hosts_of_the_file_too(tmp_path: Path) -> None:
    configuration = configured(
        tmp_path,
        """
[hosts.web-1]
ports = ["443/tcp"]
[hosts.web-2]
ports = ["443/tcp"]
[firewalls.edge]
provider = "local"
per_host = true
hosts = ["web-*"]
path = "{host}.json"
[[firewalls.edge.allow]]
ports = ["9100/tcp"]
sources = ["any"]
description = "metrics of {host}"
""",
    )
    assert sorted(configuration.firewalls) == ["edge-web-1", "edge-web-2"]
    assert configuration.firewalls["edge-web-2"].allow[0].description == "metrics of web-2"


def test_a_mistake_in_a_table_for_every_host_has_its_place(tmp_path: Path) -> None:
    tables = (
        EDGE.replace('match = "web-*"', "") + 'colour = "red"\n[hosts.web-1]\nports = ["1/tcp"]\n'
    )
    (problem,) = problems(tmp_path, tables)
    assert problem.startswith("cloudsync.toml:19:")
    assert "colour" in problem


def test_a_name_for_every_host_is_accepted_where_firewalls_have_none(tmp_path: Path) -> None:
    named = EDGE + 'name = "edge-{host}"\n'
    configuration = with_published(configured(tmp_path, named), ["web-1", "web-2"])
    assert sorted(configuration.firewalls) == ["edge-web-1", "edge-web-2"]
    hosts = '[hosts.web-1]\nports = ["443/tcp"]\n'
    (problem,) = problems(tmp_path, hosts + named.replace('"edge-{', '"front-{'))
    assert "firewalls.edge-web-1.name: the firewall is called edge-web-1" in problem
    once = named.replace("per_host = true", "").replace("-{host}", "")
    assert any("name: unknown key" in problem for problem in problems(tmp_path, hosts + once))


def test_two_hosts_with_one_firewall_at_the_vendor_are_refused(tmp_path: Path) -> None:
    tables = EDGE.replace("edge-{host}.json", "edge.json")
    configuration = configured(tmp_path, tables)
    with pytest.raises(ConfigError, match="names the same firewall"):
        with_published(configuration, ["web-1", "web-2"])


def test_included_files_bring_hosts_and_firewalls_with_their_places(tmp_path: Path) -> None:
    (tmp_path / "hosts.d").mkdir()
    (tmp_path / "hosts.d" / "a.toml").write_text('[hosts.a]\nports = ["443/tcp"]\n')
    (tmp_path / "hosts.d" / "b.toml").write_text('[hosts.b]\nports = ["80/tcp"]\n')
    configuration = configured(tmp_path, "", 'include = ["hosts.d/*.toml"]')
    assert sorted(configuration.hosts) == ["a", "b"]
    assert str(configuration.hosts["a"].place).endswith("hosts.d/a.toml:1:1")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[hosts.a]\nporst = []\n", "a.toml:2:1"),
        ("[hosts.a]\nports = [\n", "is not TOML"),
        ("owner = 'mallory'\n", "holds firewalls, hosts, networks, providers only"),
        ('[hosts.main]\nports = ["1/tcp"]\n', "is also at"),
        ('include = ["c.toml"]\n', "only"),
    ],
)
def test_a_mistake_in_an_included_file_is_named_there(
    tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "a.toml").write_text(text)
    found = problems(tmp_path, '[hosts.main]\nports = ["443/tcp"]\n', 'include = ["a.toml"]')
    assert any(words in problem for problem in found), found


def test_a_file_that_is_named_and_not_there_is_a_mistake(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "", 'include = ["a.toml", "nothing-*.toml"]')
    assert "include.0" in problem


def test_an_included_file_that_others_can_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('[hosts.a]\nports = ["443/tcp"]\n')
    (tmp_path / "a.toml").chmod(0o666)
    (problem,) = problems(tmp_path, "", 'include = ["a.toml"]')
    assert "can be written by other users" in problem


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ('[hosts.a]\ninventory = "store"\ndocker = "unix:///x"\n', "leave one of them out"),
        ('[hosts.a]\nports = ["1/tcp"]\ntrusted_keys = []\n', "belongs to inventory"),
        ('[hosts.a]\ninventory = "disk"\n', "must be"),
        ('[hosts.a]\ninventory = "store"\ntrusted_keys = ["ssh-rsa AAAA"]\n', "trusted_keys"),
        ('[hosts-from-store]\nmach = "x"\n', "match"),
        ('[publish]\nvalid_for = "1s"\n', "1m to 7d"),
    ],
)
def test_a_mistake_about_inventories_is_named(tmp_path: Path, tables: str, words: str) -> None:
    found = problems(tmp_path, tables)
    assert any(words in problem for problem in found), found


@pytest.mark.parametrize(
    "state",
    [
        "s3://b",
        "s3://bucket/../x",
        "ftp://bucket",
        "s3://bu cket",
        "https://bucket",
        "s3:///x",
        "file://relative",
    ],
)
def test_a_state_that_is_no_place_is_refused(tmp_path: Path, state: str) -> None:
    path = tmp_path / "cloudsync.toml"
    path.write_text(HEAD.format(top="").replace("file:///tmp/nowhere", state))
    with pytest.raises(ConfigError):
        load(path)


def test_a_state_may_be_a_table_with_an_endpoint(tmp_path: Path) -> None:
    path = tmp_path / "cloudsync.toml"
    table = '{ url = "s3://bucket/a/b/", endpoint = "https://fsn1.example/", region = "fsn1" }'
    path.write_text(HEAD.format(top="").replace('"file:///tmp/nowhere"', table))
    state = load(path).state
    assert isinstance(state, StateUrl)
    assert (state.url, state.endpoint, state.region) == (
        "s3://bucket/a/b",
        "https://fsn1.example",
        "fsn1",
    )


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_a_variable_for_the_endpoint_is_checked_like_the_key(
    tmp_path: Path, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cloudsync.toml"
    path.write_text(HEAD.format(top="").replace("file:///tmp/nowhere", "s3://bucket/a"))
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv(variable, "http://127.0.0.1:9000")
    load(path)
    monkeypatch.setenv(variable, "http://198.51.100.1:9000")
    with pytest.raises(ConfigError, match=f"state: {variable} must be https://"):
        load(path)
    path.write_text(HEAD.format(top=""))
    load(path)


@pytest.mark.parametrize(
    "more",
    [
        'endpoint = "http://198.51.100.1"',
        'endpoint = "https://user:secret@x"',
        'access_key_id = { env = "A" }',
        'endpoint = "fsn1"',
    ],
)
def test_a_table_of_state_that_cannot_be_meant_is_refused(tmp_path: Path, more: str) -> None:
    path = tmp_path / "cloudsync.toml"
    table = f'{{ url = "s3://bucket/a", {more} }}'
    path.write_text(HEAD.format(top="").replace('"file:///tmp/nowhere"', table))
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert "secret@" not in str(caught.value)


def test_what_has_another_shape_is_left_to_the_models() -> None:
    for raw in (
        {"hosts": 1},
        {"firewalls": []},
        {"firewalls": {"a": 1}},
        {"hosts-from-store": "x"},
    ):
        assert expanded(raw, ["web-1"]).raw == raw
