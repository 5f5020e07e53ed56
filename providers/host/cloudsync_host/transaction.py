"""Changes of the table as text for one `nft -f -`, which the kernel carries out whole or not at
all.

Each is a compare-and-swap: `create` fails on what is there already, `delete` on what is not, and
either fails the transaction.

The kernel puts the rules of a transaction into effect first, and the elements of interval sets
after them, set by set in the order of the transaction. A packet in between meets new rules over
sets that still look empty, and a port that stays wanted loses it: nearly every time, if ten
thousand a second come. So the table is never replaced; and what leads packets into a trial and out
of it is an element of an interval set, the last one of its transaction, and no rule.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from cloudsync.provider.marker import Marker
from cloudsync.rules.frozen import dataclass
from cloudsync_host.elements import NEXT, SETS, Element
from cloudsync_host.layout import (
    CUTS,
    GATE_OF_TRIAL,
    MARKER,
    STAGED,
    TABLE,
    TRIAL,
    Shape,
    add_chain,
    add_marker,
    add_rules,
    add_set,
    all_chains,
    marker_text,
)
from cloudsync_host.listing import Table

_SAVED_HEAD = (
    "# The host firewall of cloudsync, written when a change was confirmed.",
    f"table {TABLE}",
    f"delete table {TABLE}",
    f"table {TABLE}",
)
_TIMED = ("ipv4 . ip", "ipv6 . ip6")


@dataclass(frozen=True, slots=True)
class Goal:
    """What the table should be. `marker`: None where there is none to be."""

    elements: tuple[Element, ...]
    shape: Shape
    marker: Marker | None


def install(goal: Goal) -> str:
    """Make the table. Fails where it exists."""
    return _joined([f"create table {TABLE}", *_declared(goal)])


def saved(goal: Goal) -> str:
    """The file that the boot unit loads: whatever is there is replaced, for before the network is
    up nothing can be lost."""
    return _joined([*_SAVED_HEAD, *_declared(goal)])


def install_saved(text: str, marker: Marker) -> str | None:
    """The transaction that makes the table of a saved file, and fails where there is one; None for
    a file that is not of this firewall."""
    head = _joined(_SAVED_HEAD)
    owner = marker_text(marker).rpartition(" ")[0]
    if not text.startswith(head) or f'comment "{owner} ' not in text:
        return None
    return f"create table {TABLE}\n" + text.removeprefix(head)


def change(table: Table, goal: Goal, *, rules_only: bool = False) -> str:
    """From `table` to `goal` at once; a trial that is there ends. Empty where nothing differs.
    `rules_only`: the chains stay as they are."""
    lines = [*_teardown(table), *_difference(table, goal, rules_only=rules_only)]
    return _joined(lines) if lines else ""


def start_trial(table: Table, goal: Goal, seconds: int, started_by: str) -> str:
    """The allow-list and the chains of `goal` come into effect for so many seconds; then the kernel
    goes back to the ones that are there, with no process involved. Fails where a trial has been
    begun since `table` was read."""
    staged = goal.shape.chains(NEXT)
    words = " ".join(filter(None, (started_by, f"before={fingerprint(table.elements)}")))
    comment = f' comment "{words}"'
    timed = ", ".join(
        f"{key} timeout {seconds}s{comment if key == _TIMED[0] else ''}" for key in _TIMED
    )
    return _joined(
        [
            *_deleted_rules("gate", _gate_handles(table)),
            *_leftovers(table),
            *_structure(table, goal.shape, only_missing=True),
            # An interval set although there are no intervals in it: see above.
            f"create set {TABLE} {TRIAL} {{ type nf_proto . ether_type; flags interval,timeout; }}",
            *(add_set(name, "create", NEXT) for name in SETS),
            *(add_chain(NEXT + name, "create") for name in reversed(STAGED)),
            *(line for name, rules in staged.items() for line in add_rules(name, rules)),
            *_creating(goal.elements, NEXT),
            *add_rules("gate", GATE_OF_TRIAL),
            f"add element {TABLE} {TRIAL} {{ {timed} }}",
        ]
    )


def fingerprint(elements: Iterable[Element]) -> str:
    """8 hex digits over some elements: what a trial began from."""
    keys = "\n".join(sorted(f"{element.set} {element.text}" for element in elements))
    return hashlib.sha256(keys.encode()).hexdigest()[:8]


def still_as_begun(table: Table) -> bool:
    """Whether the list that the trial began from is untouched: what somebody else changed meanwhile
    was not shown to anybody."""
    return table.trial is not None and table.trial.before == fingerprint(table.elements)


def confirm(table: Table, goal: Goal) -> str:
    """Keep what is on trial. Fails as a whole where the trial ran out, or where somebody changed
    the allow-list meanwhile. Its chains and sets are left behind, as when it runs out, for
    `withdraw`: they let in what the list does until that has its new elements."""
    ending = f"delete element {TABLE} {TRIAL} {{ {', '.join(_TIMED)} }}"
    return _joined([*_difference(table, goal), ending])


def withdraw(table: Table) -> str:
    """End a trial, or clean up after one that ran out. Empty where there is none."""
    return _joined(lines) if (lines := _teardown(table)) else ""


def _declared(goal: Goal) -> list[str]:
    chains = all_chains(goal.shape)
    ordered = sorted(goal.elements, key=lambda element: (element.set, element.key))
    return [
        *(add_set(name) for name in (*SETS, *CUTS)),
        *(f"add element {TABLE} {name} {{ {inner} }}" for name, inner in _by_set(ordered)),
        add_chain(MARKER),
        *([add_marker(goal.marker)] if goal.marker is not None else []),
        *(add_chain(name) for name in chains),
        *(line for name, rules in chains.items() for line in add_rules(name, rules)),
    ]


def _difference(table: Table, goal: Goal, *, rules_only: bool = False) -> list[str]:
    """Without what belongs to a trial."""
    before, after = set(table.elements), set(goal.elements)
    lines = [
        f"delete element {TABLE} {name} {{ {', '.join(keys)} }}"
        for name in SETS
        if (keys := sorted(e.text for e in before - after if e.set == name))
    ]
    # Sets first: rules and elements need them.
    lines = [*_structure(table, goal.shape, only_missing=True), *lines]
    lines += _creating([element for element in goal.elements if element not in before])
    lines += [] if rules_only else _structure(table, goal.shape, only_missing=False)
    if table.marker != goal.marker:
        if MARKER not in table.chains:
            lines.append(add_chain(MARKER))
        lines += _deleted_rules(MARKER, table.handles(MARKER))
        lines += [add_marker(goal.marker)] if goal.marker is not None else []
    return lines


def _structure(table: Table, shape: Shape, *, only_missing: bool) -> list[str]:
    """Missing sets and chains (`only_missing`), or the rules that are not those of `shape`."""
    differing = table.differs_from(shape)
    chains = all_chains(shape)
    if only_missing:
        lines = [add_set(name, "create") for name in differing if name in (*SETS, *CUTS)]
        return lines + [add_chain(name, "create") for name in chains if name not in table.chains]
    lines = []
    for name, rules in chains.items():
        if name in differing and not (name == "gate" and table.in_trial):
            lines += _deleted_rules(name, table.handles(name))
            lines += add_rules(name, rules)
    return lines


def _teardown(table: Table) -> list[str]:
    if not table.in_trial:
        return []
    lines = []
    if gate := _gate_handles(table):
        lines += _deleted_rules("gate", gate)
        lines += add_rules("gate", ("goto entry",))
    return [*lines, *_leftovers(table)]


def _leftovers(table: Table) -> list[str]:
    """What only a trial has, once nothing leads to it any more."""
    lines = []
    staged = [NEXT + name for name in STAGED if NEXT + name in table.chains]
    lines += [f"flush chain {TABLE} {name}" for name in staged]
    lines += [f"delete chain {TABLE} {name}" for name in staged]
    lines += [
        f"delete set {TABLE} {name}"
        for name in (*(NEXT + name for name in SETS), TRIAL)
        if name in table.sets
    ]
    return lines


def _gate_handles(table: Table) -> tuple[int, ...]:
    return table.handles("gate")


def _deleted_rules(chain: str, handles: Iterable[int]) -> list[str]:
    return [f"delete rule {TABLE} {chain} handle {handle}" for handle in handles]


def _creating(elements: Sequence[Element], prefix: str = "") -> list[str]:
    return [
        f"create element {TABLE} {prefix}{name} {{ {inner} }}" for name, inner in _by_set(elements)
    ]


def _by_set(elements: Sequence[Element]) -> Iterable[tuple[str, str]]:
    declared: dict[str, list[str]] = {name: [] for name in SETS}
    for element in elements:
        declared[element.set].append(element.declared)
    return ((name, ", ".join(inner)) for name, inner in declared.items() if inner)


def _joined(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"
