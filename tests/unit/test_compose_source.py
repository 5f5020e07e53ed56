"""A host that is described by Compose files: what fails it, what it may read, and what it means for
a firewall."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from cloudsync.model.ports import (
    Complete,
    Discovery,
    Failed,
    Partial,
)
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.networks import ANY
from cloudsync.sources import united
from cloudsync.sources.compose import ComposeError, read_projects
from tests.unit.compose_world import configured, judged, read

WEB = "services:\n  web:\n    image: web\n    ports: ['80:80']\n"


def lay(folder: Path, **files: str) -> None:
    """`compose="…"` is compose.yaml, `env` is .env, `other_yaml` is other.yaml."""
    names = {"compose": "compose.yaml", "env": ".env"}
    for name, text in files.items():
        path = folder / names.get(name, name.replace("__", "/").replace("_", "."))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def discovered(folder: Path, *paths: str, **more: list[str] | None) -> Discovery:
    return read(configured(folder, compose=list(paths) or ["compose.yaml"], **more))


def reason(folder: Path, *paths: str, **more: list[str] | None) -> str:
    found = discovered(folder, *paths, **more)
    assert isinstance(found, Failed), found
    assert not found.temporary, "trying again does not fix a file"
    assert "\n" not in found.reason
    return found.reason


def opens(folder: Path, *paths: str, **more: list[str] | None) -> list[str]:
    configuration = configured(folder, compose=list(paths) or ["compose.yaml"], **more)
    found = read(configuration)
    assert isinstance(found, Complete), found
    lines: list[str] = judged(configuration, found)["opens"]
    return lines


# What is wrong is named with its line, and nothing of the host opens


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "services: {web: {ports: ['${P}:80']}}\n",
            "compose.yaml:1: the variable P is not set and has no default",
        ),
        (
            "services:\n  web:\n    ports:\n      - '${P:?say which}:80'\n",
            "compose.yaml:4: the variable P is required: say which",
        ),
        ("services: {web: {ports: ['${P']}}\n", "compose.yaml:1: ${ is not closed"),
        (
            "services: {web: {ports: ['80:80'], ports: []}}\n",
            "compose.yaml:1: duplicate key 'ports' in one mapping, first in line 1",
        ),
        (
            "services:\n  web:\n    ports: [70000:80]\n",
            "compose.yaml:3: ports: host ports are between 1 and 65535, the first not above",
        ),
        (
            "services:\n  web:\n    ports: [0x50]\n",
            "compose.yaml:3: ports: a number that is not plain decimal; write the port in quotes",
        ),
        (
            "services:\n  web:\n    ports: [1_000]\n",
            "compose.yaml:3: ports: a number that is not plain decimal; write the port in quotes",
        ),
        (
            "services:\n  web:\n    port: ['80:80']\n",
            "compose.yaml:3: unknown key 'port', did you mean \"ports\"?",
        ),
        (
            "service:\n  web: {}\n",
            "compose.yaml:1: unknown key 'service', did you mean \"services\"?",
        ),
        ("web: {ports: ['80:80']}\n", "compose.yaml: has no services"),
        (
            "services:\n  web: {extends: other}\n",
            "compose.yaml:2: extends the service 'other', which compose.yaml does not have",
        ),
        (
            "include: [compose.yaml]\nservices: {a: {image: a}}\n",
            "compose.yaml: include goes round in a circle",
        ),
        (
            "services:\n  a: {extends: b}\n  b: {extends: a}\n",
            "compose.yaml:2: extends goes round in a circle: a -> b -> a",
        ),
        (
            "services: {web: {labels: {cloudsync.sources: '${WHO}'}}}\n",
            "compose.yaml:1: the variable WHO is not set and has no default",
        ),
        (
            "services: {web: {labels: ['cloudsync.sources=${WHO}']}}\n",
            "compose.yaml:1: the variable WHO is not set and has no default",
        ),
        (
            "services: {web: {labels: ['${WHO}.sources=any']}}\n",
            "compose.yaml:1: the variable WHO is not set and has no default",
        ),
        (
            "services: {a: {scale: 2, deploy: {replicas: 3}}}\n",
            "compose.yaml:1: the service a has both scale and deploy.replicas, and they differ",
        ),
        (
            "services: {web: {network_mode: '${MODE}'}}\n",
            "compose.yaml:1: the variable MODE is not set and has no default",
        ),
        (
            (
                "services: {web: {labels: {cloudsync.sources: any}, deploy: {labels:"
                " {cloudsync.sources: any4}}}}\n"
            ),
            (
                "compose.yaml:1: the label cloudsync.sources of deploy differs from the one at"
                " compose.yaml:1"
            ),
        ),
    ],
)
def test_a_mistake_fails_the_host_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    lay(tmp_path, compose=text)
    assert reason(tmp_path).startswith(said)


def test_a_mistake_in_one_project_fails_the_whole_host(tmp_path: Path) -> None:
    lay(tmp_path, one__compose_yaml=WEB, two__compose_yaml="services: {a: {ports: [x]}}\n")
    assert reason(tmp_path, "one", "two").startswith("two/compose.yaml:1: ports: not a port")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert reason(tmp_path) == "compose.yaml: cannot be read: No such file or directory"
    lay(tmp_path, shop__readme_md="")
    assert reason(tmp_path, "shop").startswith("shop: has no compose.yaml, compose.yml, ")
    lay(tmp_path, compose=WEB)
    assert (
        reason(tmp_path, env_file=["prod.env"])
        == "prod.env: cannot be read: No such file or directory"
    )


def test_variables_that_decide_no_port_need_not_be_set(tmp_path: Path) -> None:
    lay(
        tmp_path,
        compose=(
            "services:\n  web:\n    image: web:${TAG:?}\n    environment: {A: '${SECRET:?}'}\n   "
            " ports: ['80:80']\n    labels: {other: '${X}'}\n    volumes: ['${DIR}:/data']\n"
        ),
    )
    assert opens(tmp_path) == ["80/tcp any web compose.yaml:5"]


# The environment of the process is not read


def test_variables_of_the_process_count_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("P", "8080")
    monkeypatch.setenv("COMPOSE_PROFILES", "debug")
    monkeypatch.setenv("COMPOSE_FILE", "other.yaml")
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "other")
    lay(
        tmp_path,
        compose=WEB
        + "  debug: {profiles: [debug], ports: ['${P:-9}:9']}\n  all: {ports: ['${P:-10}:10']}\n",
    )
    assert opens(tmp_path, ".") == [
        "10/tcp any all compose.yaml:6",
        "80/tcp any web compose.yaml:4",
    ]
    lay(tmp_path, env="P\nQ=$P\n", compose="services: {a: {ports: ['${Q}:1']}}\n")
    assert (
        reason(tmp_path) == "compose.yaml:1: the variable Q is not set and has no default "
        "(.env:2 refers to P, which is not set); looked for in .env"
    )


def test_a_symbolic_link_for_env_does_not_reach_the_process(tmp_path: Path) -> None:
    lay(
        tmp_path,
        compose="services: {a: {ports: ['80:80'], labels: {cloudsync.description: '$PATH'}}}\n",
    )
    (tmp_path / ".env").symlink_to("/proc/self/environ")
    assert reason(tmp_path).startswith(".env: lies outside of the folders")
    (tmp_path / ".env").unlink()
    assert (
        reason(tmp_path, env_file=["/proc/self/environ"])
        == "/proc/self/environ: is not a regular file"
    )


def test_a_symbolic_link_for_env_does_not_lead_out_unless_the_configuration_names_it(
    tmp_path: Path,
) -> None:
    lay(tmp_path / "outside", secrets_env="P=8080\n")
    lay(tmp_path / "inside", compose="services: {a: {ports: ['${P}:80']}}\n")
    (tmp_path / "inside" / ".env").symlink_to("../outside/secrets.env")
    assert reason(tmp_path / "inside").startswith(
        ".env: lies outside of the folders that the configuration names"
    )
    assert opens(tmp_path / "inside", env_file=[".env"]) == ["8080/tcp any a compose.yaml:1"]


# Files: local, ordinary, inside


@pytest.mark.parametrize(
    "remote",
    [
        "https://example.com/compose.yaml",
        "git@github.com:a/b.git",
        "oci://docker.io/a/b",
        "github.com/docker/compose.git#main:x",
        "ssh://x/y",
    ],
)
@pytest.mark.parametrize(
    "text",
    [
        "include: ['%s']\n" + WEB,
        "include: [{path: '%s'}]\n" + WEB,
        "services: {a: {extends: {file: '%s', service: b}}}\n",
    ],
)
def test_remote_files_are_refused_by_name(tmp_path: Path, text: str, remote: str) -> None:
    lay(tmp_path, compose=text % remote)
    assert (
        reason(tmp_path)
        == "compose.yaml:1: is remote (Git or OCI); only local files are read: check it out, and"
        " name the file"
    )


def test_a_remote_file_in_the_configuration_is_refused(tmp_path: Path) -> None:
    assert reason(tmp_path, "https://example.com/c.yaml").startswith(
        "https://example.com/c.yaml: is remote"
    )


@pytest.mark.parametrize(
    "text",
    [
        "include: ['{out}/compose.yaml']\n",
        "include: ['../{name}/compose.yaml']\n",
        "include: [{{path: in.yaml, env_file: '../{name}/.env'}}]\n",
        "include: [{{path: in.yaml, project_directory: '..'}}]\n",
        "include: ['link/compose.yaml']\n",
        "services: {{a: {{extends: {{file: '../{name}/compose.yaml', service: web}}}}}}\n",
        "services: {{a: {{label_file: '../{name}/.env'}}}}\n",
        "services: {{a: {{label_file: /etc/passwd}}}}\n",
    ],
)
def test_a_compose_file_cannot_lead_out_of_the_folders_that_were_named(
    tmp_path: Path, text: str
) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    lay(outside, compose=WEB, env="SECRET=hunter2\n")
    lay(inside, compose=text.format(out=outside, name=outside.name), in_yaml=WEB)
    (inside / "link").symlink_to(outside)
    said = reason(inside)
    assert "lies outside of the folders that the configuration names" in said
    assert "hunter2" not in said


def test_a_folder_that_the_configuration_names_is_inside(tmp_path: Path) -> None:
    lay(tmp_path / "common", compose=WEB)
    lay(
        tmp_path / "etc",
        compose="include: ['../common/compose.yaml']\nservices: {a: {ports: ['81:81']}}\n",
        more_yaml="services: {}\n",
    )
    lay(tmp_path / "common", more_yaml="services: {}\n")
    found = opens(tmp_path / "etc", "compose.yaml", "../common/more.yaml")
    assert found == [
        "80/tcp any web ../common/compose.yaml:4".replace("..", str(tmp_path)),
        "81/tcp any a compose.yaml:2",
    ]


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_only_ordinary_files_are_read_and_none_is_waited_for(tmp_path: Path, kind: str) -> None:
    lay(tmp_path, compose="include: [it]\n" + WEB)
    if kind == "pipe":
        os.mkfifo(tmp_path / "it")
    else:
        (tmp_path / "compose.yaml").unlink()
        (tmp_path / "compose.yaml").symlink_to("/dev/zero")
    with pytest.raises(
        ComposeError, match=r"is not a regular file|lies outside"
    ):  # in this thread: a wait would be interrupted
        read_projects(tmp_path, ["compose.yaml"])


def test_a_file_that_is_too_large_or_no_text(tmp_path: Path) -> None:
    lay(tmp_path, compose="#" * (512 * 1024 + 1))
    assert reason(tmp_path) == "compose.yaml: is larger than 512 KiB"
    (tmp_path / "compose.yaml").write_bytes(b"services: {\xff: }")
    assert reason(tmp_path) == "compose.yaml: is not UTF-8 text"


def test_what_a_file_says_elsewhere_is_never_quoted(tmp_path: Path) -> None:
    lay(tmp_path, compose=WEB + "x-secret: 'hunter2\n")
    assert "hunter2" not in reason(tmp_path)
    lay(tmp_path, compose=WEB, env="A='hunter2\n")
    assert "hunter2" not in reason(tmp_path)
    lay(tmp_path, compose="services: {a: {ports: ['${P}:80']}}\n", env="P=hunter2\n")
    assert "hunter2" not in reason(tmp_path)


# Several projects, several sources


def test_files_are_one_project_and_every_folder_is_its_own(tmp_path: Path) -> None:
    lay(tmp_path, shop__compose_yaml=WEB, mail__docker_compose_yml="")
    (tmp_path / "mail" / "docker.compose.yml").unlink()
    (tmp_path / "mail" / "docker-compose.yml").write_text("services: {web: {ports: ['25:25']}}\n")
    lay(
        tmp_path,
        a_yaml="services: {web: {ports: ['1:1']}}\n",
        b_yaml="services: {web: {ports: ['2:2']}}\n",
    )
    configuration = configured(tmp_path, compose=["shop", "a.yaml", "mail", "b.yaml"])
    found = read(configuration)
    assert isinstance(found, Complete)
    assert {(port.origin.project, port.origin.file, port.first) for port in found.required} == {
        ("shop", "shop/compose.yaml", 80),
        ("mail", "mail/docker-compose.yml", 25),
        (tmp_path.name.replace(".", ""), "a.yaml", 1),
        (tmp_path.name.replace(".", ""), "b.yaml", 2),
    }


def test_a_host_with_files_and_a_list_needs_both(tmp_path: Path) -> None:
    lay(tmp_path, compose=WEB)
    found = discovered(tmp_path, ports=["443/tcp"])
    assert isinstance(found, Complete)
    assert {(port.first, port.declared, port.from_file) for port in found.required} == {
        (443, True, True),
        (80, False, True),
    }


def test_law1_a_host_whose_files_are_wrong_is_as_unknown_as_one_that_is_down(
    tmp_path: Path,
) -> None:
    lay(tmp_path, compose="services: [}\n")
    wrong = discovered(tmp_path)
    assert isinstance(wrong, Failed)
    together = united([Complete(), wrong])
    assert isinstance(together, Partial)
    assert together.reasons == (wrong.reason,)
    assert not together.temporary


def test_ports_of_files_are_judged_and_never_the_users_own_word(tmp_path: Path) -> None:
    lay(tmp_path, compose="services: {db: {ports: ['5432:5432']}}\n")
    configuration = configured(tmp_path, compose=["compose.yaml"])
    found = judged(configuration, read(configuration))
    assert (found["opens"], found["refused"]) == ([], ["5432/tcp sensitive db compose.yaml:1"])


# What nobody means well


def test_a_bomb_of_aliases_is_an_error_at_once(tmp_path: Path) -> None:
    laugh = "x-0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    laugh += "".join(f"x-{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 20))
    lay(tmp_path, compose=laugh + WEB)
    assert "50000 keys and values, aliases expanded" in reason(tmp_path)


@pytest.mark.parametrize("opening", ["[", "{", "- ", "? ", "{a: "])
def test_deep_nesting_is_an_error(tmp_path: Path, opening: str) -> None:
    lay(tmp_path, compose="services: " + ("\n" if opening in "- ? " else "") + opening * 5000)
    assert re.search("nested deeper than 40 levels|maximum nesting depth", reason(tmp_path))


def test_a_bomb_of_includes_is_an_error(tmp_path: Path) -> None:
    for number in range(20):
        lay(
            tmp_path,
            **{
                f"i{number}_yaml": (
                    f"include: [i{number + 1}.yaml, i{number + 1}.yaml]\nservices: {{}}\n"
                )
            },
        )
    lay(tmp_path, i20_yaml=WEB, compose="include: [i0.yaml]\nservices: {}\n")
    assert "the project reads more than 2000 files" in reason(tmp_path)


def test_a_bomb_of_variables_is_an_error(tmp_path: Path) -> None:
    doubled = "A0=xxxxxxxxxxxxxxxx\n" + "".join(f"A{n}=$A{n - 1}$A{n - 1}\n" for n in range(1, 30))
    lay(tmp_path, compose=WEB, env=doubled)
    assert "becomes longer than" in reason(tmp_path)
    labels = "".join(f"      cloudsync.l{n}: $A\n" for n in range(100))
    lay(tmp_path, compose=WEB + "    labels:\n" + labels, env="A=" + "x" * 60_000)
    assert "characters with its variables replaced" in reason(tmp_path)


def test_a_bomb_of_ports_is_an_error(tmp_path: Path) -> None:
    services = "".join(f"  s{n}: {{ports: ['1-65535:1-65535']}}\n" for n in range(9))
    lay(tmp_path, compose="services:\n" + services)
    assert "publishes more than 131072 ports" in reason(tmp_path)


def test_nested_variables_have_an_end(tmp_path: Path) -> None:
    lay(
        tmp_path,
        compose="services: {a: {ports: ['" + "${A:-" * 500 + "80:80" + "}" * 500 + "']}}\n",
    )
    assert "nested deeper than 20 levels" in reason(tmp_path)


def test_all_ports_in_one_line_become_one_rule(tmp_path: Path) -> None:
    lay(tmp_path, compose="services: {a: {ports: ['20000-40000:20000-40000/udp']}}\n")
    found = discovered(tmp_path)
    assert isinstance(found, Complete)
    rules = RuleSet.of(Rule(p.protocol, p.first, p.last, p.sources) for p in found.required)
    assert rules == RuleSet.of([Rule("udp", 20000, 40000, ANY)])
    assert len(found.required) == 2


def test_the_folder_of_the_configuration_may_be_reached_by_a_link(tmp_path: Path) -> None:
    lay(
        tmp_path / "real",
        compose="include: [in.yaml]\n" + WEB,
        in_yaml="services: {a: {ports: ['81:81']}}\n",
    )
    (tmp_path / "link").symlink_to("real")
    assert opens(tmp_path / "link") == ["80/tcp any web compose.yaml:5", "81/tcp any a in.yaml:1"]
    shutil.rmtree(tmp_path / "real")


# Variables without a value: all in one message, and only where they decide something


def test_all_variables_that_are_not_set_are_named_at_once(tmp_path: Path) -> None:
    lay(
        tmp_path,
        compose=(
            "services:\n  a:\n    ports: ['${P}:80', '${BIND}:${Q}:81']\n    labels:\n"
            "      cloudsync.sources: ${WHO}\n  b: {network_mode: '${MODE}', scale: 1}\n"
            "  c: {profiles: ['${PROFILE}']}\n  d: {scale: '${COUNT}'}\n  e: {networks: [n]}\n"
            "networks: {n: {internal: '${IN}'}}\n"
        ),
        env="R=1\n",
    )
    assert (
        reason(tmp_path) == "compose.yaml:7: 8 variables are not set and have no default: PROFILE, "
        "COUNT (compose.yaml:8), P (compose.yaml:3), BIND (compose.yaml:3), Q (compose.yaml:3), "
        "WHO (compose.yaml:5), MODE (compose.yaml:6), IN (compose.yaml:10); looked for in .env"
    )


def test_a_missing_variable_is_named_once_with_every_file_it_was_looked_for_in(
    tmp_path: Path,
) -> None:
    lay(
        tmp_path,
        compose="include: [{path: i/b.yaml, env_file: [i/one.env, i/two.env]}]\nservices: {}\n",
        i__b_yaml="services: {b: {ports: ['${P}:1', '${P}:2']}}\n",
        i__one_env="A=1\n",
        i__two_env="P=${Q}\n",
        env="B=1\n",
    )
    assert (
        reason(tmp_path) == "i/b.yaml:1: the variable P is not set and has no default "
        "(i/two.env:1 refers to Q, which is not set); looked for in .env, i/one.env, i/two.env"
    )


@pytest.mark.parametrize(
    "service",
    [
        "{profiles: [debug], ports: ['${NO}:1'], labels: {cloudsync.sources: '${NO}'}}",
        "{scale: 0, ports: ['${NO}:1'], network_mode: '${NO}'}",
        "{deploy: {replicas: 0, labels: {cloudsync.sources: '${NO}'}}}",
        "{profiles: [debug], ports: ['${NO:?say which}:1'], scale: '${NO}'}",
        "{profiles: [debug], networks: [gone], label_file: '${NO}'}",
        "{profiles: [debug], label_file: gone.labels, networks: ['${NO}']}",
        "{labels: {other: '${NO}'}, build: {args: ['${NO}']}}",
        "{profiles: [debug], extends: {file: base.yaml, service: b}}",
    ],
)
def test_what_does_not_run_is_not_judged(tmp_path: Path, service: str) -> None:
    lay(
        tmp_path,
        compose=WEB + f"  idle: {service}\nnetworks: {{unused: {{internal: '${{NO}}'}}}}\n",
        base_yaml="services: {b: {ports: ['${NO}:1']}, c: {labels: ['cloudsync.x=${NO}']}}\n",
    )
    assert opens(tmp_path) == ["80/tcp any web compose.yaml:4"]


@pytest.mark.parametrize(
    ("service", "name"),
    [
        ("{profiles: ['${NO}']}", "NO"),
        ("{scale: '${NO}'}", "NO"),
        ("{networks: ['${NO}']}", "NO"),
        ("{networks: [n]}", "IN"),
        ("{label_file: '${NO}'}", "NO"),
        ("{label_file: w.labels}", "cloudsync.sources"),
        ("{build: {labels: {cloudsync.expose: '${NO}'}}}", "NO"),
        ("{extends: '${NO}'}", "NO"),
        ("{extends: {file: base.yaml, service: b}}", "DEEP"),
    ],
)
def test_what_runs_is_judged(tmp_path: Path, service: str, name: str) -> None:
    lay(
        tmp_path,
        compose=WEB + f"  w: {service}\nnetworks: {{n: {{internal: '${{IN}}'}}}}\n",
        base_yaml="services: {b: {ports: ['${DEEP}:1']}}\n",
        w_labels="cloudsync.sources=${WHO}\n",
    )
    assert f"the variable {name} is not set" in reason(tmp_path)


@pytest.mark.parametrize("text", ["${BIND:-}:443:443", "${EMPTY}:443:443", ":443:443"])
def test_an_address_that_its_author_made_empty_is_every_address(tmp_path: Path, text: str) -> None:
    lay(tmp_path, compose=f"services: {{a: {{ports: ['{text}']}}}}\n", env="EMPTY=\n")
    assert opens(tmp_path) == ["443/tcp any a compose.yaml:1"]


def test_an_address_that_nobody_set_is_an_error(tmp_path: Path) -> None:
    lay(tmp_path, compose="services: {a: {ports: ['${BIND}:443:443']}}\n")
    assert "the variable BIND is not set" in reason(tmp_path)


# What lies next to a named file


def remarks(folder: Path, *paths: str) -> list[str]:
    found = discovered(folder, *paths)
    assert isinstance(found, Complete), found
    return list(found.remarks)


def test_an_override_next_to_the_only_named_file_is_remarked_on(tmp_path: Path) -> None:
    lay(tmp_path, shop__docker_compose_yml="")
    (tmp_path / "shop" / "docker.compose.yml").unlink()
    (tmp_path / "shop" / "docker-compose.yml").write_text(WEB)
    assert remarks(tmp_path, "shop/docker-compose.yml") == []
    (tmp_path / "shop" / "docker-compose.override.yml").write_text("services: {}\n")
    (remark,) = remarks(tmp_path, "shop/docker-compose.yml")
    assert "docker-compose.override.yml is not read" in remark
    assert 'name its folder ("shop")' in remark
    assert remarks(tmp_path, "shop") == []


def test_compose_file_next_to_the_only_named_file_is_remarked_on(tmp_path: Path) -> None:
    lay(tmp_path, compose=WEB, other_yaml=WEB, env="COMPOSE_FILE=other.yaml\n")
    (remark,) = remarks(tmp_path, "compose.yaml")
    assert "COMPOSE_FILE of its .env is not read" in remark


def test_a_list_of_files_leaves_the_override_out_on_purpose(tmp_path: Path) -> None:
    lay(tmp_path, compose=WEB, prod_yaml="services: {}\n")
    (tmp_path / "compose.override.yaml").write_text("services: {}\n")
    assert remarks(tmp_path, "compose.yaml", "prod.yaml") == []
    assert remarks(tmp_path, "compose.yaml", "compose.override.yaml") == []


# The network that publishes

LOOPBACK = "driver_opts: {com.docker.network.bridge.host_binding_ipv4: 127.0.0.1}"


@pytest.mark.parametrize(
    ("service", "networks", "opened"),
    [
        ("{ports: ['80:80']}", f"{{default: {{{LOOPBACK}}}}}", False),
        ("{ports: ['80:80'], networks: [a]}", f"{{a: {{{LOOPBACK}}}}}", False),
        ("{ports: ['0.0.0.0:80:80'], networks: [a]}", f"{{a: {{{LOOPBACK}}}}}", True),
        ("{ports: ['80:80'], networks: [a, b]}", f"{{a: {{{LOOPBACK}}}, b: }}", False),
        ("{ports: ['80:80'], networks: [a, b]}", f"{{b: {{{LOOPBACK}}}, a: }}", True),
        (
            "{ports: ['80:80'], networks: {a: {gw_priority: 1}, b: {gw_priority: 2}}}",
            f"{{b: {{{LOOPBACK}}}, a: }}",
            False,
        ),
        (
            "{ports: ['80:80'], networks: [a, b]}",
            f"{{a: {{{LOOPBACK}, internal: true}}, b: }}",
            True,
        ),
        (
            "{ports: ['80:80'], networks: [a]}",
            f"{{a: {{{LOOPBACK.replace('127.0.0.1', '0.0.0.0')}}}}}",
            True,
        ),
        ("{ports: ['80:80'], network_mode: bridge}", f"{{default: {{{LOOPBACK}}}}}", True),
    ],
)
def test_a_port_without_an_address_is_bound_to_the_address_of_its_network(
    tmp_path: Path, service: str, networks: str, opened: bool
) -> None:
    lay(tmp_path, compose=f"services: {{w: {service}}}\nnetworks: {networks}\n")
    assert bool(opens(tmp_path)) is opened


def test_an_address_of_a_network_that_is_none_fails_the_host(tmp_path: Path) -> None:
    lay(
        tmp_path,
        compose=(
            "services: {w: {ports: ['80:80']}}\n"
            f"networks: {{default: {{{LOOPBACK.replace('127.0.0.1', 'localhost')}}}}}\n"
        ),
    )
    assert "host_binding_ipv4 must be an IPv4 address" in reason(tmp_path)


# Where relative paths start


def test_relative_paths_start_in_the_folder_of_the_first_file(tmp_path: Path) -> None:
    lay(
        tmp_path,
        deploy__compose_yaml="include: [in.yaml]\nservices: {web: {label_file: w.labels}}\n",
        deploy__in_yaml="services: {a: {ports: ['81:81']}}\n",
        deploy__base_yaml="services: {b: {ports: ['80:80']}}\n",
        deploy__w_labels="cloudsync.sources=any4\n",
        over__prod_yaml="services: {web: {extends: {file: base.yaml, service: b}}}\n",
        over__base_yaml="services: {b: {ports: ['90:90']}}\n",
    )
    assert opens(tmp_path, "deploy/compose.yaml", "over/prod.yaml") == [
        "80/tcp any4 web deploy/base.yaml:1",
        "81/tcp any a deploy/in.yaml:1",
    ]


# Labels that the image will carry


def test_labels_of_the_image_narrow_and_never_widen(tmp_path: Path) -> None:
    lay(
        tmp_path,
        compose=(
            "services:\n  a: {build: {labels: {cloudsync.expose: 'false'}}, ports: ['80:80']}\n  b:"
            " {build: {labels: [cloudsync.sources=any4]}, ports: ['81:81']}\n  c: {build: {labels:"
            " {cloudsync.description: x}}, labels: {cloudsync.sources: any6}, ports: ['82:82']}\n "
            " d: {build: ., ports: ['83:83']}\n"
        ),
    )
    assert opens(tmp_path) == [
        "81/tcp any4 b compose.yaml:3",
        "82/tcp any6 c compose.yaml:4",
        "83/tcp any d compose.yaml:5",
    ]


def test_labels_of_both_the_image_and_the_service_are_the_services_own(tmp_path: Path) -> None:
    lay(
        tmp_path,
        compose=(
            "services:\n  a: {build: {labels: {cloudsync.description: x}}, ports: ['80:80'], "
            "labels: {cloudsync.description: x}}\n"
        ),
    )
    found = discovered(tmp_path)
    assert isinstance(found, Complete)
    assert {port.description for port in found.required} == {"x"}
