"""An audit as one HTML file: no script, nothing from elsewhere, readable on a phone and on
paper."""

from __future__ import annotations

from datetime import UTC, datetime

from cloudsync import __version__
from cloudsync.audit.catalogue import BY_ID, fix_of
from cloudsync.audit.report import Audit
from cloudsync.render.audit import summary
from cloudsync.render.html.pages import render


def page(audit: Audit) -> str:
    """The whole page; every name in it is text, whatever it contains."""
    hosts = dict.fromkeys(finding.host for finding in audit.findings)
    return render(
        "audit.html",
        style="audit.css",
        summary=summary(audit),
        hosts=[(host, [f for f in audit.findings if f.host == host]) for host in hosts],
        kinds=BY_ID,
        fix=fix_of,
        tool_version=__version__,
        created=datetime.now(UTC),
    )
