"""The frozen vocabulary of a run: required ports, plans, outcomes. No I/O."""

from __future__ import annotations
