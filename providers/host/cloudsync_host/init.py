"""What `cloudsync init` asks and writes for this provider."""

from __future__ import annotations

from cloudsync.provider.init import Answers, Starter, noted


def _account(answers: Answers, credential: str | None) -> list[str]:  # noqa: ARG001 - the shape all providers share
    return []


def _firewall(answers: Answers) -> list[str]:  # noqa: ARG001 - the shape all providers share
    return [
        noted('enforce = "observe"', 'drops nothing yet: see `cloudsync observe`, then "enforce"'),
        noted('# interfaces = "uplinks"', "those of a default route"),
        noted('# trusted = ["wg0"]', "never filtered"),
        noted('# confirm = "60s"', 'a change goes back unless a new SSH login confirms it; "off"'),
    ]


STARTER = Starter(
    title="this machine itself: nftables, before Docker's own rules (observes first)",
    account=_account,
    firewall=_firewall,
)
