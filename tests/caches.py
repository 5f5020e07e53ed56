"""What a process remembers of values that it has worked out before, so that tests and benchmarks
can plan as one that has never planned."""

from __future__ import annotations

from cloudsync.model import ports
from cloudsync.planning import own_rules, policy
from cloudsync.rules import networks, protocols, ruleset
from cloudsync.sources import static
from cloudsync.state import applied, recollection
from cloudsync_host import elements, machine


def forget() -> None:
    """All of it."""
    for answers in (policy.ANSWERED, own_rules.CLAIMED, static.LISTED):
        answers.clear()
    for function in (
        ports._rules,
        protocols.numbers,
        protocols.selector,
        networks._parse,
        networks._cidrs,
        ruleset._union,
        recollection._opened,
        applied._decoded,
        own_rules._is_private,
        elements._element,
        elements._let_in,
        elements._network,
        elements._vendor_rule,
        machine._digest,
    ):
        function.cache_clear()
