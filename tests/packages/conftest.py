"""The distributions, built once: the sdist from the checkout, and the wheel from the sdist, as a
packager would."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


def build(source: Path, target: str, folder: Path) -> Path:
    words = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(words, cwd=source, check=True, capture_output=True, timeout=110)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="session")
def wheel_path(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    # Not tarfile: Debian 12's Python 3.11.2 has no filter for what it extracts.
    subprocess.run(["tar", "-xf", str(sdist), "-C", str(folder)], check=True, timeout=60)
    (source,) = folder.iterdir()
    return build(source, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def wheel(wheel_path: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(wheel_path)


class Environment:
    """A fresh virtual environment with nothing in it but what is installed by `install`, and what
    `with_extra` lays beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "venv"
        subprocess.run(
            [sys.executable, "-m", "venv", "--without-pip", str(self.folder)],
            check=True,
            timeout=60,
        )
        (self.site,) = self.folder.glob("lib/python3.*/site-packages")

    def install(self, *wheels: Path) -> None:
        words = [
            "--python",
            str(self.folder / "bin" / "python"),
            "--disable-pip-version-check",
            "install",
            "--quiet",
        ]
        words += ["--no-deps", "--no-index", "--no-warn-script-location", *map(str, wheels)]
        subprocess.run(
            [sys.executable, "-m", "pip", *words], check=True, timeout=110, capture_output=True
        )

    def with_requirements_of(self, extra: str, folder: Path) -> None:
        """Exactly what `pip install 'cloudsync-firewall[extra]'` would bring, out of the
        environment of the tests: nothing is fetched."""
        for name in closure("cloudsync-firewall", extra) - {"cloudsync-firewall"}:
            found = distribution(name)
            for file in found.files or ():
                if ".." in file.parts or file.parts[0] == "bin":
                    continue
                link = folder / file
                link.parent.mkdir(parents=True, exist_ok=True)
                if not link.exists():
                    link.symlink_to(found.locate_file(file))
        (self.site / "requirements.pth").write_text(f"{folder}\n")

    def types(self, *words: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
        """A command of the environment, typed somewhere else than in the checkout."""
        return subprocess.run(
            [str(self.folder / "bin" / words[0]), *words[1:]],
            cwd=cwd,
            env={"HOME": str(cwd), "PATH": "/usr/bin:/bin", **environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
        )


def closure(name: str, extra: str = "") -> set[str]:
    """The distributions that `name[extra]` needs, by the metadata of those that are installed."""
    found: set[str] = set()
    todo = [(name, extra)]
    while todo:
        one, wanted = todo.pop()
        found.add(one)
        for text in distribution(one).requires or ():
            requirement = Requirement(text)
            if requirement.marker is not None and not requirement.marker.evaluate(
                {"extra": wanted}
            ):
                continue
            for more in (
                (requirement.extras or {""})
                if requirement.name not in found or requirement.extras
                else ()
            ):
                if (requirement.name, more) != (one, wanted):
                    todo.append((requirement.name, more))
            found.add(requirement.name)
    return found


@pytest.fixture(scope="session")
def environment(wheel_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    made = Environment(tmp_path_factory.mktemp("fresh"))
    made.install(wheel_path)
    return made
