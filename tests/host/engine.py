"""A real Docker engine on the machine of a packet lab: this machine's, or that of another Debian
suite."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Self

import pytest

from tests import roots
from tests.engine import lab as engines
from tests.engines.rooted import PACKAGES, RootedLab
from tests.host.lab import Lab


class Engine(RootedLab):
    """As `tests.engine.lab.Lab`, in the machine's network namespace. `root`: where its programs
    come from; None: from this machine."""

    def __init__(
        self, lab: Lab, *options: str, root: Path | None = None, legacy: bool = False
    ) -> None:
        super().__init__(root or Path("/"), "--userland-proxy=true", *options)
        self.namespace, self.inside = lab.host, lab.inside
        self._legacy = legacy

    def program(self) -> tuple[str, ...]:
        if self._root != Path("/"):
            return super().program()
        return (
            ("env", f"PATH={self._legacy_programs()}", "dockerd") if self._legacy else ("dockerd",)
        )

    def _legacy_programs(self) -> str:
        """A PATH whose iptables is that of the older kernel interface."""
        folder = self.folder / "legacy"
        folder.mkdir(exist_ok=True)
        for name in ("iptables", "ip6tables"):
            if not (link := folder / name).exists():
                link.symlink_to(shutil.which(f"{name}-legacy") or f"/usr/sbin/{name}-legacy")
        return f"{folder}:{os.environ['PATH']}"

    def __enter__(self) -> Self:
        try:
            self.start()
            self.image("bb:1")
        except BaseException:
            self.close()
            raise
        return self

    def serve(self, name: str, port: int, *options: str) -> None:
        """A container with a web server on a port of its own."""
        self.run(
            name, *options, command=("/bin/busybox", "httpd", "-f", "-p", str(port), "-h", "/")
        )


def missing(iptables: str = "iptables") -> str | None:
    """Why no engine can run here."""
    return engines.missing() or (None if shutil.which(iptables) else f"needs {iptables}")


def engine_of(suite: str, lab: Lab, *options: str) -> Engine:
    """The engine of a Debian suite, or this machine's; or the test skipped with the reason."""
    here = suite == "this-machine"
    if (reason := missing() or (None if here else roots.unavailable())) is not None:
        pytest.skip(reason)
    return Engine(lab, *options, root=None if here else roots.made(suite, PACKAGES))
