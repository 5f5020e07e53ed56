"""The line to write instead, as the person's own file has it: its comments, quotes and variables
stay. None where a line alone would not do, or would break the file."""

from __future__ import annotations

import re

from cloudsync.audit.findings import DELETE
from cloudsync.model.machine_facts import Daemon, NftablesFile, Publish

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


def of_switch(daemon: Daemon, key: str, *, value: bool) -> str | None:
    """daemon.json's line with the switch the other way."""
    line = daemon.lines.get(key)
    if line is None or line > len(daemon.text):
        return None
    word = "true" if value else "false"
    pattern = rf'("{re.escape(key)}"\s*:\s*)(?:true|false)'
    written, times = re.subn(pattern, rf"\g<1>{word}", daemon.text[line - 1])
    return written.strip() if times == 1 else None


def of_address(daemon: Daemon, address: str) -> tuple[int | None, str | None]:
    """The line of daemon.json that has an entry of `hosts`, and what it should be; None for the
    line if the address is an argument of dockerd."""
    quoted = f'"{address}"'
    for number, line in enumerate(daemon.text, 1):
        if quoted not in line:
            continue
        escaped = re.escape(quoted)
        if line.strip().rstrip(",") != quoted:
            return number, re.sub(rf"{escaped}\s*,\s*|,?\s*{escaped}", "", line, count=1).strip()
        before = daemon.text[number - 2].rstrip() if number > 1 else ""
        # The last of several: the comma before it would have to go too.
        return number, DELETE if line.strip().endswith(",") or before.endswith("[") else None
    return None, None


def of_flush(file: NftablesFile) -> str:
    """What deletes the tables that the file makes, and no other: made first, so that deleting them
    cannot fail."""
    return "; ".join(f"table {name}; delete table {name}" for name in file.tables) or DELETE
