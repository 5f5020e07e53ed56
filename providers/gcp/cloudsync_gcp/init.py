"""What `cloudsync init` asks and writes for this provider."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloudsync.provider.contract import Account
from cloudsync.provider.init import (
    Answers,
    Question,
    Starter,
    VisibleMachine,
    by_sdk,
    credentials,
    noted,
    words,
)

if TYPE_CHECKING:
    from cloudsync_gcp.machines import Instance

_TAG = r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?"


def _firewall(answers: Answers) -> list[str]:
    return [
        f'network = "{answers["network"]}"',
        noted(f"target_tags = {words(answers['tags'])}", "the machines it is for; never empty"),
        noted(
            'enforce = "allow"', "allow rules are added; other rules of the network stay in effect"
        ),
    ]


def _instances(account: Account) -> list[VisibleMachine]:
    """The instances of the project over all zones, with their network tags. Raises
    `ProviderError`."""
    from cloudsync_gcp.client import Api
    from cloudsync_gcp.machines import instances_of

    return [_visible(instance) for instance in instances_of(Api(account))]


def _visible(instance: Instance) -> VisibleMachine:
    nics = instance.network_interfaces
    networks = dict.fromkeys(nic.network[1] for nic in nics)
    tags = ", ".join(instance.tags.items)
    zone = instance.zone.rsplit("/", 1)[-1]
    tagged = f"tags {tags}" if tags else "no network tags yet"
    return VisibleMachine(
        instance.name,
        tags,
        tuple(address for nic in nics for address in nic.external),
        f"{zone}, network {', '.join(networks)}, {tagged}",
    )


STARTER = Starter(
    title="Google Cloud",
    account=by_sdk('project = "{project}"'),
    firewall=_firewall,
    credentials=credentials(
        "GOOGLE_APPLICATION_CREDENTIALS", "~/.config/gcloud/application_default_credentials.json"
    ),
    questions=(
        Question(
            "project",
            "Project",
            r"[a-z][a-z0-9-]{4,61}[a-z0-9]",
            "the id of a project such as shop-prod-123",
            variables=("GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT"),
        ),
        Question("network", "Network", _TAG, "the name of a network", "default"),
        Question(
            "tags",
            "Network tags of the machines, with commas",
            f"{_TAG}( *, *{_TAG})*",
            "tags with commas",
            chooses_machines=True,
        ),
    ),
    machines=_instances,
)
