"""Configurations of the provider `local`, for what is measured without a cloud."""

from __future__ import annotations

from pathlib import Path

_CONFIGURATION = """\
version = 1
owner = "bench"
state = "file://{folder}/state"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
[providers.local]
[firewalls.web]
provider = "local"
path = "firewall.json"
{firewall}
{tables}"""


def configured(folder: Path, *, firewall: str, tables: str = "") -> Path:
    """One firewall, with the further keys `firewall`, and further `tables`."""
    path = folder / "cloudsync.toml"
    path.write_text(_CONFIGURATION.format(folder=folder, firewall=firewall, tables=tables))
    return path
