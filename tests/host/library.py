"""A namespace that is looked at and changed by hand through nftables' own library, without a
process for each look; cloudsync itself goes on to start the program."""

from __future__ import annotations

import ctypes
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from tests.host.namespace import Namespace
from tests.namespaces import enter

LIBRARY = "libnftables.so.1"


class Library:
    """libnftables in a network namespace, in a thread of its own: a namespace is a thread's."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self._pool = ThreadPoolExecutor(1, initializer=self._enter)

    def run(self, commands: str) -> tuple[int, str, str]:
        """What `nft -f -` does with them: code, output, errors."""
        return self._pool.submit(self._run, commands).result()

    def close(self) -> None:
        """The end of the thread."""
        self._pool.submit(lambda: self._library.nft_ctx_free(self._context)).result()
        self._pool.shutdown()

    def _enter(self) -> None:
        enter(Path("/run/netns", self.namespace))
        self._library = ctypes.CDLL(LIBRARY)
        self._library.nft_ctx_new.restype = ctypes.c_void_p
        self._library.nft_ctx_get_output_buffer.restype = ctypes.c_char_p
        self._library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
        self._context = ctypes.c_void_p(self._library.nft_ctx_new(0))
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)

    def _run(self, commands: str) -> tuple[int, str, str]:
        code = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
        output = self._library.nft_ctx_get_output_buffer(self._context)
        errors = self._library.nft_ctx_get_error_buffer(self._context)
        return code, (output or b"").decode(), (errors or b"").decode()


class QuickNamespace(Namespace):
    """`with QuickNamespace() as machine:`, for one scenario after another: `clear` between them."""

    library: Library

    def __enter__(self) -> Self:
        super().__enter__()
        self.library = Library(self.namespace)
        return self

    def close(self) -> None:
        """Leave nothing behind."""
        if hasattr(self, "library"):
            self.library.close()
        super().close()

    def clear(self) -> None:
        """As if it were new: no rules, no trouble, nothing asked for yet."""
        if self.trouble is not None:
            self.trouble.close()
        self.nft("flush ruleset")
        for path in self.folder.iterdir():
            if path.is_file() and path.name != "listening":
                path.unlink()

    def nft(self, text: str) -> None:
        """One transaction, as somebody else than cloudsync. Raises `CalledProcessError`."""
        code, output, errors = self.library.run(text)
        if code != 0:
            raise subprocess.CalledProcessError(1, "nft -f -", output, errors)

    def listing(self, *options: str) -> str:
        """`nft list table inet cloudsync`; empty where there is none."""
        if options:
            return super().listing(*options)
        code, output, _ = self.library.run("list table inet cloudsync")
        return output if code == 0 else ""
