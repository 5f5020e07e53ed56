"""What `nft -j -n list table inet cloudsync` lists, as a frozen value.

Strict: what cannot be understood raises, and the firewall is unreadable, never empty (law 1).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any

from cloudsync.provider.marker import Marker
from cloudsync.rules import RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync_host.elements import NEXT, SETS, Element, UnknownElement, element_from, rules_of
from cloudsync_host.layout import (
    CUTS,
    GATE_OF_TRIAL,
    MARKER,
    SHARED,
    STAGED,
    TAG,
    TRIAL,
    Shape,
    all_chains,
    marker_from,
    tags_of,
)

_OURS = {MARKER, *SHARED, *STAGED, *(NEXT + name for name in STAGED)}
_OUR_SETS = {TRIAL, *SETS, *CUTS, *(NEXT + name for name in SETS)}
_OTHER_KINDS = ("map", "counter", "quota", "limit", "flowtable", "ct helper", "ct timeout")


class UnknownListing(Exception):
    """The listing is not one of a table that this version can read; one line. `temporary`: it is
    not even JSON, or ends too early."""

    def __init__(self, message: str, *, temporary: bool = False) -> None:
        super().__init__(message)
        self.temporary = temporary


@dataclass(frozen=True, slots=True)
class ListedRule:
    """A rule of a chain. `comment`: empty where it has none."""

    handle: int
    comment: str
    drops: bool

    @property
    def ours(self) -> bool:
        """Whether cloudsync wrote it."""
        return self.comment.startswith(TAG)


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial that was begun. `seconds`: that the kernel still gives it, 0 once it ran out.
    `started_by`: the ssh connection of the person, as far as it was known. `before`: fingerprint of
    the elements that it began from."""

    seconds: int
    started_by: str = ""
    before: str = ""


@dataclass(frozen=True, slots=True)
class Cut:
    """What the rest met: a protocol, a port (None where there is none), a source, packets."""

    protocol: int
    port: int | None
    source: str
    packets: int


@dataclass(frozen=True, slots=True)
class Table:
    """The table as it is. `elements` are those in effect outside a trial, `next` those of the
    trial. `strangers`: what somebody else put into the table, in words."""

    marker: Marker | None = None
    elements: tuple[Element, ...] = ()
    next: tuple[Element, ...] = ()
    trial: Trial | None = None
    chains: Mapping[str, tuple[ListedRule, ...]] = field(default_factory=dict)
    sets: frozenset[str] = frozenset()
    cuts: tuple[Cut, ...] = ()
    strangers: tuple[str, ...] = ()
    hooked: bool = False

    @property
    def observes(self) -> bool:
        """Whether nothing is dropped (outside a trial)."""
        return not any(rule.drops for rule in self.chains.get("verdict", ()))

    @property
    def in_trial(self) -> bool:
        """Whether a trial runs, or left its things behind."""
        return self.trial is not None

    @property
    def rules(self) -> RuleSet:
        """What `elements` let in together."""
        return rules_of(self.elements)

    def differs_from(self, shape: Shape) -> tuple[str, ...]:
        """The chains whose rules are not those of `shape`, and the sets that are missing."""
        expected = {name: tags_of(rules) for name, rules in all_chains(shape).items()}
        if self.in_trial:
            expected["gate"] = tags_of(GATE_OF_TRIAL)
        chains = [name for name, tags in expected.items() if self.tags(name) != tags]
        missing = [name for name in (*SETS, *CUTS) if name not in self.sets]
        wrong = [] if self.observes == (not shape.enforced) else ["verdict"]
        hook = [] if self.hooked else ["prerouting"]
        return tuple(dict.fromkeys([*chains, *wrong, *hook, *missing]))

    def tags(self, chain: str) -> tuple[str, ...]:
        """The comments of our rules in a chain."""
        return tuple(rule.comment for rule in self.chains.get(chain, ()) if rule.ours)

    def handles(self, chain: str) -> tuple[int, ...]:
        """The handles of our rules in a chain."""
        return tuple(rule.handle for rule in self.chains.get(chain, ()) if rule.ours)

    def has_strangers_in(self, chains: Iterable[str]) -> bool:
        """Whether somebody else's rules stand in one of these chains."""
        return any(not rule.ours for name in chains for rule in self.chains.get(name, ()))


def table_from(listing: str) -> Table:
    """The table of a listing. Raises `UnknownListing`."""
    try:
        objects = json.loads(listing)["nftables"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UnknownListing("the answer of nft is not complete", temporary=True) from None
    try:
        return _table(objects)
    except UnknownElement as error:
        raise UnknownListing(str(error)) from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise UnknownListing("what nft lists is not a table that cloudsync knows") from None


def _table(objects: Iterable[Mapping[str, Any]]) -> Table:
    sets: dict[str, Mapping[str, Any]] = {}
    rules: dict[str, list[ListedRule]] = {}
    strangers: list[str] = []
    marker, hooked, named = None, False, False
    for item in objects:
        kind, value = next(iter(item.items()))
        if kind == "table":
            named = (value["family"], value["name"]) == ("inet", "cloudsync")
        elif kind == "set" and value["name"] in _OUR_SETS:
            sets[value["name"]] = value
        elif kind == "chain" and value["name"] in _OURS:
            rules.setdefault(value["name"], [])
            if value["name"] == "prerouting":
                hooked = _is_hook(value)
        elif kind == "rule" and value["chain"] == MARKER:
            comment = str(value.get("comment", ""))
            marker = marker_from(comment) if marker is None else Marker("?", "?", "?")
            rules[MARKER].append(ListedRule(int(value["handle"]), TAG + comment, drops=False))
        elif kind == "rule" and value["chain"] in _OURS:
            rule = _rule(value)
            rules[value["chain"]].append(rule)
            if not rule.ours:
                strangers.append(_stranger(value, rule))
        elif kind in ("set", "chain", *_OTHER_KINDS):
            strangers.append(f"the {kind} {_plain(value['name'])}, which cloudsync did not make")
    if not named:
        raise UnknownListing("what nft lists is not the table inet cloudsync")
    return Table(
        marker=marker,
        elements=_elements(sets, ""),
        next=_elements(sets, NEXT),
        trial=_trial(sets, rules),
        chains={name: tuple(listed) for name, listed in rules.items()},
        sets=frozenset(sets),
        cuts=_cuts(sets),
        strangers=tuple(strangers),
        hooked=hooked,
    )


def _is_hook(chain: Mapping[str, Any]) -> bool:
    hook = tuple(chain.get(key) for key in ("type", "hook", "prio", "policy"))
    return hook == ("filter", "prerouting", -150, "accept")


def _rule(value: Mapping[str, Any]) -> ListedRule:
    drops = any("drop" in term or "reject" in term for term in value["expr"])
    return ListedRule(int(value["handle"]), str(value.get("comment", "")), drops=drops)


def _stranger(value: Mapping[str, Any], rule: ListedRule) -> str:
    comment = f' "{_plain(rule.comment)}"' if rule.comment else ""
    return (
        f"a rule{comment} in the chain {value['chain']} that cloudsync did not write (handle "
        f"{rule.handle})"
    )


def _elements(sets: Mapping[str, Mapping[str, Any]], prefix: str) -> tuple[Element, ...]:
    return tuple(
        element_from(name, raw)
        for name in SETS
        # An empty set has no such key.
        for raw in sets.get(prefix + name, {}).get("elem", ())
    )


def _trial(
    sets: Mapping[str, Mapping[str, Any]], rules: Mapping[str, Iterable[ListedRule]]
) -> Trial | None:
    """What is left of a trial that ran out counts as one, with no time left."""
    leftovers = any(name.startswith(NEXT) for name in (*sets, *rules))
    if TRIAL not in sets and not leftovers:
        return None
    elements = [raw["elem"] for raw in sets.get(TRIAL, {}).get("elem", ())]
    comments = [str(element["comment"]) for element in elements if "comment" in element]
    # Both families run together; a second that has begun counts.
    seconds = max((int(element["expires"]) + 1 for element in elements), default=0)
    pairs = (word.partition("=") for word in " ".join(comments).split())
    words = {key: value for key, _, value in pairs}
    return Trial(seconds, words.get("ssh", ""), words.get("before", ""))


def _cuts(sets: Mapping[str, Mapping[str, Any]]) -> tuple[Cut, ...]:
    cuts = []
    for name in CUTS:
        for raw in sets.get(name, {}).get("elem", ()):
            element = raw["elem"]
            fields = element["val"]["concat"]
            port = int(fields[1]) if len(fields) > 2 else None
            packets = int(element.get("counter", {}).get("packets", 0))
            cuts.append(Cut(int(fields[0]), port, str(fields[-1]), packets))
    return tuple(cuts)


def _plain(word: object) -> str:
    return "".join(c if c.isprintable() else "?" for c in str(word))[:64]
