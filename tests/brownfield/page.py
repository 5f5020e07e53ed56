"""The recorded plans of docs/taking-over.md: `python -m tests.brownfield.page` writes them
again."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from pathlib import Path

from tests.brownfield.shop import Shop, on_screen
from tests.brownfield.vendors import SHAPES, vendor_of

PAGE = Path(__file__).parents[2] / "docs" / "taking-over.md"
_BLOCK = re.compile(
    r"(<!-- plan of (?P<shape>[a-z-]+), (?P<when>first|later) -->\n```text\n).*?(\n```)", re.DOTALL
)


def recorded(text: str) -> str:
    """The page with every recorded plan as it is today."""
    return _BLOCK.sub(
        lambda match: f"{match[1]}{plan_of(match['shape'], match['when'])}{match[4]}", text
    )


def plan_of(shape: str, when: str) -> str:
    """What `cloudsync plan` shows of a shape: when it is taken over, or of the change after it."""
    with (
        vendor_of(SHAPES / shape) as vendor,
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),  # the file is shown as it is named
    ):
        for name, value in vendor.environment.items():
            os.environ[name] = value
        shop = Shop(SHAPES / shape, vendor, Path())
        if when == "later":
            shop.apply("adopt attach")
            shop.now = "config-2.toml"
            return on_screen(shop.plan("now"), verbose=False)
        return on_screen(shop.plan("adopt attach"), verbose=False)


if __name__ == "__main__":
    PAGE.write_text(recorded(PAGE.read_text()))
