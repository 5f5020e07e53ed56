"""What `cloudsync init` asks and writes for this provider."""

from __future__ import annotations

from cloudsync.provider.init import NAMES, Answers, Credential, Question, Starter, noted, words


def _account(answers: Answers, found: str | None) -> list[str]:  # noqa: ARG001 - the shape all providers share
    lines = []
    if answers["cloud"]:
        lines.append(noted(f'cloud = "{answers["cloud"]}"', "an entry of clouds.yaml"))
    else:
        lines.append(noted('# cloud = "prod"', "the OS_* variables say which cloud is meant"))
    lines.append(noted('# region = "RegionOne"', "if the cloud has several"))
    return lines


def _firewall(answers: Answers) -> list[str]:
    return [
        noted(f'name = "{answers["name"]}"', "created if absent; an existing one needs --adopt"),
        noted(f"servers = {words(answers['servers'])}", "names or ids; their other groups stay"),
    ]


STARTER = Starter(
    title="OpenStack",
    account=_account,
    firewall=_firewall,
    credentials=(
        Credential("OS_CLOUD"),
        Credential("OS_AUTH_URL"),
        Credential(file=".config/openstack/clouds.yaml"),
    ),
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
            "name",
            "Security group",
            r"[A-Za-z0-9._-]{1,255}",
            "a name of letters, digits, dots and dashes",
            default="cloudsync-web",
        ),
        Question(
            "servers",
            "Servers to attach it to (names or ids, with commas between)",
            NAMES,
            "names with commas between them",
            default="",
        ),
    ),
)
