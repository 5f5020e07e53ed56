"""The first configuration: what `cloudsync init` found and was told, as a commented file. Pure but
for `write`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from cloudsync.provider.init import noted
from cloudsync.rules.frozen import dataclass

_OWNER = r"[a-z]([a-z0-9-]{0,18}[a-z0-9])?"
_NAME = r"[a-z0-9]([a-z0-9._-]{0,38}[a-z0-9])?"
_SOURCE = r"any|any4|any6|[0-9a-fA-F.:]+/[0-9]{1,3}"


@dataclass(frozen=True, slots=True)
class FirstRun:
    """Everything the file says. `engine` or `ports`: where the host's ports come from. `account`,
    `firewall`: the provider's own lines."""

    owner: str
    """`owner`."""
    host: str
    """The name of its `[hosts.X]`."""
    firewall_name: str
    """The name of its `[firewalls.X]`."""
    provider: str
    """The name of its `[providers.X]`."""
    engine: str | None
    ports: tuple[str, ...]
    ssh_port: int
    """1 to 65535."""
    ssh_sources: tuple[str, ...]
    """CIDRs, `any`."""
    expose: str
    """`[policy] expose`."""
    account: tuple[str, ...]
    firewall: tuple[str, ...]

    def text(self) -> str:
        """The file. Every line that one may want to change has its reason beside it."""
        source = (
            f"docker = {_text(self.engine)}"
            if self.engine is not None
            else f"ports = {_list(self.ports)}"
        )
        sentence = (
            "what its containers publish"
            if self.engine is not None
            else "a static list; docker = … reads an engine instead"
        )
        return "\n".join(
            [
                (
                    "# Which firewall follows which containers. `cloudsync config check` says what"
                    " is wrong with it, line by line;"
                ),
                "# `cloudsync plan` shows what an apply would do, and writes nothing.",
                "version = 1",
                noted(
                    f'owner = "{self.owner}"',
                    "whose firewalls these are: two owners never share one",
                ),
                (
                    '# state = "file:///var/lib/cloudsync"   # lock and memory; the default for'
                    " root, else ~/.local/state/cloudsync"
                ),
                "",
                noted("[ssh]", "what stays reachable whatever happens"),
                f"ports = [{self.ssh_port}]",
                noted(
                    f"sources = {_list(self.ssh_sources)}", 'narrower is safer: ["203.0.113.0/24"]'
                ),
                "",
                "[policy]",
                noted(
                    f'expose = "{self.expose}"',
                    (
                        'every published port; "labelled": only where the label'
                        " cloudsync.expose=true asks"
                        if self.expose == "published"
                        else (
                            'only where the label cloudsync.expose=true asks; "published": every'
                            " published port"
                        )
                    ),
                ),
                '# deny = ["8080/tcp"]                # never opened, no matter who asks',
                (
                    '# allow_sensitive = ["5432/tcp"]     # databases and the like are not opened'
                    " to the world, except these"
                ),
                '# mode = "additive"                  # never closes anything',
                "",
                f"[providers.{self.provider}]",
                *self.account,
                "",
                f"[hosts.{_key(self.host)}]",
                noted(source, sentence),
                "",
                f"[firewalls.{self.firewall_name}]",
                f'provider = "{self.provider}"',
                noted(f'hosts = ["{self.host}"]', "whose ports it opens, together"),
                *self.firewall,
                "",
                (
                    f"# [[firewalls.{self.firewall_name}.allow]]              # further rules,"
                    " whatever containers say"
                ),
                '# ports = ["9100/tcp"]',
                '# sources = ["203.0.113.0/24"]',
                "",
            ]
        )


def owner_of(hostname: str) -> str:
    """An owner made of a machine's name."""
    text = re.sub(r"[^a-z0-9-]+", "-", hostname.lower().split(".")[0]).strip("-")[:20].strip("-")
    return text if re.fullmatch(_OWNER, text) else "my-firewalls"


def host_of(hostname: str) -> str:
    """The name of a host in the configuration made of a machine's name."""
    text = re.sub(r"[^a-z0-9._-]+", "-", hostname.lower())[:40].strip("-._")
    return text if re.fullmatch(_NAME, text) else "web-1"


def firewall_of(host: str) -> str:
    """The name of the firewall of one machine: each machine has its own, so that a second machine
    with the same file does not take over the first one's."""
    text = re.sub(r"[^a-z0-9-]+", "-", host).strip("-")
    return text or "web"


def owner_problem(text: str) -> str | None:
    return (
        None
        if re.fullmatch(_OWNER, text)
        else "must be 1 to 20 of a-z, 0-9 and -, beginning with a letter and not ending with -"
    )


def name_problem(text: str) -> str | None:
    return (
        None
        if re.fullmatch(_NAME, text)
        else "must be up to 40 of a-z, 0-9, ., _ and -, beginning and ending with a-z or 0-9"
    )


def ports_problem(text: str) -> str | None:
    """For a list such as `443, 51820/udp`."""
    from cloudsync.config.models import port_range

    if not split(text):
        return 'must be ports such as "443, 51820/udp"'
    for word in split(text):
        try:
            port_range(word)
        except ValueError as error:
            return str(error)
    return None


def sources_problem(text: str) -> str | None:
    """For a list such as `any` or `203.0.113.0/24, 2001:db8::/48`."""
    from cloudsync.rules.networks import NetworkSet

    words = split(text)
    if not words or not all(re.fullmatch(_SOURCE, word) for word in words):
        return 'must be "any", or networks such as 203.0.113.0/24'
    try:
        NetworkSet.of(words)
    except ValueError as error:
        return str(error)
    return None


def split(text: str) -> tuple[str, ...]:
    """The words of a list with commas."""
    return tuple(word for word in text.replace(" ", "").split(",") if word)


def write(path: Path, text: str) -> None:
    """Make the file; a file (or a link) that is there is never written over. Raises
    `FileExistsError` and other `OSError`."""
    handle = os.open(
        path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644
    )
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _list(texts: Iterable[str]) -> str:
    return "[" + ", ".join(f'"{text}"' for text in texts) + "]"


def _key(name: str) -> str:
    """A name with dots is one key of TOML only in quotes."""
    return f'"{name}"' if "." in name else name
