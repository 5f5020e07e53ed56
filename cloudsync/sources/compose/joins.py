"""`network_mode: service:x`: the service whose network another one shares has to be there, and no
chain of them may end in itself. docker compose refuses both."""

from __future__ import annotations

from collections.abc import Mapping as Table

from cloudsync.sources.compose.nodes import ComposeError, Mapping, Scalar

_PREFIX = "service:"


def check_joins(active: Table[str, Mapping]) -> None:
    """`active`: the services whose profiles are on, by name. Raises `ComposeError`."""
    joins = {name: mode for name, table in active.items() if (mode := _joins(table)) is not None}
    for name, mode in joins.items():
        if _target(mode) not in active:
            raise ComposeError(
                mode.place,
                f"the service {name} shares the network of {_target(mode)[:60]!r}, which is not a "
                "service that runs here",
            )
    for name, mode in joins.items():
        seen, current = {name}, _target(mode)
        while current in joins:
            if current in seen:
                raise ComposeError(
                    mode.place, f"the services {', '.join(sorted(seen))} share each other's network"
                )
            seen.add(current)
            current = _target(joins[current])


def _joins(table: Mapping) -> Scalar | None:
    mode = table.get("network_mode")
    if isinstance(mode, Scalar) and not mode.missing and mode.text.startswith(_PREFIX):
        return mode
    return None


def _target(mode: Scalar) -> str:
    return mode.text.removeprefix(_PREFIX)
