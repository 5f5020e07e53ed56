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
_METADATA = "169.254.169.254"
_OPEN = re.compile(r"(wide_)?(open|bare)[46]")


def read(root: Root) -> Nftables | None:
    """The tables of the kernel; None without nft. Raises `Unreadable`."""
    content = root.dump("nft") or root.output(["nft", "-j", "list", "ruleset"])
    return None if content is None else parse(content)


def parse(content: str) -> Nftables:
    """From nft's JSON. Raises `Unreadable`."""
    try:
        entries = json.loads(content)["nftables"]
        rules = [entry["rule"] for entry in entries if "rule" in entry]
        present = any(_is_ours(entry.get("table"), "name") for entry in entries)
        return Nftables(
            host_table=_host_table(entries) if present else None,
            drops_metadata=any(_drops_metadata(rule) for rule in rules),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Unreadable("nft -j list ruleset did not print what it should") from None


def _drops_metadata(rule: dict[str, Any]) -> bool:
    """Whether it drops or rejects what goes to the metadata service."""
    expressions = rule.get("expr", ())
    ends = any("drop" in expression or "reject" in expression for expression in expressions)
    return ends and any(
        _METADATA in json.dumps(expression["match"].get("right"))
        for expression in expressions
        if "match" in expression and expression["match"].get("op") in ("==", "in")
    )


def _host_table(entries: list[dict[str, Any]]) -> HostTable:
    """Our own table: it enforces if its verdict drops. What a trial under way lets in is not what
    stays."""
    rules = [
        entry["rule"]
        for entry in entries
        if _is_ours(entry.get("rule")) and entry["rule"].get("chain") == "verdict"
    ]
    enforces = any("drop" in expression for rule in rules for expression in rule.get("expr", ()))
    lets_in = RuleSet.of(
        rule
        for entry in entries
        if _is_ours(entry.get("set")) and _OPEN.fullmatch(str(entry["set"].get("name", "")))
        for rule in _elements(entry["set"])
    )
    return HostTable(enforces, lets_in)


def _is_ours(value: object, key: str = "table") -> bool:
    return isinstance(value, dict) and (value.get("family"), value.get(key)) == _OURS


def _elements(table: dict[str, Any]) -> Iterator[Rule]:
    for element in table.get("elem", ()):
        inner = element.get("elem", {}).get("val", element) if isinstance(element, dict) else {}
        words = inner.get("concat") if isinstance(inner, dict) else None
        if not isinstance(words, list) or len(words) not in (2, 3):
            continue
        protocol, *port, source = words
        name = "all" if isinstance(protocol, dict) else str(protocol)
        try:
            yield Rule.of(name, _range(port[0]) if port else "", [_network(source)])
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


def _tables(content: str) -> tuple[str, ...]:
    made = re.findall(
        r"^\s*table\s+((?:(?:inet|ip6?|arp|bridge|netdev)\s+)?[\w.-]+)\s*\{", content, re.MULTILINE
    )
    return tuple(dict.fromkeys(" ".join(name.split()) for name in made))


def files(root: Root) -> tuple[NftablesFile, ...]:
    """What the unit nftables loads. Raises `Unreadable`."""
    path = "/etc/nftables.conf"
    content = root.text(path)
    if content is None:
        return ()
    for number, line in enumerate(content.splitlines(), 1):
        if re.match(r"\s*flush\s+ruleset\b", line):
            enabled = units.is_enabled(root, "nftables.service")
            return (NftablesFile(path, True, enabled, number, _tables(content)),)
    return (
        NftablesFile(
            path, flushes=False, loaded_at_boot=units.is_enabled(root, "nftables.service")
        ),
    )
