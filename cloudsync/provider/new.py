"""A new provider out of the example (`cloudsync providers --new NAME`): a project of its own, with
a double of the vendor and a stage, that passes the conformance suite as it is. What is the vendor's
own is then replaced file by file, with the suite green in between."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

_NAME = re.compile(r"[a-z][a-z0-9]{1,30}")
_PLACES = (
    # In an installed distribution, and in a checkout.
    Path(__file__).parents[1] / "example",
    Path(__file__).parents[2] / "examples" / "provider",
)
_TEXTS = (".py", ".toml", ".md")
GUIDE = "https://github.com/cloudsync-firewall/cloudsync/blob/main/docs/writing-a-provider.md"
"""Where the project's own files point to."""


class NewProviderError(Exception):
    """It cannot be written; one line that says why."""


def write_provider(name: str, into: Path) -> tuple[Path, ...]:
    """Write `into/cloudsync-NAME`; the files, in order. Nothing that exists is changed. Raises
    `NewProviderError`."""
    if _NAME.fullmatch(name) is None or keyword.iskeyword(name):
        raise NewProviderError(
            f"{name[:40]!r} cannot be the name of a provider: letters and digits, lower case, "
            "beginning with a letter"
        )
    source = next((place for place in _PLACES if place.is_dir()), None)
    if source is None:
        raise NewProviderError("the example is not part of this installation; reinstall cloudsync")
    target = into / f"cloudsync-{name}"
    if target.exists():
        raise NewProviderError(f"{target} exists already")
    written = []
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if not path.is_file() or path.suffix not in _TEXTS or "__pycache__" in relative.parts:
            continue
        copy = target / _renamed(str(relative), name)
        try:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(_renamed(path.read_text(), name))
        except OSError as error:
            raise NewProviderError(f"{copy} cannot be written: {error.strerror}") from None
        written.append(copy)
    return tuple(written)


def _renamed(text: str, name: str) -> str:
    text = text.replace("../../docs/writing-a-provider.md", GUIDE)
    return text.replace("brook", name).replace("Brook", name.capitalize())
