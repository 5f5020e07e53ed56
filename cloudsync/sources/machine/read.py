"""Everything an audit knows of this machine or of a copy of one; what cannot be read is a blind
spot and never looks like nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from cloudsync.model.machine_facts import Blind, Facts, HostUnit
from cloudsync.sources.machine import (
    addresses,
    backports,
    daemon,
    firewalld,
    iptables,
    nftables,
    saved,
    sockets,
    sshd,
    ufw,
    units,
    user_data,
)
from cloudsync.sources.machine.root import Root, Unreadable

Read = TypeVar("Read")
_HIDES = {
    "iptables": "whether DOCKER-USER, ufw or anything else filters published ports",
    "nftables": "whether a table stands before Docker's rules",
    "ufw": "whether published ports bypass ufw",
    "firewalld": "whether published ports bypass firewalld",
    "daemon": "the engine's TCP socket and its firewall options",
    "sockets": "what listens without a container",
    "sshd": "whether SSH accepts passwords",
    "saved rules": "what is restored at boot",
    "user data": "whether containers read secrets in it from the cloud's metadata service",
}


def read(host: str, root: Root) -> Facts:
    """The facts of a machine but for its engine, its Compose files and its cloud."""
    blind: list[Blind] = []

    def attempt(name: str, reader: Callable[[], Read]) -> Read | None:
        try:
            return reader()
        except Unreadable as error:
            blind.append(Blind(name, str(error), _HIDES.get(name, "")))
            return None

    ip4 = attempt("iptables", lambda: iptables.read(root, 4)) or iptables.NONE
    ip6 = attempt("iptables", lambda: iptables.read(root, 6)) or iptables.NONE
    host_unit: HostUnit | None = attempt("units", lambda: units.host_unit(root))
    situation = addresses.read(root)
    facts = Facts(
        host=host,
        daemon=attempt("daemon", lambda: daemon.read(root)),
        ip4=ip4.used,
        ip6=ip6.used,
        other4=ip4.other,
        nft=attempt("nftables", lambda: nftables.read(root)),
        nft_version=_version(root),
        ufw=attempt("ufw", lambda: ufw.read(root)),
        firewalld=attempt("firewalld", lambda: firewalld.read(root)),
        listeners=attempt("sockets", lambda: sockets.read(root) or ()) or (),
        saved=attempt("saved rules", lambda: saved.read(root)) or (),
        nft_files=attempt("nftables.conf", lambda: nftables.files(root)) or (),
        sshd=attempt("sshd", lambda: sshd.read(root)),
        user_data=attempt("user data", lambda: user_data.read(root)),
        host_unit="unknown" if host_unit is None else host_unit,
        global_ipv6=situation.global_ipv6,
        neighbours=situation.neighbours,
        backports=backports.read(root),
    )
    if not root.is_live:
        for name, present in (("iptables", facts.ip4), ("nftables", facts.nft)):
            if present is None and not any(spot.input == name for spot in blind):
                blind.append(Blind(name, f"dumps/{name}… is not in the copy", _HIDES[name]))
    return replace(facts, blind=tuple(dict.fromkeys(blind)))


def _version(root: Root) -> str:
    try:
        words = (root.output(["nft", "--version"]) or "").split()
    except Unreadable:
        return ""
    return words[1].lstrip("v") if len(words) > 1 else ""
