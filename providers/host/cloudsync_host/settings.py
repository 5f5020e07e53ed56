"""The keys of this provider in the configuration."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from cloudsync.provider.contract import FirewallSpec
from cloudsync.provider.settings import FirewallSettings
from cloudsync.rules.networks import NetworkSet
from cloudsync_host.address import LOCAL, address_problem

SAVED_FILE = "/var/lib/cloudsync/host.nft"
OFF = "off"
_INTERFACE = re.compile(r"[A-Za-z0-9_.:@-]{1,15}|[A-Za-z0-9_.:@-]{1,14}\*")
_SECONDS = re.compile(r"([1-9][0-9]{0,3})([sm])")
_PATH = re.compile(r"/[A-Za-z0-9._/@+-]{1,200}")
_LONGEST_TRIAL = 3600


def _checked_interface(name: str) -> str:
    if not _INTERFACE.fullmatch(name):
        raise ValueError('must be an interface such as "eth0", or a prefix such as "cali*"')
    return name


def _checked_peer(network: str) -> str:
    try:
        NetworkSet.of([network])
    except ValueError:  # its message would quote the value
        raise ValueError('must be a network such as "10.0.0.0/24" (no host bits)') from None
    return network


def _checked_address(address: str) -> str:
    if (problem := address_problem(address)) is not None:
        raise ValueError(problem)
    return address


def _checked_confirm(duration: str) -> str:
    seconds_of(duration)
    return duration


def _checked_path(path: str) -> str:
    if path != OFF and not _PATH.fullmatch(path):
        raise ValueError('must be an absolute path of A-Z, a-z, 0-9, ., _, @, +, - and /, or "off"')
    return path


def seconds_of(duration: str) -> int | None:
    """The length of a trial in seconds; None for "off". Raises `ValueError`."""
    if duration == OFF:
        return None
    match = _SECONDS.fullmatch(duration)
    seconds = int(match[1]) * (60 if match[2] == "m" else 1) if match else 0
    if not 1 <= seconds <= _LONGEST_TRIAL:
        raise ValueError('must be a duration from "1s" to "60m", or "off"')
    return seconds


InterfaceName = Annotated[str, AfterValidator(_checked_interface)]
Interfaces = Literal["uplinks", "all"] | Annotated[list[InterfaceName], Field(min_length=1)]


class HostFirewall(FirewallSettings):
    """The keys of a `[firewalls.X]` table."""

    enforce: Annotated[
        Literal["observe", "enforce"],
        Field(description="`observe` drops nothing and records what it would drop"),
    ]
    address: Annotated[
        Annotated[str, AfterValidator(_checked_address)] | None,
        Field(description="ssh://user@host, or `local`; by default the host's ssh:// engine"),
    ] = None
    interfaces: Annotated[
        Interfaces,
        Field(description="what is filtered: `uplinks` (of a default route), `all`, or a list"),
    ] = "uplinks"
    trusted: Annotated[list[InterfaceName], Field(description="never filtered")] = []
    peers: Annotated[
        list[Annotated[str, AfterValidator(_checked_peer)]],
        Field(description="networks from which every protocol is let in"),
    ] = []
    established: Annotated[
        Literal["keep", "cut"], Field(description="`cut`: closing a port ends its connections")
    ] = "keep"
    confirm: Annotated[
        Annotated[str, AfterValidator(_checked_confirm)],
        Field(description="rolled back after this without a new connection; `off`: no trial"),
    ] = "60s"
    save: Annotated[
        Annotated[str, AfterValidator(_checked_path)],
        Field(description="the file that the boot unit loads; `off`: none is written"),
    ] = SAVED_FILE

    exactly_one_host: ClassVar[bool] = True

    @model_validator(mode="after")
    def _disjoint(self) -> HostFirewall:
        if isinstance(self.interfaces, list) and set(self.interfaces) & set(self.trusted):
            raise ValueError("an interface is either filtered (interfaces) or trusted, not both")
        return self

    @property
    def trial_seconds(self) -> int | None:
        """How long a trial lasts; None where there is none."""
        return seconds_of(self.confirm)

    @property
    def saved_file(self) -> str | None:
        """Where the table is saved for the next boot."""
        return None if self.save == OFF else self.save


def settings_of(spec: FirewallSpec) -> HostFirewall:
    """The firewall's settings as this provider's own."""
    if not isinstance(spec.settings, HostFirewall):
        raise TypeError(f"settings of another provider for the firewall {spec.name}")
    return spec.settings


def address_of(spec: FirewallSpec) -> str:
    """Which machine: `local`, `ssh://…`, or "" where the configuration does not say."""
    if (written := settings_of(spec).address) is not None:
        return written
    return _address_of_engines(spec.engines)


def _address_of_engines(engines: Sequence[str]) -> str:
    """An engine behind ssh is on its machine, one behind a socket on this one; a context or a TLS
    address does not say where ssh would go."""
    remote = dict.fromkeys(engine for engine in engines if engine.startswith("ssh://"))
    if len(remote) == 1 and len(remote) == len(set(engines)):
        return next(iter(remote))
    return LOCAL if all(engine.startswith("unix://") for engine in engines) else ""
