"""How this cloudsync was installed, and the command that adds a provider's library to it."""

from __future__ import annotations

import re
import shlex
import sys
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

DISTRIBUTION = "cloudsync-firewall"
_IMAGE = "/opt/cloudsync"
"""Where the image of the Dockerfile has it, without pip."""
_EXTRA = re.compile(r"""^([A-Za-z0-9._\[\],-]+).*extra\s*==\s*['"]([a-z]+)['"]""")


def packages_of(extra: str) -> tuple[str, ...]:
    """The packages that an extra of this distribution stands for; empty if it is not known."""
    try:
        lines = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return ()
    matches = (_EXTRA.match(line) for line in lines)
    return tuple(match[1] for match in matches if match is not None and match[2] == extra)


def _pipx_home(prefix: Path) -> str:
    """`PIPX_HOME=/opt/pipx `, if the environment is not where pipx looks by itself."""
    home = prefix.parent.parent
    usual = (Path(".local/pipx"), Path(".local/share/pipx"))
    if home in (Path.home() / path for path in usual):
        return ""
    return f"PIPX_HOME={shlex.quote(str(home))} "


def install_command(extra: str | None, sdk: str, prefix: str = sys.prefix) -> str:
    """What to type to have the library: by pipx, uv, in the image, or by pip. `extra`: of this
    distribution; None for a stranger's plugin. `sdk`: the import package that is missing."""
    packages = packages_of(extra) if extra is not None else ()
    wanted = shlex.join(packages or (sdk,))
    own = f"{DISTRIBUTION}[{extra}]" if extra is not None else sdk
    if (Path(prefix) / "pipx_metadata.json").is_file():
        return f"{_pipx_home(Path(prefix))}pipx inject {DISTRIBUTION} {wanted}"
    if (Path(prefix) / "uv-receipt.toml").is_file():
        return (
            f"uv tool install {DISTRIBUTION}"
            f" {' '.join(f'--with {name}' for name in packages or (sdk,))}"
        )
    if prefix == _IMAGE and not (Path(prefix) / "bin" / "pip").exists():
        return f"build the image with --build-arg EXTRAS={extra or 'all'}"
    python = "python3" if prefix == sys.base_prefix else str(Path(prefix) / "bin" / "python")
    return f"{shlex.quote(python)} -m pip install {shlex.quote(own)}"
