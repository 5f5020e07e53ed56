"""dockerd's configuration: daemon.json, and the arguments and environment of its unit."""

from __future__ import annotations

import json
import re
import shlex

from cloudsync.model.machine_facts import Daemon
from cloudsync.sources.machine.root import Root, Unreadable, lines_of

_UNITS = (
    "/etc/systemd/system/docker.service",
    "/usr/lib/systemd/system/docker.service",
    "/lib/systemd/system/docker.service",
)


def read(root: Root) -> Daemon | None:
    """None if Docker is not installed. Raises `Unreadable`."""
    path = "/etc/docker/daemon.json"
    content = root.text(path)
    unit = _unit(root)
    if content is None and unit is None:
        return None
    try:
        table = json.loads(content) if content and content.strip() else {}
    except ValueError:
        raise Unreadable(f"{path} is not JSON") from None
    if not isinstance(table, dict):
        raise Unreadable(f"{path} is not a JSON object")
    words = _arguments(unit or "")
    hosts = [str(host) for host in table.get("hosts") or ()]
    hosts += [words[i + 1] for i, word in enumerate(words[:-1]) if word in ("-H", "--host")]
    hosts += [word.partition("=")[2] for word in words if word.startswith(("--host=", "-H="))]
    return Daemon(
        iptables=_switch(table, words, "iptables", default=True),
        ip6tables=_switch(table, words, "ip6tables", default=True),
        userland_proxy=_switch(table, words, "userland-proxy", default=True),
        hosts=tuple(hosts),
        verifies_clients=_switch(table, words, "tlsverify", default=False),
        address=str(table.get("ip") or _option(words, "ip") or ""),
        direct_routing=_switch(table, words, "allow-direct-routing", default=False),
        raw_disabled=bool(re.search(r"DOCKER_INSECURE_NO_IPTABLES_RAW=['\"]?1", unit or "")),
        file=path,
        lines=lines_of(content or "", r'"([\w-]+)"\s*:'),
        text=tuple((content or "").splitlines()),
    )


def _unit(root: Root) -> str | None:
    """The unit with its drop-ins, the later last."""
    main = next((text for name in _UNITS if (text := root.text(name)) is not None), None)
    files = [main] if main is not None else []
    drop_ins = root.names("/etc/systemd/system/docker.service.d", "*.conf")
    files += [root.text(name) or "" for name in drop_ins]
    return "\n".join(files) if files else None


def _arguments(unit: str) -> list[str]:
    """The words of the last ExecStart that is not empty."""
    joined = unit.replace("\\\n", " ")
    commands = re.findall(r"^\s*ExecStart\s*=\s*(\S.*)$", joined, re.MULTILINE)
    if not commands:
        return []
    try:
        return shlex.split(commands[-1])
    except ValueError:
        return str(commands[-1]).split()


def _switch(table: dict[str, object], words: list[str], name: str, *, default: bool) -> bool:
    value = table.get(name)
    if isinstance(value, bool):
        return value
    if f"--{name}" in words:
        return True
    written = _option(words, name)
    return default if written is None else written.lower() in ("true", "1")


def _option(words: list[str], name: str) -> str | None:
    prefix = f"--{name}="
    return next((word.removeprefix(prefix) for word in words if word.startswith(prefix)), None)
