"""Compose files read by the Compose specification: which services a project runs, what they publish, and our labels on them.

`project.py` tells the story; `documents.py` (YAML), `interpolation.py`, `environment.py`, `merging.py`, `extends.py`, `profiles.py` and
`ports.py` each know one chapter of the specification. What it means for a firewall is decided elsewhere (`cloudsync/sources/compose.py`).
"""

from __future__ import annotations

from cloudsync.compose.nodes import ComposeError, Place
from cloudsync.compose.ports import PublishedPort
from cloudsync.compose.project import Project, read_projects
from cloudsync.compose.services import Label, Network, Service

__all__ = ["ComposeError", "Label", "Network", "Place", "Project", "PublishedPort", "Service", "read_projects"]
