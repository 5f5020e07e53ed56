"""Brook Cloud firewalls for cloudsync."""

from __future__ import annotations

from cloudsync_brook.plugin import BrookProvider

provider = BrookProvider()
