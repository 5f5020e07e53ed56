"""What plugins build on: contract, capabilities, errors, retry, settings, marker, registry."""

from __future__ import annotations
