from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cloudsync.cli.main import run
from tests.crash.site import CODES

Typed = Callable[..., tuple[int, str]]


@pytest.fixture
def types(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quick_retries: None) -> Typed:
    """The command typed in this process: its code and all it printed. No bug may show, whatever the
    input."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("CLOUDSYNC_CONFIG", "XDG"))]:
        monkeypatch.delenv(name)

    def typed(*words: str) -> tuple[int, str]:
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            code = run(list(words))
        text = out.getvalue()
        for word in ("Traceback", "internal error", "provider plugin"):
            assert word not in text, text
        assert code in {*CODES, 64}, text
        return code, text

    return typed
