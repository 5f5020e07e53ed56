"""What `cloudsync init` asks and writes for this provider."""

from __future__ import annotations

from collections.abc import Mapping

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


def _works_here(environ: Mapping[str, str]) -> bool:
    """Whether this process may use nftables, and there is one."""
    from cloudsync_host.kernel import may_administer, program_of

    return may_administer() and program_of(environ) is not None


STARTER = Starter(
    title="this machine itself: nftables, before Docker's own rules (observes first)",
    account=_account,
    firewall=_firewall,
    works_here=_works_here,
    later=(
        ("cloudsync observe", "after a while: what it would cut, and which openings nobody uses"),
        ('enforce = "enforce"', "in the file; the next apply asks, and drops what is not listed"),
    ),
)
