"""The example provider, installed for tests: its sources, with what a test changes in them, on the
import path of this process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copytree

from cloudsync.provider import registry

EXAMPLE = Path(__file__).parents[2] / "examples" / "provider"
_METADATA = "Metadata-Version: 2.1\nName: cloudsync-brook\nVersion: 0.1.0\n"
_ENTRY_POINTS = "[cloudsync_firewall.providers]\nbrook = cloudsync_brook:provider\n"
Edit = tuple[str, str, str]
"""A file of the provider, the text in it, and what stands there instead."""


@contextmanager
def installed(folder: Path, edits: tuple[Edit, ...] = ()) -> Iterator[None]:
    """The provider `brook` can be loaded inside the block."""
    package = copytree(EXAMPLE / "cloudsync_brook", folder / "cloudsync_brook")
    for file, old, new in edits:
        path = package / file
        text = path.read_text()
        assert text.count(old) >= 1, f"{file} does not have {old!r} any more"
        path.write_text(text.replace(old, new))
    info = folder / "cloudsync_brook-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(_METADATA)
    (info / "entry_points.txt").write_text(_ENTRY_POINTS)
    sys.path[:0] = [str(folder), str(EXAMPLE / "tests")]
    _forget()
    try:
        yield
    finally:
        sys.path[:2] = []
        _forget()


def _forget() -> None:
    registry.load.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "cloudsync_brook"]:
        del sys.modules[name]
