"""Ctrl-C and SIGTERM: a run stops between two steps, never in the middle of nowhere.

| the signal comes       | then                                                                   |
|------------------------|------------------------------------------------------------------------|
| before the first write | the run ends at once, nothing was begun (exit 130 or 143)              |
| while writing          | the step under way is finished, or abandoned after `PATIENCE_SECONDS`; |
|                        | no further one begins; what is there is read back, the history is      |
|                        | written (exit 6, or 0 if all was done)                                 |
| a second time          | the process ends at once                                               |
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

PATIENCE_SECONDS = 10.0
STOPPING = "stopping after the step under way; a second time stops at once"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """Raised in the main thread where nothing was begun. `number`: the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def _notice() -> bytes:
    return f"cloudsync: {STOPPING}\n".encode()


notice: Callable[[], bytes] = _notice
"""What is said on stderr when a step is waited for; the command line sets another one for JSON
logs."""


class Interruption:
    """Whether the run was asked to stop. `number`: the signal's, None as long as it was not."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._since = 0.0
        self._writing = False

    @property
    def name(self) -> str:
        """`SIGTERM`."""
        return signal.Signals(self.number).name if self.number is not None else ""

    @property
    def impatient(self) -> bool:
        """Whether the step under way has had its time and is to be abandoned."""
        return self.number is not None and time.monotonic() >= self._since + PATIENCE_SECONDS

    @contextmanager
    def writing(self) -> Iterator[None]:
        """From here on a signal waits for the step under way. Raises `Interrupted` where one came
        before."""
        self._writing = True
        try:
            if self.number is not None:
                raise Interrupted(self.number)
            yield
        finally:
            self._writing = False

    def request(self, number: int, _: FrameType | None = None) -> None:
        """What a signal does. Called by the interpreter between two instructions of the main
        thread."""
        if self.number is not None:
            os._exit(128 + number)
        self.number, self._since = number, time.monotonic()
        if not self._writing:
            raise Interrupted(number)
        os.write(2, notice())


@contextmanager
def listening() -> Iterator[Interruption]:
    """Signals are heard in here, by the main thread of the process; one that is ignored stays
    ignored (`nohup`, `&`)."""
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, interruption.request)
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
