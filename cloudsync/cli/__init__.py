"""Commands, options, colours and progress. Nothing is decided here."""

from __future__ import annotations
