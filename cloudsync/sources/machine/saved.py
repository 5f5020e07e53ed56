"""Files that restore iptables rules at boot."""

from __future__ import annotations

import re

from cloudsync.model.machine_facts import SavedRules
from cloudsync.sources.machine import iptables, units
from cloudsync.sources.machine.root import Root

_FILES = (
    ("/etc/iptables/rules.v4", 4, "netfilter-persistent.service"),
    ("/etc/iptables/rules.v6", 6, "netfilter-persistent.service"),
    ("/etc/sysconfig/iptables", 4, "iptables.service"),
    ("/etc/sysconfig/ip6tables", 6, "ip6tables.service"),
)


_BRIDGE = r"(?:docker\w*|br-[0-9a-f]{12})"
_DOCKERS = re.compile(
    rf"""(?:\[\d+:\d+\]\s*)?(?:
    :DOCKER(?!-USER\b)\S*\ .*
    | -A\ DOCKER(?!-USER\b).*
    | -A\ \S+\ (?:.*\ )?-j\ DOCKER(?!-USER\b)\S*
    | -A\ FORWARD\ -o\ {_BRIDGE}\ -m\ conntrack\ --ctstate\ RELATED,ESTABLISHED\ -j\ ACCEPT
    | -A\ FORWARD\ -i\ {_BRIDGE}\ (?:!\ )?-o\ {_BRIDGE}\ -j\ (?:ACCEPT|DROP)
    | -A\ POSTROUTING\ -s\ \S+\ !\ -o\ {_BRIDGE}\ -j\ MASQUERADE
    | -A\ POSTROUTING\ -s\ (\S+)\ -d\ \1\ .*-j\ MASQUERADE
    | -A\ PREROUTING\ -d\ \S+\ !\ -i\ {_BRIDGE}\ -j\ DROP
    )\s*""",
    re.VERBOSE,
)
"""Lines that every Docker since 17 writes, each in exactly that form. DOCKER-USER is its user's,
and so is any other rule about a bridge."""


def docker_lines(content: str) -> tuple[int, ...]:
    """The numbers of the lines of an iptables-save that Docker wrote."""
    return tuple(n for n, line in enumerate(content.splitlines(), 1) if _DOCKERS.fullmatch(line))


def read(root: Root) -> tuple[SavedRules, ...]:
    """Every such file. Raises `Unreadable`."""
    saved = []
    for path, family, unit in _FILES:
        content = root.text(path)
        if content is not None:
            loaded = units.is_enabled(root, unit)
            tables, lines = iptables.parse(content), docker_lines(content)
            saved.append(SavedRules(path, family, tables, loaded, lines))
    return tuple(saved)
