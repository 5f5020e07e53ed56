"""What `cloudsync init` asks and writes for this provider."""

from __future__ import annotations

from cloudsync.provider.init import (
    Answers,
    Credential,
    Question,
    Starter,
    noted,
    words,
)

_TAG = r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?"


def _account(answers: Answers, found: str | None) -> list[str]:  # noqa: ARG001 - the shape all providers share
    return [
        noted(
            f'project = "{answers["project"]}"',
            "credentials come by the SDK's own chain; nothing of them stands here",
        )
    ]


def _firewall(answers: Answers) -> list[str]:
    return [
        f'network = "{answers["network"]}"',
        noted(f"target_tags = {words(answers['tags'])}", "the machines it is for; never empty"),
        noted(
            'enforce = "allow"', "allow rules are added; other rules of the network stay in effect"
        ),
    ]


STARTER = Starter(
    title="Google Cloud",
    account=_account,
    firewall=_firewall,
    credentials=(
        Credential("GOOGLE_APPLICATION_CREDENTIALS"),
        Credential(file=".config/gcloud/application_default_credentials.json"),
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
        ),
    ),
)
