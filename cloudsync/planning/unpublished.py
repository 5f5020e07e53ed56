"""Remarks on containers whose ports the engine, or the file, cannot list."""

from __future__ import annotations

from collections.abc import Iterable

from cloudsync.model.ports import Unpublished, name_of
from cloudsync.provider.phrases import first_of

_SHOWN = 5
_LISTED = "the label cloudsync.ports on it lists what to open"


def about_unpublished(unpublished: Iterable[Unpublished]) -> tuple[str, ...]:
    """Remarks on containers whose ports the engine cannot list: by name if they may listen at the
    machine's addresses, the others counted."""
    remarks, others = [], []
    for container in unpublished:
        if container.network in ("host", "macvlan", "ipvlan"):
            remarks.append(f"{name_of(container.origin)}: {container.reason}{_hint(container)}")
        else:
            others.append(f"{name_of(container.origin)} ({container.network})")
    if others:
        shown = first_of(sorted(others), _SHOWN)
        remarks.append(f"publishing nothing at this machine's addresses by their network: {shown}")
    return tuple(dict.fromkeys(remarks))


def _hint(unpublished: Unpublished) -> str:
    ports = first_of(unpublished.exposed, _SHOWN)
    exposed = f" (it exposes {ports})" if ports else ""
    if not unpublished.listens_here:
        return exposed
    return f"{exposed}; {_LISTED}"


def is_unnamed(remark: str) -> bool:
    """Whether it is about a container that listens at the machine's own addresses, nobody knows
    where: what it needs closes with the rest."""
    return remark.endswith(_LISTED)
