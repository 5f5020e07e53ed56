"""Which labels were born in the image.

Engines merge image labels into container labels without a trace (moby `daemon/commit.go`), so a
label counts as the image's where the image has the same key with the same value; where the image
cannot be inspected, all of them do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from cloudsync.model.ports import LabelScope
from cloudsync.rules.networks import NetworkSet
from cloudsync.sources.labels import ContainerLabels, LabelError, Sources, ours, parse_labels


def split(
    labels: Mapping[str, str], image: Mapping[str, str] | None
) -> tuple[dict[str, str], dict[str, str]]:
    """(trusted, image-born) `cloudsync.*` labels. `image`: the image's labels; None where they are
    not known."""
    mine = ours(labels)
    if image is None:
        return {}, mine
    born = {key: value for key, value in mine.items() if image.get(key) == value}
    return {key: value for key, value in mine.items() if key not in born}, born


def narrowing(
    born: Mapping[str, str], scope: LabelScope
) -> tuple[ContainerLabels, tuple[str, ...]]:
    """The part of image-born labels that narrows, and remarks on the ones that were ignored.

    `expose=true` asks and a description is the image's text: neither counts. What does not parse is
    ignored.
    """
    good: dict[str, str] = {}
    remarks = []
    for key, value in sorted(born.items()):
        try:
            parse_labels(good | {key: value}, scope)
        except LabelError as error:
            remarks.append(f"a label of the image is ignored: {error}")
            continue
        good[key] = value
    parsed = parse_labels(good, scope)
    if parsed.expose or parsed.ports is not None:
        remarks.append(
            "labels of the image ask for ports: that counts only where the container itself asks, by a label of its own"
        )
    return replace(
        parsed, expose=False if parsed.expose is False else None, description=None
    ), tuple(remarks)


def narrower(sources: Sources | None, image: Sources | None) -> Sources | None:
    """Both together: what an image says can only take away."""
    if image is None:
        return sources
    if sources is None:
        return image
    networks: NetworkSet = sources.networks & image.networks
    return Sources(networks, sources.families)
