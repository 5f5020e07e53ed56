"""`nft -j list ruleset`, as far as an audit needs it, and the files nftables loads at boot."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from cloudsync.model.machine_facts import HostTable, Nftables, NftablesFile
from cloudsync.rules import Rule, RuleSet
from cloudsync.sources.machine import units
from cloudsync.sources.machine.root import Root, Unreadable

_OURS = ("inet", "cloudsync")


def read(root: Root) -> Nftables | None:
    """The tables of the kernel; None without nft. Raises `Unreadable`."""
    content = root.dump("nft") or root.output(["nft", "-j", "list", "ruleset"])
    return None if content is None else parse(content)


def parse(content: str) -> Nftables:
    """From nft's JSON. Raises `Unreadable`."""
    try:
        entries = json.loads(content)["nftables"]
        tables = tuple(
            (str(e["table"]["family"]), str(e["table"]["name"])) for e in entries if "table" in e
        )
    except (ValueError, KeyError, TypeError):
        raise Unreadable("nft -j list ruleset did not print what it should") from None
    drops = "169.254.169.254" in content and '"drop"' in content
    return Nftables(tables, _host_table(entries) if _OURS in tables else None, drops)


def _host_table(entries: list[dict[str, Any]]) -> HostTable:
    """Our own table: it enforces if its verdict drops."""
    rules = [e["rule"] for e in entries if _is_ours(e.get("rule"))]
    enforces = any("drop" in expression for rule in rules for expression in rule.get("expr", ()))
    lets_in = RuleSet.of(
        rule
        for entry in entries
        if _is_ours(entry.get("set")) and str(entry["set"].get("name", "")).startswith("open")
        for rule in _elements(entry["set"])
    )
    return HostTable(enforces, lets_in)


def _is_ours(value: object) -> bool:
    return isinstance(value, dict) and (value.get("family"), value.get("table")) == _OURS


def _elements(table: dict[str, Any]) -> Iterator[Rule]:
    for element in table.get("elem", ()):
        inner = element.get("elem", {}).get("val", element) if isinstance(element, dict) else {}
        words = inner.get("concat") if isinstance(inner, dict) else None
        if not isinstance(words, list) or len(words) != 3:
            continue
        protocol, port, source = words
        try:
            yield Rule.of(str(protocol), _range(port), [_network(source)])
        except ValueError:
            continue


def _range(value: object) -> str:
    if isinstance(value, dict) and "range" in value:
        first, last = value["range"]
        return f"{first}-{last}"
    return str(value)


def _network(value: object) -> str:
    if isinstance(value, dict) and "prefix" in value:
        return f"{value['prefix']['addr']}/{value['prefix']['len']}"
    return str(value)


def files(root: Root) -> tuple[NftablesFile, ...]:
    """What the unit nftables loads. Raises `Unreadable`."""
    path = "/etc/nftables.conf"
    content = root.text(path)
    if content is None:
        return ()
    for number, line in enumerate(content.splitlines(), 1):
        if re.match(r"\s*flush\s+ruleset\b", line):
            enabled = units.is_enabled(root, "nftables.service")
            return (NftablesFile(path, flushes=True, loaded_at_boot=enabled, line=number),)
    return (
        NftablesFile(
            path, flushes=False, loaded_at_boot=units.is_enabled(root, "nftables.service")
        ),
    )
