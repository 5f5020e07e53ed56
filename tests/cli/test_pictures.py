"""The pictures of the documentation show what the program prints."""

from __future__ import annotations

import html
import importlib.util
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.emulator
def test_the_pictures_are_what_the_program_prints_now() -> None:
    spec = importlib.util.spec_from_file_location("picture", DOCS / "picture.py")
    assert spec is not None
    assert spec.loader is not None
    picture = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(picture)
    recorded = picture.pictures()
    assert len(recorded) == 6
    stale = [
        name for name, svg in recorded.items() if words(svg) != words((DOCS / name).read_text())
    ]
    assert stale == [], "run `make docs`"


def words(svg: str) -> list[str]:
    """The text of a picture; how it is drawn is rich's."""
    texts = re.findall(r"<text[^>]*>(.*?)</text>", svg, re.DOTALL)
    return html.unescape(" ".join(texts)).replace("\xa0", " ").split()


def test_every_picture_is_in_a_page_or_in_the_readme() -> None:
    pages = [DOCS.parent / "README.md", *DOCS.glob("*.md")]
    text = "\n".join(page.read_text() for page in pages)
    assert [path.name for path in DOCS.glob("*.svg") if f"{path.name})" not in text] == []
