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
            'token = { env = "HCLOUD_TOKEN" }',
            "the name of the variable, never the token; read-only is enough for plan",
        )
    ]


def _firewall(answers: Answers) -> list[str]:
    if servers := answers["servers"]:
        return [noted(f"servers = {words(servers)}", "attached to these; only ever added")]
    return [noted('# servers = ["web-1"]', "names or ids of servers to attach it to")]


def _servers(account: Account) -> list[VisibleMachine]:
    """The servers of the token's project. Raises `ProviderError`."""
    from cloudsync_hetzner import provider
    from cloudsync_hetzner.answers import Server

    listed = provider.open_client(account).pages("/servers", "servers", Server)
    return [
        VisibleMachine(
            printable(server.name),
            server.name,
            server.public_net.addresses,
            printable(server.datacenter.name if server.datacenter is not None else ""),
        )
        for server in listed
    ]


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
            chooses_machines=True,
        ),
    ),
    machines=_servers,
    first_apply=lambda answers: "--allow-attach NAME" if answers["servers"] else None,
)
