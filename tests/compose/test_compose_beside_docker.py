"""The same files read by docker compose itself: `docker compose config` is the reference.

Where none runs (`compose_reference.py` says which is taken), these tests skip, and
`.ci/check_ran.py` fails.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from cloudsync.sources.compose import ComposeError, read_projects
from cloudsync.sources.compose.budget import Budget
from cloudsync.sources.compose.environment import Environment, read_environment
from tests import roots
from tests.compose.compose_projects import Generated, project
from tests.compose.compose_reference import (
    Meaning,
    Reading,
    Refused,
    config,
    lay,
    needed_reference,
    read_by_docker,
    read_by_us,
    references,
)
from tests.unit.compose_world import Expected
from tests.unit.test_compose_examples import EXAMPLES, FOLDERS

SERVICES = "services:\n  w: {image: a, %s}\n"
V5 = (5,)
"""docker compose v5: a file may change what it includes, and extend it."""


@pytest.fixture(autouse=True)
def _needs_docker_compose() -> None:
    needed_reference()


def test_the_reference_is_docker_compose_2_40_or_newer() -> None:
    version = needed_reference().version
    print("docker compose", ".".join(map(str, version)))
    assert version >= (2, 40)


def test_docker_compose_of_debian_is_at_hand_and_the_newest_is_the_reference() -> None:
    if roots.unavailable() is not None:
        pytest.skip(f"no docker compose of Debian: {roots.unavailable()}")
    known = references()
    assert any("libexec" in reference.words[0] for reference in known), known
    assert needed_reference().version == max(reference.version for reference in known)


@pytest.mark.parametrize(
    "name", [path.name for path in FOLDERS if Expected.of(path).failed is None]
)
def test_every_docker_compose_at_hand_reads_an_example_alike(name: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(EXAMPLES / name, tmp_path / name))
    expected = Expected.of(folder)
    words = words_of(folder, expected)
    newest = read_by_docker(folder, *words)
    for reference in references():
        reading = read_by_docker(folder, *words, by=reference)
        if isinstance(reading, Refused) and not isinstance(newest, Refused):
            assert NO_BRACKETS in reading.reason
            assert name == "14-ipv6"
        elif not isinstance(newest, Refused):
            assert reading == newest


def test_docker_compose_of_debian_wants_brackets_around_an_ipv6_address(tmp_path: Path) -> None:
    """Its 2.40.3 is built with newer libraries than the project's own 2.40.3, which takes both."""
    (debian,) = [one for one in references() if "libexec" in one.words[0]] or [None]
    if debian is None:
        pytest.skip(f"no docker compose of Debian: {roots.unavailable()}")
    for address, refused in (("::1", True), ("[::1]", False)):
        lay(tmp_path, {"compose.yaml": SERVICES % f'ports: ["{address}:6001:6001"]'})
        reading = read_by_docker(tmp_path, by=debian)
        assert isinstance(reading, Refused) is refused
        assert not isinstance(read_by_us(tmp_path, ["."]), Refused)


NO_BRACKETS = "too many colons in address"


def words_of(folder: Path, expected: Expected) -> list[str]:
    """What is typed to docker compose for an example. What decides no port, but docker compose goes
    no further without, is there: a required password, a file with variables of a container."""
    words = [word for profile in expected.profiles or () for word in ("--profile", profile)]
    words += [word for file in expected.env_file or () for word in ("--env-file", file)]
    words += [word for file in expected.compose if file != "." for word in ("-f", file)]
    with (folder / ".env").open("a") as file:
        file.write("\nDB_PASSWORD=x\n")
    (folder / "mailserver.env").touch()
    return words


def is_newer_than_the_reference(expected: Expected) -> bool:
    """Whether an example needs a docker compose that is newer than the one at hand."""
    needed = tuple(int(number) for number in expected.needs_compose.split(".") if number)
    return needed > needed_reference().version


@pytest.mark.parametrize(
    "name", [path.name for path in FOLDERS if Expected.of(path).failed is None]
)
def test_docker_compose_sees_the_same_ports_in_an_example(name: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(EXAMPLES / name, tmp_path / name))
    expected = Expected.of(folder)
    words = words_of(folder, expected)
    docker = read_by_docker(folder, *words)
    ours = read_by_us(folder, expected.compose, expected.env_file, expected.profiles)
    if is_newer_than_the_reference(expected):
        assert isinstance(docker, Refused)
        assert not isinstance(ours, Refused)
        return
    if name == "14-ipv6":
        docker = _with_mapped_addresses(docker)
    assert ours == docker


def _with_mapped_addresses(reading: Reading) -> Reading:
    """docker compose keeps `::ffff:198.51.100.5` as written; it is the IPv4 address."""
    assert not isinstance(reading, Refused)
    name, services = reading
    return name, {service: _mapped(meaning) for service, meaning in services.items()}


def _mapped(meaning: Meaning) -> Meaning:
    ports = frozenset((ip.removeprefix("::ffff:"), *rest) for ip, *rest in meaning.ports)
    return replace(meaning, ports=ports)  # type: ignore[arg-type]  # unpacking loses the length


PORTS = [
    '["22:22"]',
    "[80:30]",
    "[22:22]",
    '["[::1]:6001:6001"]',
    '["::1:6002:6002"]',
    '["9000-9002:9000-9002"]',
    '["7000-7010:80"]',
    '["80"]',
    "[443]",
    '["3000-3002"]',
    '["127.0.0.1::90"]',
    '["127.0.0.1:8080"]',
    '["80:80/TCP"]',
    '["53:53/UDP"]',
    '["80/udp"]',
    '["80:80/icmp"]',
    '["80:80/tcp/udp"]',
    '["080:080"]',
    '["8000-8002:80-81"]',
    '["8002-8000:8002-8000"]',
    '[" 8080:80"]',
    '["0:80"]',
    '["70000:80"]',
    '["80:0"]',
    '["[::]:80:80"]',
    '["[2001:db8::1]::91"]',
    '["[::]:92"]',
    '["localhost:80:80"]',
    '[":80"]',
    '["80:"]',
    '[""]',
    '["::"]',
    '["1.2.3.4:1-2:1-2"]',
    '["1.2.3:80:80"]',
    '["01.2.3.4:80:80"]',
    '["80:80/"]',
    '["80:80-81"]',
    '["80-80:80"]',
    '["[fe80::1%eth0]:93:93"]',
    '["0.0.0.0:80:80", "80:80"]',
    '["1:2:3:4:5"]',
    '["80:80:80"]',
    '["80:80\\n"]',
    '["+80:80"]',
    "[80.5]",
    "[true]",
    "[-80]",
    "[null]",
    "[[80]]",
    "{a: 80}",
    '"80:80"',
    "[!!str 80]",
    "[{target: 80}]",
    "[{target: 80, published: 8080}]",
    '[{target: 80, published: "8080-8085"}]',
    '[{target: "80", published: 1}]',
    '[{target: 80, published: "8080", protocol: udp, host_ip: 127.0.0.1}]',
    '[{target: 80, published: ""}]',
    "[{published: 1}]",
    "[{target: 80, published: 0}]",
    "[{target: 80, published: 1, foo: x}]",
    "[{target: 80, published: 1, x-foo: y, mode: host}]",
    '[{target: 80, published: 1, host_ip: "::1"}]',
    '[{target: 80, published: 1, host_ip: "[::1]"}]',
    '["٣:80"]',
    '[":443:443"]',
    '["[]:80:80"]',
    '["::80"]',
    '[":::80"]',
    '[":80:80/udp"]',
    '[{target: 80, published: 1, host_ip: ""}]',
    '[":8000-8001:80-81"]',
    '["0:0:80"]',
    '["::443:443"]',
]


@pytest.mark.parametrize("ports", PORTS)
def test_docker_compose_reads_and_refuses_the_same_ports(ports: str, tmp_path: Path) -> None:
    same(tmp_path, {"compose.yaml": SERVICES % f"ports: {ports}"})


A = "services:\n  a: {image: a, ports: ['80:80']%s}\n"
B = "services:\n  b: {image: a, ports: ['%s:81']}\n"
PROJECTS: dict[str, Mapping[str, str]] = {
    "null in an override changes nothing": {
        "compose.yaml": A % "",
        "compose.override.yaml": "services: {a: {ports: }}\n",
    },
    "an item that is reset": {"compose.yaml": SERVICES % 'ports: [!reset "80:80", "81:81"]'},
    "an item with override": {
        "compose.yaml": A % "",
        "compose.override.yaml": 'services: {a: {ports: [!override "81:81"]}}\n',
    },
    "a service that is reset": {
        "compose.yaml": A % "",
        "compose.override.yaml": "services: {a: !reset null, b: {image: b}}\n",
    },
    "a service with override": {
        "compose.yaml": A % "",
        "compose.override.yaml": "services: {a: !override {image: b}}\n",
    },
    "reset in a first file": {"compose.yaml": SERVICES % 'ports: !reset ["80:80"]'},
    "a range over one of its ports": {
        "compose.yaml": SERVICES % 'ports: ["80-82:80-82"]',
        "compose.override.yaml": 'services: {w: {ports: ["0.0.0.0:81:81"]}}\n',
    },
    "a list over a text": {
        "compose.yaml": A % "",
        "compose.override.yaml": 'services: {a: {ports: "81:81"}}\n',
    },
    "extends over two files of one project": {
        "compose.yaml": A % "",
        "compose.override.yaml": "services: {c: {extends: a}}\n",
    },
    "extends takes profiles along": {
        "compose.yaml": A % ", profiles: [p]" + "  c: {extends: a, labels: {x: y}}\n"
    },
    "extends in a circle": {"compose.yaml": "services: {a: {extends: b}, b: {extends: a}}\n"},
    "extends itself": {"compose.yaml": "services: {a: {extends: a}}\n"},
    "extends itself by file": {
        "compose.yaml": "services: {a: {extends: {file: compose.yaml, service: a}}}\n"
    },
    "extends without service": {"compose.yaml": "services: {a: {extends: {file: x.yaml}}}\n"},
    "extends a file that is not there": {
        "compose.yaml": "services: {a: {extends: {file: no.yaml, service: b}}}\n"
    },
    "extends, and resets": {"compose.yaml": A % "" + "  c: {extends: a, ports: !reset []}\n"},
    "a folder's own variables": {
        "compose.yaml": A % ", profiles: [q]",
        ".env": "COMPOSE_PROFILES=q, r\nCOMPOSE_PROJECT_NAME=zz\n",
    },
    "COMPOSE_FILE": {"x.yaml": A % "", "y.yaml": B % "5", ".env": "COMPOSE_FILE=x.yaml:y.yaml\n"},
    "two names for one file": {
        "compose.yaml": A % "",
        "docker-compose.yml": B % "1",
        "docker-compose.override.yml": B % "2",
    },
    "docker-compose.yaml": {"docker-compose.yaml": A % "", "compose.override.yml": B % "3"},
    "no file": {"other.yaml": A % ""},
    "two merge keys": {
        "compose.yaml": "x-a: &a {}\nservices:\n  w:\n    image: a\n    <<: *a\n    <<: *a\n"
    },
    "a list of merge keys": {
        "compose.yaml": (
            'x-a: &x {ports: ["1:1"]}\nx-b: &y {ports: ["2:2"]}\n' + SERVICES % "<<: [*x, *y]"
        )
    },
    "an alias inside of itself": {"compose.yaml": "x-a: &a [*a]\n" + A % ""},
    "an alias of nothing": {"compose.yaml": "services: {a: *b}\n"},
    "an anchor at an item": {
        "compose.yaml": (
            'services: {a: {image: a, ports: [&q "80:80"]}, b: {image: b, ports: [*q]}}\n'
        )
    },
    "a key twice": {"compose.yaml": "services:\n  a: {image: a}\n  a: {image: b}\n"},
    "a key twice where nobody looks": {"compose.yaml": SERVICES % "environment: {A: 1, A: 2}"},
    "scale and replicas": {"compose.yaml": A % ", scale: 2, deploy: {replicas: 0}"},
    "no replicas by a variable": {"compose.yaml": A % ", deploy: {replicas: '${N:-0}'}"},
    "a network mode and networks": {
        "compose.yaml": A % ", network_mode: host, networks: [x]" + "networks: {x: }\n"
    },
    "a network that is not there": {"compose.yaml": A % ", networks: [x]"},
    "profiles that are no list": {"compose.yaml": A % ", profiles: x"},
    "the same included twice": {
        "compose.yaml": "include: [b.yaml, c.yaml]\n",
        "b.yaml": "include: [d.yaml]\n" + B % "1",
        "c.yaml": "include: [d.yaml]\nservices: {c: {image: a}}\n",
        "d.yaml": A % "",
    },
    "include in a circle": {
        "compose.yaml": "include: [b.yaml]\n" + A % "",
        "b.yaml": "include: [compose.yaml]\n" + B % "1",
    },
    "an included service in an override": {
        "compose.yaml": "include: [b.yaml]\n",
        "compose.override.yaml": B % "3",
        "b.yaml": B % "2",
    },
    "variables of an included folder": {
        "compose.yaml": "include: [i/b.yaml]\n",
        "i/b.yaml": "include: [j/c.yaml]\n" + B % "${X}",
        ".env": "Y=3\n",
        "i/.env": "X=5\n",
        "i/j/c.yaml": "services: {c: {image: a, ports: ['${X}:1', '${Y}:2', '${Z}:3']}}\n",
        "i/j/.env": "X=6\nY=7\nZ=8\n",
    },
    "variables of a file that is not there": {
        "compose.yaml": "include: [{path: b.yaml, env_file: no.env}]\n",
        "b.yaml": B % "1",
    },
    "a folder for an include": {
        "compose.yaml": "include: [{path: i/b.yaml, project_directory: .}]\n",
        "i/.env": "X=5\n",
        ".env": "X=6\n",
        "i/b.yaml": (
            "services: {b: {image: a, ports: ['${X}:1'], extends: {file: e.yaml, service: e}}}\n"
        ),
        "e.yaml": "services: {e: {image: a, ports: ['9:9']}}\n",
    },
    "include that is no list": {"compose.yaml": "include: b.yaml\n", "b.yaml": B % "1"},
    "no mapping": {"compose.yaml": "- a\n"},
    "an empty file": {"compose.yaml": ""},
    "a service without anything": {"compose.yaml": "services: {a: }\n"},
    "services that are a list": {"compose.yaml": "services: [a]\n"},
    "a service with a bad name": {"compose.yaml": 'services: {"a b": {image: a}}\n'},
    "a misspelt key": {"compose.yaml": "services: {a: {image: a, prots: ['80:80']}}\n"},
    "no YAML": {"compose.yaml": "services: [}\n"},
    "tabs": {"compose.yaml": "services:\n\ta: {image: a}\n"},
    "lines of Windows": {"compose.yaml": (A % "").replace("\n", "\r\n")},
    "a byte order mark": {"compose.yaml": "\ufeff" + A % ""},
    "YAML 1.1, said so": {"compose.yaml": "%YAML 1.1\n---\n" + SERVICES % "ports: [22:22]"},
    "a folded text": {
        "compose.yaml": "services:\n  a:\n    image: a\n    ports:\n      - >-\n        80:80\n"
    },
    "a range in a variable": {
        "compose.yaml": SERVICES % "ports: ['${R}:${R}/udp']",
        ".env": "R=100-103\n",
    },
    "an empty variable": {"compose.yaml": SERVICES % "ports: ['${R}:80']", ".env": "R=\n"},
    "label files": {"compose.yaml": A % ", label_file: l", "l": "a=b\n"},
    "a label file that is not there": {"compose.yaml": A % ", label_file: l"},
    "a label file that is not there, where nothing runs": {
        "compose.yaml": A % "" + "  b: {image: b, profiles: [x], label_file: l}\n"
    },
    # Tags reach what comes to lie under them
    "a label reset in an extended file": {
        "compose.yaml": "services: {w: {extends: {file: b.yaml, service: m}}}\n",
        "b.yaml": (
            "services: {m: {extends: d, labels: !reset []}, d: {image: a, labels:"
            " [cloudsync.expose=false], ports: ['1:1']}}\n"
        ),
    },
    "a profile reset in an extended file": {
        "compose.yaml": "services: {w: {extends: {file: b.yaml, service: m}}}\n",
        "b.yaml": (
            "services: {m: {extends: d, profiles: !reset null}, d: {image: a, profiles: [x], ports:"
            " ['1:1']}}\n"
        ),
    },
    "replicas reset in an extended file": {
        "compose.yaml": "services: {w: {extends: {file: b.yaml, service: m}}}\n",
        "b.yaml": (
            "services: {m: {extends: d, deploy: {replicas: !reset null}}, d: {image: a, deploy:"
            " {replicas: 0}, ports: ['1:1']}}\n"
        ),
    },
    "networks overridden in an extended file of an extended file": {
        "compose.yaml": (
            "services: {w: {extends: {file: b.yaml, service: m}}}\nnetworks: {x: , y: }\n"
        ),
        "b.yaml": "services: {m: {extends: {file: c.yaml, service: d}, networks: !override [y]}}\n",
        "c.yaml": "services: {d: {extends: e, image: a}, e: {networks: [x], ports: ['1:1']}}\n",
    },
    "tags in the first of two documents that are extended": {
        "compose.yaml": "services: {w: {extends: {file: b.yaml, service: m}}}\n",
        "b.yaml": (
            "services: {m: {extends: d, ports: !reset []}, d: {image: a, ports:"
            " ['1:1']}}\n---\nservices: {o: {image: o}}\n"
        ),
    },
    "tags in the last of two documents that are extended": {
        "compose.yaml": "services: {w: {extends: {file: b.yaml, service: m}}}\n",
        "b.yaml": (
            "services: {m: {extends: d}, d: {image: a, ports: ['1:1']}}\n---\nservices: {m: {ports:"
            " !override ['2:2']}}\n"
        ),
    },
    "tags of an extended service end there": {
        "compose.yaml": "services: {w: {image: a, ports: ['1:1']}}\n",
        "compose.override.yaml": (
            "services: {b: {image: b, ports: !override ['2:2']}, w: {extends: b, ports: ['3:3']}}\n"
        ),
    },
    "an override in a third file that extends": {
        "compose.yaml": A % "",
        "b.yaml": "services: {a: {ports: ['2:2']}}\n",
        "c.yaml": (
            "services: {a: {extends: {file: d.yaml, service: d}, ports: !override ['3:3']}}\n"
        ),
        "d.yaml": "services: {d: {image: a, ports: ['4:4'], network_mode: host}}\n",
        ".env": "COMPOSE_FILE=compose.yaml:b.yaml:c.yaml\n",
    },
    "a tag that comes by a merge key": {
        "compose.yaml": A % "",
        "compose.override.yaml": "x-p: &p {ports: !override ['2:2']}\nservices: {a: {<<: *p}}\n",
    },
    "a tag of a merge key, and a value": {
        "compose.yaml": A % "",
        "compose.override.yaml": (
            "x-p: &p {ports: !override ['2:2']}\nservices: {a: {<<: *p, ports: ['3:3']}}\n"
        ),
    },
    "a reset that a merge key fills": {
        "compose.yaml": A % "",
        "compose.override.yaml": (
            "x-p: &p {ports: ['2:2']}\nservices: {a: {<<: *p, ports: !reset []}}\n"
        ),
    },
    "a reset inside of an anchor": {
        "compose.yaml": A % "",
        "compose.override.yaml": "x-p: &p {ports: !reset []}\nservices: {a: {<<: *p, image: b}}\n",
    },
    "an anchor of a reset": {
        "compose.yaml": A % "" + "  c: {image: c, ports: ['5:5']}\n",
        "compose.override.yaml": "services: {a: {ports: &r !reset []}, c: {ports: *r}}\n",
    },
    "a tag inside of an override": {
        "compose.yaml": A % ", network_mode: host",
        "compose.override.yaml": "services: {a: !override {image: b, ports: !override ['2:2']}}\n",
    },
    "all services overridden": {
        "compose.yaml": A % "",
        "compose.override.yaml": "services: !override {b: {image: b, ports: ['2:2']}}\n",
    },
    "all services reset": {
        "compose.yaml": A % "",
        "compose.override.yaml": "services: !reset null\n",
    },
    # The folder of the first file, and its variables
    "COMPOSE_FILE in another folder": {
        "d/c.yaml": B % "${P}",
        "d/.env": "P=7\nQ=$R\n",
        ".env": "COMPOSE_FILE=d/c.yaml\nR=1\n",
    },
    "COMPOSE_FILE, and variables of both folders": {
        "d/c.yaml": "services: {b: {image: a, ports: ['${P}:1', '${Q}:2', '${S}:3']}}\n",
        "d/.env": "P=7\nQ=8\nS=$P\n",
        ".env": "COMPOSE_FILE=d/c.yaml\nP=9\n",
    },
    "COMPOSE_FILE in two folders": {
        "d/c.yaml": B % "5",
        "e/c.yaml": "services: {b: {extends: {file: x.yaml, service: x}}}\n",
        "e/.env": "P=1\n",
        "d/x.yaml": "services: {x: {image: a, ports: ['6:6']}}\n",
        "e/x.yaml": "services: {x: {image: a, ports: ['7:7']}}\n",
        ".env": "COMPOSE_FILE=d/c.yaml;e/c.yaml\nCOMPOSE_PATH_SEPARATOR=;\n",
    },
    "COMPOSE_FILE above": {
        "c.yaml": A % "",
        "d/c.yaml": B % "5",
        ".env": "COMPOSE_FILE=./d/../c.yaml\n",
    },
    # The outer variables win
    "env files of an include": {
        "compose.yaml": "include: [{path: i/b.yaml, env_file: [i/one.env, i/two.env]}]\n",
        ".env": "X=3\n",
        "i/one.env": "X=4\nY=$X\nZ=${Y}0\n",
        "i/two.env": "Y=${X}1\nW=${Y}\n",
        "i/b.yaml": "services: {b: {image: a, ports: ['${X}:1', '${Y}:2', '${Z}:3', '${W}:4']}}\n",
    },
    "no env file, and one": {
        "compose.yaml": "include: [{path: i/b.yaml, env_file: [/dev/null, e.env]}]\n",
        "e.env": "X=3\n",
        "i/.env": "X=4\nY=5\n",
        "i/b.yaml": "services: {b: {image: a, ports: ['${X}:1', '${Y:-6}:2']}}\n",
    },
    "a default of an env file that the outer decides": {
        "compose.yaml": "include: [i/b.yaml]\n",
        ".env": "P=3\n",
        "i/.env": "Q=${P:-9}\nP=8\nR=${P}\n",
        "i/b.yaml": "services: {b: {image: a, ports: ['${Q}:1', '${R}:2', '${P}:3']}}\n",
    },
    # Empty by the user's own word
    "an address made empty": {
        "compose.yaml": SERVICES % "ports: ['${E}:80:80', '${E:-}:81:81', '${N:+1.2.3.4}:82:82']",
        ".env": "E=\n",
    },
    # What does not run
    "no replicas, and nothing that is there": {
        "compose.yaml": (
            A % "" + "  b: {image: b, scale: 0, ports: ['${NO}:1'], labels: {cloudsync.sources:"
            " '${NO}'}}\n"
        ),
    },
    "networks of a service of another profile": {
        "compose.yaml": (
            A % "" + "  b: {image: b, profiles: [x], networks: [y], network_mode: host}\n"
        ),
    },
    "a network that is not there, and no replicas": {
        "compose.yaml": A % "" + "  b: {image: b, scale: 0, networks: [y]}\n"
    },
    "a port that is none, where nothing runs": {
        "compose.yaml": A % "" + "  b: {image: b, profiles: [x], ports: ['x:y']}\n"
    },
    "variables of ports that are overridden": {
        "compose.yaml": SERVICES % "ports: ['${NO}:1']",
        "compose.override.yaml": "services: {w: {ports: !override ['2:2']}}\n",
    },
    # Names, words and white space
    "the project's name in a value": {
        "compose.yaml": (
            "name: shop\n" + SERVICES % "labels: {cloudsync.description: '${COMPOSE_PROJECT_NAME}'}"
        ),
    },
    "the name of a project by a variable": {
        "compose.yaml": (
            "name: ${N}\n" + SERVICES % "labels: {cloudsync.description: '${COMPOSE_PROJECT_NAME}'}"
        ),
        ".env": "N=Shop\n",
    },
    "words for booleans": {
        "compose.yaml": (
            A % ", networks: [x, y]" + "networks: {x: {internal: Off}, y: {internal: 'Y'}}\n"
        ),
    },
    "no word for a boolean": {
        "compose.yaml": A % ", networks: [x]" + "networks: {x: {internal: nope}}\n"
    },
    "an empty word for a boolean": {
        "compose.yaml": A % ", networks: [x]" + "networks: {x: {internal: ''}}\n"
    },
    "tabs between things": {
        "compose.yaml": "services:\t# x\n  a:\t{image:\ta, ports:\t['80:80',\t'81:81']}\t\n"
    },
    "a tab in a text": {
        "compose.yaml": "services:\n  a:\n    image: a\tb\n    ports:\n      -\t80:80\n"
    },
    "other alphabets in names": {"compose.yaml": A % "", ".env": "ÄÖ=1\nπ2=x\n名=y\n½=z\n"},
    "a name with a tab": {"compose.yaml": A % "", ".env": "A\tB=1\n"},
    "a sign in a name": {"compose.yaml": A % "", ".env": "A§B=1\n"},
}


@pytest.mark.parametrize("name", PROJECTS)
def test_docker_compose_makes_the_same_of_a_project(name: str, tmp_path: Path) -> None:
    same(tmp_path, PROJECTS[name])


SINCE_V5: dict[str, Mapping[str, str]] = {
    "an included service again": {
        "compose.yaml": "include: [b.yaml]\nservices: {b: {ports: ['1:1']}}\n",
        "b.yaml": B % "2",
    },
    "an included port overridden": {
        "compose.yaml": "include: [b.yaml]\nservices: {b: {ports: !override ['1:1']}}\n",
        "b.yaml": B % "2",
    },
    "two includes of one service": {
        "compose.yaml": "include: [b.yaml, c.yaml]\nservices: {}\n",
        "b.yaml": "services: {b: {image: a, network_mode: host}}\n",
        "c.yaml": "services: {b: {image: a, network_mode: none}}\n",
    },
}
OURS = {
    "an included service again": [("2", 81), ("1", 1)],
    "an included port overridden": [("1", 1)],
    "two includes of one service": [],
}


@pytest.mark.parametrize("name", SINCE_V5)
def test_docker_compose_v5_lets_a_file_change_what_it_includes(name: str, tmp_path: Path) -> None:
    if needed_reference().version >= V5:
        same(tmp_path, SINCE_V5[name])
    lay(tmp_path, SINCE_V5[name])
    (read,) = read_projects(tmp_path, ["."])
    assert [(port.host, port.target) for port in read.services[0].ports] == OURS[name]
    if name == "two includes of one service":
        assert read.services[0].network_mode == "host"


TEMPLATES = [
    "$A",
    "${A}",
    "$$A",
    "${Z:-d}",
    "${Z-d}",
    "${E:-d}",
    "${E-d}",
    "${A:+r}",
    "${A+r}",
    "${E:+r}",
    "${E+r}",
    "${Z:+r}",
    "${Z+r}",
    "${Z:-${A}}",
    "${Z:-${Y:-q}}x",
    "${Z:-$A}",
    "${Z:?m}",
    "${E:?m}",
    "${E?m}",
    "${A:?m}",
    "$",
    "$1",
    "${}",
    "${A",
    "${A/b/c}",
    "a$",
    "${Z:-}",
    "${Z:-a}b}",
    "$${A}",
    "${A:-}",
    "${a.b}",
    "${A }",
    "${ A}",
    "$A$A",
    "${Z:-{}}",
    "${Z:-a:-b}",
    "${Z-a?b}",
    "${Z?a-b}",
    "$A.$A",
    "${_x-u}",
    "$é",
    "${Z:=d}",
    "${Z:-$$A}",
    "$$$A",
    "${Z-a+b}",
    "${A+a-b}",
    "${A:+${A}}",
    "${A:?${Z}}",
]


@pytest.mark.parametrize("template", TEMPLATES)
def test_docker_compose_puts_in_variables_the_same_way(template: str, tmp_path: Path) -> None:
    text = SERVICES % f"labels: {{cloudsync.description: {json.dumps('[' + template + ']')}}}"
    labels(tmp_path, {"compose.yaml": text, ".env": "A=1\nE=\n"}, ["cloudsync.description"])


DOTENV = [
    "A=1 # c",
    "B=1#c",
    "D='lit $A'",
    r'E="exp ${Q:-1} ${Z:-d} \$A"',
    "export A=f",
    "A: yaml",
    "A=",
    "A",
    "A = spaced ",
    "A=${Q:-1}-${Q:-2}",
    'A="multi\nline"',
    r'A="a\tb\nc"',
    'A=a"b"c',
    "A=$$A",
    r"A='a\'b'",
    r'A="a\"b"',
    "A=  lead",
    "A=#x",
    'A="x" y',
    'A="x" #y',
    "exportA=1",
    "A=a b",
    r'A="a\\b"',
    r'A="a\qb"',
    "A=$1",
    "A==b",
    "A=b=c",
    "A=a'b",
    "A=\n B=2",
    "A=x\ty",
    r"A='a\nb'",
    r"A=a\nb",
    'A="" ',
    'A="\'"',
    "A:=x",
    "A=${Q:?need}",
    "A B=1",
    "1A=2",
    "A-B=1",
    "=1",
    'A="x',
    '"A"=1',
    "A[0]=1",
    "A=${B",
    "A/B=1",
    "A=1\nB=$A\nA=2",
    "A='it''s'",
]


@pytest.mark.parametrize("text", DOTENV)
def test_docker_compose_reads_the_same_variables(text: str, tmp_path: Path) -> None:
    listed = ", ".join(f'cloudsync.{name}: "${{{name}-unset}}"' for name in "ABDEQ")
    (tmp_path / "compose.yaml").write_text(SERVICES % f"labels: {{{listed}}}")
    (tmp_path / ".env").write_text(text + "\n")
    docker = labels_by_docker(tmp_path)
    try:
        read = read_environment(Environment(), [(".env", text + "\n")], Budget()).values
    except ComposeError:
        assert docker is None
    else:
        assert {f"cloudsync.{name}": read.get(name, "unset") for name in "ABDEQ"} == docker


def agree(folder: Path, made: Generated) -> bool:
    """Fails unless both read the same, or both refuse; whether they read it."""
    lay(folder, made.files)
    docker = read_by_docker(folder, *made.words())
    ours = read_by_us(folder, made.compose, made.env_file, made.profiles or None)
    if isinstance(docker, Refused) or isinstance(ours, Refused):
        assert isinstance(docker, Refused), (docker, ours)
        assert isinstance(ours, Refused), (docker, ours)
        return False
    assert ours == docker
    return True


def same(folder: Path, files: Mapping[str, str]) -> None:
    agree(folder, Generated(dict(files)))


EXTENSIONS = {
    "nothing": "",
    "text": "a",
    "mapping": "{a: 1}",
    "deep": "{a: [1]}",
    "list": "[1]",
    "reset": "!reset null",
    "override": "!override {a: 1}",
}


@pytest.mark.parametrize("over", EXTENSIONS.values(), ids=EXTENSIONS)
@pytest.mark.parametrize("under", EXTENSIONS.values(), ids=EXTENSIONS)
def test_extension_fields_of_several_files_have_to_fit(
    tmp_path: Path, under: str, over: str
) -> None:
    """At the top and in a service: `cannot override x-web.networks`."""
    service = "services: {web: {image: x, ports: ['80:80'], x-web: %s}}\n"
    top = "x-web: %s\nservices: {web: {image: x, ports: ['80:80']}}\n"
    for number, document in enumerate((top, service)):
        folder = tmp_path / str(number)
        same(
            folder,
            {"compose.yaml": document % under, "compose.override.yaml": document % over},
        )


@pytest.mark.parametrize(
    "services",
    [
        "web: {image: x, network_mode: 'service:db'}\n  db: {image: x, ports: ['80:80']}",
        "web: {image: x, network_mode: 'service:web'}",
        (
            "web: {image: x, network_mode: 'service:db'}\n  db: {image: x, network_mode:"
            " 'service:web'}"
        ),
        "web: {image: x, network_mode: 'service:gone'}",
        "web: {image: x, network_mode: 'service:db'}\n  db: {image: x, profiles: [never]}",
        "web: {image: x, network_mode: 'service:db', profiles: [never]}",
        "web: {image: x, network_mode: 'service:db', scale: 0}",
        "web: {image: x, network_mode: 'service:db'}\n  db: {image: x, scale: 0}",
    ],
)
def test_a_service_shares_the_network_of_one_that_is_there(tmp_path: Path, services: str) -> None:
    same(tmp_path, {"compose.yaml": f"services:\n  {services}\n  idle: {{image: x}}\n"})


@pytest.mark.timeout(300)
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.reuse, Phase.generate],  # a seed does not shrink
)
@given(st.integers(0, 2**32), st.sampled_from([1.0, 1.0, 2.0]))
def test_docker_compose_makes_the_same_of_any_project(seed: int, density: float) -> None:
    made = project(Random(seed), v5=needed_reference().version >= V5, density=density)
    note("\n".join(f"##### {name}\n{text}" for name, text in made.files.items()))
    with tempfile.TemporaryDirectory() as folder:
        agree(Path(folder), made)


CORPUS = range(400 if os.environ.get("CLOUDSYNC_LONG") else 40)
"""Projects by their number, the same ones in every run. `CLOUDSYNC_LONG=1` reads all."""


@pytest.mark.timeout(900)
def test_docker_compose_makes_the_same_of_the_corpus(tmp_path: Path) -> None:
    read = 0
    for number in CORPUS:
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            read += agree(folder, project(Random(number), v5=False))
        except AssertionError as difference:
            raise AssertionError(f"project {number}: {difference}") from difference
        shutil.rmtree(folder)
    print(f"{read} of {len(CORPUS)} projects are read, and mean the same; both refuse the others")
    assert read >= len(CORPUS) * 3 // 4


@pytest.mark.timeout(900)
def test_discover_shows_the_ports_that_docker_compose_publishes(tmp_path: Path) -> None:
    """The command itself, over all projects as hosts of one configuration."""
    expected = {}
    hosts = []
    for number in CORPUS:
        name, made = f"h{number}", project(Random(number), v5=False)
        folder = tmp_path / name
        folder.mkdir()
        lay(folder, made.files)
        expected[name] = published(read_by_docker(folder, *made.words()))
        hosts.append(host_table(name, made))
    (tmp_path / "cloudsync.toml").write_text(CONFIGURATION.format("\n".join(hosts)))
    done = subprocess.run(
        [sys.executable, "-m", "cloudsync", "discover", "--output", "json"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    shown = {host["name"]: discovered(host) for host in json.loads(done.stdout)["hosts"]}
    assert shown == expected


CONFIGURATION = """
version = 1
owner = "shop"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
{}
"""


def host_table(name: str, made: Generated) -> str:
    paths = [name if path == "." else f"{name}/{path}" for path in made.compose]
    keys = {
        "compose": paths,
        "env_file": [f"{name}/{path}" for path in made.env_file],
        "profiles": made.profiles,
    }
    return f"[hosts.{name}]\n" + "".join(
        f"{key} = {json.dumps(value)}\n" for key, value in keys.items() if value
    )


Published = frozenset[tuple[str, str, int]] | None
"""(service, protocol, host port); None for a host that is not read."""


def published(reading: Reading) -> Published:
    """What listens on an address of the machine that is not loopback."""
    if isinstance(reading, Refused):
        return None
    _, services = reading
    return frozenset(
        (name, protocol, int(port))
        for name, meaning in services.items()
        if meaning.network_mode not in ("host", "none")
        and not meaning.network_mode.startswith("service:")
        and meaning.reachable
        for address, port, _, protocol in meaning.ports
        if port.isdecimal() and not address.startswith("127.")
    )


def discovered(host: dict[str, Any]) -> Published:
    if host["status"] != "complete":
        return None
    rows = [row for row in host["ports"] if row["ports"] and row["addresses"] != ["127.0.0.1"]]
    return frozenset(
        (row["origin"]["service"], row["protocol"], port)
        for row in rows
        for port in numbers(row["ports"])
    )


def numbers(ports: str) -> range:
    first, _, last = ports.partition("-")
    return range(int(first), int(last or first) + 1)


def labels(folder: Path, files: Mapping[str, str], names: list[str]) -> None:
    lay(folder, files)
    docker = labels_by_docker(folder)
    try:
        (read,) = read_projects(folder, ["."])
    except ComposeError:
        assert docker is None
    else:
        found = {
            name: label.value for name, label in read.services[0].labels.items() if name in names
        }
        assert found == docker


def labels_by_docker(folder: Path) -> dict[str, str] | None:
    done = config(folder)
    if done.returncode != 0:
        return None
    listed = json.loads(done.stdout)["services"]["w"].get("labels", {})
    return {name: value.replace("$$", "$") for name, value in listed.items()}
