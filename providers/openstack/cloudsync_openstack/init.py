"""What `cloudsync init` asks and writes for this provider."""

from __future__ import annotations

from cloudsync.provider.answers import printable
from cloudsync.provider.contract import Account
from cloudsync.provider.init import (
    NAMES,
    Answers,
    Question,
    Starter,
    VisibleMachine,
    credentials,
    noted,
    words,
)


def _account(answers: Answers, credential: str | None) -> list[str]:  # noqa: ARG001 - the shape all providers share
    lines = []
    if answers["cloud"]:
        lines.append(noted(f'cloud = "{answers["cloud"]}"', "an entry of clouds.yaml"))
    else:
        lines.append(noted('# cloud = "prod"', "the OS_* variables say which cloud is meant"))
    lines.append(noted('# region = "RegionOne"', "if the cloud has several"))
    return lines


def _firewall(answers: Answers) -> list[str]:
    return [
        noted(
            '# name = "cloudsync-web"',
            "the group's own name, if not cloudsync- and the table's; an existing one needs"
            " --adopt",
        ),
        noted(f"servers = {words(answers['servers'])}", "names or ids; their other groups stay"),
    ]


def _servers(account: Account) -> list[VisibleMachine]:
    """The servers of the project by their names, with the addresses of their ports. Raises
    `ProviderError`."""
    from cloudsync_openstack import provider
    from cloudsync_openstack.answers import Port

    api = provider.open_client(account)
    servers = api.servers() or ()
    ports = api.list("ports", Port) if servers else ()
    return [
        VisibleMachine(
            printable(server.name),
            server.name,
            tuple(
                address.ip_address
                for port in ports
                if port.device_id == server.id
                for address in port.fixed_ips
            ),
        )
        for server in servers
    ]


STARTER = Starter(
    title="OpenStack",
    account=_account,
    firewall=_firewall,
    credentials=credentials("OS_CLOUD", "OS_AUTH_URL", "~/.config/openstack/clouds.yaml"),
    questions=(
        Question(
            "cloud",
            "Cloud (an entry of clouds.yaml, empty for the OS_* variables)",
            r"[A-Za-z0-9._-]*",
            "a name of clouds.yaml, or nothing",
            default="",
            variables=("OS_CLOUD",),
        ),
        Question(
            "servers",
            "Servers to attach it to (names or ids, with commas between)",
            NAMES,
            "names with commas between them",
            default="",
            chooses_machines=True,
        ),
    ),
    machines=_servers,
)
