"""Compose files of an attacker, who can open a pull request: what they may read, and that every one
of them ends in bounded time and memory with one line that says what is wrong."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cloudsync.sources.compose import ComposeError, read_projects
from tests.compose.compose_reference import lay
from tests.unit.compose_world import configured, judged, read

WEB = "services:\n  web:\n    image: web\n    ports: ['80:80']\n"
SECONDS = 20.0
"""Of processor time, for what is slowest; a machine that does other things besides counts less."""
MEBIBYTES = 600


def refusal(folder: Path, *paths: str) -> str:
    """Why a project is not read."""
    with pytest.raises(ComposeError) as refused:
        read_projects(folder, paths or (".",))
    return str(refused.value)


def spent(work: Callable[[], object]) -> float:
    """Seconds of processor time."""
    before = time.process_time()
    work()
    return time.process_time() - before


def resident(*, reset: bool = False) -> float:
    """The most memory that this process has had since the last reset, in MiB: what earlier tests
    of the same process left behind does not count."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def env(line: str, bytes_: int = 500 * 1024) -> str:
    return "".join(line.format(n=n) for n in range(bytes_ // len(line.format(n=99_999))))


def anchored(words: int) -> str:
    return "x-l: &l\n" + "".join(f"  cloudsync.l{n}: v\n" for n in range(words))


BOMBS: dict[str, dict[str, str]] = {
    "an env file of assignments": {"compose.yaml": WEB, ".env": env("A{n}=1\n")},
    "an env file of references": {
        "compose.yaml": WEB,
        ".env": "X=" + "x" * 60_000 + "\n" + env("A{n}=$X\n"),
    },
    "an env file of doublings": {
        "compose.yaml": WEB,
        ".env": "A0=xx\n" + "".join(f"A{n}=$A{n - 1}$A{n - 1}\n" for n in range(1, 40)),
    },
    "an env file of an open quote": {"compose.yaml": WEB, ".env": "A='" + "\\'x" * 150_000},
    "an env file of dollars": {"compose.yaml": WEB, ".env": "A=" + "${B:-" * 50_000 + "\n"},
    "an env file of braces": {"compose.yaml": WEB, ".env": env("A={n}${{A:-{{}}\n")},
    "an env file of comments": {"compose.yaml": WEB, ".env": env(" #\n")},
    "aliases of aliases": {
        "compose.yaml": "x-0: &a0 [x, x, x, x, x, x, x, x]\n"
        + "".join(f"x-{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]\n" for n in range(1, 30))
        + WEB,
    },
    "merge keys of merge keys": {
        "compose.yaml": "x-0: &a0 {"
        + ", ".join(f"k{n}: v" for n in range(2000))
        + "}\n"
        + "".join(f"x-{n}: &a{n} {{<<: *a{n - 1}, z{n}: v}}\n" for n in range(1, 2000))
        + WEB,
    },
    "deep lists": {"compose.yaml": "services: " + "[" * 250_000},
    "deep mappings": {"compose.yaml": "services: " + "{a: " * 120_000},
    "deep blocks": {"compose.yaml": "services:\n" + "- " * 250_000},
    "question marks": {"compose.yaml": "? " * 250_000},
    "anchors": {"compose.yaml": "x-a: [" + "&a x," * 100_000 + "]\n" + WEB},
    "unknown keys": {
        "compose.yaml": "services:\n  web:\n" + "".join(f"    prt{n}: x\n" for n in range(24_000))
    },
    "one long key": {
        "compose.yaml": "services:\n  web:\n    ? " + "ports" * 90_000 + "\n    : x\n"
    },
    "a long path": {"compose.yaml": "include: ['" + "a.git#" * 80_000 + "']\n" + WEB},
    "a long port": {"compose.yaml": "services: {web: {ports: ['" + ":" * 400_000 + "']}}\n"},
    "many ports": {
        "compose.yaml": "services:\n"
        + "".join(f"  s{n}: {{ports: ['1-65535:1-65535']}}\n" for n in range(2000))
    },
    "extends of one large service": {
        "compose.yaml": "services:\n"
        + "".join(f"  s{n}: {{extends: {{file: big.yaml, service: b}}}}\n" for n in range(9_000)),
        "big.yaml": anchored(20_000) + "services: {b: {labels: *l}}\n",
    },
    "a chain of extends": {
        "compose.yaml": "services:\n"
        + "".join(f"  s{n}: {{extends: s{n + 1}}}\n" for n in range(9_000))
        + "  s9000: {}\n",
    },
    "a tree of includes": {
        "compose.yaml": "include: [i0.yaml]\n" + WEB,
        **{
            f"i{n}.yaml": f"include: [i{n + 1}.yaml, i{n + 1}.yaml]\nservices: {{}}\n"
            for n in range(30)
        },
        "i30.yaml": WEB,
    },
    "a chain of includes": {
        "compose.yaml": "include: [i0.yaml]\n" + WEB,
        **{f"i{n}.yaml": f"include: [i{n + 1}.yaml]\nservices: {{}}\n" for n in range(400)},
        "i400.yaml": WEB,
    },
    "includes of one large file": {
        "compose.yaml": "include: [" + ", ".join(["big.yaml"] * 1500) + "]\n" + WEB,
        "big.yaml": "services:\n" + "".join(f"  s{n}: {{image: a}}\n" for n in range(12_000)),
    },
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_ends_soon_and_small(bomb: str, tmp_path: Path) -> None:
    lay(tmp_path, BOMBS[bomb])

    problems = []

    def read_it() -> None:
        try:
            read_projects(tmp_path, ["."])
        except ComposeError as refused:
            problems.append(str(refused))

    before = resident(reset=True)
    assert spent(read_it) < SECONDS
    assert resident() - before < MEBIBYTES
    assert all("\n" not in problem and len(problem) < 1000 for problem in problems)


def test_twice_the_env_file_takes_about_twice_the_time(tmp_path: Path) -> None:
    took = []
    for size in (60_000, 440_000):
        lay(tmp_path, {"compose.yaml": WEB, ".env": env("A{n}=1\n", size)})
        took.append(min(spent(lambda: read_projects(tmp_path, ["."])) for _ in range(3)))
    assert took[1] < 3 * 7 * took[0], took


def test_a_file_of_ordinary_size_is_read_in_less_than_50_milliseconds(tmp_path: Path) -> None:
    services = "".join(
        f"  s{n}:\n    image: nginx:1\n    restart: unless-stopped\n    environment:\n      A: 1\n"
        f"      B: ${{B:-x}}\n    ports:\n      - '{8000 + n}:80'\n    labels:\n      a.b: c\n"
        "      cloudsync.sources: any4\n    networks: [front]\n    depends_on: [s0]\n"
        for n in range(20)
    )
    lay(tmp_path, {"compose.yaml": f"services:\n{services}networks: {{front: }}\n"})
    read_projects(tmp_path, ["."])
    assert min(spent(lambda: read_projects(tmp_path, ["."])) for _ in range(5)) < 0.05


def test_a_project_of_a_hundred_includes_is_no_bomb(tmp_path: Path) -> None:
    files = {"compose.yaml": "include:\n" + "".join(f"  - s{n}/compose.yaml\n" for n in range(300))}
    for n in range(300):
        files[f"s{n}/compose.yaml"] = f"services: {{s{n}: {{image: a, ports: ['${{P}}:80']}}}}\n"
        files[f"s{n}/.env"] = f"P={8000 + n}\n"
    lay(tmp_path, files)
    (project,) = read_projects(tmp_path, ["."])
    assert {port.host for service in project.services for port in service.ports} == {
        str(8000 + n) for n in range(300)
    }


# What a project may read


@pytest.mark.parametrize("where", ["compose.yaml", "in.yaml", "base.yaml", "w.labels", "e.env"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "socket"])
def test_only_regular_files_are_read_and_none_is_waited_for(
    where: str, kind: str, tmp_path: Path
) -> None:
    lay(
        tmp_path,
        {
            "compose.yaml": (
                "include: [{path: in.yaml, env_file: e.env}]\nservices:\n"
                "  web: {extends: {file: base.yaml, service: b}, label_file: w.labels}\n"
            ),
            "in.yaml": "services: {}\n",
            "base.yaml": "services: {b: {ports: ['80:80']}}\n",
            "w.labels": "",
            "e.env": "",
        },
    )
    read_projects(tmp_path, ["compose.yaml", "in.yaml"])
    path = tmp_path / where
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        os.mknod(path, 0o140644)
    else:
        path.symlink_to("/dev/zero")
    problem = refusal(
        tmp_path, *(["in.yaml", "compose.yaml"] if where != "in.yaml" else ["compose.yaml"])
    )
    assert "not a regular file" in problem or "lies outside" in problem or "has no" in problem


@pytest.mark.parametrize("path", ["compose.yaml", "."])
def test_a_compose_file_that_is_a_link_out_of_the_folders_is_refused(
    path: str, tmp_path: Path
) -> None:
    lay(tmp_path, {"outside/compose.yaml": WEB, "inside/readme": ""})
    (tmp_path / "inside" / "compose.yaml").symlink_to("../outside/compose.yaml")
    assert "lies outside of the folders that the configuration names" in refusal(
        tmp_path / "inside", path
    )


def test_an_override_that_is_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    lay(tmp_path, {"outside/x.yaml": WEB, "inside/compose.yaml": WEB})
    (tmp_path / "inside" / "compose.override.yaml").symlink_to("../outside/x.yaml")
    assert "lies outside" in refusal(tmp_path / "inside")


def test_a_link_within_the_folders_is_followed(tmp_path: Path) -> None:
    lay(tmp_path, {"shared/x.yaml": WEB, "shop/readme": ""})
    (tmp_path / "shop" / "compose.yaml").symlink_to("../shared/x.yaml")
    (project,) = read_projects(tmp_path, ["shop"])
    assert project.name == "shop"


# What a message shows


@pytest.mark.parametrize(
    "key",
    [
        "cloudsync.${SECRET}",
        "cloudsync.$SECRET",
        "cloudsync.port.${SECRET}.sources",
        "${C}.${SECRET}",
    ],
)
def test_no_variable_is_shown_by_the_key_of_a_label(key: str, tmp_path: Path) -> None:
    lay(
        tmp_path,
        {
            "compose.yaml": WEB + f"    labels: ['{key}=any']\n",
            ".env": "SECRET=hunter2\nC=cloudsync\n",
        },
    )
    configuration = configured(tmp_path, compose=["compose.yaml"])
    found = judged(configuration, read(configuration))
    assert "hunter2" not in str(found)
    (problem,) = found["malformed"]
    assert key in problem or key.replace("${C}", "cloudsync.${C}") in problem


def test_a_variable_may_make_one_of_our_labels(tmp_path: Path) -> None:
    lay(
        tmp_path,
        {
            "compose.yaml": (
                WEB
                + "    labels: ['cloudsync.port.${P}.sources=203.0.113.0/24', 'cloudsync.${K}=x']\n"
            ),
            ".env": "P=80\nK=description\n",
        },
    )
    configuration = configured(tmp_path, compose=["compose.yaml"])
    found = judged(configuration, read(configuration))
    assert found["opens"] == ["80/tcp 203.0.113.0/24 web compose.yaml:4"]
    assert found["descriptions"] == ["x"]


@pytest.mark.parametrize(
    "text",
    [
        "services: {web: {ports: ['${SECRET}']}}\n",
        "services: {web: {network_mode: host, networks: ['${SECRET}']}}\n",
        "services: {web: {networks: ['${SECRET}']}}\n",
        "services: {web: {scale: '${SECRET}'}}\n",
        (
            "services: {web: {ports: ['80:80'], networks: [n]}}\nnetworks: {n: {internal:"
            " '${SECRET}'}}\n"
        ),
        "include: ['${SECRET}.yaml']\n",
        "services: {web: {extends: '${SECRET}'}}\n",
    ],
)
def test_no_message_shows_the_value_of_a_variable(text: str, tmp_path: Path) -> None:
    lay(tmp_path, {"compose.yaml": text, ".env": "SECRET=hunter2\n"})
    assert "hunter2" not in refusal(tmp_path)
