"""Which services run: those without profiles, and those with one of the active ones (Compose
specification, "Profiles")."""

from __future__ import annotations

from collections.abc import Iterable

from cloudsync.sources.compose.environment import Environment

EVERY = "*"


def active_profiles(configured: Iterable[str] | None, environment: Environment) -> frozenset[str]:
    """`hosts.X.profiles`, else `COMPOSE_PROFILES` of the project's own `.env` files. Never the
    process's environment."""
    if configured is not None:
        return frozenset(configured)
    names = environment.get("COMPOSE_PROFILES").split(",")
    return frozenset(name.strip() for name in names if name.strip())


def runs(profiles: Iterable[str], active: frozenset[str]) -> bool:
    """Whether a service with these profiles is started."""
    own = frozenset(profiles)
    return not own or EVERY in active or bool(own & active)
