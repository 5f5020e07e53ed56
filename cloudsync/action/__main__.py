"""`python -I -m cloudsync.action`: one step of a GitHub job.

The step's secrets come in its environment, which every process of the same user can read as long as
the process lives (`/proc/PID/environ`), a command of the configuration too. So the step starts
itself again with an environment that has none, and gets them through a pipe.
"""

from __future__ import annotations

import sys

from cloudsync.action.handover import received
from cloudsync.action.run import main

if __name__ == "__main__":
    sys.exit(main(received()))
