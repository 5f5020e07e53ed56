"""How many examples property tests try: all of them in `make test` and CI, a sixth in `make
unit`."""

from __future__ import annotations

import os

FAST = os.environ.get("CLOUDSYNC_FAST") == "1"


def examples(full: int) -> int:
    """`full` examples, or a sixth of them where an answer within seconds counts."""
    return max(full // 6, 5) if FAST else full
