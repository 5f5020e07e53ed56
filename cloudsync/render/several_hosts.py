"""What is the same on several hosts stands once, with their names: a plan for twenty machines that
run the same containers is as long as one for two."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from cloudsync.model.plan import Refused


def hosts_named(hosts: Iterable[str]) -> str:
    """`web-1`, `web-1 and web-2`, `web-1 and 11 more`."""
    names = tuple(dict.fromkeys(hosts))
    if len(names) > 2:
        return f"{names[0]} and {len(names) - 1} more"
    return " and ".join(names)


def on_hosts(named: Iterable[tuple[str, str, str]]) -> tuple[str, ...]:
    """`ftp on web-1 and web-2`, for each name. `named`: a name, the host it is on ("" to leave it
    away), and what stands behind it."""
    hosts: dict[tuple[str, str], list[str]] = {}
    for name, host, place in named:
        hosts.setdefault((name, place), []).append(host)
    return tuple(
        f"{name} on {hosts_named(where)}{place}" if any(where) else f"{name}{place}"
        for (name, place), where in hosts.items()
    )


def refusals(refused: Iterable[Refused]) -> tuple[Refused, ...]:
    """Those of the same port for the same reason as one, needed by all of them."""
    groups: dict[tuple[object, ...], Refused] = {}
    for refusal in refused:
        key = (refusal.protocol, refusal.ports, refusal.sources, refusal.code, refusal.reason)
        same = groups.get(key)
        origins = (*same.origins, *refusal.origins) if same is not None else refusal.origins
        groups[key] = replace(refusal, origins=tuple(dict.fromkeys(origins)))
    return tuple(groups.values())


def remarks(texts: Iterable[str], hosts: Collection[str]) -> Iterator[str]:
    """`web-1 and web-2: …` for remarks that begin with the name of a host and go on alike."""
    groups: dict[tuple[str, bool], list[str]] = {}
    for text in texts:
        host, colon, rest = text.partition(": ")
        about_host = bool(colon) and host in hosts
        groups.setdefault((rest if about_host else text, about_host), []).append(host)
    for (text, about_host), where in groups.items():
        yield f"{hosts_named(where)}: {text}" if about_host else text
