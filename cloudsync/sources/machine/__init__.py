"""The machine's own files and tables, read for an audit: nothing here changes or loads anything."""

from __future__ import annotations
