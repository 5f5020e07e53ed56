"""The report: one HTML file that needs nothing from elsewhere and reads without script."""

from __future__ import annotations
