"""The configuration: strict, every mistake with its place, never a value."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cloudsync.config
from cloudsync.config import ConfigError, Configuration, find, load
from cloudsync.config.models import allowed, duration, port_range
from cloudsync.config.places import places
from cloudsync.config.show import json_schema, show
from cloudsync.provider import registry
from cloudsync.rules.networks import ANY, NetworkSet
from tests.effort import examples
from tests.world import rules

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
GOOD = """\
version = 1
owner = "shop-prod"
state = "file:///var/lib/cloudsync"
[ssh]
ports = [22, 2222]
sources = ["@office", "198.51.100.7"]
[networks]
office = ["203.0.113.0/24", "2001:db8::/48"]
[policy]
expose = "published"
[providers.hetzner]
token = { env = "HCLOUD_TOKEN" }
[hosts.web-1]
docker = "unix:///var/run/docker.sock"
ports = ["443", "8000-8010/udp"]
[firewalls.web]
provider = "hetzner"
hosts = ["web-1"]
servers = ["web-1", 7]
[[firewalls.web.allow]]
ports = ["9100/tcp", "icmp"]
sources = ["@office"]
"""


def loaded(tmp_path: Path, text: str = GOOD) -> Configuration:
    (tmp_path / "config.toml").write_text(text)
    return load(tmp_path / "config.toml", name="config.toml", environ={"HOME": "/home/somebody"})


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        loaded(tmp_path, text)
    return [str(problem) for problem in error.value.problems]


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new, 1)


def test_a_good_file_is_loaded_with_its_defaults(tmp_path: Path) -> None:
    config = loaded(tmp_path)
    assert config.ssh.rules == rules(
        *(f"tcp/{n} from 203.0.113.0/24,2001:db8::/48,198.51.100.7" for n in (22, 2222))
    )
    assert (config.policy.grace, config.policy.max_close) == (timedelta(minutes=10), 5)
    assert (config.run.host_timeout, config.run.deadline, config.run.concurrency) == (
        10.0,
        300.0,
        16,
    )
    web = config.firewalls["web"]
    assert web.allow[0].rules == rules(
        "tcp/9100 from 203.0.113.0/24,2001:db8::/48",
        "icmp from 203.0.113.0/24",
        "icmpv6 from 2001:db8::/48",
    )
    assert str(web.allow[0].place) == "config.toml:20:1"
    assert [(p.protocol, p.first, p.last, str(p.place)) for p in config.hosts["web-1"].ports] == [
        ("tcp", 443, 443, "config.toml:15:10"),
        ("udp", 8000, 8010, "config.toml:15:17"),
    ]


def test_the_example_is_complete_and_loads() -> None:
    config = load(EXAMPLE)
    assert set(config.firewalls) == {"web", "bastion"}
    text = EXAMPLE.read_text()
    schema = json_schema()
    for model in (
        "SshTable",
        "PolicyTable",
        "RunTable",
        "ReportTable",
        "WatchTable",
        "HostTable",
        "AllowTable",
        "FirewallTable",
    ):
        for key in schema["definitions"][model]["properties"]:
            assert f"{key} = " in text or f".{key}]]" in text, key


def test_the_shipped_schema_is_the_models_schema() -> None:
    shipped = json.loads((Path(cloudsync.config.__file__).parent / "schema.json").read_text())
    assert shipped == json_schema()


def test_the_schema_accepts_the_example_and_rejects_mistakes() -> None:
    validator = jsonschema.Draft7Validator(json_schema())
    example = tomllib.loads(EXAMPLE.read_text())
    assert list(validator.iter_errors(example)) == []
    for path, value in (
        (("policy", "expos"), "published"),
        (("ssh", "ports"), ["22"]),
        (("version",), 2),
        (("owner",), "Shop"),
        (("hosts", "web-1", "dokcer"), "x"),
        (("firewalls", "web", "hosts"), "web-1"),
    ):
        wrong = json.loads(json.dumps(example))
        place = wrong
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = value
        assert list(validator.iter_errors(wrong)), path


def test_the_schema_demands_what_is_required() -> None:
    example = tomllib.loads(EXAMPLE.read_text())
    del example["policy"]["expose"]
    del example["ssh"]["sources"]
    assert len(list(jsonschema.Draft7Validator(json_schema()).iter_errors(example))) == 2


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "token = {",
            "tokn = {",
            'config.toml:12:1: providers.hetzner.tokn: unknown key, did you mean "token"?',
        ),
        (
            "{ env =",
            "{ envv =",
            'config.toml:12:11: providers.hetzner.token.envv: unknown key, did you mean "env"?',
        ),
        (
            'expose = "published"',
            'expose = "all"',
            "config.toml:10:1: policy.expose: must be 'published' or 'labelled'",
        ),
        ('expose = "published"', "", "config.toml:9:1: policy.expose: is required"),
        ('owner = "shop-prod"', 'owner = "Shop"', "config.toml:2:1: owner: must"),
        ("version = 1", "version = 2", "config.toml:1:1: version: must be 1"),
        ("ports = [22, 2222]", "ports = []", "config.toml:5:1: ssh.ports: "),
        ("2222]", "70000]", "config.toml:5:14: ssh.ports.1: "),
        (
            '"@office", "198',
            '"@ofice", "198',
            'config.toml:6:12: ssh.sources.0: [networks] has no "ofice"',
        ),
        (
            '"8000-8010/udp"',
            '"8010-8000/udp"',
            "config.toml:15:17: hosts.web-1.ports.1: must lie in 1-65535",
        ),
        (
            'hosts = ["web-1"]',
            'hosts = ["web-2"]',
            "config.toml:18:10: firewalls.web.hosts.0: there is no [hosts.web-2] table",
        ),
        ('hosts = ["web-1"]', "", "config.toml:16:1: firewalls.web: needs hosts"),
        (
            'provider = "hetzner"',
            'provider = "hetzne"',
            "config.toml:17:1: firewalls.web.provider: there is no [providers.hetzne] table",
        ),
        (
            "servers =",
            "server =",
            'config.toml:19:1: firewalls.web.server: unknown key, did you mean "servers"?',
        ),
        (
            "[providers.hetzner]",
            "[providers.hetzner]\ntype = 'hetzne'",
            "config.toml:12:1: providers.hetzner.type: no provider of type",
        ),
        (
            "unix:///var/run/docker.sock",
            "ssh://-oProxyCommand=x@host",
            "config.toml:14:1: hosts.web-1.docker: must be ssh://user@host",
        ),
        (
            "unix:///var/run/docker.sock",
            "tcp://192.0.2.1:2375",
            "config.toml:14:1: hosts.web-1.docker: plain tcp is for loopback",
        ),
        ("docker = ", "compose = []\ndocker = ", "config.toml:14:1: hosts.web-1.compose: "),
        (
            "docker = ",
            'compose = ["a", 1]\ndocker = ',
            "config.toml:14:17: hosts.web-1.compose.1: must be text",
        ),
        (
            "docker = ",
            'compose = ["a\\u0000"]\ndocker = ',
            "config.toml:14:12: hosts.web-1.compose.0: must be a path",
        ),
        (
            "docker = ",
            'profiles = ["x"]\ndocker = ',
            "config.toml:14:1: hosts.web-1.profiles: belongs to compose",
        ),
        (
            "docker = ",
            'env_file = ["x"]\ndocker = ',
            "config.toml:14:1: hosts.web-1.env_file: belongs to compose",
        ),
        (
            "unix:///var/run/docker.sock",
            "a context",
            "config.toml:14:1: hosts.web-1.docker: is not an engine such as",
        ),
        (
            "unix:///var/run/docker.sock",
            "http://127.0.0.1:2375",
            "config.toml:14:1: hosts.web-1.docker: must be tcp://address:port",
        ),
        (
            "unix:///var/run/docker.sock",
            "ssh://me:secret@host",
            "config.toml:14:1: hosts.web-1.docker: holds more than an address",
        ),
        (
            'docker = "unix:///var/run/docker.sock"',
            'docker = { host = "tcp://192.0.2.1:2376", cert = "c.pem" }',
            "config.toml:14:1: hosts.web-1.docker.key: is required",
        ),
        (
            'docker = "unix:///var/run/docker.sock"',
            'docker = ["a", { host = "tcp://192.0.2.1", cert = "c.pem", key = "k.pem" }]',
            "config.toml:14:18: hosts.web-1.docker.1.host: must be tcp://address:port",
        ),
        (
            'docker = "unix:///var/run/docker.sock"',
            (
                'docker = { host = "tcp://192.0.2.1:2376", cert = "c.pem", key = "k.pem", insecure'
                " = true }"
            ),
            "config.toml:14:74: hosts.web-1.docker.insecure: unknown key",
        ),
        (
            'docker = "unix:///var/run/docker.sock"',
            "docker = 5",
            "config.toml:14:1: hosts.web-1.docker: must be",
        ),
        (
            'ports = ["9100/tcp"',
            'ports = ["9100/tpc"',
            "config.toml:21:10: firewalls.web.allow.0.ports.0: ",
        ),
        (
            "[policy]",
            "[policy]\ngrace = '10'",
            "config.toml:10:1: policy.grace: must be a duration",
        ),
        (
            "[policy]",
            "[run]\nhost_timeout = '30d'\n[policy]",
            "config.toml:10:1: run.host_timeout: must be 7d or less",
        ),
        (
            "[policy]",
            "[run]\ndeadline = '999999d'\n[policy]",
            "config.toml:10:1: run.deadline: must be 7d or less",
        ),
        (
            "[policy]",
            "[watch]\npoll = '8d'\n[policy]",
            "config.toml:10:1: watch.poll: must be 7d or less",
        ),
        (
            "[policy]",
            "[policy]\nmax_close = true",
            "config.toml:10:1: policy.max_close: must be a whole number",
        ),
        (
            "[policy]",
            "[policy]\nmax_close = '5'",
            "config.toml:10:1: policy.max_close: must be a whole number",
        ),
        (
            "[hosts.web-1]",
            "[hosts.web-1]\nretired = true",
            "config.toml:19:1: firewalls.web.hosts: are all retired",
        ),
        ("[networks]", "[networks]\nhome = ['10.0.0.1/8']", "config.toml:8:9: networks.home.0: "),
        ("[policy]", "[policy", "config.toml:9:8: is not TOML"),
        ("[policy]", "[ssh]", "config.toml:9:"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert any(line.startswith(said) for line in problems(tmp_path, changed(old, new))), problems(
        tmp_path, changed(old, new)
    )


def test_all_mistakes_are_named_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = GOOD.replace("owner", "ownr").replace("expose", "expos").replace('"443"', '"http"')
    lines = problems(tmp_path, text)
    assert [line.split(": ")[1] for line in lines] == [
        "owner",
        "ownr",
        "policy.expose",
        "policy.expos",
        "hosts.web-1.ports.0",
    ]


def test_two_firewalls_with_one_vendor_identity_are_refused(tmp_path: Path) -> None:
    text = (
        GOOD + '[firewalls.web2]\nprovider = "hetzner"\nhosts = ["web-1"]\nname = "cloudsync-web"\n'
    )
    assert "names the same firewall at the vendor" in problems(tmp_path, text)[0]


def test_two_spellings_of_one_local_path_are_one_firewall(tmp_path: Path) -> None:
    text = GOOD + "[providers.local]\n"
    for name, path in (("a", "fw.json"), ("b", ".//fw.json")):
        text += f'[firewalls.{name}]\nprovider = "local"\nhosts = ["web-1"]\npath = "{path}"\n'
    assert "names the same firewall at the vendor" in problems(tmp_path, text)[0]


def test_a_retired_host_is_out_of_the_reckoning_but_in_the_marker(tmp_path: Path) -> None:
    text = (
        GOOD.replace('hosts = ["web-1"]', 'hosts = ["web-1", "old"]')
        + "[hosts.old]\nretired = true\n"
    )
    web = loaded(tmp_path, text).firewalls["web"]
    assert (web.hosts, web.marker_hosts) == (("web-1",), ("old", "web-1"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('{ env = "HCLOUD_TOKEN" }', '"hunter2-secret"'),
        ('{ env = "HCLOUD_TOKEN" }', '{ env = "hunter2-secret", file = "hunter2-secret" }'),
        ('{ env = "HCLOUD_TOKEN" }', '["hunter2-secret"]'),
        ("token = {", 'password = "hunter2-secret"\ntoken = {'),
        ("token = {", 'endpoint = "http://hunter2-secret@example.com"\ntoken = {'),
        ("[policy]", '[policy]\ngrace = "hunter2-secret"'),
        ('"443"', '"hunter2-secret"'),
        ('"9100/tcp"', '"hunter2-secret"'),
        ('owner = "shop-prod"', 'owner = "hunter2-secret-is-long-and"'),
        ('"198.51.100.7"', '"hunter2-secret"'),
        ("unix:///var/run/docker.sock", "tcp://hunter2-secret:99999"),
        ("unix:///var/run/docker.sock", "ssh://me:hunter2-secret@host"),
    ],
)
def test_no_value_is_ever_printed(tmp_path: Path, old: str, new: str) -> None:
    assert "hunter2" not in "\n".join(problems(tmp_path, changed(old, new)))


@pytest.mark.parametrize(
    "name", ["str", "strange", "list[0]", "engine-text", "function-after", "[key]"]
)
def test_names_that_look_like_pydantics_own_are_named_in_problems(
    tmp_path: Path, name: str
) -> None:
    assert any(
        f": {name}: unknown key" in one for one in problems(tmp_path, f'"{name}" = 1\n{GOOD}')
    )
    host = changed("[firewalls.web]", f'[hosts."{name}"]\nprots = ["80/tcp"]\n[firewalls.web]')
    assert any(
        f'hosts.{name}.prots: unknown key, did you mean "ports"?' in one
        for one in problems(tmp_path, host)
    )


@given(st.data())
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    max_examples=examples(150),
    deadline=None,
)
def test_a_mangled_file_is_a_configuration_or_a_list_of_problems(
    tmp_path: Path, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(GOOD)))
    length = data.draw(st.integers(0, 12))
    insert = data.draw(
        st.text(max_size=6)
        | st.sampled_from(["[", "]]", "{}", '"""', "\x00", "= 1\n", "true", "[[hosts]]\n", "\n"])
    )
    try:
        loaded(
            tmp_path, GOOD[:at] + insert.encode("utf-8", "ignore").decode() + GOOD[at + length :]
        )
    except ConfigError as error:
        said = [str(problem) for problem in error.problems]
    else:
        return
    assert said
    assert all("\n" not in line for line in said)


@pytest.mark.parametrize(
    "text",
    [
        b"\xff\xfe",
        b"a = " + b"[" * 5000,
        b"x" * (1024 * 1024 + 1),
        b"",
        b"[providers]\nx = 1",
        b"firewalls = 3",
        b"hosts = [1]",
    ],
)
def test_a_hostile_file_is_a_list_of_problems(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "config.toml").write_bytes(text)
    with pytest.raises(ConfigError):
        load(tmp_path / "config.toml")


def test_show_is_the_whole_configuration_and_loads_again(tmp_path: Path) -> None:
    first = loaded(tmp_path)
    text = show(first)
    assert "HCLOUD_TOKEN" in text
    second = loaded(tmp_path, text)
    assert show(second) == text
    assert second.firewalls["web"].settings == first.firewalls["web"].settings
    assert second.ssh == first.ssh
    assert second.policy == first.policy


def test_the_search_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "xdg" / "cloudsync"
    home.mkdir(parents=True)
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    with pytest.raises(ConfigError, match=r"no configuration \(looked for cloudsync.toml, "):
        find(None, environ)
    (home / "config.toml").touch()
    assert find(None, environ) == home / "config.toml"
    Path("cloudsync.toml").touch()
    assert find(None, environ) == Path("cloudsync.toml")
    assert find(None, environ | {"CLOUDSYNC_CONFIG": "env.toml"}) == Path("env.toml")
    assert find("told.toml", environ | {"CLOUDSYNC_CONFIG": "env.toml"}) == Path("told.toml")


def test_places_are_exact() -> None:
    text = (
        'a = 1\n[b.c]\n"d e" = [1,\n  { x = 2 }]\n[[f]]\ng = """\n[z]\n"""\n[[f]]\nh.i = \'q\' #'
        " = [\n"
    )
    found = {path: (place.line, place.column) for path, place in places(text, "f").items()}
    assert found[("a",)] == (1, 1)
    assert found[("b", "c", "d e")] == (3, 1)
    assert found[("b", "c", "d e", 1, "x")] == (4, 5)
    assert found[("f", 0, "g")] == (6, 1)
    assert found[("f", 1, "h", "i")] == (10, 3)
    assert ("z",) not in found


@pytest.mark.parametrize(
    ("text", "seconds"), [("0s", 0), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("2d", 172800)]
)
def test_durations(text: str, seconds: int) -> None:
    assert duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "10", "m", "-1s", "1.5h", "1m1h", "１s", " 1s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        duration(text)


@pytest.mark.parametrize(
    "text", ["0", "65536", "2-1", "1-", "tcp/1", "1/", "1/icmp", " 1", "１", "1-2-3", "+1"]
)
def test_what_is_no_port(text: str) -> None:
    with pytest.raises(ValueError, match=r"must|protocol"):
        port_range(text)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("443", "tcp/443"),
        ("8000-8010/udp", "udp/8000-8010"),
        ("all", "all"),
        ("all/tcp", "tcp/1-65535"),
        ("icmp", "icmp"),
        ("icmp/8", "icmp/8"),
        ("esp", "esp"),
        ("ip/143", "143"),
        ("ip/50", "esp"),
    ],
)
def test_what_may_be_allowed(text: str, rule: str) -> None:
    (expected,) = rules(rule)
    assert allowed(text) == (expected.protocol, expected.first, expected.last)
    assert ANY.covers(NetworkSet.of(["any4"]))


def alternatives() -> list[tuple[str, str]]:
    """Every line and every table that the example has as a comment, by what it says, and the whole
    file with it in effect: a key takes the place of the same key in its table."""
    lines = EXAMPLE.read_text().splitlines()
    found: list[tuple[str, str]] = []
    header = ""
    number = 0
    while number < len(lines):
        line = lines[number]
        if line.startswith("["):
            header = line
        elif line.startswith("# ["):
            end = number
            while end < len(lines) and lines[end].startswith("# "):
                end += 1
            table = [commented.removeprefix("# ") for commented in lines[number:end]]
            before = _with_tables(lines[:number], "# [providers.")
            found.append((table[0], "\n".join([*before, *table, *lines[end:]])))
            number = end
        elif match := re.match(r"# ([a-z_0-9]+) = ", line):
            found.append((f"{header} {line}", "\n".join(_with_key(lines, number, match[1]))))
        number += 1
    return found


def _with_tables(lines: list[str], start: str) -> list[str]:
    """The lines with every commented table that begins like this in effect."""
    inside, result = False, []
    for line in lines:
        inside = line.startswith("# ") and (inside or line.startswith(start))
        result.append(line.removeprefix("# ") if inside else line)
    return result


def _with_key(lines: list[str], number: int, key: str) -> list[str]:
    """The lines with a key in effect, and with the commented keys before it in its table, which it
    may need."""
    first = max((n for n in range(number) if lines[n].startswith("[")), default=0)
    last = next((n for n in range(number, len(lines)) if lines[n].startswith("[")), len(lines))
    active = {key} | {line.partition(" = ")[0] for line in lines[first:last]}
    result = []
    for at, line in enumerate(lines):
        commented = re.match(r"# ([a-z_0-9]+) = ", line)
        if at == number or (commented and first < at < number and commented[1] not in active):
            active.add(commented[1] if commented else key)
            result.append(line.removeprefix("# "))
        elif not (first < at < last and line.startswith(f"{key} = ")):
            result.append(line)
    return result


@pytest.mark.parametrize(
    ("what", "content"), alternatives(), ids=[what[:60] for what, _ in alternatives()]
)
def test_every_commented_key_and_table_of_the_example_loads(
    what: str, content: str, tmp_path: Path
) -> None:
    path = tmp_path / "cloudsync.toml"
    path.write_text(content)
    assert load(path).owner == "shop-prod", what


def test_the_example_shows_every_provider_and_every_key_of_it() -> None:
    content = EXAMPLE.read_text()
    for name in registry.names():
        plugin = registry.load(name)
        shown = {name, *re.findall(r'type = "(\w+)"', content)}
        assert name in shown or f"[providers.{name}]" in content
        for model in (plugin.account_settings, plugin.firewall_settings):
            missing = [key for key in model.model_fields if not re.search(rf"\b{key}\b", content)]
            assert missing == [], name
