"""What `cloudsync init` asks and writes for this provider."""

from __future__ import annotations

from cloudsync.provider.init import (
    NAMES,
    Answers,
    Credential,
    Question,
    Starter,
    noted,
    words,
)


def _account(answers: Answers, found: str | None) -> list[str]:  # noqa: ARG001 - the shape all providers share
    return [
        noted(
            'token = { env = "HCLOUD_TOKEN" }',
            "the name of the variable, never the token; read-only is enough for plan",
        )
    ]


def _firewall(answers: Answers) -> list[str]:
    if servers := answers["servers"]:
        return [noted(f"servers = {words(servers)}", "attached to these; only ever added")]
    return [noted('# servers = ["web-1"]', "names or ids of servers to attach it to")]


STARTER = Starter(
    title="Hetzner Cloud",
    account=_account,
    firewall=_firewall,
    credentials=(Credential("HCLOUD_TOKEN"),),
    questions=(
        Question(
            "servers",
            "Servers to put under the firewall, with commas (none: attach later)",
            NAMES,
            "names or ids with commas",
            "",
        ),
    ),
    first_apply=lambda answers: "--allow-attach NAME" if answers["servers"] else None,
)
