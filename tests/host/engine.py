"""A real Docker engine on the machine of a packet lab."""

from __future__ import annotations

import shutil
from typing import Self

from tests.engine import lab as engines
from tests.host.lab import Lab


class Engine(engines.Lab):
    """As `tests.engine.lab.Lab`, in the machine's network namespace."""

    def __init__(self, lab: Lab, *options: str) -> None:
        super().__init__("--userland-proxy=true", *options)
        self.namespace, self.inside = lab.host, lab.inside

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


def missing() -> str | None:
    """Why no engine can run here."""
    return engines.missing() or (None if shutil.which("iptables") else "needs iptables")
