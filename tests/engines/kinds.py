"""Every kind of engine that is tried, and how to start each.

`make test` has those of this machine and of Debian 12 and 13, whose versions rarely move; with
`CLOUDSYNC_ENGINES=all` (`make engines`) there are all.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from tests import roots
from tests.engine import lab, podman
from tests.engine.lab import Lab
from tests.engine.podman import Podman
from tests.engines import rooted, rootless
from tests.engines.held import CannotHold, control_groups

Engine = Lab | Podman
"""What every engine has: `socket`, `namespace`, `inside`, `cli`, `run`, `image`, `network_of`,
`version`, `start`, `stop`, `kill`, `remove_containers`."""
Suite = Literal["bookworm", "trixie", "sid", "experimental"]
_BOTH = (*rooted.PACKAGES, *podman.PACKAGES, *rootless.PACKAGES, "runc")
_OVER = ("podman", "netavark")
_PACKAGES: dict[Suite, tuple[str, ...]] = {
    "bookworm": (*podman.PACKAGES, "runc", "slirp4netns"),
    "trixie": _BOTH,
    "sid": _BOTH,
    "experimental": (
        *(f"{name}/experimental" if name in _OVER else name for name in podman.PACKAGES),
        "golang-github-containers-common/experimental",
    ),
}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of engine."""

    name: str
    family: Literal["docker", "podman"]
    suite: Suite | None = None
    """Whose packages it is made of; None for Docker as this machine has it."""
    rootless: bool = False
    legacy: bool = False
    """Its rules go into the kernel's old iptables."""
    always: bool = False
    """`make test` has it."""

    def root(self) -> Path:
        """The root of its suite. Skips the test where none can be made."""
        assert self.suite is not None
        if (reason := roots.unavailable()) is not None:
            pytest.skip(reason)
        suite = "sid" if self.suite == "experimental" else self.suite
        try:
            return roots.made(suite, sorted(set(_PACKAGES[self.suite])))
        except subprocess.CalledProcessError as error:
            why = error.stderr.decode(errors="replace").strip().splitlines()[-1:]
            pytest.fail(f"the root of {self.suite} cannot be made: {' '.join(why)}")

    def engine(self, *options: str, namespace: str | None = None) -> Engine:
        """An engine of this kind that is not started yet. `options`: for dockerd, or for `podman
        system service`. Skips the test where there can be none."""
        if self.family == "podman":
            return self.podman(*options, namespace=namespace)
        return self.docker(*options, namespace=namespace)

    def docker(self, *options: str, namespace: str | None = None) -> Lab:
        """The same, for kinds of Docker."""
        if (reason := lab.missing()) is not None:
            pytest.skip(reason)
        if self.suite is None:
            return Lab(*options, namespace=namespace)
        if self.rootless:
            return rootless.RootlessLab(self.root(), *options, namespace=namespace)
        return rooted.RootedLab(self.root(), *options, legacy=self.legacy, namespace=namespace)

    def podman(self, *options: str, namespace: str | None = None) -> Podman:
        """The same, for kinds of Podman."""
        try:
            control_groups()
        except CannotHold as error:
            pytest.skip(f"no Podman to be had: {error}")
        return Podman(self.root(), *options, rootless=self.rootless, namespace=namespace)


KINDS = (
    Kind("docker-here", "docker", always=True),
    Kind("docker-trixie", "docker", "trixie", always=True),
    Kind("docker-trixie-legacy", "docker", "trixie", legacy=True),
    Kind("docker-trixie-rootless", "docker", "trixie", rootless=True, always=True),
    Kind("docker-sid", "docker", "sid"),
    Kind("docker-sid-rootless", "docker", "sid", rootless=True),
    Kind("podman-bookworm", "podman", "bookworm", always=True),
    Kind("podman-bookworm-rootless", "podman", "bookworm", rootless=True),
    Kind("podman-trixie", "podman", "trixie", always=True),
    Kind("podman-trixie-rootless", "podman", "trixie", rootless=True, always=True),
    Kind("podman-sid", "podman", "sid"),
    Kind("podman-sid-rootless", "podman", "sid", rootless=True),
    Kind("podman-experimental", "podman", "experimental"),
    Kind("podman-experimental-rootless", "podman", "experimental", rootless=True),
)
ALL = os.environ.get("CLOUDSYNC_ENGINES") == "all"


def tried(family: Literal["docker", "podman"] | None = None) -> list[object]:
    """The kinds of this run, as parameters of a fixture. With a `family`, for the tests of the
    engine source: a user's Docker answers them as root's does, and is left to `make engines`."""
    return [
        pytest.param(kind, id=kind.name)
        for kind in KINDS
        if family in (None, kind.family)
        and (ALL or (kind.always and not (family == "docker" and kind.rootless)))
    ]


def started(engine: Engine) -> None:
    """Start it. Skips the test where this machine runs no containers of Podman."""
    try:
        engine.__enter__()
    except podman.CannotRun as error:
        pytest.skip(f"no Podman to be had: {error}")
