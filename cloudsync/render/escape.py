"""Text of strangers made harmless: names and labels of containers, messages of vendors and
engines."""

from __future__ import annotations

import html
import re
import unicodedata

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~])")
_LINKED = re.compile(r"(?i)(@|#(?=\d)|gh(?=-\d)|:(?=//)|www(?=\.))")
_BREAK = "<!-- -->"


def plain(text: str, limit: int = 500) -> str:
    """One line without control, format and bidirectional characters: each is shown as `\\x1b` or
    `\\u202e`, never sent."""
    shown = "".join(
        character if _printable(character) else _named(character) for character in text[: limit + 1]
    )
    return shown if len(text) <= limit else shown[:limit] + "…"


def markdown(text: str, limit: int = 500) -> str:
    """The same for Markdown: no markup, no HTML, no link, no mention comes out of it.

    GitHub looks for mentions, issue numbers and addresses after Markdown has taken its backslashes
    away; an empty comment inside breaks them.
    """
    escaped = _MARKDOWN.sub(r"\\\1", html.escape(plain(text, limit), quote=False))
    return _LINKED.sub(rf"\1{_BREAK}", escaped)


def _printable(character: str) -> bool:
    return unicodedata.category(character)[0] not in ("C", "Z") or character == " "


def _named(character: str) -> str:
    code = ord(character)
    return (
        f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
    )
