"""The user data that the machine was created with, as cloud-init keeps it. Most clouds repeat it to
whatever on the machine asks their metadata service."""

from __future__ import annotations

from cloudsync.model.machine_facts import UserData
from cloudsync.sources.machine.root import Root
from cloudsync.sources.machine.secret_words import has_secret

_DATA = "/var/lib/cloud"
_ASKS_NOTHING = ("Hetzner", "DigitalOcean", "OpenStack", "GCE")
"""Data sources of cloud-init whose service answers every process of the machine. EC2's may not
(IMDSv2 with a hop limit of 1): its API says so. A disk with the data (NoCloud, ConfigDrive) is out
of a container's reach."""


def read(root: Root) -> UserData | None:
    """None without cloud-init, without user data, or if its source is no metadata service that
    answers containers. Raises `Unreadable`."""
    instance = (root.text(f"{_DATA}/data/instance-id") or "").strip()
    if not instance or "/" in instance or instance.startswith("."):
        return None
    # Not by the link /var/lib/cloud/instance: it is absolute, and leads out of a copied machine.
    folder = f"{_DATA}/instances/{instance}"
    source = (root.text(f"{folder}/datasource") or "").partition(":")[0].removeprefix("DataSource")
    vendor = next((name for name in _ASKS_NOTHING if source.startswith(name)), None)
    if vendor is None:
        return None
    file = f"{folder}/user-data.txt"
    content = root.text(file)
    if content is not None and content.startswith("\x1f"):
        content = root.unpacked(file)
    if content is None or not content.strip():
        return None
    lines = (line for line in content.splitlines() if not line.lstrip().startswith("#"))
    return UserData(vendor, file, has_secrets=any(map(has_secret, lines)))
