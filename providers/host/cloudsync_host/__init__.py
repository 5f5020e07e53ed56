"""The provider `host`: the allow-list in the machine's own kernel, a table of nftables.

Read `plugin.py` first (what the plugin is), then `layout.py` (the table and why it looks so),
`transaction.py` (how it changes) and `trial.py` (how a change proves itself or goes away).
"""

from __future__ import annotations

from cloudsync_host.plugin import HostProvider

provider = HostProvider()
