"""Writing a firewall that is one list of simple rules (`rule_list.py` decides which lines it has):
what a vendor's rules can say, how lines become entries, and what to do if there is no room. Pure.

An `Entry` is one rule as nearly every vendor has it: protocol, ports, networks, description. A
provider turns entries into its own objects, and puts back what an untouched line was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from cloudsync.provider.answers import networks_of as networks_of
from cloudsync.provider.answers import printable
from cloudsync.provider.contract import Refusal, Target, Touched, VendorRule
from cloudsync.provider.errors import Unsupported
from cloudsync.provider.rule_list import Line, lines
from cloudsync.provider.spelling import spell
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import NOWHERE, NetworkSet

PINGS = ("icmp", "icmpv6")


@dataclass(frozen=True, slots=True)
class Grammar:
    """What a vendor's rules can say."""

    vendor: str
    """The vendor's name, for refusals."""
    protocols: tuple[str, ...]
    """The protocols of its rules, in the order in which they are written."""
    networks: int
    """Most networks a rule; more are written as several rules."""
    pieces: int = 1
    """Most pieces of ports a rule, a range counted as two; above 1 rules with the same networks are
    written as one."""
    joint_icmp: bool = True
    """Whether a rule for `icmp` is about ICMP for its IPv4 and about ICMPv6 for its IPv6
    networks."""
    rules: int | None = None
    """Most rules a firewall, in and out together; None if there is no such limit."""

    def too_many(self, inbound: int, outbound: int) -> str | None:
        """The limit of rules if they are more, with the numbers and the way out."""
        if self.rules is None or inbound + outbound <= self.rules:
            return None
        needed = f"{inbound} rules are needed"
        if outbound:
            needed = f"{inbound} inbound rules are needed besides {outbound} outbound ones"
        return (
            f"{needed}, {self.vendor} allows {self.rules} a firewall together; publish consecutive "
            f"ports, give fewer different sources, or split the hosts over several firewalls"
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """One rule of the list."""

    before: VendorRule | None
    """The vendor's rule at this place; None for a new one."""
    protocol: str
    """Empty for a line that lets in what it did: only its description may have changed."""
    ports: str
    """As in `cloudsync.rules`; several pieces with commas if the grammar has them."""
    networks: tuple[str, ...]
    description: str

    @property
    def lets_in_what_it_did(self) -> bool:
        """Whether the vendor's rule is carried along, perhaps under another description."""
        return not self.protocol


@dataclass(frozen=True, slots=True)
class Wanted:
    """The list to write."""

    entries: tuple[Entry, ...]
    touches: tuple[Touched, ...]
    """The vendor's rules that go for it."""
    redundant: bool
    """Whether some of them go only because a wider rule of ours covers them."""


def wanted_list(
    observed: Sequence[VendorRule],
    target: Target,
    grammar: Grammar,
    broken: Callable[[Sequence[Entry]], str | None],
) -> Wanted | Refusal:
    """The list that leads from the rules that are there to `target`, with every rule that fits as
    it is (law 4). If that breaks a limit, the fewest rules that say the same; if they do too, a
    refusal.

    `broken`: which limit of the vendor a list breaks, with the numbers and the way out; None if it
    fits.
    """
    fewest = fewest_entries(target, grammar)
    if isinstance(fewest, Refusal):
        return fewest
    spelling = spell(observed, target)
    natural = entries(lines(observed, spelling, target), grammar)
    if broken(natural) is None:
        return Wanted(natural, spelling.touches(), bool(spelling.redundant))
    if (problem := broken(fewest)) is not None:
        return Refusal(problem)
    reason = "there is no room for it: fewer rules say the same"
    written = {_meaning(entry) for entry in fewest}
    touches = tuple(
        Touched(rule.label, "deletes", reason, rule.key)
        for rule in observed
        if rule.lets_in and rule.lets_in not in written
    )
    return Wanted(fewest, touches, redundant=False)


def entries(wanted: Iterable[Line], grammar: Grammar) -> tuple[Entry, ...]:
    """Lines as entries: ICMP of both families is one entry if the vendor has it so, and no entry
    has more networks or ports than fit."""
    listed: list[Entry] = []
    pings: int | None = None
    for line in wanted:
        if line.rule is None:
            listed.append(Entry(line.at, "", "", (), line.description))
            continue
        entry = _entry(line.at, line.rule, line.description, grammar)
        if not entry.networks:
            continue
        if grammar.joint_icmp and line.rule.protocol in PINGS:
            if pings is not None:
                listed[pings] = _united(listed[pings], entry)
                continue
            pings = len(listed)
        listed.append(entry)
    # Only now, since pings of both families may be more networks together than one entry takes.
    return tuple(_packed(_all_chunked(listed, grammar), grammar))


def fewest_entries(target: Target, grammar: Grammar) -> tuple[Entry, ...] | Refusal:
    """The fewest entries that say what the target says; a refusal if the vendor cannot say it."""
    rules = target.rules
    sayable = rules.of_protocols(*grammar.protocols)
    if rest := rules - sayable:
        names = ", ".join(name for name in grammar.protocols if name != "icmpv6")
        return Refusal(
            f"{grammar.vendor} has rules for {names} only; it cannot say: "
            f"{', '.join(map(str, rest))}"
        )
    pings = [rule for name in PINGS for rule in sayable.of_protocols(name)]
    if types := [rule for rule in pings if rule.ports]:
        return Refusal(
            f"{grammar.vendor} cannot let in single ICMP types: {', '.join(map(str, types))}"
        )
    listed: list[Entry] = []
    for protocol in grammar.protocols:
        if protocol in PINGS and grammar.joint_icmp:
            continue
        listed.extend(
            _entry(None, rule, target.describe(rule), grammar)
            for rule in sayable.of_protocols(protocol).fewest()
        )
    if grammar.joint_icmp and pings:
        listed.append(_all_pings(pings, target))
    return tuple(_packed(_all_chunked(listed, grammar), grammar))


def _all_pings(pings: Sequence[Rule], target: Target) -> Entry:
    networks = NetworkSet.union(_of_its_family(rule) for rule in pings)
    texts = dict.fromkeys(target.describe(rule) for rule in pings)
    description = "; ".join(filter(None, texts))
    return Entry(None, "icmp", "", networks.written(), description)


def _entry(before: VendorRule | None, rule: Rule, description: str, grammar: Grammar) -> Entry:
    protocol, networks = rule.protocol, rule.sources
    if protocol in PINGS and grammar.joint_icmp:
        protocol, networks = "icmp", _of_its_family(rule)
    return Entry(before, protocol, rule.ports, networks.written(), description)


def _of_its_family(rule: Rule) -> NetworkSet:
    """The networks that can send it: ICMP is IPv4's, ICMPv6 is IPv6's."""
    if rule.protocol not in PINGS:
        return NOWHERE
    return rule.sources.family(4 if rule.protocol == "icmp" else 6)


def _all_chunked(listed: Iterable[Entry], grammar: Grammar) -> Iterator[Entry]:
    """The entries with at most as many networks as fit; those that stay as they are pass."""
    for entry in listed:
        if entry.protocol:
            yield from _chunked(entry, grammar)
        else:
            yield entry


def _chunked(entry: Entry, grammar: Grammar) -> Iterator[Entry]:
    """The entry, or as many as its networks need; the first has its place in the list."""
    for start in range(0, len(entry.networks), grammar.networks):
        networks = entry.networks[start : start + grammar.networks]
        yield replace(entry, before=None if start else entry.before, networks=networks)


def _packed(listed: Iterable[Entry], grammar: Grammar) -> Iterator[Entry]:
    """New entries that differ in their ports alone as one, as far as pieces fit."""
    if grammar.pieces == 1:
        yield from listed
        return
    groups: dict[tuple[str, tuple[str, ...]], list[Entry]] = {}
    for entry in listed:
        if entry.before is not None or not entry.ports:
            yield entry
        else:
            groups.setdefault((entry.protocol, entry.networks), []).append(entry)
    for several in groups.values():
        packed = several[0]
        for entry in several[1:]:
            if _pieces(packed.ports) + _pieces(entry.ports) > grammar.pieces:
                yield packed
                packed = entry
            else:
                ports = f"{packed.ports},{entry.ports}"
                texts = dict.fromkeys(filter(None, (packed.description, entry.description)))
                packed = replace(packed, ports=ports, description=", ".join(texts))
        yield packed


def _pieces(ports: str) -> int:
    return sum(2 if "-" in piece else 1 for piece in ports.split(","))


def _united(a: Entry, b: Entry) -> Entry:
    texts = dict.fromkeys(filter(None, (a.description, b.description)))
    networks = tuple(dict.fromkeys((*a.networks, *b.networks)))
    return replace(a, networks=networks, description=", ".join(texts))


def meaning(protocol: str, ports: str, networks: Iterable[str], grammar: Grammar) -> RuleSet:
    """What a vendor's rule lets in. `ports`: empty for all of them, pieces with commas. Host bits
    of a network are ignored, as vendors do. Raises `Unsupported`, with a phrase for people (`a rule
    of the protocol 'x'`), if it is not understood."""
    if protocol not in grammar.protocols:
        raise Unsupported(f"a rule of the protocol {printable(protocol)[:20]!r}")
    try:
        sources = networks_of(networks)
        if protocol == "icmp" and grammar.joint_icmp:
            parts = (("icmp", sources.family(4)), ("icmpv6", sources.family(6)))
            return RuleSet.of(Rule.of(name, "", own) for name, own in parts if own)
        pieces = ports.split(",") if sources else ()
        return RuleSet.of(Rule.of(protocol, piece.strip(), sources) for piece in pieces)
    except ValueError:
        raise Unsupported(f"a rule that cannot be understood ({protocol})") from None


def _meaning(entry: Entry) -> RuleSet:
    joint = Grammar("", (entry.protocol,), 0)
    return meaning(entry.protocol, entry.ports, entry.networks, joint)
