"""sshd_config: the ports, and whether passwords are accepted. The first value of a key wins."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cloudsync.model.machine_facts import Sshd
from cloudsync.sources.machine.root import Root

_PATH = "/etc/ssh/sshd_config"


def read(root: Root) -> Sshd | None:
    """None if sshd is not installed. Raises `Unreadable`."""
    if root.text(_PATH) is None:
        return None
    ports: list[int] = []
    password: tuple[bool, str, int] | None = None
    methods: list[str] | None = None
    for file, number, key, value in _settings(root):
        if key == "port" and value.isdigit():
            ports.append(int(value))
        elif key == "passwordauthentication" and password is None:
            password = (value.lower() != "no", file, number)
        elif key == "authenticationmethods" and methods is None:
            methods = value.lower().split()
    if methods and not any(_by_password(method) for method in methods):
        password = (False, _PATH, 0)
    accepted, file, line = password or (True, _PATH, 0)
    return Sshd(tuple(ports) or (22,), accepted, file, line or None)


def _by_password(method: str) -> bool:
    """Whether a list of `AuthenticationMethods`, all of which are needed, asks for no key."""
    return method == "any" or not any(
        word.startswith(("publickey", "hostbased", "gssapi")) for word in method.split(",")
    )


def _settings(root: Root) -> list[tuple[str, int, str, str]]:
    """File, line, key and value in the order sshd reads them; `Match` blocks are left out."""
    settings: list[tuple[str, int, str, str]] = []
    for number, key, value in _lines(root, _PATH):
        if key != "include":
            settings.append((_PATH, number, key, value))
            continue
        for path in value.split():
            folder, _, pattern = path.strip('"').rpartition("/")
            folder = folder if folder.startswith("/") else f"/etc/ssh/{folder}"
            for name in root.names(folder, pattern or "*"):
                settings += [(name, *setting) for setting in _lines(root, name)]
    return settings


def _lines(root: Root, name: str) -> Iterator[tuple[int, str, str]]:
    """Line, key and value up to the first `Match`. A key ends at white space or at a `=`."""
    for number, line in enumerate((root.text(name) or "").splitlines(), 1):
        words = re.split(r"\s*=\s*|\s+", line.strip(), maxsplit=1)
        key, value = words[0].lower(), words[-1].partition(" #")[0].strip().strip('"')
        if key == "match":
            return
        if key and not key.startswith("#"):
            yield number, key, value
