"""sshd_config: the ports, and whether passwords are accepted. The first value of a key wins."""

from __future__ import annotations

from cloudsync.model.machine_facts import Sshd
from cloudsync.sources.machine.root import Root

_PATH = "/etc/ssh/sshd_config"


def read(root: Root) -> Sshd | None:
    """None if sshd is not installed. Raises `Unreadable`."""
    if root.text(_PATH) is None:
        return None
    ports: list[int] = []
    password: tuple[bool, str, int] | None = None
    for file, number, key, value in _settings(root):
        if key == "port" and value.isdigit():
            ports.append(int(value))
        elif key == "passwordauthentication" and password is None:
            password = (value.lower() != "no", file, number)
    accepted, file, line = password or (True, _PATH, 0)
    return Sshd(tuple(ports) or (22,), accepted, file, line or None)


def _settings(root: Root) -> list[tuple[str, int, str, str]]:
    """File, line, key and value in the order sshd reads them; `Match` blocks are left out."""
    settings: list[tuple[str, int, str, str]] = []
    for number, line in enumerate((root.text(_PATH) or "").splitlines(), 1):
        key, _, value = line.strip().partition(" ")
        key, value = key.lower(), value.strip().strip('"')
        if key == "match":
            break
        if key == "include":
            folder, _, pattern = value.rpartition("/")
            for name in root.names(folder or "/etc/ssh", pattern or "*"):
                settings += _file(root, name)
        elif key and not key.startswith("#"):
            settings.append((_PATH, number, key, value))
    return settings


def _file(root: Root, name: str) -> list[tuple[str, int, str, str]]:
    settings = []
    for number, line in enumerate((root.text(name) or "").splitlines(), 1):
        key, _, value = line.strip().partition(" ")
        if key.lower() == "match":
            break
        if key and not key.startswith("#"):
            settings.append((name, number, key.lower(), value.strip().strip('"')))
    return settings
