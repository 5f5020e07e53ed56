"""Text, JSON and Markdown as functions of a plan."""

from __future__ import annotations
