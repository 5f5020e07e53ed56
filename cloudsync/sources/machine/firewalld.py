"""firewalld's configuration, as files: the zones of /etc before those of /usr/lib."""

from __future__ import annotations

import re

from cloudsync.model.machine_facts import Firewalld, Zone
from cloudsync.sources.machine import units
from cloudsync.sources.machine.root import Root, lines_of

_FOLDERS = ("/usr/lib/firewalld/zones", "/etc/firewalld/zones")
_ELEMENT = re.compile(r"<(zone|interface|port|service)\b([^>]*)>")
_ALONE = re.compile(r"<(port|service)\b[^>]*/>")
_ATTRIBUTE = re.compile(r"""([\w-]+)\s*=\s*["']([^"'<>]*)["']""")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


def read(root: Root) -> Firewalld | None:
    """None if firewalld is not installed. Raises `Unreadable`."""
    main = root.text("/etc/firewalld/firewalld.conf")
    if main is None:
        return None
    zones: dict[str, Zone] = {}
    for folder in _FOLDERS:
        for name in root.names(folder, "*.xml"):
            zone = _zone(name, root.text(name) or "")
            zones[zone.name] = zone
    running = root.exists("/run/firewalld.pid") or root.exists("/var/run/firewalld.pid")
    return Firewalld(
        running=running or (not root.is_live and units.is_enabled(root, "firewalld.service")),
        strict_forward_ports=bool(
            re.search(r"^\s*StrictForwardPorts\s*=\s*yes\b", main, re.MULTILINE | re.IGNORECASE)
        ),
        zones=tuple(zones.values()),
        strict_line=lines_of(main, r"^\s*(StrictForwardPorts)\s*=").get("StrictForwardPorts"),
    )


def _zone(path: str, content: str) -> Zone:
    """A zone's XML. Only attributes of four elements count, so that no entity is expanded."""
    content = _COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), content)
    target, interfaces, ports, services = "default", [], [], []
    for element, attributes in _ELEMENT.findall(content):
        values = dict(_ATTRIBUTE.findall(attributes))
        if element == "zone":
            target = values.get("target", "default")
        elif element == "interface":
            interfaces.append(values.get("name", ""))
        elif element == "port":
            ports.append(f"{values.get('port', '')}/{values.get('protocol', 'tcp')}")
        else:
            services.append(values.get("name", ""))
    name = path.rpartition("/")[2].removesuffix(".xml")
    lines = [n for n, line in enumerate(content.splitlines(), 1) if _ALONE.fullmatch(line.strip())]
    first, more = (lines[0], tuple(lines[1:])) if lines else (None, ())
    opened = tuple(ports), tuple(services)
    return Zone(name, target, tuple(interfaces), *opened, path, first, more)
