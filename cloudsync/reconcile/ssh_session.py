"""The SSH connection this run was started through, if any: the one thing a run must not cut off
under itself."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address

from cloudsync.model.ssh_login import Login


def own_login(environ: Mapping[str, str]) -> Login | None:
    """From `SSH_CONNECTION` (`peer port server port`, sshd(8)); None where there is none, or none
    over TCP/IP. `sudo` drops the variable: `cloudsync.cli.login` has put it back."""
    try:
        peer, _, server, port = environ.get("SSH_CONNECTION", "").split()
        number = int(port)
        if not 1 <= number <= 65535:
            return None
        return Login(_plain(peer), number, _is_of_this_machine(_plain(server)))
    except ValueError:
        return None


def _plain(text: str) -> IPv4Address | IPv6Address:
    address = ip_address(text.partition("%")[0])
    return (address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address


def _is_of_this_machine(address: IPv4Address | IPv6Address) -> bool:
    """Whether an interface has it: only then a socket can be bound to it. Nothing is sent."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True
