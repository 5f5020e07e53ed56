"""What `cloudsync init` asks and writes for this provider."""

from __future__ import annotations

from cloudsync.provider.answers import printable
from cloudsync.provider.contract import Account
from cloudsync.provider.init import (
    NAMES,
    Answers,
    Credential,
    Question,
    Starter,
    VisibleMachine,
    noted,
    words,
)


def _account(answers: Answers, credential: str | None) -> list[str]:  # noqa: ARG001 - the shape all providers share
    return [
        noted(
            f'token = {{ env = "{credential or "DIGITALOCEAN_TOKEN"}" }}',
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


def _droplets(account: Account) -> list[VisibleMachine]:
    """The droplets of the token's team. Raises `ProviderError`."""
    from cloudsync_digitalocean import provider
    from cloudsync_digitalocean.answers import Droplet

    listed = provider.open_client(account).pages("/droplets", "droplets", Droplet)
    return [
        VisibleMachine(printable(d.name), d.name, d.public, printable(d.detail)) for d in listed
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
            chooses_machines=True,
        ),
    ),
    machines=_droplets,
    first_apply=lambda answers: "--allow-attach NAME" if answers["droplets"] else None,
)
