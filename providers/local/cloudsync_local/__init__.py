"""The provider `local`: a firewall kept in a JSON file. The embedded default, and the reference for
plugin authors.

Read `plugin.py` first (what the plugin is), then `file.py` (how its firewall is kept).
"""

from __future__ import annotations

from cloudsync_local.plugin import LocalProvider

provider = LocalProvider()
