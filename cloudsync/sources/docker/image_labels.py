"""Which labels were born in the image.

Engines merge image labels into container labels without a trace (moby `daemon/commit.go`), so a
label counts as the image's if the image has the same key with the same value. If the image cannot
be inspected, all of them do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from cloudsync.model.ports import LabelScope
from cloudsync.rules.frozen import dataclass
from cloudsync.sources.labels import (
    ContainerLabels,
    LabelError,
    LabelledPorts,
    Sources,
    check_amount,
    merged,
    ours,
    parse_label,
)


def split(
    labels: Mapping[str, str], image: Mapping[str, str] | None
) -> tuple[dict[str, str], dict[str, str]]:
    """(trusted, image-born) `cloudsync.*` labels. `image`: the image's labels; None if they are
    not known."""
    mine = ours(labels)
    if image is None:
        return {}, mine
    born = {key: value for key, value in mine.items() if image.get(key) == value}
    return {key: value for key, value in mine.items() if key not in born}, born


@dataclass(frozen=True, slots=True)
class ImageLabels:
    """What the labels of an image come to."""

    limits: ContainerLabels
    """The part that narrows."""
    remarks: tuple[str, ...] = ()
    """On those that were ignored."""
    problem: str | None = None
    """Of one that does not parse and may be meant to narrow."""


def narrowing(born: Mapping[str, str], scope: LabelScope) -> ImageLabels:
    """What the image-born labels narrow.

    `expose=true` asks and a description is the image's text: neither counts. An image may repeat a
    label of the user's, which cannot be told from its own then: so none of its labels wins over
    another, all of them narrow, and labels without end keep everything closed. For the same reason
    one that does not parse is ignored only if it could do no more than ask: any other may be the
    user's own wish to keep something closed, which an image would lift by repeating it.
    """
    try:
        check_amount(ours(born))
    except LabelError as error:
        remark = f"nothing of it is opened: its image has {error}"
        return ImageLabels(ContainerLabels(expose=False), (remark,))
    parsed = ContainerLabels()
    port_sources: list[tuple[LabelledPorts, Sources]] = []
    ignored: list[str] = []
    problem: str | None = None
    for key, value in sorted(ours(born).items()):
        try:
            label = parse_label(key, value, scope)
        except LabelError as error:
            if value.strip().lower() in _AFFIRMATIVE:
                ignored.append(str(error))
            else:
                problem = problem or f"{error} (a label that its image has too)"
            continue
        if isinstance(label, ContainerLabels):
            parsed = merged(parsed, label)
        else:
            port_sources.append(label)
    asks = parsed.expose or parsed.ports is not None
    limits = replace(
        parsed,
        expose=False if parsed.expose is False else None,
        port_sources=tuple(port_sources),
        description=None,
    )
    return ImageLabels(limits, (*_remarks(ignored), *((_ASKS,) if asks else ())), problem)


_AFFIRMATIVE = ("true", "yes", "y", "on", "1", "enabled", "")
_ASKS = (
    "labels of the image ask for ports: that counts only if the container itself asks, by a label"
    " of its own"
)
_SHOWN = 3


def _remarks(ignored: list[str]) -> tuple[str, ...]:
    more = len(ignored) - _SHOWN
    shown = tuple(f"a label of the image is ignored: {problem}" for problem in ignored[:_SHOWN])
    return (*shown, f"{more} more labels of the image are ignored") if more > 0 else shown
