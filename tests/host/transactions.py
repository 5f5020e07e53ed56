"""The provider's own transactions on a lab's table, with no run around them."""

from __future__ import annotations

import time

from cloudsync_host.kernel import Kernel
from cloudsync_host.layout import Shape
from cloudsync_host.listing import Table, table_from
from tests.host.lab import Lab, in_namespace

DROPPING = Shape(("eth0",), (), (), (), cut_established=False, enforced=True)


def kernel() -> Kernel:
    """The one of the namespace that its callers are in."""
    return Kernel(None, time.monotonic() + 60)


def carry_out(lab: Lab, text: str) -> None:
    """One transaction on the lab's machine."""
    in_namespace(lab.host, lambda: kernel().write(text))


def table_of(lab: Lab) -> Table:
    """The lab's table as the provider reads it."""
    table = table_from(lab.listing("-j", "-n"))
    assert table is not None
    return table
