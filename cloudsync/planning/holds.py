"""What stays open although nothing requires it, and what closes.

`extra` is what a firewall has and nothing asked for. For every part of it the first row that fits
decides:

| the extra part                                                         | then                  |
|------------------------------------------------------------------------|-----------------------|
| is ICMP, and `policy.icmp = "keep"`                                    | kept, listed          |
| is a rule of others from private networks only, `policy.private =      | kept, listed          |
| "keep"`, and neither `policy.deny` nor a removed [ssh] source names it |                       |
| anything, and `policy.mode = "additive"`                               | held: additive        |
| is denied by `policy.deny`                                             | closes                |
| anything, and a host of the firewall was not read completely           | held: unknown-host    |
| may belong to a container whose labels do not parse                    | held: malformed-label |
| may be for a network that could not be read                            | held: unread-network  |
| is published, but a label or the configuration keeps it closed         | closes                |
| was a container's, and its grace is not over (`grace.py`)              | held: grace           |
| anything else                                                          | closes                |

What a guard withholds of the closings is held too (`withhold`). What no packet can match (ICMPv6
from IPv4 networks) is neither open nor closed: it stays where its rule stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from cloudsync.config.configuration import PolicySettings
from cloudsync.model.plan import Held
from cloudsync.planning.grace import Waiting
from cloudsync.planning.policy import Desired
from cloudsync.provider.contract import Present
from cloudsync.rules import NOTHING, RuleSet
from cloudsync.rules.address_classes import PRIVATE
from cloudsync.rules.families import NO_PACKET, may_match_nothing, meaningful
from cloudsync.rules.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Holding:
    """What becomes of a firewall's rules."""

    closing: RuleSet
    """What closes."""
    final: RuleSet
    """The rule set after it all, as it will be at the vendor."""
    held: tuple[Held, ...]
    """What of the extra part stays, and why."""
    kept: tuple[str, ...]
    """What stays by policy or for its kind, a sentence each."""


def hold(
    observed: Present | None,
    desired: Desired,
    policy: PolicySettings,
    unknown: Mapping[str, str],
    waiting: Callable[[RuleSet], tuple[Waiting, ...]] = lambda _: (),
    old_ssh: RuleSet = NOTHING,
) -> Holding:
    """Decide over every observed rule that is not desired. `observed`: None = absent. `unknown`:
    hosts not read completely, with the reason. `waiting`: what of a part that is missed has grace.
    `old_ssh`: the SSH of the last applied plan."""
    if observed is None:
        return Holding(NOTHING, desired.rules, (), ())
    extra = meaningful(observed.rules - desired.rules)
    kept: list[str] = []
    if policy.icmp == "keep":
        pings = extra.of_protocols("icmp", "icmpv6")
        kept.extend(f'{rule} (policy.icmp = "keep")' for rule in _listed(observed, pings, desired))
        extra = extra - pings
    if policy.private == "keep":
        gone_ssh = (old_ssh - desired.ssh).where(PRIVATE)
        private = _private(observed, extra) - desired.denied - gone_ssh
        kept.extend(
            f'{rule} (policy.private = "keep")' for rule in _listed(observed, private, desired)
        )
        extra = extra - private
    kept.extend(kept_rule.summary for kept_rule in observed.kept)
    closing, held = _held(extra, desired, policy, unknown, waiting)
    closing = closing | _with_them(observed, closing)
    stays = desired.rules | (meaningful(observed.rules) - closing)
    return Holding(closing, _as_it_stands(observed, stays), held, tuple(kept))


def withhold(
    holding: Holding, desired: Desired, observed: Present, reason: str, detail: str
) -> Holding:
    """The same with every closing held instead: what a closing guard does."""
    held = (*holding.held, *(Held(rule, reason, detail) for rule in holding.closing))
    return Holding(NOTHING, desired.rules | observed.rules, held, holding.kept)


def keep_ssh(holding: Holding, ssh: RuleSet) -> Holding:
    """The same with nothing of `ssh` closing: earlier addresses of a network that moves, which stay
    until the user says that SSH moved (law 2). To withhold the whole firewall would shut the new
    address out."""
    piece = holding.closing & ssh
    if not piece:
        return holding
    detail = (
        "an apply opened it for SSH, and [ssh] names a network that moves; it closes with "
        "--ssh-moved"
    )
    held = (*holding.held, *_all(piece, "ssh-network-moved", detail))
    return Holding(holding.closing - piece, holding.final | piece, held, holding.kept)


def _held(
    extra: RuleSet,
    desired: Desired,
    policy: PolicySettings,
    unknown: Mapping[str, str],
    waiting: Callable[[RuleSet], tuple[Waiting, ...]],
) -> tuple[RuleSet, tuple[Held, ...]]:
    """What closes of `extra`, and what is held."""
    if policy.mode == "additive":
        return NOTHING, _all(extra, "additive", 'policy.mode = "additive" closes nothing')
    held: tuple[Held, ...] = ()
    if unknown:
        piece = extra - desired.denied
        why = "; ".join(
            f"{host} was not read completely: {reason}" for host, reason in sorted(unknown.items())
        )
        held = _all(piece, "unknown-host", why)
        extra = extra - piece
    elif desired.doubtful is None:
        piece = extra - desired.denied
        why = "a container on the host network has labels that do not parse"
        held = _all(piece, "malformed-label", why)
        extra = extra - piece
    elif desired.doubtful:
        piece = (extra & desired.doubtful) - desired.denied
        why = "a container that publishes it has labels that do not parse"
        held = _all(piece, "malformed-label", why)
        extra = extra - piece
    if desired.unread:
        may_be = extra if desired.unread.rules is None else extra & desired.unread.rules
        piece = may_be - desired.denied
        held += _all(piece, "unread-network", desired.unread.reason)
        extra = extra - piece
    for grace in waiting(extra - desired.denied - desired.deliberate):
        held += tuple(Held(rule, "grace", _missed(grace), grace.until) for rule in grace.rules)
        extra = extra - grace.rules
    return extra, held


def _all(rules: RuleSet, reason: str, detail: str) -> tuple[Held, ...]:
    return tuple(Held(rule, reason, detail) for rule in rules)


def _private(observed: Present, extra: RuleSet) -> RuleSet:
    """The part of `extra` that rules of others let in from private networks. Such a rule may lie
    in a wider one of ours: it is theirs all the same."""
    if not extra:
        return NOTHING
    theirs = [rule for rule in observed.vendor_rules if not rule.ours]
    own = RuleSet.union(rule.lets_in for rule in observed.vendor_rules if rule.ours)
    whole = RuleSet.of(
        piece for rule in theirs for piece in rule.lets_in if PRIVATE.covers(piece.sources)
    )
    left = RuleSet.of(piece for piece in extra - own if PRIVATE.covers(piece.sources))
    return (extra & whole) | left


def _listed(observed: Present, stays: RuleSet, desired: Desired) -> Iterable[str]:
    """What is kept, rule by rule as the vendor has them, even if a part of the rule is desired
    too; pieces of rules that close otherwise as they are."""
    rest = stays
    lasting = stays | desired.rules if stays else stays
    for rule in observed.vendor_rules if stays else ():
        matters = meaningful(rule.lets_in)
        if matters & rest and lasting.covers(matters):
            yield rule.label
            rest = rest - matters
    yield from (str(rule) for rule in rest)


def _with_them(observed: Present, closing: RuleSet) -> RuleSet:
    """What no packet matches of the ICMP rules that close whole: it goes with them."""
    if not closing:
        return NOTHING
    return RuleSet.union(
        rule.lets_in
        for rule in observed.vendor_rules
        if rule.lets_in & NO_PACKET
        and all(piece.is_one_protocol for piece in rule.lets_in)
        and (matters := meaningful(rule.lets_in))
        and closing.covers(matters)
    )


def _as_it_stands(observed: Present, stays: RuleSet) -> RuleSet:
    """`stays`, with what no packet matches of the rules that it keeps whole."""
    if not may_match_nothing(RuleSet.union(rule.lets_in for rule in observed.vendor_rules)):
        return stays
    whole = [
        rule.lets_in
        for rule in observed.vendor_rules
        if may_match_nothing(rule.lets_in)
        and rule.lets_in & NO_PACKET
        and stays.covers(meaningful(rule.lets_in))
    ]
    return stays | RuleSet.union(whole) if whole else stays


def _missed(waiting: Waiting) -> str:
    since = (
        "no container needs it any more"
        if waiting.first
        else "no container needs it since an earlier apply"
    )
    return (
        f"{since}; an apply after that closes it, unless it is needed again (--now closes it "
        "at once)"
    )
