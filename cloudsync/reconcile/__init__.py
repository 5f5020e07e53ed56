"""Where decisions meet the world: read, decide, execute, verify. Start with `run.py`."""

from __future__ import annotations
