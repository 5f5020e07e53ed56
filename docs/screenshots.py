"""Takes the pictures of the pages in the documentation, with Debian's chromium: the report and a
path at the width of a phone, a laptop and a sheet of paper.

`python docs/screenshots.py` in a checkout with the development dependencies.
"""

from __future__ import annotations

import base64
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from demo_world import shop

DOCS = Path(__file__).parent
WIDTHS = {
    "phone": (390, "screen", "light"),
    "laptop": (1280, "screen", "dark"),
    "print": (794, "print", "light"),
}
PAGES = {
    "report": ("report", "--out"),
    "path": ("explain", "5432", "--html", "--out"),
    "audit": ("audit", "--output", "html", "--fail-on", "none", "--out"),
}
_HIGHEST = 1600


def browser(profile: str) -> Any:
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("headless=new", "no-sandbox", "disable-gpu", f"user-data-dir={profile}"):
        options.add_argument(f"--{argument}")
    return Chrome(options=options, service=Service(executable_path=shutil.which("chromedriver")))


def main() -> None:
    """Write `docs/pictures/PAGE-WIDTH.webp`."""
    (DOCS / "pictures").mkdir(exist_ok=True)
    with shop(84) as machine, tempfile.TemporaryDirectory() as profile:
        machine.types("apply", "--auto-approve", "--quiet", "--allow-attach", "web")
        machine.by_hand("22", "80", "5432", "8080")
        files = {name: machine.folder / f"{name}.html" for name in PAGES}
        for name, words in PAGES.items():
            machine.types(*words, str(files[name]))
        driver = browser(profile)
        try:
            for name, file in files.items():
                for kind, (width, media, scheme) in WIDTHS.items():
                    picture = taken(driver, file, width, media, scheme)
                    (DOCS / "pictures" / f"{name}-{kind}.webp").write_bytes(picture)
        finally:
            driver.quit()


def taken(driver: Any, file: Path, width: int, media: str, scheme: str) -> bytes:
    """The whole page, at most 1,600 pixels of it."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.get(file.as_uri())
    driver.execute_script(
        "document.querySelectorAll('details').forEach((d, n) => { d.open = n === 0; });"
    )
    if media == "print":  # the margin that a sheet of paper has
        driver.execute_script("document.body.style.padding = '2rem'")
    end = driver.execute_script("return document.body.getBoundingClientRect().bottom")
    height = min(int(end) + 1, _HIGHEST)
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    wanted = {"format": "webp", "quality": 70, "clip": clip, "captureBeyondViewport": True}
    return base64.b64decode(driver.execute_cdp_cmd("Page.captureScreenshot", wanted)["data"])


if __name__ == "__main__":
    main()
