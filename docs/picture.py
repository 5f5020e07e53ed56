"""Records the pictures of the README and the documentation from a real run in the shop of
`demo_world.py`. `tests/cli/test_pictures.py` holds them to what is printed.

`python docs/picture.py` in a checkout with the development dependencies.
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

sys.path.insert(0, str(Path(__file__).parent))
from demo_world import shop

DOCS = Path(__file__).parent
COLUMNS = 84
PICTURES = {
    "discover": ("discover",),
    "plan": ("plan",),
    "apply": ("apply", "--auto-approve"),
    "status": ("status",),
    "explain": ("explain", "8080"),
    "exposure": ("exposure",),
}
"""Names of pictures and what is typed for each, in this order."""


def pictures() -> dict[str, str]:
    """Every picture by the name of its file, recorded now."""
    with shop(COLUMNS) as machine:
        machine.types("apply", "--auto-approve", "--quiet", "--allow-attach", "web", check=True)
        machine.by_hand("22", "80", "8080")
        return {
            f"{name}.svg": _picture(name, words, machine.types(*words, check=True))
            for name, words in PICTURES.items()
        }


def _picture(name: str, words: tuple[str, ...], screen: str) -> str:
    """What a terminal shows, as SVG; without what differs from run to run."""
    screen = re.sub(r"20\d\d-\d\d-\d\d( \d\d:\d\d)?", _same, screen)
    screen = re.sub(r"\d{8}T\d{6}-[0-9a-f]{6}", "20260301T031007-5eed01", screen)
    screen = re.sub(r", by \S+ \(", ", by deploy (", screen)
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text.from_ansi(f"$ cloudsync {' '.join(words)}\n{screen}"))
    picture = console.export_svg(title="cloudsync", unique_id=name)
    # Fonts and the name of the tool are links to other sites.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    picture = re.sub(r"\s*<!-- Generated with Rich.*?-->", "", picture, flags=re.DOTALL)
    return picture.replace("Fira Code, monospace", "ui-monospace, monospace")


def _same(moment: re.Match[str]) -> str:
    return "2026-03-01 03:10"[: len(moment[0])]


def main() -> None:
    """Write the pictures to `docs/`."""
    for name, picture in pictures().items():
        (DOCS / name).write_text(picture)


if __name__ == "__main__":
    main()
