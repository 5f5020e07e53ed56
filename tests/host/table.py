"""The table as a person reads it: out of `nft list`, by other code than the provider's; and one
that is made by hand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from cloudsync.provider.marker import Marker
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.networks import NetworkSet
from cloudsync.testing import Spelled
from tests.host.namespace import Namespace

_SET = re.compile(r"\tset (\w+) \{\n(.*?)\n\t\}", re.DOTALL)
_ELEMENTS = re.compile(r"elements = \{(.*)\}", re.DOTALL)
_NOISE = re.compile(r' counter packets \d+ bytes \d+| comment "[^"]*"')
_LISTS = {f"{kind}{family}" for kind in ("open", "bare", "icmp") for family in "46"}
_TYPES = {
    "icmp": {"echo-request": 8, "destination-unreachable": 3, "frag-needed": 4},
    "icmpv6": {"echo-request": 128},
}


def lets_in(listing: str, prefix: str = "") -> RuleSet | None:
    """What the sets of the listing let in; None where there is no table."""
    if not listing:
        return None
    return RuleSet.of(
        rule
        for name, body in _SET.findall(listing)
        if name.startswith(prefix)
        and (plain := name.removeprefix(prefix).removeprefix("wide_")) in _LISTS
        for key in _keys(body)
        for rule in _rules(plain, key)
    )


def rules_in(listing: str) -> list[Spelled]:
    """The elements one by one, with their comments."""
    return [
        Spelled(rule.protocol, rule.ports, rule.sources.cidrs(), comment)
        for name, body in _SET.findall(listing)
        if (plain := name.removeprefix("wide_")) in _LISTS
        for key, comment in _commented(body)
        for rule in _rules(plain, key)
    ]


def _commented(body: str) -> Iterator[tuple[list[str], str]]:
    found = _ELEMENTS.search(body)
    for line in found[1].split(",\n") if found else ():
        comment = re.search(r'comment "([^"]*)"', line)
        yield _NOISE.sub("", line).strip().split(" . "), comment[1] if comment else ""


def drops(listing: str) -> bool:
    """Whether what no rule lets in is dropped."""
    verdict = listing.partition("\tchain verdict {")[2].partition("\t}")[0]
    return " drop" in verdict


def _keys(body: str) -> Iterator[list[str]]:
    found = _ELEMENTS.search(body)
    for element in _NOISE.sub("", found[1]).split(",") if found else ():
        yield element.split(" . ") if " . " in element else []


def _rules(name: str, key: list[str]) -> Iterator[Rule]:
    fields = [field.strip() for field in key]
    sources = _network(fields[-1])
    if name.startswith("icmp"):
        protocol = "icmp" if name == "icmp4" else "icmpv6"
        names = _TYPES[protocol]
        kind, code = (names.get(field, field) for field in fields[:2])
        text = str(kind) if code == "0-255" else f"{kind}/{code}"
        yield Rule.of(protocol, text, sources)
    elif name.startswith("bare"):
        protocol = "all" if fields[0] == "0-255" else fields[0]
        yield Rule.of(protocol, "", sources)
    else:
        yield Rule.of(fields[0], fields[1], sources)


def _network(field: str) -> NetworkSet:
    first, _, last = field.partition("-")
    assert not last, f"{field} is a range: the stage cannot read it"
    return NetworkSet.of([first])


def by_hand(
    machine: Namespace, skeleton: str, rules: Iterable[Spelled], marker: Marker | None
) -> None:
    """A table with these rules, spelled as they stand. `skeleton`: its sets and chains."""
    machine.nft("table inet cloudsync\ndelete table inet cloudsync\n" + skeleton)
    set_rules(machine, rules)
    if marker is not None:
        text = f"owner={marker.owner} firewall={marker.firewall} hosts={marker.hosts}"
        machine.nft(f'add rule inet cloudsync marker accept comment "{text}"\n')


def set_rules(machine: Namespace, rules: Iterable[Spelled]) -> None:
    """Exactly these, in one transaction. Elements of a set must not overlap: what does goes into
    the second layer, and what finds no room there either is cut to what is not let in yet."""
    lines = [
        f"flush set inet cloudsync {layer}{name}"
        for layer in ("", "wide_")
        for name in sorted(_LISTS)
    ]
    covered = {"": RuleSet(), "wide_": RuleSet()}
    for rule in rules:
        for source in rule.sources:
            whole = RuleSet.of([Rule.of(rule.protocol, rule.ports, [source])])
            free = [layer for layer, taken in covered.items() if not taken & whole]
            layer, pieces = (free[0], whole) if free else ("", whole - covered[""])
            covered[layer] = covered[layer] | pieces
            for piece in pieces:
                lines += [
                    _element(layer, piece, source if free else cidr, rule.description)
                    for cidr in ([source] if free else piece.sources.cidrs())
                ]
    machine.nft("\n".join(lines) + "\n")


def _element(layer: str, rule: Rule, address: str, description: str) -> str:
    family = "6" if ":" in address else "4"
    comment = f' comment "{description}"' if description else ""
    if rule.has_ports:
        name, key = f"open{family}", f"{rule.protocol} . {rule.ports} . {address}"
    elif rule.protocol in ("icmp", "icmpv6") and rule.ports:
        kind, _, code = rule.ports.partition("/")
        name, key = f"icmp{family}", f"{kind} . {code or '0-255'} . {address}"
    else:
        protocol = "0-255" if rule.protocol == "all" else rule.protocol
        name, key = f"bare{family}", f"{protocol} . {address}"
    return f"add element inet cloudsync {layer}{name} {{ {key}{comment} }}"
