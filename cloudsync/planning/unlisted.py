"""Machines that a firewall acts on and that are not its hosts: nothing is known of what they need
(law 1). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloudsync.config.configuration import Firewall
from cloudsync.provider.contract import Absent, Present

if TYPE_CHECKING:
    from cloudsync.provider.machines import Fleet, ObservedMachine

EVERY = "*"


def unlisted(
    firewall: Firewall, observed: Present | Absent, fleet: Fleet
) -> tuple[ObservedMachine, ...]:
    """The machines under `firewall` that are neither its hosts nor in `shared_with`, by name.

    A machine is a host if the firewall's keys name it, if it bears a host's name or its id is one;
    those that are left are taken for hosts as long as there are as many hosts left. A selector or
    a tag names no machine. A static firewall has no hosts: its `allow` rules say all there is.
    """
    if firewall.static or EVERY in firewall.shared_with:
        return ()
    spared = set(firewall.shared_with)
    hosts = set(firewall.marker_hosts)
    attached = {attachment.target for attachment in observed.attachments}
    others: list[ObservedMachine] = []
    for machine in fleet.machines:
        names = {machine.name, machine.id}
        if not _acts(firewall.name, machine) or spared & {*names, machine.target}:
            continue
        if hosts & names:
            hosts -= names
        else:
            others.append(machine)
    listed = [m for m in others if m.target in attached or firewall.name in m.listed]
    left = [machine for machine in others if machine not in listed]
    if len(left) <= len(hosts) - len(listed):
        return ()
    return tuple(sorted(left, key=lambda machine: (machine.name, machine.id)))


def _acts(name: str, machine: ObservedMachine) -> bool:
    """Whether the firewall of the configuration called `name` acts on a machine."""
    return any(
        firewall.of == name for interface in machine.interfaces for firewall in interface.firewalls
    )
