"""The example on each provider's page is a configuration that loads, and every provider of the
house has a page."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from cloudsync.config import load
from cloudsync.provider import registry

PAGES = Path(__file__).parents[2] / "docs" / "providers"
NAMES = sorted(page.stem for page in PAGES.glob("*.md"))
AROUND = """version = 1
owner = "shop-prod"
[ssh]
ports = [22]
sources = ["any"]
[policy]
expose = "published"
[hosts.web-1]
ports = ["443/tcp"]
"""


def example(name: str) -> str:
    """The first block of TOML on a page."""
    found = re.search(
        r"^```toml\n(.*?)^```", (PAGES / f"{name}.md").read_text(), re.DOTALL | re.MULTILINE
    )
    assert found is not None, f"{name}.md has no example"
    return found[1]


def test_every_provider_of_the_house_has_a_page() -> None:
    ours = {
        one.name for one in entry_points(group=registry.GROUP) if one.value.startswith("cloudsync_")
    }
    assert {"aws", "digitalocean", "gcp", "hetzner", "local", "openstack"} <= set(NAMES)
    assert set(NAMES) <= ours


@pytest.mark.parametrize("name", NAMES)
def test_the_example_of_a_page_loads(name: str, tmp_path: Path) -> None:
    text = example(name)
    path = tmp_path / "cloudsync.toml"
    path.write_text(AROUND + text)
    configuration = load(path)
    tables = tomllib.loads(text)
    assert {table.provider.type for table in configuration.accounts.values()} == {name}
    assert configuration.firewalls.keys() == tables["firewalls"].keys()


@pytest.mark.parametrize("name", NAMES)
def test_the_page_names_every_key_of_the_provider(name: str) -> None:
    page = (PAGES / f"{name}.md").read_text()
    provider = registry.load(name)
    keys = {*provider.account_settings.model_fields, *provider.firewall_settings.model_fields} - {
        "endpoint"
    }
    assert {key for key in keys if not re.search(rf"\b{key}\b", page)} == set()
