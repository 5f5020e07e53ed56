"""dockerd's configuration: daemon.json, and the arguments and environment of its unit."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from cloudsync.model.machine_facts import Daemon, FileLine
from cloudsync.sources.machine.root import Root, Unreadable, lines_of
from cloudsync.sources.machine.secret_words import without_secret

_UNITS = (
    "/etc/systemd/system/docker.service",
    "/usr/lib/systemd/system/docker.service",
    "/lib/systemd/system/docker.service",
)
_RAW = "DOCKER_INSECURE_NO_IPTABLES_RAW"
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


class _Word(NamedTuple):
    """An argument, or the value of a variable, and where it is written."""

    text: str
    line: FileLine


def read(root: Root) -> Daemon | None:
    """None if Docker is not installed. Raises `Unreadable`."""
    path = "/etc/docker/daemon.json"
    content = root.text(path)
    settings = tuple(_unit(root))
    if content is None and not settings:
        return None
    try:
        table = json.loads(content) if content and content.strip() else {}
    except ValueError:
        raise Unreadable(f"{path} is not JSON") from None
    if not isinstance(table, dict):
        raise Unreadable(f"{path} is not a JSON object")
    environment = _environment(root, settings)
    words = tuple(_arguments(settings, environment))
    texts = [word.text for word in words]
    addresses = dict(_addresses(words))
    raw = environment.get(_RAW)
    places = {word.text.removeprefix("--").partition("=")[0]: word.line for word in words}
    places |= addresses | ({_RAW: raw.line} if raw is not None else {})
    return Daemon(
        iptables=_switch(table, texts, "iptables", default=True),
        ip6tables=_switch(table, texts, "ip6tables", default=True),
        userland_proxy=_switch(table, texts, "userland-proxy", default=True),
        hosts=(*(str(host) for host in table.get("hosts") or ()), *addresses),
        verifies_clients=_switch(table, texts, "tlsverify", default=False),
        address=str(table.get("ip") or _option(texts, "ip") or ""),
        direct_routing=_switch(table, texts, "allow-direct-routing", default=False),
        raw_disabled=raw is not None and raw.text == "1",
        file=path,
        lines=lines_of(content or "", r'"([\w-]+)"\s*:'),
        text=tuple(without_secret(line) for line in (content or "").splitlines()),
        arguments={name: _shown(line) for name, line in places.items()},
    )


def _shown(line: FileLine) -> FileLine:
    return replace(line, content=without_secret(line.content))


def _unit(root: Root) -> Iterator[tuple[str, tuple[FileLine, ...]]]:
    """The settings of the unit and of its drop-ins, the later last: key, and the lines of the
    value, of which all but the last end with a backslash."""
    main = next((name for name in _UNITS if root.text(name) is not None), None)
    drop_ins = root.names("/etc/systemd/system/docker.service.d", "*.conf")
    for name in (*((main,) if main is not None else ()), *drop_ins):
        key, lines = "", list[FileLine]()
        for number, content in enumerate((root.text(name) or "").splitlines(), 1):
            if not lines:
                start = re.match(r"\s*(\w+)\s*=", content)
                if start is None:
                    continue
                key = start[1]
            lines.append(FileLine(name, number, content))
            if not content.endswith("\\"):
                yield key, tuple(lines)
                lines = []


def _words(lines: Iterable[FileLine], *, after: str) -> Iterator[_Word]:
    """The words of a value; `after`: what stands before it on its first line."""
    for number, line in enumerate(lines):
        content = line.content.rstrip("\\")
        if number == 0:
            content = re.sub(after, "", content, count=1)
        yield from (_Word(word, line) for word in _split(content))


def _split(content: str) -> list[str]:
    try:
        return shlex.split(content)
    except ValueError:
        return content.split()


def _environment(
    root: Root, settings: Iterable[tuple[str, tuple[FileLine, ...]]]
) -> dict[str, _Word]:
    """The variables of the unit; those of `EnvironmentFile` win, as in systemd."""
    variables: dict[str, _Word] = {}
    files: list[str] = []
    for key, lines in settings:
        words = tuple(_words(lines, after=rf"^\s*{key}\s*="))
        if key == "EnvironmentFile":
            files += [word.text.removeprefix("-") for word in words]
        elif key == "Environment":
            for word in words:
                name, _, value = word.text.partition("=")
                variables[name] = _Word(value, word.line)
    for file in files:
        for number, content in enumerate((root.text(file) or "").splitlines(), 1):
            if match := re.match(r"\s*(\w+)\s*=(.*)", content):
                value = " ".join(_split(match[2]))
                variables[match[1]] = _Word(value, FileLine(file, number, content))
    return variables


def _arguments(
    settings: Iterable[tuple[str, tuple[FileLine, ...]]], environment: Mapping[str, _Word]
) -> Iterator[_Word]:
    """The words of the last ExecStart that is not empty, with its variables."""
    commands = [
        words
        for key, lines in settings
        if key == "ExecStart" and (words := tuple(_words(lines, after=r"^\s*ExecStart\s*=")))
    ]
    for word in commands[-1] if commands else ():
        variable = _VARIABLE.fullmatch(word.text)
        if variable is None:
            yield word
        elif (value := environment.get(variable[1] or variable[2])) is not None:
            yield from (_Word(each, value.line) for each in _split(value.text))


def _addresses(words: tuple[_Word, ...]) -> Iterator[tuple[str, FileLine]]:
    """What follows `-H` and `--host`."""
    for number, (text, line) in enumerate(words):
        if text in ("-H", "--host") and number + 1 < len(words):
            yield words[number + 1].text, words[number + 1].line
        elif match := re.fullmatch(r"(?:--host=|-H=?)(.+)", text):
            yield match[1], line


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
