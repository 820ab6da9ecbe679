import sys

import numpy as np
import pytest
import torch
from torchvision.models.detection.roi_heads import paste_masks_in_image

from segscape.errors import InputError
from segscape.masks import RunLengths
from segscape.predict.paste import paste_masks

F32 = np.float32
# Where torch fuses multiply and add as we do, not a single pixel may differ.
SAME_ARITHMETIC = sys.platform == "linux" and torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")


def fma(a, b, c):
    """Fused multiply-add of float32 in float64, where a · b is exact and the sum is rounded to odd, so never twice."""
    product, c = np.asarray(a, np.float64) * b, np.asarray(c, np.float64)
    total = product + c
    back = total - product
    lost = (product - (total - back)) + (c - back)
    even = np.asarray(total).view(np.int64) & 1 == 0
    return np.where((lost != 0) & even, np.nextafter(total, np.copysign(np.inf, lost)), total).astype(F32)


def places(length, side, fused):
    centre, scale = np.arange(length).astype(F32) + F32(0.5), F32(side) / F32(length)
    place = np.maximum(fma(scale, centre, F32(-0.5)) if fused else scale * centre - F32(0.5), F32(0))
    before = np.minimum(np.floor(place).astype(int), side - 1)
    share = np.clip(place - before.astype(F32), F32(0), F32(1))
    return before, np.minimum(before + 1, side - 1), F32(1) - share, share


def reference(mask, box, size, threshold):
    """One mask in its image, (H, W) bool, by numpy over whole arrays."""
    side = len(mask) + 2
    padded, scale = np.pad(mask, 1), F32(side / len(mask))
    low, high = box[:2], box[2:]
    reach, centre = (high - low) * F32(0.5) * scale, (high + low) * F32(0.5)
    (x0, y0), (x1, y1) = (centre - reach).astype(int), (centre + reach).astype(int)
    width, height = max(x1 - x0 + 1, 1), max(y1 - y0 + 1, 1)
    small = height + width <= 128
    top, bottom, a0, a1 = (v[:, None] for v in places(height, side, small))
    left, right, b0, b1 = places(width, side, small)
    if small:
        value = fma(padded[top, left], a0 * b0, padded[top, right] * (a0 * b1))
        value = fma(padded[bottom, right], a1 * b1, fma(padded[bottom, left], a1 * b0, value))
    else:
        rows = fma(padded[:, left], b0, padded[:, right] * b1)
        value = fma(rows[top[:, 0]], a0, rows[bottom[:, 0]] * a1)
    whole = np.zeros(size, bool)
    left, right, top, bottom = max(x0, 0), min(x1 + 1, size[1]), max(y0, 0), min(y1 + 1, size[0])
    if left < right and top < bottom:
        whole[top:bottom, left:right] = value[top - y0 : bottom - y0, left - x0 : right - x0] > F32(threshold)
    return whole


def dense(result, size):
    whole = np.zeros(size, bool)
    if result is not None:
        (x0, y0, x1, y1), mask = result
        whole[y0:y1, x0:x1] = mask.to_dense()
    return whole


def random_masks(rng, num, side):
    """Half of them in steps of 1/4, so that interpolated values often are the threshold itself."""
    masks = rng.random((num, side, side), F32)
    masks[::2] = np.round(masks[::2] * 4) / 4
    return masks


SIZE = (90, 120)
BOXES = {  # centre and side lengths of (num, 2) boxes
    "inside": lambda rng, n: (rng.uniform(20, 70, (n, 2)), rng.uniform(1, 40, (n, 2))),
    "small": lambda rng, n: (rng.uniform(0, 90, (n, 2)), rng.uniform(0, 2, (n, 2))),
    "whole pixels": lambda rng, n: (rng.integers(10, 80, (n, 2)), 2 * rng.integers(0, 30, (n, 2))),
    "over the border": lambda rng, n: (rng.uniform(-10, 130, (n, 2)), rng.uniform(20, 150, (n, 2))),
    "outside": lambda rng, n: (rng.uniform(-300, 400, (n, 2)), rng.uniform(0, 100, (n, 2))),
    "one side large": lambda rng, n: (rng.uniform(20, 70, (n, 2)), rng.permuted(np.tile([3.0, 300.0], (n, 1)), axis=1)),
    "larger than the image": lambda rng, n: (rng.uniform(0, 120, (n, 2)), rng.uniform(200, 400, (n, 2))),
    "64 pixels more or less": lambda rng, n: (rng.integers(30, 90, (n, 2)) + 0.5, rng.integers(57, 61, (n, 2)) - 0.5),
    "turned round": lambda rng, n: (rng.uniform(20, 70, (n, 2)), rng.uniform(-5, 1, (n, 2))),
}


def random_boxes(kind, rng, num):
    centre, sides = BOXES[kind](rng, num)
    return np.concatenate((centre - sides / 2, centre + sides / 2), axis=1).astype(F32)


@pytest.mark.parametrize("kind", BOXES)
@pytest.mark.parametrize(("side", "threshold"), [(28, 0.5), (14, 0.3), (1, 0.5), (3, 0.0)])
def test_masks_are_torchvisions_to_the_pixel(kind, side, threshold):
    rng = np.random.default_rng(len(kind) * side)
    masks, boxes = random_masks(rng, 150, side), random_boxes(kind, rng, 150)
    for mask, box, result in zip(masks, boxes, paste_masks(masks, boxes, SIZE, threshold), strict=True):
        ours = dense(result, SIZE)
        try:
            theirs = paste_masks_in_image(torch.from_numpy(mask)[None, None], torch.from_numpy(box)[None], SIZE)
        except RuntimeError:  # of boxes with no pixel in the image
            theirs = torch.zeros(1, 1, *SIZE)
        differs = ours != (theirs > threshold).numpy()[0, 0]
        allowed = 0 if SAME_ARITHMETIC else np.abs(theirs.numpy()[0, 0] - threshold) < 1e-6
        assert not (differs & ~np.broadcast_to(allowed, SIZE)).any(), box


@pytest.mark.parametrize("kind", BOXES)
@pytest.mark.parametrize(("side", "threshold"), [(28, 0.5), (5, 0.25), (1, 0.9)])
def test_masks_are_those_of_plain_numpy(kind, side, threshold):
    rng = np.random.default_rng(len(kind) + side)
    masks, boxes = random_masks(rng, 60, side), random_boxes(kind, rng, 60)
    results = paste_masks(masks, boxes, SIZE, threshold)
    for mask, box, result in zip(masks, boxes, results, strict=True):
        np.testing.assert_array_equal(dense(result, SIZE), reference(mask, box, SIZE, threshold))
        if result is not None:
            pixels = result[1].to_dense()
            assert all(pixels[edge].any() for edge in [(0,), (-1,), (slice(None), 0), (slice(None), -1)])  # tight


def test_a_box_far_larger_than_the_image():
    box = np.array([[-1e9, -1e9, 1e9, 1e9]], F32)
    whole = ((0, 0, 40, 30), RunLengths((30, 40), np.array([0, 1200])))
    assert paste_masks(np.ones((1, 28, 28), F32), box, (30, 40)) == [whole]


@pytest.mark.parametrize(
    ("mask", "box", "expected"),  # expected: rows of the tight crop and where it lies
    [
        (np.ones((2, 2)), (2, 1, 3, 2), ((2, 1, 3, 2), ["#"])),  # 1/6, 1, 1/6 both ways
        (np.ones((1, 1)), (2, 2, 5, 6), ((2, 3, 6, 6), [".##.", "####", ".##."])),  # .55 .85 .85 .55, .54 .77 1 .77 .54
        (np.zeros((2, 2)), (2, 1, 3, 2), None),
        (np.full((2, 2), 0.5), (2, 1, 3, 2), None),  # above, not at the threshold
        (np.ones((2, 2)), (90, 1, 95, 2), None),
    ],
)
def test_by_hand(mask, box, expected):
    [result] = paste_masks(mask.astype(F32)[None], np.array([box], F32), (10, 12))
    if expected is None:
        assert result is None
        return
    assert result is not None
    rows = ["".join(".#"[v] for v in row) for row in result[1].to_dense().astype(int)]
    assert (result[0], rows) == expected


def test_crowds_and_nothing():
    assert paste_masks(np.zeros((0, 28, 28), F32), np.zeros((0, 4), F32), (10, 10)) == []
    rng = np.random.default_rng(0)
    masks, boxes = random_masks(rng, 400, 28), random_boxes("over the border", rng, 400)
    together = paste_masks(masks, boxes, SIZE)
    assert together == [paste_masks(masks[i : i + 1], boxes[i : i + 1], SIZE)[0] for i in range(400)]


@pytest.mark.parametrize(
    ("masks", "boxes", "threshold", "match"),
    [
        (np.zeros((1, 4, 5), F32), np.zeros((1, 4), F32), 0.5, "shape"),
        (np.zeros((1, 0, 0), F32), np.zeros((1, 4), F32), 0.5, "shape"),
        (np.zeros((1, 4, 4)), np.zeros((1, 4), F32), 0.5, "float64"),
        (np.zeros((1, 4, 4), F32), np.zeros((2, 4), F32), 0.5, "boxes"),
        (np.zeros((1, 4, 4), F32), np.zeros((1, 4)), 0.5, "boxes"),
        (np.full((1, 4, 4), np.nan, F32), np.zeros((1, 4), F32), 0.5, "probabilities"),
        (np.full((1, 4, 4), 1.5, F32), np.zeros((1, 4), F32), 0.5, "probabilities"),
        (np.zeros((1, 4, 4), F32), np.full((1, 4), np.inf, F32), 0.5, "finite"),
        (np.zeros((1, 4, 4), F32), np.full((1, 4), 2e9, F32), 0.5, "2³⁰"),
        (np.zeros((1, 4, 4), F32), np.zeros((1, 4), F32), 1.0, "threshold"),
        (np.zeros((1, 4, 4), F32), np.zeros((1, 4), F32), float("nan"), "threshold"),
    ],
)
def test_wrong_input_is_refused(masks, boxes, threshold, match):
    with pytest.raises(InputError, match=match):
        paste_masks(masks, boxes, (10, 10), threshold)
