"""Networks of `[networks]` that move: read from a file, an https address or DNS.

An answer is whole or it is none: a list with one line that is not a network, a truncated one, a
name of which only one family could be asked is *unread*, never shorter (law 1).
"""

from __future__ import annotations

from cloudsync.sources.networks.read import read_networks
from cloudsync.sources.networks.unread import NetworkUnread

__all__ = ["NetworkUnread", "read_networks"]
