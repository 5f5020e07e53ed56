"""Sets judge, rules are written (law 4): which vendor rules stay, which go, and what is written.

`spell` is pure and knows no vendor; a provider turns its answer into calls, and the core shows it
as changes. Given the rule objects of a firewall and what it should be:

| a vendor rule                                              | then                                |
|------------------------------------------------------------|-------------------------------------|
| lets in only what the target lets in                       | stays as it is, spelled as it is    |
| the same, made by cloudsync, and something wider covers it | goes: `redundant`                   |
| lets in something else too                                 | goes; what is left of it is written |

| a rule asked for                                    | then                                       |
|-----------------------------------------------------|--------------------------------------------|
| is let in by the rules that stay                    | is not written                             |
| is not, or some of its networks are not             | is written, without the networks that are  |
| has the sources of its neighbour, and is next to it | is written with it as one range            |
| names a list of addresses of the vendor             | is written as that list, never as networks |
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from cloudsync.provider.contract import Asked, Target, Touched, VendorRule
from cloudsync.rules import Rule, RuleSet, protocols
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import NOWHERE, NetworkSet

Ports = tuple[str, int, int]
"""Protocol, first and last selector."""


@dataclass(frozen=True, slots=True)
class Written:
    """One rule to write."""

    rule: Rule
    """The rule; of what was asked for, the networks that no staying rule lets in."""
    description: str
    """What its description says."""
    whole: Rule
    """The rule with all the networks that were asked for: a vendor whose rules have many sources
    may widen a staying rule with the same ports to this."""
    list_id: str = ""
    """The vendor's list of addresses that is its source; empty for a rule of networks."""
    replaces: str = ""
    """`VendorRule.key` of the rule that goes, whose place, name and description it takes."""


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a firewall comes to be what its target says."""

    staying: tuple[VendorRule, ...]
    """Rules that stay exactly as they are, in the vendor's order."""
    going: tuple[VendorRule, ...]
    """Rules that let in what the target does not; what is left of them is in `writing`."""
    redundant: tuple[VendorRule, ...]
    """Rules of ours that go although all they let in stays open: something wider covers them."""
    writing: tuple[Written, ...]
    """Rules to write, ordered by protocol and port."""

    def touches(self) -> tuple[Touched, ...]:
        """The vendor objects that go, as a step has to name them (law 8)."""
        replaced = {written.replaces for written in self.writing}
        going = (
            Touched(
                rule.label,
                "rewrites" if rule.key in replaced else "deletes",
                "some of what it lets in closes",
                rule.key,
                counts=not rule.ours,
            )
            for rule in self.going
        )
        redundant = (
            Touched(rule.label, "deletes", "a wider rule lets in the same", rule.key, counts=False)
            for rule in self.redundant
        )
        return (*going, *redundant)


def spell(rules: Sequence[VendorRule], target: Target) -> Spelling:
    """Decide over every vendor rule and every rule asked for.

    `rules`: `Present.vendor_rules`, none for a firewall that does not exist. Without
    `target.asked` the fewest rules that say what is missing are written.
    """
    staying, going, covered = _sorted_out(rules, target)
    writing = _joined(_uncovered(target.asked, covered))
    unasked = _unasked(staying, target.asked)
    writing += _joined(_unlisted(target.asked, staying, unasked, writing))
    rest = target.rules - covered - RuleSet.of(written.rule for written in writing)
    writing += _remainders(going, rest, target)
    redundant = _redundant(staying, writing, unasked)
    return Spelling(
        staying=tuple(rule for rule in staying if rule.key not in redundant),
        going=tuple(going),
        redundant=tuple(rule for rule in staying if rule.key in redundant),
        writing=tuple(sorted(_in_place(going, writing), key=_order)),
    )


def _sorted_out(
    rules: Sequence[VendorRule], target: Target
) -> tuple[list[VendorRule], list[VendorRule], RuleSet]:
    """The rules that stay, those that go, and all that the former let in. If the target has
    everything that all of them let in together, it has what each one lets in."""
    together = RuleSet.union(rule.lets_in for rule in rules)
    if target.rules.covers(together):
        return list(rules), [], together
    wanted = _Nearby(target.rules)
    staying: list[VendorRule] = []
    going: list[VendorRule] = []
    for rule in rules:
        (staying if wanted.covers(rule.lets_in) else going).append(rule)
    return staying, going, RuleSet.union(rule.lets_in for rule in staying)


def _uncovered(asked: Sequence[Asked], covered: RuleSet) -> list[Written]:
    """What is asked for and not let in: per rule the networks that are not. A network that is let
    in partly is written whole."""
    uncovered_rules = RuleSet.of(wish.rule for wish in asked if not wish.list_id) - covered
    if not uncovered_rules:
        return []
    missing = _Nearby(uncovered_rules)
    uncovered: list[Written] = []
    for wish in asked:
        closed = missing.sources(wish.rule) & wish.rule.sources
        if wish.list_id or not closed:
            continue
        networks = wish.rule.sources.written()
        sources = NetworkSet.of(
            cidr for cidr in networks if NetworkSet.of((cidr,)).overlaps(closed)
        )
        uncovered.append(Written(replace(wish.rule, sources=sources), wish.description, wish.rule))
    return uncovered


def _unlisted(
    asked: Sequence[Asked],
    staying: Sequence[VendorRule],
    unasked: frozenset[str],
    writing: Sequence[Written],
) -> list[Written]:
    """What is asked for by a list of the vendor, and let in neither by a rule of that list nor by a
    wider one: networks that cloudsync wrote one by one become the list. `unasked`: keys of rules of
    ours that nothing asks for as they are."""
    if not any(wish.list_id for wish in asked):
        return []
    unlisted: list[Written] = []
    wide = RuleSet.union(rule.lets_in for rule in staying if rule.key not in unasked)
    wide = wide | RuleSet.of(written.rule for written in writing)
    open_by: dict[str, RuleSet] = {}
    for wish in asked:
        if not (listed := wish.list_id):
            continue
        if listed not in open_by:
            open_by[listed] = wide | RuleSet.union(
                rule.lets_in for rule in staying if rule.list_id == listed
            )
        if not open_by[listed].covers(RuleSet.of((wish.rule,))):
            unlisted.append(Written(wish.rule, wish.description, wish.rule, listed))
    return unlisted


def _joined(writing: Iterable[Written]) -> list[Written]:
    """The same with fewer rules, as a person would put them: one for the same ports, none for what
    another covers, one range for neighbours that are for the same thing and from the same sources.
    Ports that lie side by side by chance stay apart (21 of a container, 22 of SSH), so that each
    rule says what it is for."""
    by_ports: dict[tuple[Ports, str], list[Written]] = {}
    for written in writing:
        by_ports.setdefault((_ports(written.rule), written.list_id), []).append(written)
    left = _not_covered([_together(several) for several in by_ports.values()])
    ranges: list[Written] = []
    for written in sorted(
        left, key=lambda w: (w.rule.protocol, w.list_id, w.rule.sources.cidrs(), w.rule.first)
    ):
        last = ranges[-1] if ranges else None
        if (
            last is not None
            and last.description == written.description
            and (last.rule.protocol, last.list_id) == (written.rule.protocol, written.list_id)
            and (last.rule.sources, last.whole.sources)
            == (written.rule.sources, written.whole.sources)
            and written.rule.first <= last.rule.last + 1
        ):
            ranges[-1] = _together((last, written))
        else:
            ranges.append(written)
    return ranges


def _together(several: Sequence[Written]) -> Written:
    """What is written for the same protocol, and for ports that are the same or neighbours, as
    one."""
    if len(several) == 1:
        return several[0]
    protocol, list_id = several[0].rule.protocol, several[0].list_id
    first = min(written.rule.first for written in several)
    last = max(written.rule.last for written in several)
    texts = (text for written in several for text in written.description.split(", ") if text)
    return Written(
        Rule(protocol, first, last, _as_asked(written.rule.sources for written in several)),
        ", ".join(dict.fromkeys(texts)),
        Rule(protocol, first, last, _as_asked(written.whole.sources for written in several)),
        list_id,
    )


def _as_asked(sets: Iterable[NetworkSet]) -> NetworkSet:
    """The networks of all, each as it was asked for."""
    distinct = dict.fromkeys(sets)
    if len(distinct) == 1:
        return next(iter(distinct))
    return NetworkSet.of(cidr for networks in distinct for cidr in networks.written())


def _not_covered(writing: list[Written]) -> list[Written]:
    """Without those that a single other one covers."""
    by_sources: dict[tuple[str, NetworkSet], list[Written]] = defaultdict(list)
    for written in writing:
        by_sources[written.rule.protocol, written.rule.sources].append(written)
    nested = _inside_another(writing)

    def covered(written: Written) -> bool:
        for (protocol, sources), others in by_sources.items():
            if protocol not in (written.rule.protocol, "all") or not sources.covers(
                written.rule.sources
            ):
                continue
            if any(
                other is not written
                and (protocol == "all" != written.rule.protocol or _holds(other.rule, written.rule))
                for other in others
            ):
                return True
        return False

    return [
        written for written in writing if _ports(written.rule) not in nested or not covered(written)
    ]


def _inside_another(writing: Iterable[Written]) -> set[Ports]:
    """The ports, all different, that lie in another's, whoever may reach them: the rest is covered
    by no other. One pass in order, since pair by pair takes too long for a thousand ports."""
    nested: set[Ports] = set()
    reached: dict[str, int] = {}
    ports = sorted((_ports(written.rule) for written in writing), key=lambda p: (p[0], p[1], -p[2]))
    everything = any(protocol == "all" for protocol, _, _ in ports)
    for protocol, first, last in ports:
        if everything or last <= reached.get(protocol, -1):
            nested.add((protocol, first, last))
        reached[protocol] = max(last, reached.get(protocol, -1))
    return nested


def _holds(outer: Rule, inner: Rule) -> bool:
    return outer.first <= inner.first <= inner.last <= outer.last


def _remainders(going: Iterable[VendorRule], rest: RuleSet, target: Target) -> list[Written]:
    """What stays open of rules that go and nobody asks for as a rule (it is held, or kept): each
    part with the description it had."""
    remainders: list[Written] = []
    for rule in going:
        if not rest:
            break
        if left_open := rule.lets_in & rest:
            rest = rest - left_open
            remainders += [
                Written(piece, rule.description or target.describe(piece), piece)
                for piece in left_open.fewest()
            ]
    remainders += [Written(piece, target.describe(piece), piece) for piece in rest.fewest()]
    return remainders


def _unasked(staying: Sequence[VendorRule], asked: Sequence[Asked]) -> frozenset[str]:
    """Keys of rules of ours that are not asked for any more as they are."""
    wanted: dict[tuple[Ports, str], set[str]] = defaultdict(set)
    for wish in asked:
        sources = wish.rule.sources
        wanted[_ports(wish.rule), wish.list_id].update(sources.cidrs(), sources.written())
    unasked: set[str] = set()
    for rule in staying:
        for piece in rule.lets_in if rule.ours else ():
            networks = wanted.get(((piece.protocol, piece.first, piece.last), rule.list_id))
            if networks is None or not networks.issuperset(piece.sources.cidrs()):
                unasked.add(rule.key)
                break
    return frozenset(unasked)


def _redundant(
    staying: Sequence[VendorRule], writing: Sequence[Written], unasked: frozenset[str]
) -> frozenset[str]:
    """Those of `unasked` that others cover."""
    candidates = [rule for rule in staying if rule.key in unasked]
    if not candidates:
        return frozenset()
    others = RuleSet.union(rule.lets_in for rule in staying if rule.key not in unasked)
    others = others | RuleSet.of(written.rule for written in writing)
    return frozenset(rule.key for rule in candidates if others.covers(rule.lets_in))


def _in_place(going: Iterable[VendorRule], writing: Iterable[Written]) -> Iterator[Written]:
    """A rule with the ports of one that goes, and some of its sources, takes its place."""
    places: dict[tuple[str, str], list[VendorRule]] = defaultdict(list)
    for rule in going:
        for selector in {(piece.protocol, piece.ports) for piece in rule.lets_in}:
            places[selector].append(rule)
    taken: set[str] = set()
    for written in writing:
        selector = (written.rule.protocol, written.rule.ports)
        piece = RuleSet.of((written.rule,))
        fitting = next(
            (
                rule
                for rule in places.get(selector, ())
                if rule.key not in taken and rule.lets_in & piece
            ),
            None,
        )
        if fitting is None:
            yield written
            continue
        taken.add(fitting.key)
        yield replace(
            written, replaces=fitting.key, description=fitting.description or written.description
        )


class _Nearby:
    """The canonical rules of a set, found by protocol and port."""

    def __init__(self, rules: RuleSet) -> None:
        self._wide: list[Rule] = []
        self._rules: dict[str, list[Rule]] = defaultdict(list)
        for rule in rules:
            if rule.is_one_protocol:
                self._rules[rule.protocol].append(rule)
            else:
                self._wide.append(rule)
        self._lasts: Mapping[str, list[int]] = {
            protocol: [rule.last for rule in several] for protocol, several in self._rules.items()
        }

    def covers(self, rules: RuleSet) -> bool:
        """Whether all of `rules`, which are few, is in the set."""
        return all(map(self._covers, rules))

    def _covers(self, rule: Rule) -> bool:
        """Mostly a single rule does: that costs no set algebra."""
        near = list(self._sharing_ports(rule))
        return any(
            other.protocol == rule.protocol
            and _holds(other, rule)
            and other.sources.covers(rule.sources)
            for other in near
        ) or RuleSet.of(near).covers(RuleSet.of((rule,)))

    def sources(self, rule: Rule) -> NetworkSet:
        """All sources of rules that have a port in common with `rule`."""
        networks = [near.sources for near in self._sharing_ports(rule)]
        return NetworkSet.union(networks) if networks else NOWHERE

    def _sharing_ports(self, rule: Rule) -> Iterator[Rule]:
        low, high = protocols.numbers(rule.protocol)
        for near in self._wide:
            first, last = protocols.numbers(near.protocol)
            if first <= high and low <= last:
                yield near
        if not rule.is_one_protocol:
            for protocol, several in self._rules.items():
                if low <= protocols.numbers(protocol)[0] <= high:
                    yield from several
            return
        several = self._rules.get(rule.protocol, [])
        start = bisect_left(self._lasts.get(rule.protocol, []), rule.first)
        for near in several[start:]:
            if near.first > rule.last:
                break
            yield near


def _ports(rule: Rule) -> Ports:
    return rule.protocol, rule.first, rule.last


def _order(written: Written) -> tuple[int, int, int, tuple[str, ...]]:
    rule = written.rule
    return protocols.numbers(rule.protocol)[0], rule.first, rule.last, rule.sources.cidrs()
