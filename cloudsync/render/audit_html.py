"""An audit as one HTML file: no script, nothing from elsewhere, readable on a phone and on
paper."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape

from cloudsync import __version__
from cloudsync.audit.catalogue import BY_ID, fix_of
from cloudsync.audit.findings import SEVERITIES, Finding
from cloudsync.audit.report import Audit
from cloudsync.render.audit import summary
from cloudsync.render.escape import plain
from cloudsync.render.html.pages import csp_hash

_CSS = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1a1a1a; --line: #8884; --critical: #a30021; --high: #b3400f;
  --medium: #7a5a00; --low: #35618c; --note: #595959; }
@media screen and (prefers-color-scheme: dark) { :root { --paper: #16181b; --ink: #ececec; --critical: #ff8f9f; --high: #ffab7a;
  --medium: #f0cf6b; --low: #9cc7f2; --note: #aaa; } }
body { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
article { border-top: 1px solid var(--line); padding: .75rem 0; break-inside: avoid; }
h3 { font-size: 1rem; margin: 0; } p { margin: .25rem 0; overflow-wrap: anywhere; }
.severity { font-weight: bold; text-transform: uppercase; font-size: .8rem; }
code { font-size: .9em; } footer { margin-top: 2rem; font-size: .85rem; }
@media print { :root { color-scheme: light; --paper: #fff; --ink: #000; } body { max-width: none; font-size: 11pt; } }
"""
_CSS += "".join(f".{s} .severity {{ color: var(--{s}); }}\n" for s in SEVERITIES)


def page(audit: Audit) -> str:
    """The whole file."""
    hosts = dict.fromkeys(finding.host for finding in audit.findings)
    sections = "".join(
        f"<section><h2>{_text(host)}</h2>"
        + "".join(_article(f) for f in audit.findings if f.host == host)
        + "</section>\n"
        for host in hosts
    )
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        f"style-src 'sha256-{csp_hash(_CSS)}'; base-uri 'none'; form-action 'none'\">\n"
        f"<title>cloudsync audit</title>\n<style>{_CSS}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>cloudsync audit</h1>\n<p>{_text(summary(audit))}</p>\n{sections}</main>\n"
        f"<footer>cloudsync {_text(__version__)}, {now}</footer>\n</body>\n</html>\n"
    )


def _article(finding: Finding) -> str:
    kind = BY_ID[finding.id]
    place = (
        f"{finding.file}:{finding.line}" if finding.file and finding.line else finding.file or ""
    )
    parts = [
        f'<p class="severity">{finding.severity}</p>',
        f"<h3>{finding.id} {_text(kind.title)}</h3>",
        f"<p><b>{_text(finding.object)}</b>: {_text(finding.reason)}</p>",
        f"<p><code>{_text(place)}</code></p>" if place else "",
        f"<p>Fix: {_text(fix_of(finding))}</p>",
    ]
    return f'<article class="{finding.severity}">{"".join(parts)}</article>\n'


def _text(value: str) -> str:
    """Harmless: no markup, no control characters, nothing that turns the direction of reading."""
    return escape(plain(value))
