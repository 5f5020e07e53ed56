"""Faults that a distribution fixed in an older version, by the changelog of the package."""

from __future__ import annotations

import re

from cloudsync.sources.machine.root import Root, Unreadable

_PACKAGES = ("docker.io", "docker-ce", "moby-engine", "nftables", "libnftables1")
_CHANGELOGS = ("changelog.Debian.gz", "changelog.gz")
_FAULT = re.compile(r"CVE-\d{4}-\d{4,7}")


def read(root: Root) -> frozenset[str]:
    """The ids that any of the changelogs names; one that cannot be read names none."""
    fixed: set[str] = set()
    for package in _PACKAGES:
        for name in _CHANGELOGS:
            try:
                content = root.unpacked(f"/usr/share/doc/{package}/{name}")
            except Unreadable:
                continue
            fixed.update(_FAULT.findall(content or ""))
    return frozenset(fixed)
