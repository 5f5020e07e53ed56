"""Files that restore iptables rules at boot."""

from __future__ import annotations

from cloudsync.model.machine_facts import SavedRules
from cloudsync.sources.machine import iptables, units
from cloudsync.sources.machine.root import Root

_FILES = (
    ("/etc/iptables/rules.v4", 4, "netfilter-persistent.service"),
    ("/etc/iptables/rules.v6", 6, "netfilter-persistent.service"),
    ("/etc/sysconfig/iptables", 4, "iptables.service"),
    ("/etc/sysconfig/ip6tables", 6, "ip6tables.service"),
)


def read(root: Root) -> tuple[SavedRules, ...]:
    """Every such file. Raises `Unreadable`."""
    saved = []
    for path, family, unit in _FILES:
        content = root.text(path)
        if content is not None:
            loaded = units.is_enabled(root, unit)
            saved.append(SavedRules(path, family, iptables.parse(content), loaded))
    return tuple(saved)
