"""`python -I -m cloudsync.action`: one step of a GitHub job."""

from __future__ import annotations

import os
import sys

from cloudsync.action.run import main

if __name__ == "__main__":
    sys.exit(main(os.environ))
