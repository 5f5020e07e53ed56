"""What tests about Compose files share: a host that is described by files, and what would be opened
and refused of it, as short lines."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cloudsync.config import Configuration, load
from cloudsync.model.ports import (
    Complete,
    Discovery,
    Failed,
    Origin,
)
from cloudsync.planning.policy import desire
from cloudsync.rules.networks import (
    ANY,
    ANY4,
    ANY6,
    NetworkSet,
)
from cloudsync.sources.read_hosts import read_hosts

CONFIGURATION = """
version = 1
owner = "shop"
[ssh]
ports = [22]
sources = ["any"]
[networks]
office = ["203.0.113.0/24", "2001:db8::/48"]
[policy]
expose = "published"
[providers.local]
[hosts.ci]
{host}
[firewalls.web]
provider = "local"
hosts = ["ci"]
path = "firewall.json"
"""


@dataclass
class Expected:
    """`expected.toml` of one example, written by hand."""

    compose: list[str] = field(default_factory=lambda: ["."])
    env_file: list[str] | None = None
    profiles: list[str] | None = None
    private_is_public: bool = False
    project: str | None = None
    opens: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    malformed: list[str] = field(default_factory=list)
    descriptions: list[str] | None = None
    failed: str | None = None
    needs_compose: str = ""
    """The first docker compose that reads it so, where an older one refuses it: `5.0`."""

    @classmethod
    def of(cls, folder: Path) -> Expected:
        return cls(**tomllib.loads((folder / "expected.toml").read_text()))


def configured(folder: Path, **host: list[str] | None) -> Configuration:
    """A configuration in `folder` whose only host has these keys."""
    lines = "\n".join(f"{key} = {value!r}" for key, value in host.items() if value is not None)
    file = folder / "cloudsync.toml"
    file.write_text(CONFIGURATION.format(host=lines))
    return load(file, environ={"HOME": "/nonexistent"})


def read(configuration: Configuration) -> Discovery:
    return read_hosts(configuration, ["ci"])["ci"]


def judged(
    configuration: Configuration, discovery: Discovery, *, private_is_public: bool = False
) -> dict[str, Any]:
    """What policy makes of it: lines of the form `80/tcp any web compose.yaml:8` and `5432/tcp
    sensitive db compose.yaml:20`."""
    provider = configuration.accounts["local"].provider
    capabilities = replace(provider.capabilities, private_is_public=private_is_public)
    desired = desire(configuration.firewalls["web"], configuration, capabilities, {"ci": discovery})
    opens: dict[tuple[str, str], NetworkSet] = {}
    for wanted in desired.wanted:
        for origin in wanted.origins:
            for rule in wanted.rules:
                key = (f"{rule.ports}/{rule.protocol}", who(origin))
                opens[key] = opens.get(key, NetworkSet()) | rule.sources
    words = {ANY: "any", ANY4: "any4", ANY6: "any6"}
    complete = isinstance(discovery, Complete)
    return {
        "opens": sorted(
            f"{port} {words.get(s) or ','.join(s.cidrs())} {origin}"
            for (port, origin), s in opens.items()
        ),
        "refused": sorted(
            f"{one.ports}/{one.protocol} {one.code} {who(one.origins[0])}"
            for one in desired.refused
        ),
        "warnings": sorted(desired.warnings),
        "remarks": sorted(discovery.remarks) if complete else [],
        "malformed": sorted(one.problem for one in discovery.malformed) if complete else [],
        "descriptions": sorted({p.description for p in discovery.required if p.description})
        if complete
        else [],
        "failed": discovery.reason if isinstance(discovery, Failed) else None,
    }


def who(origin: Origin) -> str:
    return f"{origin.service} {origin.file}:{origin.line}"
