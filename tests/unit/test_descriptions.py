"""Descriptions that are longer than the vendor takes: cut visibly, and never without their mark."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cloudsync.provider.descriptions import OUR_MARK, fitting
from cloudsync.provider.marker import Marker
from cloudsync_aws.permissions import plain as at_aws
from cloudsync_gcp.vpc_rules import MARKER, MAX_DESCRIPTION
from cloudsync_hetzner.rules import plain as at_hetzner


@given(st.text(max_size=400), st.integers(min_value=40, max_value=300), st.booleans())
def test_a_description_fits_and_says_that_it_was_cut(text: str, most: int, ours: bool) -> None:
    whole = f"{text} {OUR_MARK}" if ours else text
    fitted = fitting(whole, most)
    assert len(fitted) <= most
    if len(whole) <= most:
        assert fitted == whole
    else:
        assert "..." in fitted
        assert fitted.endswith(OUR_MARK) == whole.endswith(OUR_MARK)


def test_every_vendor_keeps_the_mark_of_a_long_description() -> None:
    whole = f"{'shop/web, ' * 300}{OUR_MARK}"
    for written in (at_aws(whole), at_hetzner(whole) or ""):
        assert len(written) <= 255
        assert written.endswith(f"... {OUR_MARK}")
    at_google = MARKER.write(Marker("shop", "web", "01234567"), whole)
    assert len(at_google) <= MAX_DESCRIPTION
    assert at_google.endswith(f"... {OUR_MARK}")
