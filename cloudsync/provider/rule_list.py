"""A firewall that is one list of rules, replaced as a whole: the list after a change, with every
rule that fits at its place and as it is (law 4). Pure.

For vendors that replace all rules of a firewall in one call (Hetzner Cloud, DigitalOcean, a file).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from cloudsync.provider.contract import Asked, Description, Target, VendorRule
from cloudsync.provider.errors import Unsupported
from cloudsync.provider.spelling import Spelling, Written
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import ANY, NetworkSet

VendorRuleModel = TypeVar("VendorRuleModel")


@dataclass(frozen=True, slots=True)
class Line:
    """One rule of the list."""

    at: VendorRule | None
    """The vendor's rule at this place; None for a new one."""
    rule: Rule | None
    """What the rule becomes; None if it lets in what it did."""
    description: str
    """What its description says."""

    @property
    def as_it_was(self) -> bool:
        """Whether the vendor's rule is carried along untouched."""
        return (
            self.at is not None and self.rule is None and self.description == (self.at.description)
        )


def lines(rules: Sequence[VendorRule], spelling: Spelling, target: Target) -> tuple[Line, ...]:
    """The list: what stays in the vendor's order, what is new behind it.

    A rule that is written and completes one with the same ports (the other address family, one more
    network) is no rule of its own: that one gains its networks. `rules`: as `spell` had them.
    """
    staying = {rule.key for rule in spelling.staying}
    replacing = {written.replaces: written for written in spelling.writing if written.replaces}
    new = [written for written in spelling.writing if not written.replaces]
    gaining = _gaining([rule for rule in rules if rule.key in staying], new)
    completing = {id(written) for written in gaining.values()}
    texts = _texts(target.asked)
    listed: list[Line] = []
    for rule in rules:
        if (written := replacing.get(rule.key)) is not None:
            listed.append(Line(rule, written.rule, written.description))
        elif (written := gaining.get(rule.key)) is not None:
            description = rule.description or written.description
            listed.append(Line(rule, _completed(rule, written), description))
        elif rule.key in staying:
            listed.append(Line(rule, None, _refreshed(rule, texts)))
    added = (written for written in new if id(written) not in completing)
    return (*listed, *(Line(None, written.rule, written.description) for written in added))


def _gaining(staying: Sequence[VendorRule], new: Sequence[Written]) -> Mapping[str, Written]:
    """By key, the rules that something written completes to what was asked for."""
    by_ports: dict[Rule, list[VendorRule]] = {}
    for rule in staying:
        if (piece := _only_piece(rule)) is not None:
            by_ports.setdefault(_from_anywhere(piece), []).append(rule)
    gaining: dict[str, Written] = {}
    for written in new:
        for rule in by_ports.get(_from_anywhere(written.whole), ()):
            if rule.key not in gaining and _completed(rule, written) == written.whole:
                gaining[rule.key] = written
                break
    return gaining


def _only_piece(rule: VendorRule) -> Rule | None:
    """What it lets in, if that is a single rule."""
    parts = tuple(rule.lets_in)
    return parts[0] if len(parts) == 1 else None


def _from_anywhere(rule: Rule) -> Rule:
    """The same for all rules of the same protocol and ports."""
    return replace(rule, sources=ANY)


def _completed(rule: VendorRule, written: Written) -> Rule | None:
    """A rule of the same ports with the networks of `written` too, if its own are among those asked
    for."""
    piece, asked_for = _only_piece(rule), written.whole.sources
    asked = {*asked_for.written(), *asked_for.cidrs()}
    if piece is None or not asked.issuperset(piece.sources.written()):
        return None
    return replace(piece, sources=piece.sources | written.rule.sources)


def _texts(asked: Sequence[Asked]) -> Mapping[tuple[str, str, NetworkSet], str]:
    texts: dict[tuple[str, str, NetworkSet], list[str]] = {}
    for wish in asked:
        key = (wish.rule.protocol, wish.rule.ports, wish.rule.sources)
        texts.setdefault(key, []).append(wish.description)
    return {key: ", ".join(dict.fromkeys(several)) for key, several in texts.items()}


def _refreshed(rule: VendorRule, texts: Mapping[tuple[str, str, NetworkSet], str]) -> str:
    """A rule of ours says who needs it now; what people wrote stays."""
    piece = _only_piece(rule)
    if not rule.ours or piece is None:
        return rule.description
    key = (piece.protocol, piece.ports, piece.sources)
    return texts.get(key) or rule.description


def keyed(spelled: Sequence[tuple[str, RuleSet, str]]) -> tuple[VendorRule, ...]:
    """The rules of a vendor that gives them no id, each with what it lets in and its description:
    their spelling tells them apart, and equal ones by their order."""
    times: dict[str, int] = {}
    vendor_rules = []
    for text, lets_in, description in spelled:
        times[text] = number = times.get(text, 0) + 1
        key = text if number == 1 else f"{text} #{number}"
        vendor_rules.append(VendorRule(key, lets_in, description=description))
    return tuple(vendor_rules)


@dataclass(frozen=True, slots=True)
class ListedRules:
    """The inbound rules of a firewall, as `Present` wants them."""

    rules: RuleSet
    listed: tuple[Rule, ...]
    described: tuple[Description, ...]
    objects: tuple[VendorRule, ...]

    @classmethod
    def read(
        cls,
        firewall: str,
        rules: Iterable[VendorRuleModel],
        spelled: Callable[[VendorRuleModel], str],
        lets_in: Callable[[VendorRuleModel], RuleSet],
        description: Callable[[VendorRuleModel], str] = lambda _: "",
    ) -> ListedRules:
        """As `of`, from the vendor's own rules. Raises `Unsupported`, which names the `firewall`,
        if `lets_in` does not understand one."""
        try:
            return cls.of([(spelled(rule), lets_in(rule), description(rule)) for rule in rules])
        except Unsupported as error:
            raise Unsupported(f'the firewall "{firewall}" has {error}') from None

    @classmethod
    def of(cls, spelled: Sequence[tuple[str, RuleSet, str]]) -> ListedRules:
        """Of a vendor that gives rules no ids: each rule as it is spelled at the vendor, what it
        lets in, and its description."""
        return cls.of_objects(keyed(spelled))

    @classmethod
    def of_objects(cls, objects: Sequence[VendorRule]) -> ListedRules:
        """Of the vendor's rule objects, in the vendor's order."""
        listed = tuple(rule for vendor_rule in objects for rule in vendor_rule.lets_in)
        described = tuple(
            Description(vendor_rule.lets_in, vendor_rule.description)
            for vendor_rule in objects
            if vendor_rule.description
        )
        return cls(RuleSet.of(listed), listed, described, tuple(objects))
