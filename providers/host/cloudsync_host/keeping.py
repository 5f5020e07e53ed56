"""Putting back a table that somebody flushed: the kernel announces every commit of nftables, and
the table of the last commit that was ours is loaded again at once."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from cloudsync.provider.contract import FirewallSpec, Progress
from cloudsync.provider.errors import Conflict, ProviderError
from cloudsync_host.address import LOCAL
from cloudsync_host.kernel import Kernel
from cloudsync_host.machine import look
from cloudsync_host.native import Observed
from cloudsync_host.settings import address_of, settings_of
from cloudsync_host.transaction import Goal, install, install_saved

_NETFILTER = 12
_GROUP = 1 << (7 - 1)  # NFNLGRP_NFTABLES
_NFTABLES, _DELETED_TABLE, _COMMITTED = 10, 2, 15  # NFNL_SUBSYS_NFTABLES, NFT_MSG_DELTABLE, _NEWGEN
_INET = 1
_NAME = b"cloudsync\0"
_HEADER, _GENERIC, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=BBH"), struct.Struct("=HH")
_QUIET_SECONDS = 0.5
_CALL_SECONDS = 10.0
_BUFFER = 1 << 20


class Keeper:
    """Keeps the table of one firewall of this machine until `stop`. `notice` hears when it was put
    back, or could not be."""

    def __init__(self, spec: FirewallSpec, notice: Progress) -> None:
        self._spec, self._notice = spec, notice
        self._text: str | None = None
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER)
        self._wake, self._woken = os.pipe()
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            self._socket.bind((0, _GROUP))
        except OSError:
            self._close()
            raise
        if not self._remember():
            self._put_back()
        self._thread = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let go of the table; it stays as it is."""
        os.write(self._woken, b"x")
        self._thread.join(_CALL_SECONDS)
        self._close()

    def _close(self) -> None:
        self._socket.close()
        for end in (self._wake, self._woken):
            with contextlib.suppress(OSError):
                os.close(end)

    def _keep(self) -> None:
        changed_at: float | None = None
        while True:
            wait = None if changed_at is None else max(0.0, changed_at + _QUIET_SECONDS - _now())
            ready, _, _ = select.select([self._socket.fileno(), self._wake], [], [], wait)
            if self._wake in ready:
                return
            if not ready:
                changed_at = None
                self._remember()
                continue
            deleted = self._heard()
            if deleted is None or deleted:
                self._put_back()
            changed_at = _now()

    def _heard(self) -> bool | None:
        """Whether the table was deleted; None where announcements were lost."""
        try:
            return any(is_deletion(message) for message in messages(self._socket.recv(_BUFFER)))
        except OSError:  # ENOBUFS: more commits than the buffer holds
            return None

    def _remember(self) -> bool:
        """What would be put back: the table as it is outside a trial, while it is ours. False where
        there is no table."""
        try:
            seen = look(self._kernel(), settings_of(self._spec))
        except ProviderError:
            return True
        table = seen.table
        if table is None:
            self._text = self._text or self._saved()
            return False
        owner = table.marker
        wanted = self._spec.marker
        if owner is None or (owner.owner, owner.firewall) != (wanted.owner, wanted.firewall):
            self._text = None
            return True
        observed = Observed(seen, settings_of(self._spec))
        if not observed.drift:
            shape = observed.shape(enforced=observed.enforced)
            self._text = install(Goal(table.elements, shape, owner))
        return True

    def _saved(self) -> str | None:
        """The saved file, while it is of this firewall: what was flushed before we began to
        look."""
        path = settings_of(self._spec).saved_file
        try:
            text = Path(path).read_text() if path is not None else ""
        except (OSError, UnicodeDecodeError):
            return None
        return install_saved(text, self._spec.marker)

    def _put_back(self) -> None:
        if self._text is None:
            return
        begun = _now()
        try:
            self._kernel().write(self._text)
        except Conflict:
            return  # It is there: its own replacement, or the boot unit, was faster.
        except ProviderError as error:
            self._notice(
                "the table inet cloudsync on this machine is gone and cannot be put back: "
                f"{error.message}"
            )
            return
        self._notice(
            "the table inet cloudsync on this machine was removed (nft flush ruleset, or a restart"
            f" of nftables); it was put back after {(_now() - begun) * 1000:.0f} ms"
        )

    def _kernel(self) -> Kernel:
        return Kernel(None, _now() + _CALL_SECONDS)


def keeper(spec: FirewallSpec, notice: Progress) -> Keeper | None:
    """None for a table on another machine, or where the kernel lets us hear nothing."""
    if address_of(spec) != LOCAL:
        return None
    try:
        return Keeper(spec, notice)
    except OSError as error:
        notice(
            f"a flushed table of this machine is not put back before the next run: {error.strerror}"
        )
        return None


def messages(datagram: bytes) -> Iterator[tuple[int, bytes]]:
    """The netlink messages of a datagram: type and payload."""
    at = 0
    while at + _HEADER.size <= len(datagram):
        length, kind, _, _, _ = _HEADER.unpack_from(datagram, at)
        if length < _HEADER.size:
            return
        yield kind, datagram[at + _HEADER.size : at + length]
        at += (length + 3) & ~3


def is_deletion(message: tuple[int, bytes]) -> bool:
    """Whether a message says that the table inet cloudsync was deleted."""
    kind, payload = message
    if kind != _NFTABLES << 8 | _DELETED_TABLE or len(payload) < _GENERIC.size:
        return False
    family, _, _ = _GENERIC.unpack_from(payload)
    at = _GENERIC.size
    while family == _INET and at + _ATTRIBUTE.size <= len(payload):
        length, attribute = _ATTRIBUTE.unpack_from(payload, at)
        if length < _ATTRIBUTE.size:
            return False
        if attribute == 1:  # NFTA_TABLE_NAME
            return payload[at + _ATTRIBUTE.size : at + length] == _NAME
        at += (length + 3) & ~3
    return False


def _now() -> float:
    return time.monotonic()
