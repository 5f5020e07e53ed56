"""The command `cloudsync`. `--version` is answered before anything else is imported."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    if sys.argv[1:] == ["--version"]:
        from cloudsync import __version__

        print(f"cloudsync {__version__}")
        sys.exit(0)
    from cloudsync.cli.main import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
