"""The line to write instead, as the person's own file has it: its comments, quotes and variables
stay. None where a line alone would not do, or would break the file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from cloudsync.audit.findings import DELETE
from cloudsync.model.machine_facts import (
    Daemon,
    FileLine,
    NftablesFile,
    Publish,
    Workload,
    capability_of,
)

DELETE_ENTRY = "(delete this entry, to its last line)"
"""Of a port in the long form."""
_LOOPBACK = "127.0.0.1"
_NARROWER = frozenset(("CS001", "CS002", "CS033", "CS034", "CS035"))
_NEEDLESS = frozenset(("CS027", "CS032"))
_EVERYWHERE = r"(?:(?:0\.0\.0\.0|\[::\]):)?"
_ENTRY = re.compile(
    rf"""(\s*-\s+["']?){_EVERYWHERE}(\$\{{[^}}]*\}}:[\w${{}}:?+-]+(?:/\w+)?["']?(?:\s+#.*)?)"""
)
"""An entry of its own line whose host port is a variable."""
_HOST_IP = re.compile(r"""(\bhost_ip\s*:\s*)["']?[\w.:]+["']?""")


def of_port(kind: str, publish: Publish) -> str | None:
    """For a finding about a port of a Compose file."""
    line = publish.written
    if not line.strip():
        return None
    if kind in _NEEDLESS:
        return _without(line, publish)
    if kind == "CS042":
        return _fixed(line, publish)
    if kind not in _NARROWER:
        return None
    hint = _long(line, f"host_ip: {_LOOPBACK}") if publish.is_long else _short(line, publish)
    return None if hint is None else hint.strip()


def _without(line: str, publish: Publish) -> str | None:
    if not re.match(r"\s*-\s", line):
        return None  # others may stand on it
    return DELETE_ENTRY if publish.is_long and "{" not in line else DELETE


def _short(line: str, publish: Publish) -> str | None:
    if publish.first == 0:
        return None
    ports = re.escape(f"{publish.ports}:{publish.container_port}")
    before, after = r"(?<![\w.:\]}$-])", r"(?:/\w+)?(?![\w:.-])"
    places = list(re.finditer(rf"{before}{_EVERYWHERE}(?={ports}{after})", line))
    if len(places) == 1:
        return f"{line[: places[0].start()]}{_LOOPBACK}:{line[places[0].end() :]}"
    entry = _ENTRY.fullmatch(line)
    return f"{entry[1]}{_LOOPBACK}:{entry[2]}" if entry and not places else _range(line)


def _range(line: str) -> str | None:
    """An entry of its own line with ranges, which stands for several ports."""
    entry = re.fullmatch(
        rf"""(\s*-\s+["']?){_EVERYWHERE}([\d-]+:[\d-]+(?:/\w+)?["']?(?:\s+#.*)?)""", line
    )
    return f"{entry[1]}{_LOOPBACK}:{entry[2]}" if entry else None


def _long(line: str, key: str) -> str:
    """`key`: with its value."""
    if key.startswith("host_ip") and _HOST_IP.search(line):
        return _HOST_IP.sub(rf"\g<1>{_LOOPBACK}", line)
    if "{" in line:
        return line.replace("{", f"{{{key}, ", 1)
    return f"{key} (a new line below it)"


def _fixed(line: str, publish: Publish) -> str | None:
    """With the container's port as the host port."""
    port = str(publish.container_port)
    if publish.is_long:
        return _long(line, f"published: {port}").strip()
    entry = re.fullmatch(rf"""(\s*-\s+["']?)({port}(?:/\w+)?["']?(?:\s+#.*)?)""", line)
    if entry is None:
        return None
    quote = "" if entry[1][-1] in "\"'" else '"'
    inside = entry[2] if not quote else re.sub(r"^(\S+)", r'\1"', entry[2])
    return f"{entry[1]}{quote}{port}:{inside}".strip()


class Edit(NamedTuple):
    """A line of a file and what it should be; None for what a line alone would not do."""

    file: str | None = None
    """Its path."""
    line: int | None = None
    """From 1."""
    hint: str | None = None
    """The line as it should be, or what to type."""


NOWHERE = Edit()
"""What is to be changed stands in no file."""


def together(edits: Sequence[Edit]) -> Edit:
    """Several lines of one file as one hint, at the first of them; no hint if one of them has
    none."""
    if not edits:
        return NOWHERE
    first, *others = sorted(edits, key=lambda edit: edit.line or 0)
    hint = first.hint
    if hint is None or any(edit.hint is None or edit.file != first.file for edit in others):
        return first._replace(hint=None)
    if {edit.hint for edit in edits} == {DELETE}:
        hint = deletion([edit.line for edit in edits if edit.line])
    else:
        hint = "; ".join((hint, *(f"line {edit.line}: {edit.hint}" for edit in others)))
    return first._replace(hint=hint)


def deletion(lines: Sequence[int]) -> str:
    """`(delete this line, and 5, 7-9)`; the first of the lines is the one the hint is about."""
    first, *others = sorted(set(lines))
    ranges: list[list[int]] = []
    for line in others:
        if ranges and ranges[-1][-1] == line - 1:
            ranges[-1][1:] = [line]
        else:
            ranges.append([line])
    if len(ranges) == 1 and ranges[0][0] == first + 1:
        return f"(delete lines {first}-{ranges[0][-1]})"
    named = ", ".join("-".join(map(str, lines)) for lines in ranges)
    return f"(delete this line, and {named})" if named else DELETE


def place_of(daemon: Daemon, key: str) -> Edit:
    """Where an option of dockerd stands."""
    if key in daemon.lines:
        return Edit(daemon.file, daemon.lines[key])
    argument = daemon.arguments.get(key)
    return Edit(argument.file, argument.line) if argument is not None else NOWHERE


def of_switches(daemon: Daemon, keys: Sequence[str], *, value: bool) -> Edit:
    """The switches the other way in daemon.json; gone from dockerd's arguments and environment."""
    edits = [
        _switched(daemon, line, [key for key in keys if daemon.lines.get(key) == line], value=value)
        for line in {daemon.lines[key] for key in keys if key in daemon.lines}
    ]
    elsewhere = [key for key in keys if key not in daemon.lines and key in daemon.arguments]
    for place in dict.fromkeys(daemon.arguments[key] for key in elsewhere):
        names = [re.escape(key) for key in elsewhere if daemon.arguments[key] == place]
        either = "|".join(names)
        pattern = rf"--(?:{either})(?:=\w+)?|Environment\s*=\s*(?:{either})=\w+|(?:{either})=\w+"
        edits.append(_without_arguments(place, pattern, len(names)))
    return together(edits)


def _switched(daemon: Daemon, line: int, keys: Sequence[str], *, value: bool) -> Edit:
    content = daemon.text[line - 1] if line <= len(daemon.text) else ""
    pattern = rf'("(?:{"|".join(map(re.escape, keys))})"\s*:\s*)(?:true|false)'
    written, times = re.subn(pattern, rf"\g<1>{'true' if value else 'false'}", content)
    return Edit(daemon.file, line, written.strip() if times == len(keys) else None)


def _without_arguments(place: FileLine, pattern: str, expected: int) -> Edit:
    """Without what matches `pattern`, which it does `expected` times."""
    written, times = re.subn(
        rf"""(?:(?<=["'=])|^|\s+)(?:{pattern})(?=["'\s\\]|$)""", "", place.content
    )
    hint: str | None = written.strip()
    if times != expected or not place.file.startswith("/etc/"):
        hint = None  # a file of the package is written again by its next version
    elif not hint:
        # The last of several lines that continue each other would leave the one before it open.
        hint = None if re.match(r"\s+-", place.content) else DELETE
    elif hint == "\\":
        hint = DELETE
    return Edit(place.file, place.line, hint)


def of_address(daemon: Daemon, address: str) -> Edit:
    """The entry of `hosts` in daemon.json, or dockerd's argument, without it."""
    if (place := daemon.arguments.get(address)) is not None:
        return _without_arguments(place, rf"(?:-H|--host)[\s=]*{re.escape(address)}", 1)
    quoted = f'"{address}"'
    for number, line in enumerate(daemon.text, 1):
        if quoted not in line:
            continue
        escaped = re.escape(quoted)
        if line.strip().rstrip(",") != quoted:
            shorter = re.sub(rf"{escaped}\s*,\s*|,?\s*{escaped}", "", line, count=1).strip()
            return Edit(daemon.file, number, shorter)
        before = daemon.text[number - 2].rstrip() if number > 1 else ""
        if line.strip().endswith(",") or before.endswith("["):
            return Edit(daemon.file, number, DELETE)
        alone = before.endswith(",")
        hint = f"{DELETE}; line {number - 1}: {before[:-1].strip()}" if alone else None
        return Edit(daemon.file, number, hint)
    return Edit(daemon.file, daemon.lines["hosts"]) if "hosts" in daemon.lines else NOWHERE


def of_powers(workload: Workload, powers: Sequence[str]) -> Edit:
    """A service without `privileged`, `pid` and capabilities."""
    by_line: dict[FileLine, set[str]] = {}
    for power in powers:
        key = power if power in ("privileged", "pid") else f"cap_add {power}"
        place = workload.places.get(key)
        if place is None:
            return NOWHERE
        by_line.setdefault(place, set()).add(power)
    edits = [_without_powers(place, names) for place, names in by_line.items()]
    key_line = workload.places.get("cap_add")
    if key_line is not None and key_line not in by_line and workload.granted <= set(powers):
        edits.append(_without_powers(key_line, set()))  # of a list that nothing is left of
    return together(edits)


def _without_powers(place: FileLine, powers: set[str]) -> Edit:
    content = place.content
    hint: str | None = DELETE if content else None
    if flow := re.match(r"(\s*cap_add\s*:\s*\[)([^\]]*)(\].*)", content):
        words = [word.strip() for word in flow[2].split(",")]
        left = [word for word in words if capability_of(word.strip("\"'")) not in powers]
        hint = f"{flow[1].strip()}{', '.join(left)}{flow[3]}" if left else DELETE
    return Edit(place.file, place.line, hint)


def of_opening(publishes: Sequence[Publish]) -> Edit:
    """The port of a proxy without its loopback address; no hint if it has several, which are on
    lines of their own."""
    publish = publishes[0]
    if publish.file is None or publish.line is None:
        return NOWHERE
    line = publish.written
    opened = re.sub(r"(?:127\.0\.0\.1|\[::1\]):(?=[\d$])", "", line, count=1)
    alone = len(publishes) == 1 and opened != line
    return Edit(publish.file, publish.line, opened.strip() if alone else None)


def of_flush(file: NftablesFile) -> str:
    """What deletes the tables that the file makes, and no other: made first, so that deleting them
    cannot fail."""
    return "; ".join(f"table {name}; delete table {name}" for name in file.tables) or DELETE
