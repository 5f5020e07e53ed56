"""What every page has in common: its templates, and names that stay text whatever they contain."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

import jinja2

from cloudsync.render.escape import plain

_HERE = Path(__file__).parent


@cache
def environment() -> jinja2.Environment:
    """Everything is escaped; `plain` also takes control and bidirectional characters."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["plain"] = lambda value: plain(str(value))
    return made


def file(name: str) -> str:
    """A style or a script."""
    return (_HERE / name).read_text()


def csp_hash(content: str) -> str:
    """For Content-Security-Policy: base64 of the SHA-256."""
    return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
