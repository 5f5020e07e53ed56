"""What is written of a target that lets in "everything": as everything, not protocol by protocol.
Pure."""

from __future__ import annotations

from collections.abc import Iterator

from cloudsync.provider.contract import Target
from cloudsync.provider.spelling import Spelling, Written
from cloudsync.rules import NetworkSet, Rule


def with_everything(spelling: Spelling, target: Target) -> Iterator[Written]:
    """`spelling.writing` for vendors with one protocol a rule, or all of them: what is left of
    "everything" besides rules that are there is written as everything again, which is one rule
    instead of one for each of 250 protocols."""
    everything = target.rules.everything_from()
    whole = NetworkSet.union(
        written.rule.sources
        for written in spelling.writing
        if not written.rule.is_one_protocol and everything.covers(written.rule.sources)
    )
    for written in spelling.writing:
        if written.list_id or not whole.covers(written.rule.sources):
            yield written
    if whole:
        rule = Rule.of("all", "", whole)
        yield Written(rule, target.describe(rule), rule)
