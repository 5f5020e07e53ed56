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
    made.filters["csp_hash"] = csp_hash
    return made


def render(template: str, *, style: str, script: str | None = None, **values: object) -> str:
    """A page. `style` and `script`: the names of their files; they stand in the page, which allows
    them by their hashes and nothing else."""
    return (
        environment()
        .get_template(template)
        .render(
            style=(_HERE / style).read_text(),
            script=None if script is None else (_HERE / script).read_text(),
            **values,
        )
    )


def csp_hash(content: str) -> str:
    """For Content-Security-Policy: base64 of the SHA-256."""
    return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
