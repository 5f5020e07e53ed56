"""The report: every row has its state and its reason, and every name stays text."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from cloudsync.audit.findings import Finding
from cloudsync.audit.report import Audit
from cloudsync.planning.path import Hop
from cloudsync.planning.status_table import STATES, StatusRow
from cloudsync.render.html.report_page import page
from cloudsync.render.report import Report, document, machine_rows
from cloudsync.watch.status_page import StatusPage

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
WEB = StatusRow(
    "web", "cloud", ("web-1",), "tcp", "443", ("0.0.0.0/0", "::/0"), "open", ("shop/web",), "asked"
)
HELD = replace(WEB, ports="8080", state="held", needed_by=(), reason="grace", until=NOW)
HOSTILE = "<script>alert(1)</script>\u202e\x1b[31m\"'&"


def report(*rows: StatusRow, **more: object) -> Report:
    values: dict[str, object] = {
        "created": NOW,
        "owner": "shop",
        "tool_version": "1.0",
        "rows": rows,
        "hosts": (("web-1", "complete", ""),),
        "machines": (("web-1", "web", True),),
        **more,
    }
    return Report(**values)  # type: ignore[arg-type]


class Elements(HTMLParser):
    """Counts of elements, and every attribute that loads something."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.counts: dict[str, int] = {}
        self.loads: list[str] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.loads += [
            value or ""
            for name, value in attrs
            if name in ("src", "href", "action", "style") and not (value or "").startswith("#")
        ]


def test_the_page_has_a_row_for_each_port_and_loads_nothing() -> None:
    content = page(report(WEB, HELD))
    elements = Elements(content)
    assert elements.loads == []
    assert content.count("data-state=") == 2
    assert "443/tcp" in content or "tcp/443" in content
    assert "until 2026-11-28 12:00 UTC" in content


def test_style_and_script_are_allowed_by_their_hashes_only() -> None:
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page(report(WEB)))
    assert "default-src &#39;none&#39;" in policy or "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert policy.count("sha256-") == 2


@pytest.mark.parametrize("field", ["firewall", "reason", "protocol"])
def test_hostile_names_stay_text(field: str) -> None:
    plain_page = Elements(page(report(WEB))).counts
    content = page(report(replace(WEB, **{field: HOSTILE}), owner=HOSTILE))
    assert Elements(content).counts == plain_page
    assert "\x1b" not in content
    assert "\u202e" not in content


def test_hostile_machines_findings_and_hosts_stay_text_too() -> None:
    finding = Finding("CS001", "high", HOSTILE, HOSTILE, HOSTILE)
    content = page(
        report(
            replace(WEB, machines=(HOSTILE,), needed_by=(HOSTILE,)),
            audit=Audit((finding,), ()),
            hosts=((HOSTILE, "failed", HOSTILE),),
            warnings=(HOSTILE,),
            runs=({"id": HOSTILE, "why": HOSTILE},),
        )
    )
    assert "<script>alert" not in content
    assert Elements(content).counts["script"] == 1


def test_the_way_of_a_port_is_on_the_page_with_what_decides() -> None:
    way = (
        Hop("internet", "Internet", "open"),
        Hop("cloud", "cloud firewall web", "open", "443/tcp from everyone"),
        Hop("host", "host table web-1-host", "closed", "no rule lets it in"),
        Hop("container", HOSTILE, "unknown", HOSTILE),
    )
    content = page(report(WEB, ways={WEB: way}))
    for words in ("443/tcp from everyone", "✓ lets it through", "✗ stops it", "? not known"):
        assert words in content
    assert "<script>alert" not in content
    assert "\u202e" not in content


def test_machines_with_most_to_see_to_come_first() -> None:
    rows = machine_rows(
        report(
            replace(WEB, machines=("calm",)),
            replace(WEB, machines=("open",), state="beyond"),
            machines=(("calm", "web", True), ("bare", "web", False), ("open", "web", True)),
            audit=Audit((Finding("CS002", "high", "calm", "db", "x"),), ()),
        )
    )
    assert [(row.name, row.findings) for row in rows] == [("bare", 0), ("open", 0), ("calm", 1)]


def test_law8_what_was_not_read_and_what_is_not_protected_is_said() -> None:
    content = page(
        report(hosts=(("web-2", "failed", "no answer"),), machines=(("web-3", "web", False),))
    )
    assert "was not read completely: no answer" in content
    assert "no firewall acts on it" in content


def test_the_document_counts_every_state() -> None:
    ways = {WEB: (Hop("internet", "Internet", "open"),)}
    shown = json.loads(json.dumps(document(report(WEB, HELD, ways=ways))))
    assert shown["counts"] == {**dict.fromkeys(STATES, 0), "open": 1, "held": 1}
    assert shown["rows"][0]["path"][0]["verdict"] == "open"


def test_looking_twice_within_a_minute_makes_the_page_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moments = iter((0.0, 59.0, 60.0))
    status = StatusPage(lambda: pytest.fail("not read here"), lambda: next(moments))
    made = iter(("first", "second"))
    monkeypatch.setattr(status, "_made", lambda: next(made))
    assert [status.current() for _ in range(3)] == ["first", "first", "second"]
