"""The step's secrets, out of the environment of the process."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping

SECRETS = ("CLOUDSYNC_INPUT_TOKEN", "CLOUDSYNC_INPUT_APPROVAL_SECRET")
_PIPE = "CLOUDSYNC_ACTION_PIPE"
_MOST_BYTES = 65_536
"""What a pipe holds without a reader."""


def received() -> Mapping[str, str]:
    """The step's variables with its secrets, none of which is in the environment of this process.
    The first time it starts the process anew, and does not return."""
    if _PIPE in os.environ:
        return {**os.environ, **_read(int(os.environ.pop(_PIPE)))}
    secrets = {name: os.environ.pop(name) for name in SECRETS if os.environ.get(name)}
    data = json.dumps(secrets).encode()
    if not secrets or len(data) > _MOST_BYTES:
        return {**os.environ, **secrets}
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    os.set_inheritable(reading, True)
    words = [sys.executable, "-I", "-m", "cloudsync.action"]
    return os.execve(  # noqa: S606 - ourselves
        sys.executable, words, {**os.environ, _PIPE: str(reading)}
    )


def _read(handle: int) -> dict[str, str]:
    with os.fdopen(handle, "rb") as pipe:
        return {str(name): str(value) for name, value in json.loads(pipe.read()).items()}
