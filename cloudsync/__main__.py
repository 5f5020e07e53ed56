"""The command `cloudsync`. `--version` is answered before anything else is imported."""

from __future__ import annotations

import atexit
import gc
import io
import os
import sys
import threading

_STRANGER = "cs.py"
"""A module of the distribution "cloudsync" on PyPI, a tool that syncs files: it installs into the
same folder as this package."""


def main() -> None:
    """Run the command line and exit with its code."""
    _open_the_standard_streams()
    if os.path.exists(os.path.join(os.path.dirname(__file__), _STRANGER)):  # noqa: PTH110, PTH118, PTH120 - pathlib takes 5 ms to import
        print(
            'cloudsync: the PyPI package "cloudsync", another tool, is installed in the same'
            " environment and has overwritten parts of this one; nothing is done with the mixture."
            " Install this one by itself: pipx install cloudsync-firewall",
            file=sys.stderr,
        )
        sys.exit(1)
    # No plugin of pydantic acts in this process; to look for some would read the metadata of every
    # installed package.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    if sys.argv[1:] == ["--version"]:
        from cloudsync import __version__

        print(f"cloudsync {__version__}")
        sys.exit(0)
    # Modules live as long as the process: to search them for garbage as often as Python does, and
    # again at the end, is a tenth of a run; `watch` collects after each of its runs.
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)
    from cloudsync.cli.main import run

    code = run(sys.argv[1:])
    if not _flushed():
        code = code or 1
    if threading.active_count() > 1:
        # A run that was interrupted does not wait for threads that wait for a vendor.
        os._exit(code)
    sys.exit(code)


def _flushed() -> bool:
    """Whether what was printed has left this process; if not, nothing is tried again at its end."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return False
    return True


def _open_the_standard_streams() -> None:
    """Streams that were closed by whoever started this (`>&- 2>&-`) lead to /dev/null.

    Left closed, their numbers would go to the next files that are opened, and whatever is written
    to "stderr" would land in one of them: in a state file, say.
    """
    while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(handle, True)
    os.close(handle)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - for as long as the process lives
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    main()
