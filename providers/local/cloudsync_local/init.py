"""What `cloudsync init` asks and writes for this provider."""

from __future__ import annotations

from cloudsync.provider.init import (
    Answers,
    Question,
    Starter,
    noted,
)


def _account(answers: Answers, credential: str | None) -> list[str]:  # noqa: ARG001 - the shape all providers share
    return []


def _firewall(answers: Answers) -> list[str]:
    return [noted(f'path = "{answers["path"]}"', "relative to this file; no packet is filtered")]


STARTER = Starter(
    title="no cloud: a firewall kept in a JSON file, to try it out",
    account=_account,
    firewall=_firewall,
    questions=(
        Question(
            "path",
            "File for the firewall",
            r"[A-Za-z0-9._/-]+",
            "a path of a-z, 0-9, ., _, - and /",
            "firewall.json",
        ),
    ),
)
