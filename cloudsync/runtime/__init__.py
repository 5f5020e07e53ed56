"""Process plumbing: clocks, deadlines, signals, thread pools. Imports nothing of the
project but `frozen`."""

from __future__ import annotations
