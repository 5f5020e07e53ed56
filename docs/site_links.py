"""For `make site`: a link to a file outside `docs/` names the file, since the site does not have
it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
_LINK = re.compile(r"\[(?P<label>[^\]]+)\]\((?P<target>\.\.?/[^)#\s]*)(?:#[^)]*)?\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The page's text; `[README](../README.md)` reads `README (README.md of the repository)`."""
    here = DOCS / Path(page.file.src_uri).parent

    def name(match: re.Match[str]) -> str:
        path = (here / match["target"]).resolve()
        if path.is_relative_to(DOCS) or not path.exists():
            return match[0]
        return f"{match['label']} (`{path.relative_to(DOCS.parent).as_posix()}` of the repository)"

    return _LINK.sub(name, markdown)
