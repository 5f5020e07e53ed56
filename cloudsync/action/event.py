"""What made the workflow run: a pull request, a push, something else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cloudsync.rules.frozen import dataclass


class EventError(Exception):
    """The run is not one the action can work in; one line."""


@dataclass(frozen=True, slots=True)
class Event:
    """`pull_request`: its number, where the event is about one. `fork`: its head lies in another
    repository, so the token may not write. `branch`: the branch that was pushed or is run on, None
    for a tag or a pull request."""

    name: str
    """`push`, `pull_request`, …"""
    repository: str
    """`owner/name`."""
    sha: str
    """Of the commit that the run is about."""
    branch: str | None
    default_branch: str | None
    """None if the event does not say."""
    pull_request: int | None
    head: str | None
    """The head commit of the pull request; None without one."""
    fork: bool
    run_url: str
    """The page of this run."""

    @staticmethod
    def of(environ: Mapping[str, str]) -> Event:
        """The event out of the runner's variables and its event file. Raises `EventError`."""
        payload = _payload(environ.get("GITHUB_EVENT_PATH"))
        repository = environ.get("GITHUB_REPOSITORY", "")
        pull = _table(payload, "pull_request")
        number = pull.get("number")
        head = _table(pull, "head")
        ref = environ.get("GITHUB_REF", "")
        server = environ.get("GITHUB_SERVER_URL", "https://github.com")
        return Event(
            name=environ.get("GITHUB_EVENT_NAME", ""),
            repository=repository,
            sha=environ.get("GITHUB_SHA", ""),
            branch=ref.removeprefix("refs/heads/") if ref.startswith("refs/heads/") else None,
            default_branch=_table(payload, "repository").get("default_branch"),
            pull_request=number if isinstance(number, int) else None,
            head=head.get("sha") if isinstance(head.get("sha"), str) else None,
            fork=bool(pull) and _table(head, "repo").get("full_name") != repository,
            run_url=f"{server}/{repository}/actions/runs/{environ.get('GITHUB_RUN_ID', '0')}",
        )


def _payload(path: str | None) -> dict[str, Any]:
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
    except (OSError, ValueError):
        raise EventError("the event file of the run cannot be read") from None
    return value if isinstance(value, dict) else {}


def _table(payload: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = payload.get(key)
    return value if isinstance(value, dict) else {}
