"""`cloudsync discover` and what applies remember, as typed; the engines are fakes that answer over
real HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Shell
from tests.doubles.engine import FakeEngine

PORTS = {"80/tcp": "8088", "5432/tcp": "5432"}


def container(
    number: int, ports: dict[str, str], address: str = "0.0.0.0", image: str = "web", **labels: str
) -> dict[str, Any]:
    """`GET /containers/{id}/json` of container `c<number>`."""
    bindings = {port: [{"HostIp": address, "HostPort": host}] for port, host in ports.items()}
    made = FakeEngine.container(number) | {
        "HostConfig": {"NetworkMode": "bridge", "PortBindings": bindings}
    }
    made["NetworkSettings"] = {"Ports": bindings, "Networks": {"bridge": {"NetworkID": "n1"}}}
    made["Config"] = {
        "Labels": labels,
        "Image": image,
        "Env": ["SECRET=hunter2", "VIRTUAL_HOST=hunter2.example"],
    }
    return made


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[FakeEngine]:
    (tmp_path / "e").mkdir()
    with FakeEngine(tmp_path / "e", containers=0) as fake:
        fake.routes["/info"] = {"ID": "first", "Swarm": {"LocalNodeState": "inactive"}}
        runs(fake, container(0, PORTS))
        yield fake


def runs(engine: FakeEngine, *containers: dict[str, Any]) -> None:
    engine.routes["/containers/json"] = [{"Id": one["Id"]} for one in containers]
    engine.routes |= {f"/containers/{one['Id']}/json": one for one in containers}
    engine.routes["/images/sha256:1/json"] = {"Config": {"Labels": {}}}


def configure(shell: Shell, engine: FakeEngine, **more: str) -> None:
    shell.configure('"51820/udp"', host=f'docker = "{engine.endpoint}"', **more)


def verdicts(document: Any) -> dict[str, list[tuple[str, str | None, str | None]]]:
    (host,) = document["hosts"]
    return {
        f"{row['ports']}/{row['protocol']}": [
            (v["outcome"], v["firewall"], v["code"]) for v in row["verdicts"]
        ]
        for row in host["ports"]
    }


def test_without_a_configuration_the_docker_commands_engine_is_shown(
    shell: Shell, engine: FakeEngine
) -> None:
    (shell.folder / "cloudsync.toml").unlink()
    done = shell.types("discover", DOCKER_HOST=engine.endpoint)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == f"{engine.endpoint}: 2 ports of 1 container"
    opened, refused = done.stdout.split("Would not be opened (1)")
    assert "Would be opened (1)\n  8088/tcp  c0  everyone (IPv4)" in opened
    assert "  5432/tcp  c0  sensitive, so not for everyone" in refused
    assert done.stdout.endswith("Next: cloudsync init\n")


@pytest.mark.parametrize("words", [("discover",), ("audit",)])
def test_a_configuration_that_others_can_change_is_refused_and_not_passed_over(
    shell: Shell, engine: FakeEngine, words: tuple[str, ...]
) -> None:
    (shell.folder / "cloudsync.toml").chmod(0o666)
    done = shell.types(*words, DOCKER_HOST=engine.endpoint)
    assert (done.returncode, done.stdout) == (64, "")
    assert "--config ./cloudsync.toml takes it" in done.stderr
    assert engine.requests == []


def test_labels_that_name_things_of_a_configuration_are_no_mistake_without_one(
    shell: Shell, engine: FakeEngine
) -> None:
    (shell.folder / "cloudsync.toml").unlink()
    runs(
        engine,
        container(
            0, {"80/tcp": "8088"}, **{"cloudsync.sources": "@office", "cloudsync.firewall": "web"}
        ),
    )
    done = shell.types("discover", DOCKER_HOST=engine.endpoint)
    assert done.returncode == 0, done.stdout
    assert "Would be opened (1)" in done.stdout
    assert "not at hand" in done.stdout


def test_with_a_configuration_every_port_has_its_verdict_at_every_firewall(
    shell: Shell, engine: FakeEngine
) -> None:
    configure(shell, engine, policy='deny = ["8089/tcp"]')
    runs(
        engine,
        container(0, PORTS),
        container(1, {"80/tcp": "8089"}),
        container(2, {"80/tcp": "8090"}, "127.0.0.1"),
        container(3, {"80/tcp": "8091"}, "10.0.0.1"),
        container(4, {"80/tcp": "8092"}, **{"cloudsync.expose": "false"}),
        container(5, {"80/tcp": "8093"}, **{"cloudsync.exposed": "true"}),
    )
    done = shell.types("discover", "--output", "json")
    assert done.returncode == 1, "a malformed label"
    assert verdicts(json.loads(done.stdout)) == {
        "8088/tcp": [("opened", "web", None)],
        "5432/tcp": [("refused", "web", "sensitive")],
        "8089/tcp": [("refused", "web", "denied")],
        "8090/tcp": [("loopback", None, None)],
        "8091/tcp": [("refused", "web", "private-address")],
        "8092/tcp": [("refused", None, "labelled-out")],
        "8093/tcp": [("held", None, "malformed")],
        "51820/udp": [("opened", "web", None)],
    }
    assert not (shell.folder / "fw.json").exists()
    assert not (shell.folder / "state").exists()


def test_the_table_says_who_from_where_and_by_what(shell: Shell, engine: FakeEngine) -> None:
    configure(shell, engine)
    runs(
        engine,
        container(
            0,
            {"80/tcp": "8088"},
            **{"cloudsync.ports": "8088", "cloudsync.sources": "203.0.113.0/24"},
        ),
    )
    rows = [line.split() for line in shell.types("discover").stdout.splitlines()]
    assert ["8088/tcp", "c0", "203.0.113.0/24", "(label", "cloudsync.ports)"] in rows
    assert any(
        row[:3] == ["51820/udp", "declared", "everyone"] and row[3].startswith("(cloudsync.toml:")
        for row in rows
    )


def test_columns_line_up(shell: Shell, engine: FakeEngine) -> None:
    configure(shell, engine)
    opened = shell.types("discover").stdout.split("Would not be opened")[0]
    lines = [line for line in opened.splitlines() if line.startswith("  ")]
    column = lines[0].index("everyone")
    assert len(lines) == 2
    assert all(line[column - 1] == " " and line[column] != " " for line in lines)


def test_a_part_that_is_refused_does_not_hide_the_rest_of_a_range(
    shell: Shell, engine: FakeEngine
) -> None:
    configure(shell, engine, policy='deny = ["9005/tcp"]')
    runs(engine, container(0, {f"{n}/tcp": str(n) for n in range(9001, 9010)}))
    found = verdicts(json.loads(shell.types("discover", "--output", "json").stdout))
    assert found["9001-9009/tcp"] == [("opened", "web", None), ("refused", "web", "denied")]


def test_a_host_that_is_down_is_named_and_is_worth_another_try(shell: Shell) -> None:
    """It may be starting: to retire it, which closes what it needs, is advised after a day."""
    shell.configure(host='docker = "unix:///nowhere.sock"')
    done = shell.types("discover")
    assert done.returncode == 75
    assert "could not be read completely: /nowhere.sock does not exist" in done.stdout
    assert "retired" not in done.stdout


def test_backends_of_a_proxy_are_shown_and_notes_of_the_plan(
    shell: Shell, engine: FakeEngine
) -> None:
    configure(shell, engine)
    runs(
        engine,
        container(0, {"80/tcp": "80"}, image="nginxproxy/nginx-proxy:1"),
        container(1, {}),
        container(2, {"80/tcp": "8095"}),
    )
    done = shell.types("discover")
    assert "Needs no port: " in done.stdout
    assert "publishes 8095/tcp past the proxy" in done.stdout
    assert "hunter2" not in done.stdout
    plan = json.loads(shell.types("plan", "--output", "json").stdout)
    assert any(
        "c2 publishes 8095/tcp although nginx-proxy (c0) serves it" in text
        for text in plan["warnings"]
    )


def test_text_of_strangers_is_harmless_in_the_table(shell: Shell, engine: FakeEngine) -> None:
    configure(shell, engine)
    labels = {
        "com.docker.compose.project": "\x1b[31mred\u202e",
        "com.docker.compose.service": "x\ny",
    }
    runs(engine, container(0, {"80/tcp": "8088"}, **labels))
    out = shell.types("discover").stdout
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "\\x1b[31mred\\u202e/x\\x0ay" in out


def test_law5_a_plan_and_discover_remember_nothing_and_an_apply_remembers_the_engine(
    shell: Shell, engine: FakeEngine
) -> None:
    configure(shell, engine)
    memory = shell.folder / "state" / "shop.engines.json"
    assert shell.code("plan") == 0
    assert shell.code("discover") == 0
    assert not memory.exists()
    assert shell.code("apply", "--auto-approve") == 0
    assert json.loads(memory.read_text())["hosts"]["web-1"]["engines"] == {engine.endpoint: "first"}


def test_law1_nothing_closes_because_of_another_engine_and_the_message_says_how_to_accept_it(
    shell: Shell, engine: FakeEngine
) -> None:
    configure(shell, engine)
    assert shell.code("apply", "--auto-approve") == 0
    engine.routes["/info"] = {"ID": "second", "Swarm": {"LocalNodeState": "inactive"}}
    runs(engine)
    done = shell.types("plan")
    assert done.returncode == 1
    assert "another engine answers" in done.stdout
    assert "stays open because web-1 could not be read" in done.stdout
    memory = shell.folder / "state" / "shop.engines.json"
    memory.write_text(json.dumps({"version": 1, "hosts": {"web-1": {"engines": {}}}}))
    refused = shell.types("plan")
    assert refused.returncode == 3, "the mark of the firewall names the first engine"
    assert "--adopt web" in refused.stdout
    accepted = shell.types("plan", "--adopt", "web")
    assert accepted.returncode == 0
    assert "- 8088/tcp" in accepted.stdout


def test_law1_a_host_that_is_down_closes_nothing_and_the_plan_says_since_when(
    shell: Shell, engine: FakeEngine
) -> None:
    configure(shell, engine)
    assert shell.code("apply", "--auto-approve") == 0
    before = (shell.folder / "fw.json").read_text()
    engine.routes["/info"] = (503, {"message": "starting"})
    assert "unknown since" not in shell.types("plan").stdout, "only applies remember"
    assert shell.code("apply", "--auto-approve") == 75
    assert (shell.folder / "fw.json").read_text() == before
    plan = shell.types("plan").stdout
    assert "unknown since 20" in plan
    assert "retired" not in plan, "it answered today: that advice comes after a day"
    assert "stays open because web-1 could not be read" in plan


def test_a_retired_host_is_not_read_any_more(shell: Shell) -> None:
    shell.configure(more='[hosts.old]\ndocker = "unix:///nowhere.sock"\nretired = true')
    assert shell.code("discover") == 0
    assert "old" not in shell.types("discover").stdout


def test_law8_containers_whose_ports_nobody_knows_have_a_row_each(
    shell: Shell, engine: FakeEngine
) -> None:
    listening = container(1, {})
    listening["HostConfig"]["NetworkMode"] = "host"
    listening["Config"]["ExposedPorts"] = {"9100/tcp": {}}
    own = container(2, {})
    own["NetworkSettings"]["Networks"] = {"lan": {"NetworkID": "n2"}}
    joins = container(3, {})
    joins["HostConfig"]["NetworkMode"] = f"container:{engine.id(0)}"
    none = container(4, {})
    none["HostConfig"]["NetworkMode"] = "none"
    runs(engine, container(0, {"80/tcp": "8088"}), listening, own, joins, none)
    engine.routes["/networks"] = [
        {"Id": "n1", "Name": "bridge", "Driver": "bridge", "Options": {}},
        {"Id": "n2", "Name": "lan", "Driver": "macvlan", "Options": {}},
    ]
    configure(shell, engine)
    text = shell.types("discover").stdout
    _, _, unknown = text.partition("Not known (4)")
    for name, word in (("c1", "9100/tcp"), ("c2", "macvlan"), ("c3", "another"), ("c4", "network")):
        (row,) = [line for line in unknown.splitlines() if line.strip().startswith(name)]
        assert word in row
    assert "cloudsync.ports" in unknown
    assert "note: " not in unknown
    document = json.loads(shell.types("discover", "--output", "json").stdout)
    assert {one["network"] for one in document["hosts"][0]["unpublished"]} == {
        "host",
        "macvlan",
        "container",
        "none",
    }
    plan = json.loads(shell.types("plan", "--output", "json").stdout)
    assert [one["origin"]["container"] for one in plan["unpublished"]] == ["c1", "c2", "c3", "c4"]
