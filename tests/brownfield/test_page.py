"""The five commonest shapes: what the plan says of them stands in the docs as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.brownfield.page import PAGE, recorded
from tests.brownfield.shop import Shop
from tests.brownfield.vendors import SHAPES, vendor_of

pytestmark = pytest.mark.emulator
FEWEST = {
    "launch-wizard": (6, 4),
    "terraform-web-preset": (6, 4),
    "hetzner-console": (4, 3),
    "digitalocean-ten-ports": (14, 14),
    "google-default-network": (9, 7),
}
"""Rules of the account that an expert leaves, first and later. The new firewall of DigitalOcean
lets in SSH, ten ports, and private networks by three rules."""


def test_the_recorded_plans_are_what_the_command_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    page = PAGE.read_text()
    assert recorded(page) == page, "python -m tests.brownfield.page"


@pytest.mark.parametrize("shape", sorted(FEWEST))
def test_a_common_shape_is_left_as_an_expert_would(
    shape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with vendor_of(SHAPES / shape) as vendor:
        for name, value in vendor.environment.items():
            monkeypatch.setenv(name, value)
        shop = Shop(SHAPES / shape, vendor, tmp_path / "shop")
        assert shop.apply("adopt attach")[0] == 0
        assert len(vendor.shown()) == FEWEST[shape][0]
        assert not shop.plan().has_changes
        shop.now = "config-2.toml"
        assert shop.apply("now")[0] == 0
        assert len(vendor.shown()) == FEWEST[shape][1]
        assert not shop.plan().has_changes
