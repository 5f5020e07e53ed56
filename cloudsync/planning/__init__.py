"""Decisions: values in, values out. Nothing here reads or writes anything."""

from __future__ import annotations
