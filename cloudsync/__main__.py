"""The command `cloudsync`. `--version` is answered before anything else is imported."""

from __future__ import annotations

import os
import sys
import threading


def main() -> None:
    """Run the command line and exit with its code."""
    if sys.argv[1:] == ["--version"]:
        from cloudsync import __version__

        print(f"cloudsync {__version__}")
        sys.exit(0)
    from cloudsync.cli.main import run

    code = run(sys.argv[1:])
    if threading.active_count() > 1:
        # A run that was interrupted does not wait for threads that wait for a vendor.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
