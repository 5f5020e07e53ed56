"""What a step says to GitHub's runner: outputs, the job summary, annotations, and text in the log
that is text and nothing more."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

from cloudsync.action.comment import cut

MOST_SUMMARY_BYTES = 1_000_000
"""GitHub drops a summary of more than 1 MiB whole."""


class Runner:
    """The files and the log of one step."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._outputs, self._summary = (
            environ.get("GITHUB_OUTPUT"),
            environ.get("GITHUB_STEP_SUMMARY"),
        )

    def output(self, values: Mapping[str, str]) -> None:
        """Set the step's outputs, whatever is in the values."""
        lines = []
        for name, value in values.items():
            end = f"end-{secrets.token_hex(16)}"
            lines.append(f"{name}<<{end}\n{value}\n{end}\n")
        self._append(self._outputs, "".join(lines))

    def summary(self, markdown: str) -> None:
        """Add to the job's summary, cut to what GitHub takes."""
        self._append(
            self._summary,
            cut(markdown, MOST_SUMMARY_BYTES, "the output plan-path names the file with all of it")
            + "\n",
        )

    def log(self, text: str) -> None:
        """Print text of strangers: the runner looks for no command in it (`##[…]` counts anywhere
        in a line)."""
        if text.strip():
            token = secrets.token_hex(16)
            print(f"::stop-commands::{token}\n{text.rstrip()}\n::{token}::", flush=True)

    def error(self, text: str) -> None:
        self._annotate("error", text)

    def warning(self, text: str) -> None:
        self._annotate("warning", text)

    def _annotate(self, level: str, text: str) -> None:
        safe = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        print(f"::{level} title=cloudsync::{safe}", flush=True)

    def _append(self, path: str | None, text: str) -> None:
        if path:
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(text)
