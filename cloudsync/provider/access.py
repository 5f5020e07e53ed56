"""What credentials are good for: one row for each thing a run needs, as `cloudsync check-access`
shows them.

A provider answers with as few calls as it can and writes nothing: where the vendor has a dry run or
lists the permissions of a caller it asks that; where it has neither, the row is `unknown` and says
how to find out. A permission that only exposure needs is not needed with `policy.foreign =
"ignore"`: its row says `needed_for = "exposure"` and the core decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "missing", "near", "unknown"]
"""`near`: a quota that is nearly used up. `unknown`: the vendor does not tell without a write, or
did not answer."""
NeededFor = Literal["plan", "apply", "exposure"]


@dataclass(frozen=True, slots=True)
class Access:
    """One thing. `what`: the vendor's own word for it (`ec2:DescribeInstances`, `droplet:read`,
    `token`), `detail` a sentence.

    `temporary`: an `unknown` that trying again may fix.
    """

    what: str
    needed_for: NeededFor
    state: State
    detail: str = ""
    temporary: bool = False


NEAR = 0.9


def of_quota(what: str, used: int, most: int, needed_for: NeededFor = "apply") -> Access:
    """A row for a quota: `near` from nine tenths on."""
    state: State = "near" if used >= NEAR * most else "ok"
    return Access(what, needed_for, state, f"{used} of {most} used")
