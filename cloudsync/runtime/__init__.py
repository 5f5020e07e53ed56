"""Process plumbing: clocks, deadlines, signals, thread pools. Imports nothing else of the
project."""

from __future__ import annotations
