"""Records the pictures of the README and the documentation from a real run: a Compose file, and the
firewall at the double of Hetzner's API. `tests/cli/test_pictures.py` holds them to what is printed.

`python docs/picture.py` in a checkout with the development dependencies.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.doubles.hetzner import HetznerDouble  # noqa: E402 - found only once the checkout is in the path

COMPOSE = """\
name: shop
services:
  web:
    ports: ["80:80", "443:443", "443:443/udp"]
  db:
    ports: ["5432:5432"]
  admin:
    ports: ["127.0.0.1:8081:80"]
"""
CONFIGURATION = """\
version = 1
owner = "shop-prod"
state = "file://{folder}/state"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
[providers.hetzner]
token = {{ env = "HCLOUD_TOKEN" }}
endpoint = "{endpoint}"
[hosts.web-1]
compose = ["compose.yaml"]
[firewalls.web]
provider = "hetzner"
hosts = ["web-1"]
servers = ["web-1"]
"""
COLUMNS = 84
ANYWHERE = ["0.0.0.0/0", "::/0"]
PICTURES = {
    "discover": ("discover",),
    "plan": ("plan",),
    "apply": ("apply", "--auto-approve"),
    "status": ("status",),
    "explain": ("explain", "8080"),
    "exposure": ("exposure",),
}
"""Names of pictures and what is typed for each, in this order."""


def pictures() -> dict[str, str]:
    """Every picture by the name of its file, recorded now."""
    with HetznerDouble() as cloud, tempfile.TemporaryDirectory() as folder:
        cloud.add_server("web-1")
        (Path(folder) / "compose.yaml").write_text(COMPOSE)
        (Path(folder) / "cloudsync.toml").write_text(
            CONFIGURATION.format(folder=folder, endpoint=cloud.endpoint)
        )
        environment = {**os.environ, "HCLOUD_TOKEN": cloud.token, "COLUMNS": str(COLUMNS)}
        environment |= {"CLOUDSYNC_CONFIG": f"{folder}/cloudsync.toml", "NO_COLOR": ""}

        def types(*words: str) -> str:
            command = [sys.executable, "-m", "cloudsync", *words]
            return subprocess.run(  # noqa: S603 - words of this file
                command, cwd=folder, env=environment, capture_output=True, text=True, check=True
            ).stdout

        types("apply", "--auto-approve", "--quiet", "--allow-attach", "web")
        (made,) = cloud.firewalls
        rules = [
            {"direction": "in", "protocol": "tcp", "port": port, "source_ips": ANYWHERE}
            for port in ("22", "80", "8080")
        ]
        cloud.set_rules_by_hand(made, rules)
        return {
            f"{name}.svg": _picture(name, words, types(*words, "--color", "always"))
            for name, words in PICTURES.items()
        }


def _picture(name: str, words: tuple[str, ...], screen: str) -> str:
    """What a terminal shows, as SVG; without what differs from run to run."""
    screen = re.sub(r"20\d\d-\d\d-\d\d( \d\d:\d\d)?", _same, screen)
    screen = re.sub(r"\d{8}T\d{6}-[0-9a-f]{6}", "20260301T031007-5eed01", screen)
    screen = re.sub(r", by \S+ \(", ", by deploy (", screen)
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text.from_ansi(f"$ cloudsync {' '.join(words)}\n{screen}"))
    picture = console.export_svg(title="cloudsync", unique_id=name)
    # Fonts and the name of the tool are links to other sites.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    picture = re.sub(r"\s*<!-- Generated with Rich.*?-->", "", picture, flags=re.DOTALL)
    return picture.replace("Fira Code, monospace", "ui-monospace, monospace")


def _same(moment: re.Match[str]) -> str:
    return "2026-03-01 03:10"[: len(moment[0])]


def main() -> None:
    """Write the pictures to `docs/`."""
    for name, picture in pictures().items():
        (ROOT / "docs" / name).write_text(picture)


if __name__ == "__main__":
    main()
