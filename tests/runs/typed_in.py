"""A folder with a configuration, and the command typed in it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from tests.command import typed


class TypedIn:
    """Subclass it; `sdk`: the library that the command has loaded already, as in `typed`."""

    sdk: ClassVar[str | None] = None
    folder: Path
    environment: Mapping[str, str]

    def types(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`cloudsync WORDS` to its end."""
        return typed(*words, folder=self.folder, environment=self.environment, sdk=self.sdk)
