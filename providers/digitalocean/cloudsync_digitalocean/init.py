"""What `cloudsync init` asks and writes for this provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloudsync.provider.contract import Account
from cloudsync.provider.errors import Transient
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


def _droplets(account: Account) -> list[VisibleMachine]:
    """The droplets of the token's team. Raises `ProviderError`."""
    from cloudsync_digitalocean.client import Api, plain
    from cloudsync_digitalocean.machines import addresses_of
    from cloudsync_digitalocean.plugin import ENDPOINT

    listed = Api(account, account.settings.endpoint or ENDPOINT).pages("droplets", "droplets")
    try:
        return [
            VisibleMachine(
                plain(str(droplet["name"])),
                str(droplet["name"]),
                tuple(addresses_of(droplet)),
                _detail(droplet),
            )
            for droplet in listed
        ]
    except (KeyError, TypeError, AttributeError):
        raise Transient("the droplets of DigitalOcean cannot be understood") from None


def _detail(droplet: Mapping[str, Any]) -> str:
    from cloudsync_digitalocean.client import plain

    region = str((droplet.get("region") or {}).get("slug") or "")
    tags = ", ".join(map(str, droplet.get("tags") or ()))
    return plain(", ".join(filter(None, (region, f"tags {tags}" if tags else ""))))


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
