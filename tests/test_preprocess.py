import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from segscape.preprocess import Preprocess

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.parametrize(
    ("rgb", "mean", "std", "seen"),
    [
        ((0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), (-1, -1, -1)),
        ((255, 255, 255), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), (1, 1, 1)),
        ((255, 0, 51), (0, 0, 0), (1, 1, 1), (1, 0, 0.2)),
        ((255, 0, 51), *IMAGENET, ((1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225)),
    ],
)
def test_values_are_normalised_in_rgb_order(rgb, mean, std, seen):
    x = Preprocess(mean, std).batch(np.array([[rgb]], np.uint8))
    assert x.shape == (1, 3, 1, 1)
    assert x.dtype == np.float32
    np.testing.assert_allclose(x[0, :, 0, 0], seen, atol=1e-6)


def test_rows_columns_and_channels_keep_their_place():
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    x = Preprocess((0, 0, 0), (1, 1, 1)).batch(pixels)
    np.testing.assert_allclose(x[0] * 255, pixels.transpose(2, 0, 1), atol=1e-4)
    assert x.flags.c_contiguous
    flipped = Preprocess((0, 0, 0), (1, 1, 1)).batch(pixels, flip=True)
    np.testing.assert_array_equal(flipped, x[..., ::-1])
    assert flipped.flags.c_contiguous
    np.testing.assert_array_equal(pixels.ravel(), np.arange(18))


@pytest.mark.parametrize(
    ("size", "long_side", "zoom", "seen"),
    [
        ((480, 640), None, 1.0, (480, 640)),
        ((480, 640), 320, 1.0, (240, 320)),
        ((480, 640), 1280, 1.0, (960, 1280)),
        ((640, 480), 320, 1.0, (320, 240)),
        ((480, 640), 320, 0.75, (180, 240)),
        ((480, 640), None, 1.25, (600, 800)),
        ((1, 1), None, 0.75, (1, 1)),
        ((1, 1), 600, 1.0, (600, 600)),
        ((1, 5000), 600, 1.0, (1, 600)),
        ((5000, 1), 600, 0.75, (450, 1)),
    ],
)
def test_size_that_the_network_sees(size, long_side, zoom, seen):
    preprocess = Preprocess(long_side=long_side)
    assert preprocess.network_size(size, zoom) == seen
    assert preprocess.batch(np.zeros((*size, 3), np.uint8), zoom=zoom).shape == (1, 3, *seen)


@pytest.mark.parametrize(
    ("size", "preprocess", "zoom", "seen"),
    [
        ((40, 60), Preprocess(zoom=1.5), 1.0, (60, 90)),
        ((40, 60), Preprocess(zoom=1.5), 2.0, (120, 180)),
        ((40, 60), Preprocess(long_side=30, zoom=2.0), 1.0, (40, 60)),
        ((40, 60), Preprocess(short_side=20), 1.0, (20, 30)),
        ((60, 40), Preprocess(short_side=20), 1.0, (30, 20)),
        ((40, 61), Preprocess(short_side=20), 1.0, (20, 30)),  # 30.5 rounded down
        ((40, 60), Preprocess(short_side=80, long_side=90), 1.0, (60, 90)),
        ((40, 60), Preprocess(short_side=20, zoom=1.5), 1.0, (30, 45)),
        ((40, 60), Preprocess(short_side=20), 0.5, (10, 15)),
        ((1, 5000), Preprocess(short_side=800, long_side=1333), 1.0, (1, 1333)),
    ],
)
def test_size_by_short_side_and_zoom(size, preprocess, zoom, seen):
    assert preprocess.network_size(size, zoom) == seen
    assert preprocess.batch(np.zeros((*size, 3), np.uint8), zoom=zoom).shape == (1, 3, *seen)


@settings(deadline=None)
@given(height=st.integers(1, 900), width=st.integers(1, 900))
def test_the_short_side_is_brought_to_torchvisions_size(height, width):
    theirs = GeneralizedRCNNTransform(80, 133, [0.0] * 3, [1.0] * 3)
    assume(min(height, width) * 133 >= max(height, width))  # they make pictures without a pixel of narrower ones
    resized, _ = theirs.resize(torch.zeros(3, height, width), None)
    theirs.eval()
    assert Preprocess(long_side=133, short_side=80).network_size((height, width)) == tuple(resized.shape[1:])


def test_a_photo_enlarged_by_its_short_side_is_torchvisions():
    pixels = np.random.default_rng(0).integers(0, 256, (30, 44, 3), np.uint8)
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    expected = torch.nn.functional.interpolate(x, scale_factor=40 / 30, mode="bilinear", recompute_scale_factor=True)
    seen = Preprocess((0, 0, 0), (1, 1, 1), long_side=100, short_side=40).batch(pixels)
    np.testing.assert_allclose(seen, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 5000), (5000, 1), (64, 5000)])
def test_shrinking_averages_and_never_skips_pixels(shape):
    # A stripe in each tenth pixel: skipping pixels would see all of them or none.
    pixels = np.zeros((*shape, 3), np.uint8)
    (pixels if shape[0] > shape[1] else pixels.swapaxes(0, 1))[::10] = 250
    x = Preprocess((0, 0, 0), (1, 1, 1), long_side=500).batch(pixels) * 255
    np.testing.assert_allclose(x, 25, atol=1.01)


def test_enlarging_is_smooth():
    pixels = np.zeros((1, 2, 3), np.uint8)
    pixels[0, 1] = 200
    x = Preprocess((0, 0, 0), (1, 1, 1), long_side=8).batch(pixels)[0, 0, 0] * 255
    assert (np.diff(x) >= 0).all()
    assert len(np.unique(x)) > 2


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    long_side=st.none() | st.integers(1, 60),
    zoom=st.sampled_from([0.75, 1.0, 1.25]),
    flip=st.booleans(),
)
def test_any_size_gives_what_network_size_says(height, width, long_side, zoom, flip):
    preprocess = Preprocess(long_side=long_side)
    x = preprocess.batch(np.full((height, width, 3), 51, np.uint8), zoom=zoom, flip=flip)
    assert x.shape == (1, 3, *preprocess.network_size((height, width), zoom))
    np.testing.assert_allclose(x, -0.6, atol=1e-6)
