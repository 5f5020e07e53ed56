"""Containers that share the network of another one (`container:x`, the members of a pod,
`service:x` of Compose): the ports belong to the container they join.

Nothing says which of those ports is a member's. So a label of a member that asks for something does
nothing, and is reported; one that narrows, or that cannot be understood, keeps every port of the
joined container from being opened: a wish to keep something closed never ends in an opening.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from cloudsync.model.ports import Malformed, Origin
from cloudsync.rules.frozen import dataclass
from cloudsync.sources.docker.containers import Container
from cloudsync.sources.docker.needs import Needs, without_void_remark
from cloudsync.sources.labels import PREFIX, ours

_WIDENS = {f"{PREFIX}expose": "true"}
_NEUTRAL = (f"{PREFIX}description",)
_LONGEST_CHAIN = 10


@dataclass(frozen=True, slots=True)
class Judged:
    """A container, who it is, and what it needs by itself."""

    container: Container
    origin: Origin
    needs: Needs


def joined(judged: Sequence[Judged]) -> tuple[Needs, ...]:
    """What every container needs once the labels of those that join others are looked at."""
    by_name = {judgement.container.name: judgement for judgement in judged}
    by_id = by_name | {
        judgement.container.id: judgement for judgement in judged if judgement.container.id
    }
    narrowed: dict[int, list[Malformed]] = {}
    holding: set[int] = set()
    for member in judged:
        labels = narrowing_labels(member.container.labels)
        owner = _owner(member, by_id)
        if owner is None or not labels or owner is member:
            continue
        problem = (
            f"{', '.join(labels)}: the ports belong to {owner.container.name}, whose network it "
            "shares, and which of them is meant is not known; put the label on that container"
        )
        ports = (
            *owner.needs.required,
            *(p for bad in owner.needs.malformed for p in bad.ports or ()),
        )
        unknown = any(bad.ports is None for bad in owner.needs.malformed)
        holding.add(id(member))
        narrowed.setdefault(id(owner), []).append(
            Malformed(member.origin, problem, None if unknown else ports)
        )
    return tuple(
        _held(
            # Labels that hold something do not count for nothing.
            without_void_remark(judgement.needs) if id(judgement) in holding else judgement.needs,
            narrowed.get(id(judgement), ()),
        )
        for judgement in judged
    )


def narrowing_labels(labels: Mapping[str, str]) -> tuple[str, ...]:
    """The labels that may narrow, or that nobody can say of whether they do."""
    return tuple(
        key
        for key, value in sorted(ours(labels).items())
        if _WIDENS.get(key) != value and key not in _NEUTRAL
    )


def _owner(member: Judged, by_id: Mapping[str, Judged]) -> Judged | None:
    """The container whose network it is in the end; None if it joins none that counts."""
    owner: Judged | None = member
    for _ in range(_LONGEST_CHAIN):
        if owner is None or owner.container.joined is None:
            break
        owner = by_id.get(owner.container.joined)
    return None if owner is member else owner


def _held(needs: Needs, members: Sequence[Malformed]) -> Needs:
    if not members:
        return needs
    return replace(needs, required=(), narrowed=(), malformed=(*needs.malformed, *members))
