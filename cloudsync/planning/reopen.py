"""How to get a port back that an apply closed: which label, `deny` or `allow` to change. Pure, over
an entry of the history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_BY_CODE = {
    "denied": "take it out of policy.deny",
    "labelled-out": (
        "change the label of {of}: cloudsync.expose must not be false, and cloudsync.ports must"
        " list {port}"
    ),
    "not-labelled": (
        'give {of} the label cloudsync.expose=true (policy.expose is "labelled"), or the label'
        " cloudsync.ports={port}"
    ),
    "sensitive": (
        'name "{port}" in policy.allow_sensitive, or narrow it with the label cloudsync.sources on'
        " {of}"
    ),
    "private-address": "publish it at {of} on a public address of the host, or on all of them",
    "loopback": "publish it at {of} on a public address of the host, not on loopback",
    "random-port": "publish it at {of} on a fixed host port",
    "not-published": (
        "publish it at {of}: its label cloudsync.ports names it, but the container does not"
        " publish it"
    ),
    "malformed": "fix the labels of {of}",
}


def way_back(closed: Mapping[str, Any], firewall: str) -> tuple[str, ...]:
    """What to change, the likeliest first. `closed`: one of an entry's `closed`; `firewall`: its
    name in the configuration."""
    number, protocol = str(closed.get("ports") or ""), str(closed.get("protocol") or "")
    port = f"{number}/{protocol}" if number else protocol
    of = ", ".join(map(str, _list(closed.get("of")))) or "the container"
    ways = [
        _BY_CODE[code].format(of=of, port=port)
        for code in _list(closed.get("codes"))
        if code in _BY_CODE
    ]
    if not ways and "policy.deny" in str(closed.get("reason") or ""):
        ways.append(_BY_CODE["denied"])
    if not ways:
        ways.append("start the container again that publishes it, if it should be there")
    return (*ways, _allow(port, _list(closed.get("sources")), firewall))


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _allow(port: str, sources: Sequence[Any], firewall: str) -> str:
    sources = [str(source) for source in sources]
    names = (
        '"any"'
        if set(sources) == {"0.0.0.0/0", "::/0"}
        else ", ".join(f'"{source}"' for source in sources[:20])
    )
    more = ", …" if len(sources) > 20 else ""
    return (
        f'or open it whatever containers say: [[firewalls.{firewall}.allow]] ports = ["{port}"]'
        f" sources = [{names}{more}]"
    )
