"""The JSON file of one firewall: read strictly, written atomically and durably."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import tempfile
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from cloudsync.provider.errors import NotFound, ProviderError
from cloudsync.provider.marker import Marker
from cloudsync.provider.settings import Settings
from cloudsync.rules import Rule, RuleSet
from cloudsync.rules.frozen import dataclass
from cloudsync.rules.networks import NetworkSet

_MAX_BYTES = 16 * 1024 * 1024
_LONGEST_CHAIN = 40
_NEW_FILE = 0o600


class _RulePart(Settings):
    protocol: str
    ports: str
    sources: list[str]
    description: str = ""


class _MarkerPart(Settings):
    owner: str
    firewall: str
    hosts: str


class _FilePart(Settings):
    format: Literal[1]
    marker: _MarkerPart | None = None
    rules: list[_RulePart] = []
    kept: list[str] = []


@dataclass(frozen=True, slots=True)
class ListedRule:
    """A rule as it stands in the file."""

    rule: Rule
    description: str


@dataclass(frozen=True, slots=True)
class Content:
    """A file's content. `kept`: what stands for rules that are not about networks; carried along
    untouched."""

    marker: Marker | None
    rules: tuple[ListedRule, ...]
    kept: tuple[str, ...]

    @property
    def rule_set(self) -> RuleSet:
        """What the rules mean together."""
        return RuleSet.of(listed.rule for listed in self.rules)


def read(path: Path) -> Content | None:
    """The file's content; None where there is no file. Raises `ProviderError` for everything
    else."""
    try:
        # Not blocking: to open a FIFO would wait for whoever writes into it.
        handle = os.open(_followed(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            _check_kind(path, os.fstat(handle))
            raw = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}") from None
    if len(raw) > _MAX_BYTES:
        raise ProviderError(f"{path} is larger than {_MAX_BYTES // (1024 * 1024)} MiB")
    try:
        stored = _FilePart.model_validate_json(raw)
        return Content(
            marker=(
                None
                if stored.marker is None
                else Marker(stored.marker.owner, stored.marker.firewall, stored.marker.hosts)
            ),
            rules=tuple(
                ListedRule(Rule.of(r.protocol, r.ports, NetworkSet.of(r.sources)), r.description)
                for r in stored.rules
            ),
            kept=tuple(stored.kept),
        )
    except ValidationError as error:
        where = (
            ".".join(str(step) for step in error.errors(include_input=False)[0]["loc"])
            or "its start"
        )
        raise ProviderError(
            f"{path} is not a valid firewall file: it is malformed at {where[:100]!r}"
        ) from None
    except ValueError as error:
        raise ProviderError(
            f"{path} has a rule that cannot be read: {str(error)[:200]!r}"
        ) from None


def write(path: Path, content: Content) -> None:
    """Replace the file: a crash at any byte leaves the old content or the new. Raises
    `ProviderError`."""
    document = {
        "format": 1,
        "marker": (
            None
            if content.marker is None
            else {
                "owner": content.marker.owner,
                "firewall": content.marker.firewall,
                "hosts": content.marker.hosts,
            }
        ),
        "rules": [
            {
                "protocol": listed.rule.protocol,
                "ports": listed.rule.ports,
                "sources": list(listed.rule.sources.written()),
                "description": listed.description,
            }
            for listed in content.rules
        ],
        "kept": list(content.kept),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, (json.dumps(document, indent=2) + "\n").encode())
    except OSError as error:
        raise ProviderError(f"{path} cannot be written: {error.strerror}") from None


def _check_kind(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ProviderError(
            f"{path} is not a file: a device, a FIFO or a folder cannot hold a firewall; nothing of"
            " it was changed"
        )


def _followed(path: Path) -> Path:
    """The file behind `path`: a link stays, what it points to is the firewall. Raises
    `ProviderError` for a link of somebody else, who would choose what we overwrite; `OSError`."""
    current = path
    for _ in range(_LONGEST_CHAIN):
        try:
            link = current.lstat()
        except FileNotFoundError:
            return current
        if not stat.S_ISLNK(link.st_mode):
            return current
        if link.st_uid not in (os.geteuid(), 0):
            raise ProviderError(f"{path} is a symbolic link of another user: it is not followed")
        current = current.parent / current.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _replace(path: Path, data: bytes) -> None:
    real = _followed(path)
    mode = _NEW_FILE
    with contextlib.suppress(FileNotFoundError):
        status = real.stat()
        _check_kind(path, status)
        mode = stat.S_IMODE(status.st_mode)
    handle, temporary = tempfile.mkstemp(dir=real.parent, prefix=f".{real.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, mode)
            file.write(data)
            file.flush()
            os.fsync(handle)
        Path(temporary).replace(real)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
    folder = os.open(real.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
