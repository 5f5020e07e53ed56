"""Compose files read by the Compose specification: which services a project runs, what they
publish, and our labels on them.

`project.py` tells the story; `documents.py` (YAML), `interpolation.py`, `environment.py`,
`merging.py`, `extends.py`, `includes.py`, `profiles.py`, `services.py` and `ports.py` each know one
chapter of the specification. What it means for a firewall is decided in `source.py`.
"""

from __future__ import annotations

from cloudsync.sources.compose.networks import Network
from cloudsync.sources.compose.nodes import ComposeError, Place
from cloudsync.sources.compose.ports import PublishedPort
from cloudsync.sources.compose.project import Project, read_projects
from cloudsync.sources.compose.services import Label, Service

__all__ = [
    "ComposeError",
    "Label",
    "Network",
    "Place",
    "Project",
    "PublishedPort",
    "Service",
    "read_projects",
]
