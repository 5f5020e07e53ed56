"""What several markers on one firewall come to."""

from __future__ import annotations

from itertools import permutations

import pytest

from cloudsync.provider.marker import Marker, of_several

OURS = Marker("shop", "web", "0123abcd")
OTHER_HOSTS = Marker("shop", "web", "89abcdef")
FOREIGN = Marker("bank", "web", "0123abcd")


@pytest.mark.parametrize(
    ("markers", "together"),
    [
        ((), None),
        ((OURS, OURS), OURS),
        ((OURS, OTHER_HOSTS), OTHER_HOSTS),
        ((OURS, OTHER_HOSTS, None), None),
        ((OURS, None, FOREIGN), FOREIGN),
    ],
)
def test_the_marker_that_fits_least_stands_for_all(
    markers: tuple[Marker | None, ...], together: Marker | None
) -> None:
    for order in permutations(markers):
        assert of_several(order, OURS) == together
