"""ufw's configuration, as files."""

from __future__ import annotations

import re

from cloudsync.model.machine_facts import Ufw
from cloudsync.sources.machine.root import Root, lines_of


def read(root: Root) -> Ufw | None:
    """None if ufw is not installed. Raises `Unreadable`."""
    main = root.text("/etc/ufw/ufw.conf")
    if main is None:
        return None
    defaults = root.text("/etc/default/ufw") or ""
    after = _rules(root.text("/etc/ufw/after.rules"))
    return Ufw(
        enabled=_value(main, "ENABLED").lower() == "yes",
        forward_policy=_value(defaults, "DEFAULT_FORWARD_POLICY").upper() or "DROP",
        ipv6=_value(defaults, "IPV6").lower() != "no",
        after_rules=tuple(after.values()),
        after_lines=tuple(after),
        after6_rules=tuple(_rules(root.text("/etc/ufw/after6.rules")).values()),
        lines=lines_of(defaults, r"^\s*(DEFAULT_FORWARD_POLICY|IPV6)\s*="),
    )


def _value(content: str, key: str) -> str:
    values = re.findall(rf'^\s*{key}\s*=\s*"?([^"\s#]*)"?', content, re.MULTILINE)
    return str(values[-1]) if values else ""


def _rules(content: str | None) -> dict[int, str]:
    """The lines that count by their numbers, comments that name a tool's block included."""
    lines = enumerate((line.strip() for line in (content or "").splitlines()), 1)
    return {
        number: line
        for number, line in lines
        if line and (not line.startswith("#") or "UFW AND" in line)
    }
