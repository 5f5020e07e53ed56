"""How many examples property tests try: all of them in `make test` and CI, a tenth in `make
unit`."""

from __future__ import annotations

import os

FAST = os.environ.get("CLOUDSYNC_FAST") == "1"
PROFILE = "fast" if FAST else "full"
"""Of hypothesis, registered in `tests/conftest.py`."""


def examples(full: int) -> int:
    """`full` examples, or a tenth of them where an answer within seconds counts."""
    return max(full // 10, 5) if FAST else full
