"""The models plugins build their settings on: `[providers.X]` and the provider's keys of
`[firewalls.X]`; secret references.

Provider models are strict: unknown keys are errors, nothing is coerced, and no error ever holds the
input, which may be a secret.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import stat
import subprocess
import threading
from pathlib import Path
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from cloudsync.rules.networks import is_loopback

_COMMAND_SECONDS = 10
_MAX_SECRET_BYTES = 64 * 1024


class SecretError(Exception):
    """A secret cannot be had; one line that says where it was looked for, never what was found."""


class Settings(BaseModel):
    """Strict, frozen, and its errors never hold the input (which may be a secret)."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, defer_build=True
    )


class SecretRef(Settings):
    """Where a secret is to be found; never the secret. Exactly one of the four.

    `env`: a variable (`X_FILE` beside it may name a file instead; both set is an error). `file`: a
    path, relative to the configuration. `credential`: a systemd credential
    (`$CREDENTIALS_DIRECTORY/name`). `command`: an argument list, run without a shell.
    """

    env: str | None = None
    file: str | None = None
    credential: str | None = None
    command: list[str] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> SecretRef:
        given = [
            name
            for name in ("env", "file", "credential", "command")
            if getattr(self, name) is not None
        ]
        if len(given) != 1:
            raise ValueError("a secret reference is exactly one of env, file, credential, command")
        if not getattr(self, given[0]):
            raise ValueError(f"{given[0]} must not be empty")
        if self.credential is not None and (
            "/" in self.credential or self.credential in (".", "..")
        ):
            raise ValueError("credential is a name, not a path")
        return self

    def resolve(self, base: Path, *, for_header: bool = True) -> SecretStr:
        """The secret, without a trailing newline. `base`: the configuration's folder. `for_header`:
        it will be sent in a header of HTTP, as tokens are. Raises `SecretError`."""
        value = self._located(base).rstrip("\r\n")
        if not value:
            raise SecretError(f"the secret from {self} is empty")
        if any(ord(character) < 32 or ord(character) == 127 for character in value):
            raise SecretError(f"the secret from {self} has control characters in it")
        if for_header and (not value.isascii() or value != value.strip()):
            raise SecretError(
                f"the secret from {self} cannot be sent as a token: it has a character that is not"
                " ASCII (a byte order mark, a typographic quote, three dots in one), or a space at"
                " its start or end"
            )
        return SecretStr(value)

    def __str__(self) -> str:
        if self.env is not None:
            return f"the variable {self.env}"
        if self.file is not None:
            return f"the file {self.file}"
        if self.credential is not None:
            return f"the credential {self.credential}"
        return f"the command {(self.command or ['?'])[0]}"

    def _located(self, base: Path) -> str:
        if self.env is not None:
            return self._from_env(self.env, base)
        if self.file is not None:
            return self._from_file(base / self.file)
        if self.credential is not None:
            folder = os.environ.get("CREDENTIALS_DIRECTORY")
            if not folder:
                raise SecretError(
                    f"{self} cannot be read: CREDENTIALS_DIRECTORY is not set (is this run by"
                    " systemd with LoadCredential?)"
                )
            return self._from_file(Path(folder) / self.credential)
        return self._from_command(self.command or [])

    def _from_env(self, name: str, base: Path) -> str:
        value, file = os.environ.get(name), os.environ.get(f"{name}_FILE")
        if value is not None and file is not None:
            raise SecretError(f"both {name} and {name}_FILE are set: which one is meant?")
        if file is not None:
            return self._from_file(base / file)
        if value is None:
            raise SecretError(f"the variable {name} is not set (nor {name}_FILE)")
        return value

    def _from_file(self, path: Path) -> str:
        try:
            # A FIFO that nobody writes would be waited for without end.
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(handle, "rb") as file:
                if stat.S_ISFIFO(os.fstat(handle).st_mode):
                    raise SecretError(f'{self} is a FIFO: use command = ["cat", ...] for it')
                raw = file.read(_MAX_SECRET_BYTES + 1)
        except OSError as error:
            raise SecretError(f"{self} cannot be read: {error.strerror}") from None
        except ValueError:
            raise SecretError(f"{self} cannot be read: its path has a NUL in it") from None
        return self._text(self._bounded(raw))

    def _from_command(self, words: list[str]) -> str:
        try:
            process = subprocess.Popen(  # noqa: S603 - the user's own words, no shell
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise SecretError(f"{self} cannot be run: {error.strerror}") from None
        except ValueError:
            raise SecretError(f"{self} cannot be run: a word of it has a NUL in it") from None
        late = threading.Event()

        def end() -> None:
            late.set()
            _kill(process)

        alarm = threading.Timer(_COMMAND_SECONDS, end)
        alarm.start()
        try:
            with process:
                raw = process.stdout.read(_MAX_SECRET_BYTES + 1) if process.stdout else b""
                if len(raw) > _MAX_SECRET_BYTES:
                    _kill(process)
        finally:
            alarm.cancel()
        self._bounded(raw)
        if late.is_set():
            raise SecretError(f"{self} did not end within {_COMMAND_SECONDS} s")
        if process.returncode != 0:
            raise SecretError(f"{self} ended with {process.returncode}")
        return self._text(raw)

    def _bounded(self, raw: bytes) -> bytes:
        if len(raw) > _MAX_SECRET_BYTES:
            raise SecretError(
                f"{self} gives more than {_MAX_SECRET_BYTES // 1024} KiB, too much for a secret"
            )
        return raw

    def _text(self, raw: bytes) -> str:
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise SecretError(f"the secret from {self} is not UTF-8 text") from None


def _kill(process: subprocess.Popen[bytes]) -> None:
    """The command, and whatever it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:@\s]+)(:[0-9]{1,5})?")


def checked_url(value: str) -> tuple[str, str]:
    """The scheme and the host of an absolute URL, once it is certain that every client reads it in
    the same way. Raises `ValueError`."""
    if any(character <= " " or character == "\x7f" for character in value):
        raise ValueError("must be an URL")
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("must be an URL") from None
    if not host or not _AUTHORITY.fullmatch(parts.netloc):
        raise ValueError("must be an URL without credentials, query or fragment")
    return parts.scheme, host


class AccountSettings(Settings):
    """A `[providers.X]` table without `type`. Every provider has `endpoint`; plain http only to a
    loopback address."""

    endpoint: str | None = None
    """Another address of the API, https (plain http only to a loopback address)."""

    @field_validator("endpoint")
    @classmethod
    def _safe(cls, value: str | None) -> str | None:
        if value is None:
            return None
        scheme, host = checked_url(value)
        parts = urlsplit(value)
        if parts.query or parts.fragment:
            raise ValueError("must be an URL without credentials, query or fragment")
        if scheme == "https" or (scheme == "http" and is_loopback(host)):
            return value.rstrip("/")
        raise ValueError("must begin with https:// (plain http:// only to a loopback address)")


def _names(value: list[str | int], info: ValidationInfo) -> list[str | int]:
    if any(isinstance(name, bool) or name == "" for name in value):
        raise ValueError(f"must be names or ids of {info.field_name}")
    return value


MachineNames = Annotated[list[str | int], AfterValidator(_names)]
"""The type of a key that names machines by their names or the vendor's ids; the key is what the
vendor calls them (`servers`, `droplets`)."""


class FirewallSettings(Settings):
    """The provider's own keys of a `[firewalls.X]` table."""

    exactly_one_host: ClassVar[bool] = False
    """Whether a firewall is one machine's: then `hosts` names exactly one."""
