"""Rules as elements of concatenated sets, and back.

| set              | key                        | what it lets in                          |
|------------------|----------------------------|------------------------------------------|
| `open4`, `open6` | protocol . ports . source  | protocols with ports                     |
| `bare4`, `bare6` | protocol(s) . source       | every other protocol, or several at once |
| `icmp4`, `icmp6` | type(s) . code(s) . source | single types of ICMP and ICMPv6          |

The elements of a set must not overlap (the kernel refuses the whole transaction), which canonical
rules never do. A rule of ours that overlaps one of somebody else's, which stays as it is, goes into
the set's second layer, `wide_open4` and so on. Keys are concatenated even where one field would do:
nft 1.0.6 dies on single-key sets that a newer nft made.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import field, replace
from functools import lru_cache
from ipaddress import ip_address, summarize_address_range
from typing import Any

from cloudsync.provider.contract import VendorRule
from cloudsync.rules import Rule, RuleSet, protocols
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import Family, NetworkSet

_FIRST = ("open4", "open6", "bare4", "bare6", "icmp4", "icmp6")
WIDE = "wide_"
SETS = (*_FIRST, *(WIDE + name for name in _FIRST))
NEXT = "next_"
LONGEST_COMMENT = 120
"""Characters of a comment; the kernel takes 128."""
_ICMP: dict[int, Family] = {1: 4, 58: 6}
_WORDS = {6: "tcp", 17: "udp", 132: "sctp"}
_FAMILIES: tuple[Family, ...] = (4, 6)


class UnknownElement(ValueError):
    """An element, or a rule, that cannot be translated."""


@dataclass(frozen=True, slots=True)
class Element:
    """One element. `set`: its set, without the prefix of a trial. `key`: its fields as nft writes
    them. `packets`: new connections it has let in since it was made."""

    set: str
    key: tuple[str, ...]
    rules: RuleSet = field(compare=False)
    comment: str = field(default="", compare=False)
    packets: int = field(default=0, compare=False)

    @property
    def text(self) -> str:
        """The key, as nft reads it."""
        return " . ".join(self.key)

    @property
    def declared(self) -> str:
        """With its comment, as in an `add element`."""
        return f'{self.text} comment "{self.comment}"' if self.comment else self.text


def elements_of(rule: Rule, comment: str = "") -> Iterator[Element]:
    """The elements that let a canonical rule in, IPv4 before IPv6. Raises `UnknownElement` for an
    ICMP type of the other family."""
    low, high = protocols.numbers(rule.protocol)
    for family in _FAMILIES:
        sources = rule.sources.family(family)
        for cidr in sources.cidrs():
            for name, key in _keys(rule, low, high, family):
                network = _network(cidr)
                let_in = _rules(name, key, network)
                fields = (*(_span(*interval) for interval in key), _as_listed(cidr, family))
                yield Element(name, fields, let_in, comment)


def _keys(
    rule: Rule, low: int, high: int, family: Family
) -> Iterator[tuple[str, tuple[tuple[int, int], ...]]]:
    whole = (rule.first, rule.last) == protocols.full_selector(low, high)
    if low == high and low in protocols.WITH_PORTS:
        yield f"open{family}", ((low, low), (rule.first, rule.last))
    elif whole:
        yield f"bare{family}", ((low, high),)
    elif _ICMP.get(low) == family:
        for kinds, codes in _boxes(rule.first, rule.last):
            yield f"icmp{family}", (kinds, codes)
    else:
        raise UnknownElement(f"{rule.protocol}/{rule.ports} does not exist in IPv{family}")


def _boxes(first: int, last: int) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """An interval of type * 256 + code as rectangles of types and codes: a ragged first type, whole
    types, a ragged last one."""
    low, high = first // 256, last // 256
    if low == high:
        yield (low, low), (first % 256, last % 256)
        return
    if first % 256:
        yield (low, low), (first % 256, 255)
        low += 1
    ragged = last % 256 != 255
    if (upper := high - 1 if ragged else high) >= low:
        yield (low, upper), (0, 255)
    if ragged:
        yield (high, high), (0, last % 256)


def _as_listed(cidr: str, family: Family) -> str:
    """nft lists the network of a single address as the address."""
    return cidr.removesuffix("/32" if family == 4 else "/128")


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def element_from(name: str, raw: Any) -> Element:
    """One element out of the JSON of `nft -j -n`. Raises `UnknownElement`."""
    try:
        inner = raw["elem"] if isinstance(raw, dict) and "elem" in raw else {"val": raw}
        key = tuple(map(_written, inner["val"]["concat"]))
        counter = inner.get("counter") or {}
        return _element(name, key, str(inner.get("comment", "")), int(counter.get("packets", 0)))
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise UnknownElement(f"the set {name} has an element that cannot be understood") from error


@lru_cache(maxsize=16384)
def _element(name: str, key: tuple[str, ...], comment: str, packets: int) -> Element:
    """Most elements met no packet since the last read."""
    return Element(name, key, _let_in(name, key), comment, packets)


@lru_cache(maxsize=16384)
def _let_in(name: str, key: tuple[str, ...]) -> RuleSet:
    """What the element of a set with this key lets in: the same at the next read, and hundreds of
    elements make half of what a read costs. Raises `ValueError`, `IndexError`."""
    intervals = tuple(map(_interval, key[:-1]))
    return _rules(name, intervals, _sources(key[-1]))


def _interval(field: str) -> tuple[int, int]:
    first, _, last = field.partition("-")
    return int(first), int(last or first)


def _sources(field: str) -> NetworkSet:
    first, dash, last = field.partition("-")
    if not dash:
        return _network(field)
    networks = summarize_address_range(ip_address(first), ip_address(last))
    return NetworkSet.of(str(network) for network in networks)


@lru_cache(maxsize=1024)
def _network(cidr: str) -> NetworkSet:
    """Most elements have the source of another."""
    return NetworkSet.of([cidr])


def _written(value: Any) -> str:
    """A field as nft writes it in text: a number, an address, a network, or a range."""
    if not isinstance(value, dict):
        return str(value)
    if "prefix" in value:
        return f"{value['prefix']['addr']}/{int(value['prefix']['len'])}"
    first, last = value["range"]
    return f"{first}-{last}"


def _rules(name: str, key: tuple[tuple[int, int], ...], sources: NetworkSet) -> RuleSet:
    """What an element lets in. A protocol that has no ports and stands with some counts in full:
    never less than the truth."""
    low, high = key[0]
    kind = name.removeprefix(WIDE)[:-1]
    if kind == "bare":
        return RuleSet.of((Rule.of(protocols.name(low, high), "", sources),))
    if kind == "icmp":
        protocol = "icmp" if name.endswith("4") else "icmpv6"
        codes = key[1]
        if codes == (0, 255):
            return RuleSet.of((Rule(protocol, low * 256, high * 256 + 255, sources),))
        return RuleSet.of(
            Rule(protocol, number * 256 + codes[0], number * 256 + codes[1], sources)
            for number in range(low, high + 1)
        )
    first, last = max(key[1][0], 1), key[1][1]
    return RuleSet.of(
        (
            Rule(protocols.name(number, number), first, last, sources)
            if number in protocols.WITH_PORTS
            else Rule.of(protocols.name(number, number), "", sources)
        )
        for number in range(low, high + 1)
        if first <= last
    )


def key_of(element: Element) -> str:
    """What tells an element from all others of the table."""
    return f"{element.set} {element.text}"


def vendor_rule(element: Element) -> VendorRule:
    """One element, as it was read; to a person all sources of one port are one rule."""
    return _vendor_rule(element.set, element.key, element.comment)


@lru_cache(maxsize=16384)
def _vendor_rule(name: str, key: tuple[str, ...], comment: str) -> VendorRule:
    ports = f"{name[:-1]} {' . '.join(key[:-1])}"
    return VendorRule(
        f"{name} {' . '.join(key)}", _let_in(name, key), description=comment, counted_with=ports
    )


def rules_of(elements: Iterable[Element]) -> RuleSet:
    """What elements let in together."""
    return RuleSet.union(element.rules for element in elements)


def settled(
    present: Sequence[Element],
    wanted: RuleSet,
    written: Iterable[Element],
    ours: Container[str] = (),
) -> tuple[Element, ...]:
    """The elements that are to be there: what is present and fits stays as it is; what is missing
    comes as `written`, whole.

    `written` are the elements a person would write for `wanted`. `ours`: keys (`key_of`) of those
    present that cloudsync made; what overlaps one of them takes its place.
    """
    together = rules_of(present)
    if together == wanted:
        return tuple(present)
    staying = [element for element in present if wanted.covers(element.rules)]
    missing = wanted - rules_of(staying)
    waiting = list(written) if missing else []
    coming: list[Element] = []
    while missing:
        chosen = [element for element in waiting if element.rules & missing]
        if not chosen:
            raise UnknownElement("the elements written do not add up to the rules wanted")
        waiting = [element for element in waiting if not element.rules & missing]
        for element in chosen:
            placed = _placed(element, [e for e in staying if key_of(e) not in ours])
            staying = [e for e in staying if not _gives_way(e, placed, ours)]
            coming.append(placed)
        missing = wanted - rules_of([*staying, *coming])
    unchanged = {element: element for element in present}
    return (*staying, *(unchanged.get(element, element) for element in coming))


def _placed(element: Element, others: Iterable[Element]) -> Element:
    """In the first layer, unless somebody else's elements are in the way only there."""
    crowded = {other.set for other in others if other.rules & element.rules}
    wide = WIDE + element.set
    return replace(element, set=wide) if element.set in crowded and wide not in crowded else element


def _gives_way(element: Element, placed: Element, ours: Container[str]) -> bool:
    """Whether an element goes for one that comes: they overlap in one set, or it is ours and
    covered."""
    return bool(element.rules & placed.rules) and (
        element.set == placed.set
        or (key_of(element) in ours and placed.rules.covers(element.rules))
    )


def comment_of(description: str) -> str:
    """A description as a comment that nft reads back: no quotes, no backslashes, ASCII."""
    plain = "".join(c if " " <= c <= "~" and c not in '"\\' else "?" for c in description)
    return plain[:LONGEST_COMMENT]


def word_of(number: int) -> str:
    """The name of a protocol, for people."""
    return _WORDS.get(number, protocols.name(number, number))
