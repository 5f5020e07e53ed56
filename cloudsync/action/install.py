"""Install cloudsync for the action's other steps. Runs before anything is installed: the standard
library only, and by its path.

The inputs come as variables (`CLOUDSYNC_VERSION`, `CLOUDSYNC_EXTRAS`, `CLOUDSYNC_INSTALL`) and
become words of an argument list; no shell sees them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

DISTRIBUTION = "cloudsync-firewall"
OLDEST = (3, 11)
_VERSION = re.compile(r"[0-9][0-9A-Za-z.!+]{0,63}")
_EXTRAS = re.compile(r"[a-z][a-z0-9-]{0,39}(,[a-z][a-z0-9-]{0,39}){0,19}")


class InstallError(Exception):
    """The action cannot be set up; one line for the person who wrote the workflow."""


def requirement(version: str, extras: str, action: Path) -> str:
    """What the installer is asked for: the code of the action itself, or a released version. Raises
    `InstallError`."""
    if extras and not _EXTRAS.fullmatch(extras):
        raise InstallError(
            "the input extras must be names such as aws or hetzner, with commas between them"
        )
    if version and not _VERSION.fullmatch(version):
        raise InstallError(
            "the input version must be a released version such as 1.2.0; empty is the code of the"
            " action itself"
        )
    suffix = f"[{extras}]" if extras else ""
    return f"{DISTRIBUTION}{suffix}=={version}" if version else f"{action}{suffix}"


def commands(environ: Mapping[str, str], folder: Path) -> list[list[str]]:
    """The argument lists that make a virtual environment in `folder` and install into it. Raises
    `InstallError`."""
    action = Path(environ["GITHUB_ACTION_PATH"]).resolve()
    wanted = requirement(
        environ.get("CLOUDSYNC_VERSION", ""),
        environ.get("CLOUDSYNC_EXTRAS", "").replace(" ", ""),
        action,
    )
    python = str(folder / "bin" / "python")
    # The versions that were tested hold for the action's own code; a released version brings its
    # own ranges.
    pinned = (
        []
        if environ.get("CLOUDSYNC_VERSION")
        else ["--constraint", str(action / "constraints.txt")]
    )
    match environ.get("CLOUDSYNC_INSTALL", "pip"):
        case "pip":
            pip = [
                python,
                "-I",
                "-m",
                "pip",
                "--disable-pip-version-check",
                "--no-input",
                "install",
                "--quiet",
            ]
            # -I: a file venv.py or logging.py of the checkout is not the standard library's.
            make = [sys.executable, "-I", "-m", "venv", str(folder)]
            if not pinned:
                return [make, [*pip, wanted]]
            # pip does not hold what it builds with to the constraints: that is installed first.
            return [
                make,
                [*pip, *pinned, "hatchling"],
                [*pip, *pinned, "--no-build-isolation", wanted],
            ]
        case "uv":
            if (uv := shutil.which("uv")) is None:
                raise InstallError(
                    "the input install is uv, but there is no uv: add a step with"
                    " astral-sh/setup-uv before"
                )
            built = ["--build-constraint", pinned[1]] if pinned else []
            return [
                [uv, "venv", "--quiet", "--python", sys.executable, str(folder)],
                [uv, "pip", "install", "--quiet", "--python", python, *pinned, *built, wanted],
            ]
        case _:
            raise InstallError("the input install must be pip, uv or none")


def main(environ: Mapping[str, str]) -> int:
    """Install, and hand the interpreter on as the output `python`; the exit code."""
    try:
        if sys.version_info < OLDEST:
            raise InstallError(
                f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed: set the input python-version"
            )
        if environ.get("CLOUDSYNC_INSTALL") == "none":
            python = sys.executable
        else:
            folder = Path(environ["RUNNER_TEMP"]).resolve() / "cloudsync-venv"
            for words in commands(environ, folder):
                if subprocess.run(words, check=False, stdin=subprocess.DEVNULL).returncode != 0:  # noqa: S603 - checked words
                    raise InstallError("cloudsync could not be installed; the lines above say why")
            python = str(folder / "bin" / "python")
    except InstallError as error:
        print(f"::error title=cloudsync::{error}")
        return 64
    with Path(environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as outputs:
        outputs.write(f"python={python}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
