"""Words by which a line gives away that it may hold a secret. Such a line is never kept."""

from __future__ import annotations

import re

_SECRET = re.compile(
    r"(?<!lock_)(?<!/etc/)passw|secret|token|(?:api|auth|access|private)[_ -]?key|credential"
    r"|://[^/\s]*@",
    re.IGNORECASE,
)


def has_secret(content: str) -> bool:
    """Whether it mentions a password, a token or a key, or has a URL with a login."""
    return bool(_SECRET.search(content))


def without_secret(content: str) -> str:
    """The line, or nothing if it may hold a secret."""
    return "" if has_secret(content) else content
