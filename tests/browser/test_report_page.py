"""The report in a real browser: it filters, prints, fits a phone, and stays quick and
accessible."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from cloudsync.audit.findings import Finding
from cloudsync.audit.report import Audit
from cloudsync.model.plan import Granted, Plan
from cloudsync.planning.path import Hop
from cloudsync.planning.path import Path as Way
from cloudsync.planning.status_table import StatusRow
from cloudsync.render.html import audit_page, path_page
from cloudsync.render.html.report_page import page
from cloudsync.render.report import Report

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromium-driver"),
]
WEB = StatusRow(
    "web", "cloud", ("web-1",), "tcp", "443", ("0.0.0.0/0", "::/0"), "open", ("shop/web",), "asked"
)


def report(*rows: StatusRow) -> Report:
    return Report(
        created=datetime(2026, 11, 28, 12, 0, tzinfo=UTC),
        owner="shop",
        tool_version="1.0",
        rows=rows,
        hosts=(("web-1", "complete", ""), ("web-2", "failed", "no answer")),
        machines=(("web-1", "web", True), ("web-3", "web", False)),
        audit=Audit(
            (
                Finding("CS002", "critical", "web-1", "shop/db", "publishes 5432/tcp"),
                Finding("CS046", "note", "web-1", "ufw", "could not be looked at"),
            ),
            (),
        ),
        ways={WEB: WAY},
        runs=({"id": "1a2b", "started": "2026-11-28T11:00", "why": "watch", "outcome": "done"},),
    )


WAY = (
    Hop("internet", "Internet", "open"),
    Hop("cloud", "cloud firewall web", "open", "tcp/443 from everyone"),
    Hop("host", "host table web-1-host", "closed", "no rule lets it in"),
    Hop("engine", "engine of web-1", "unknown", "it was not read: no answer"),
    Hop("container", "shop/web", "open"),
)
STATES = report(
    WEB,
    replace(WEB, ports="8080", state="closes", needed_by=(), reason="nothing requires it"),
    replace(WEB, ports="5432", state="refused", needed_by=("shop/db",), reason="sensitive"),
    replace(
        WEB,
        ports="9000",
        state="held",
        reason="grace",
        until=datetime(2026, 11, 28, 13, tzinfo=UTC),
    ),
    replace(WEB, ports="3389", state="beyond", needed_by=(), reason="group old"),
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    profile = tmp_path_factory.mktemp("profile")
    for argument in ("headless=new", "no-sandbox", "disable-gpu", f"user-data-dir={profile}"):
        options.add_argument(f"--{argument}")
    driver = Chrome(options=options, service=Service(executable_path=str(DRIVER)))
    try:
        yield driver
    finally:
        driver.quit()


def opened(browser: Any, folder: Path, shown: Report, width: int = 1200) -> Any:
    path = folder / "report.html"
    path.write_text(page(shown))
    browser.set_window_size(width, 900)
    browser.get(path.as_uri())
    return browser


def ports(browser: Any) -> list[str]:
    rows = browser.find_elements("css selector", "tr[data-state] th")
    return [row.text for row in rows if row.is_displayed()]


def test_words_and_states_filter_the_rows(browser: Any, tmp_path: Path) -> None:
    opened(browser, tmp_path, STATES)
    assert len(ports(browser)) == 5
    words = browser.find_element("id", "words")
    words.send_keys("shop/db 5432")
    assert [port for port in ports(browser) if "5432" in port] == ports(browser) != []
    assert browser.find_element("id", "shown").text == "1 of 5"
    words.clear()
    words.send_keys(" ")
    browser.find_element("css selector", "[value=refused]").click()
    assert not any("5432" in port for port in ports(browser))


def barriers(browser: Any) -> list[str]:
    """What axe-core finds on the page that is open, whatever is folded unfolded."""
    browser.execute_script(
        "document.querySelectorAll('details').forEach(one => { one.open = true; });"
    )
    browser.execute_script((files("axe_core_python") / "axe.min.js").read_text())
    return list(
        browser.execute_async_script(
            "const done = arguments[0]; axe.run().then(r => done(r.violations.map(v => v.id + ': '"
            " + v.nodes.map(n => n.html + ' ' + n.failureSummary).join(' | '))));"
        )
    )


def look(browser: Any, media: str, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})


def plan() -> Plan:
    return Plan("1.0", datetime(2026, 11, 28, 12, 0, tzinfo=UTC), "shop", Granted(), (), ())


PAGES = {
    "report": lambda: page(STATES),
    "path": lambda: path_page.page(plan(), [("443/tcp", [Way("web-1", WAY)])]),
    "audit": lambda: audit_page.page(STATES.audit or Audit((), ())),
}


@pytest.mark.parametrize(
    ("width", "scheme", "media"),
    [
        (400, "light", "screen"),
        (400, "dark", "screen"),
        (1200, "light", "screen"),
        (1200, "dark", "screen"),
        (800, "light", "print"),
        (800, "dark", "print"),
    ],
)
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_barrier(
    browser: Any, tmp_path: Path, name: str, width: int, scheme: str, media: str
) -> None:
    look(browser, media, scheme)
    path = tmp_path / f"{name}.html"
    path.write_text(PAGES[name]())
    browser.set_window_size(width, 900)
    browser.get(path.as_uri())
    try:
        assert barriers(browser) == []
    finally:
        look(browser, "", "light")


@pytest.mark.parametrize("name", PAGES)
def test_no_page_is_wider_than_a_phone_or_breaks_its_policy(
    browser: Any, tmp_path: Path, name: str
) -> None:
    path = tmp_path / f"{name}.html"
    path.write_text(PAGES[name]())
    browser.get_log("browser")
    browser.set_window_size(500, 900)
    browser.get(path.as_uri())
    sizes = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    inside, window = browser.execute_script(sizes)
    assert inside <= window
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def timed(browser: Any, folder: Path, shown: Report) -> dict[str, float]:
    """Opens it, filters it for one machine; the browser's own seconds by what it did."""
    browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    opened(browser, folder, shown)
    browser.execute_script(
        "const box = document.getElementById('words'); box.value = 'web-77';"
        "box.dispatchEvent(new Event('input', {bubbles: true}));"
        "document.body.getBoundingClientRect()"
    )
    measured = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    browser.execute_cdp_cmd("Performance.disable", {})
    return {metric["name"]: metric["value"] for metric in measured}


def test_two_hundred_machines_are_shown_and_filtered_quickly(browser: Any, tmp_path: Path) -> None:
    """Ten ports each, with their paths, and a row a machine in the table of machines."""
    rows = [
        replace(WEB, machines=(f"web-{number}",), ports=str(port))
        for number in range(200)
        for port in range(440, 450)
    ]
    shown = replace(
        report(*rows),
        ways=dict.fromkeys(rows, WAY),
        machines=tuple((f"web-{number}", "web", True) for number in range(200)),
    )
    seconds = timed(browser, tmp_path, shown)
    assert browser.find_element("id", "shown").text == "10 of 2000"
    assert len(browser.find_elements("css selector", "tr[data-machine]")) == 200
    assert seconds["ScriptDuration"] < 1.0  # of the browser's own thread, others do not count
    assert seconds["LayoutDuration"] + seconds["RecalcStyleDuration"] < 3.0


def test_the_page_is_not_wider_than_a_phone(browser: Any, tmp_path: Path) -> None:
    opened(browser, tmp_path, STATES, 500)
    sizes = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    inside, window = browser.execute_script(sizes)
    assert inside <= window


def test_it_prints(browser: Any, tmp_path: Path) -> None:
    import base64

    opened(browser, tmp_path, STATES)
    assert base64.b64decode(browser.print_page()).startswith(b"%PDF-")


def test_nothing_of_the_page_breaks_its_own_policy(browser: Any, tmp_path: Path) -> None:
    opened(browser, tmp_path, STATES)
    problems = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert problems == []


def test_a_thousand_machines_take_less_than_a_second_of_scripting(
    browser: Any, tmp_path: Path
) -> None:
    rows = [replace(WEB, machines=(f"web-{number}",)) for number in range(1000)]
    shown = replace(
        report(*rows),
        ways=dict.fromkeys(rows, WAY),
        machines=tuple((f"web-{number}", "web", True) for number in range(1000)),
    )
    seconds = timed(browser, tmp_path, shown)
    assert browser.find_element("id", "shown").text == "11 of 1000"
    assert len(browser.find_elements("css selector", "tr[data-machine]")) == 1000
    assert seconds["ScriptDuration"] < 1.0
