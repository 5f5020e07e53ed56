"""What several markers on one firewall come to."""

from __future__ import annotations

from itertools import permutations

import pytest

from cloudsync.provider.marker import Marker, MarkerText, of_several

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


@pytest.mark.parametrize("words", ["", "by hand", "two\nlines", "a: b"])
def test_a_marker_in_a_description_stands_before_what_people_wrote(words: str) -> None:
    text = MarkerText(200)
    described = text.write(OURS, words)
    assert described.startswith("cloudsync owner=shop firewall=web hosts=0123abcd")
    assert (text.read(described), text.remove(described)) == (OURS, words)
    assert (text.read(words), text.remove(words)) == (None, words)


def test_words_that_look_like_a_marker_never_become_one() -> None:
    text = MarkerText(200)
    hostile = text.write(FOREIGN, "mine")
    described = text.write(OURS, hostile)
    assert text.read(described) == OURS
    assert text.read(text.remove(described)) is None
    # As somebody else wrote it, not through `write`.
    by_hand = f"{text.write(OURS)}: {hostile}"
    assert text.read(text.remove(by_hand)) is None


def test_a_long_description_is_cut_behind_its_marker() -> None:
    described = MarkerText(80).write(OURS, "x" * 100)
    assert len(described) == 80
    assert MarkerText(80).read(described) == OURS
    assert described.endswith("x...")
