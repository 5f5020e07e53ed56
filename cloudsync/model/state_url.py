"""Where the state of an owner is kept if it is not a folder of this machine."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import Protocol

from cloudsync.provider.settings import SecretRef
from cloudsync.rules.frozen import dataclass

WHOLE = "0-of-1"
"""The unit of a run that is about no shard."""


class Fence(Protocol):
    """The right to write, for as long as nobody else may have it."""

    @property
    def unit(self) -> str:
        """What it is the right to: `0-of-1`, `3-of-16`."""
        ...

    @property
    def number(self) -> tuple[int, int]:
        """Greater than that of everybody who had the right before."""
        ...

    @property
    def lost(self) -> str | None:
        """Why nothing may be written any more; None as long as it may."""
        ...


@dataclass(frozen=True, slots=True)
class StateUrl:
    """A bucket and a prefix in it, as the configuration names them; no credentials."""

    url: str
    """`s3://bucket/prefix`, `gs://…` or `az://container/prefix`."""
    endpoint: str | None = None
    """Where the store answers, for stores that are not the vendor's own; no trailing slash."""
    region: str | None = None
    """Of S3; None leaves it to the environment."""
    access_key_id: SecretRef | None = None
    """Of S3; None leaves credentials to the environment and to the machine's role."""
    secret_access_key: SecretRef | None = None
    base: Path = field(default_factory=Path, compare=False)
    """The folder that files of secrets are relative to."""
    fence: Fence | None = field(default=None, compare=False)
    """What a run that writes holds; None for those that only read."""
    shard: str = field(default=WHOLE, compare=False)
    """Whose runs are reported, for what is written without a fence: `3-of-16`."""

    @property
    def unit(self) -> str:
        """Whose documents of a whole run these are: each shard has its own."""
        return self.shard if self.fence is None else self.fence.unit

    def __str__(self) -> str:
        return self.url


StatePlace = Path | StateUrl
"""Where state is kept: the state directory, or an object store."""
