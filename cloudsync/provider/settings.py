"""The models plugins build their settings on: `[providers.X]` and the provider's keys of `[firewalls.X]`; secret references.

Provider models are strict: unknown keys are errors, nothing is coerced.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Strict, frozen, and its errors never hold the input (which may be a secret)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class SecretRef(Settings):
    """Where a secret is to be found; never the secret. Exactly one of the four.

    `env`: a variable (and `X_FILE` beside it names a file; both set is an error). `file`: a path, relative to the configuration.
    `credential`: a systemd credential (`$CREDENTIALS_DIRECTORY/name`). `command`: an argument list, run without a shell.
    """

    env: str | None = None
    file: str | None = None
    credential: str | None = None
    command: list[str] | None = None

    def resolve(self, base: Any) -> Any:
        """TO BE DONE: `resolve(base: Path) -> SecretStr`."""
        raise NotImplementedError


class AccountSettings(Settings):
    """A `[providers.X]` table without `type`. Every provider has `endpoint`; plain http only to a loopback address."""

    endpoint: str | None = None


class FirewallSettings(Settings):
    """The provider's own keys of a `[firewalls.X]` table."""
