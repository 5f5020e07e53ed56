"""The neighbours in a virtual environment of their own: Ansible with its collections for the
clouds, and what draws the charts.

It lies in `.bench/`, is made when it is missing, and is no part of the project's environment.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.recorded import ROOT

VENV = ROOT / ".bench" / "venv"
PACKAGES = ("ansible>=12,<13", "matplotlib>=3.9", "openstacksdk<4.5")
"""The collection for OpenStack asks the SDK for a module that newer ones import no more."""
_COLLECTIONS = {
    "aws": "amazon/aws",
    "digitalocean": "community/digitalocean",
    "gcp": "google/cloud",
    "hetzner": "hetzner/hcloud",
    "openstack": "openstack/cloud",
}
_REAL = "https://compute.googleapis.com"
_FROM_ENVIRONMENT = '__import__("os").environ["GCP_ENDPOINT"]'


def ready() -> None:
    """Make the environment, once. Google's module has the address of the API in its code: it is
    changed to what `GCP_ENDPOINT` says."""
    if (VENV / "ready").exists():
        return
    subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    pip = [
        VENV / "bin" / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    # The SDKs in the versions cloudsync runs with.
    subprocess.run([*pip, *_sdks(), *PACKAGES], check=True)
    module = _collection("gcp") / "plugins" / "modules" / "gcp_compute_firewall.py"
    module.write_text(module.read_text().replace(f'"{_REAL}', f'{_FROM_ENVIRONMENT} + "'))
    (VENV / "ready").touch()


def versions() -> dict[str, str]:
    """What the numbers were measured with."""
    found = {}
    for cloud, name in _COLLECTIONS.items():
        manifest = json.loads((_collection(cloud) / "MANIFEST.json").read_text())
        found[name.replace("/", ".")] = manifest["collection_info"]["version"]
    core = subprocess.run(
        [VENV / "bin" / "ansible", "--version"], capture_output=True, text=True, check=True
    ).stdout
    return {"ansible-core": core.split("core ")[1].split("]")[0], **found}


def _sdks() -> list[str]:
    names = ("boto3", "botocore", "google-auth", "python-dateutil", "requests")
    pins = dict(
        line.strip().split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    )
    return [f"{name}=={pins[name]}" for name in names]


def _collection(cloud: str) -> Path:
    return next(VENV.glob("lib/python*/site-packages/ansible_collections")) / _COLLECTIONS[cloud]
