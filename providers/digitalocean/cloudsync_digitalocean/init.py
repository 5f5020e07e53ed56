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
            f'token = {{ env = "{found or "DIGITALOCEAN_TOKEN"}" }}',
            "the name of the variable, never the token",
        )
    ]


def _firewall(answers: Answers) -> list[str]:
    if droplets := answers["droplets"]:
        return [noted(f"droplets = {words(droplets)}", "attached to these; only ever added")]
    return [
        noted('# droplets = ["web-1"]', "names or ids of droplets to attach it to"),
        '# tags = ["web"]',
    ]


STARTER = Starter(
    title="DigitalOcean",
    account=_account,
    firewall=_firewall,
    credentials=(Credential("DIGITALOCEAN_TOKEN"), Credential("DIGITALOCEAN_ACCESS_TOKEN")),
    questions=(
        Question(
            "droplets",
            "Droplets to put under the firewall, with commas (none: attach later)",
            NAMES,
            "names or ids with commas",
            "",
        ),
    ),
    first_apply=lambda answers: "--allow-attach NAME" if answers["droplets"] else None,
)
