"""Equal and nearly equal pictures are found; different ones are left alone."""

import io

import numpy as np
import pytest
from PIL import Image

from segscape.data.duplicates import find_shared, fingerprint


def picture(seed, size=(64, 80)):
    """Blobs, so that there is something to recognise: uint8 (H, W, 3)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC))


def as_jpeg(pixels, quality):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


@pytest.mark.parametrize(
    "change",
    [
        lambda x: as_jpeg(x, 40),
        lambda x: np.asarray(Image.fromarray(x).resize((40, 32), Image.Resampling.BILINEAR)),
        lambda x: (x * 0.8 + 30).astype(np.uint8),
        lambda x: np.clip(x.astype(int) + np.random.default_rng(0).integers(-6, 7, x.shape), 0, 255).astype(np.uint8),
    ],
    ids=["JPEG", "smaller", "contrast", "noise"],
)
def test_a_changed_picture_is_near_to_its_own_alone(change):
    a = [fingerprint(picture(i)) for i in range(12)]
    b = [fingerprint(change(picture(i))) for i in range(12)]
    shared = find_shared(a, b, 100)
    assert shared.exact == []
    assert sorted(shared.nearest) == [(i, i) for i in range(12)]
    assert shared.num_near == 12


def test_equal_pictures_are_exact_and_not_near():
    a = [fingerprint(picture(i)) for i in (1, 2, 3)]
    b = [fingerprint(picture(i)) for i in (3, 9, 1, 3)]
    shared = find_shared(a, b)
    assert (sorted(shared.exact), shared.nearest, shared.num_near) == ([(0, 2), (2, 0), (2, 3)], [], 0)


def test_flipped_pictures_and_shapes_are_others():
    a = [fingerprint(picture(1))]
    assert find_shared(a, [fingerprint(picture(1)[:, ::-1])]).num_near == 0
    wide = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert find_shared([fingerprint(wide)], [fingerprint(wide.reshape(4, 1, 3))]).exact == []


def test_one_spot_in_the_dark_is_not_another():
    """Mostly empty pictures agree in nearly all bits of the hash."""
    spots = np.zeros((3, 64, 80, 3), np.uint8)
    for i, spot in enumerate(spots):
        spot[8 + 20 * i : 14 + 20 * i, 10:16] = 255
    prints = [fingerprint(spot) for spot in spots]
    assert np.bitwise_count(prints[0].bits ^ prints[1].bits).sum() < 20
    assert find_shared(prints[:1], prints[1:]).num_near == 0


def test_the_nearest_come_first_and_the_rest_is_counted():
    x = picture(5)
    a = [fingerprint(x)]
    b = [fingerprint(as_jpeg(x, quality)) for quality in (15, 95, 30, 60)]
    assert find_shared(a, b, 2).nearest == [(0, 1), (0, 3)]
    assert find_shared(a, b, 2).num_near == 4


def test_blocks_give_what_one_piece_gives(monkeypatch):
    a = [fingerprint(picture(i)) for i in range(9)]
    b = [fingerprint(as_jpeg(picture(i), 50)) for i in range(7)]
    whole = find_shared(a, b, 100)
    monkeypatch.setattr("segscape.data.duplicates._BLOCK_PAIRS", 15)
    assert find_shared(a, b, 100) == whole


def test_one_colour_has_no_fingerprint_and_nothing_is_shared_with_nothing():
    assert fingerprint(np.full((5, 5, 3), 7, np.uint8)) is None
    assert fingerprint(np.zeros((1, 1, 3), np.uint8)) is None
    assert find_shared([], [fingerprint(picture(0))]).exact == []
