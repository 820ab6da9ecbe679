"""COCO's rasteriser to the pixel, and rings joined into one without changing the mask."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segscape.data.object_masks import cropped, joined, outlines, rasterise_as_coco, ring_points, union
from segscape.errors import InputError
from segscape.masks import RunLengths, from_coco_string
from segscape.polygons import from_polygons, to_polygons

unhurried = settings(deadline=None)  # other work may slow us
MASKS = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))).filter(np.any)
RING = np.array([[1, 1, 1, 1, 1], [1, 0, 0, 0, 1], [1, 0, 1, 0, 1], [1, 0, 0, 0, 1], [1, 1, 1, 1, 1]], bool)


def by_pycocotools(flat_rings, size):
    reference = pytest.importorskip("pycocotools.mask")
    runs = reference.merge(reference.frPyObjects(flat_rings, *size))
    return from_coco_string(runs["counts"], size).to_dense()  # its own decoder warns with NumPy 2


def rasterised(flat_rings, size):
    return rasterise_as_coco([ring_points(ring) for ring in flat_rings], size).to_dense()


@unhurried
@given(MASKS)
def test_cropping_keeps_every_pixel(mask):
    box, runs = cropped(RunLengths.from_dense(mask))
    x0, y0, x1, y1 = box
    assert np.array_equal(runs.to_dense(), mask[y0:y1, x0:x1])
    assert mask.sum() == runs.area
    for edge in (mask[y0], mask[y1 - 1], mask[:, x0], mask[:, x1 - 1]):
        assert edge.any()


def test_an_empty_mask_has_no_box():
    assert cropped(RunLengths((2, 3), np.array([6]))) is None


@unhurried
@given(st.integers(1, 3).flatmap(lambda n: arrays(bool, (n, 5, 6))))
def test_a_union_is_any(masks):
    assert np.array_equal(union([RunLengths.from_dense(m) for m in masks]).to_dense(), masks.any(axis=0))


@pytest.mark.parametrize(
    ("flat", "words"),
    [
        ([0, 0, 4, 4], "2 points; it needs 3"),
        ([], "0 points; it needs 3"),
        ([0, 0, 4, 4, 1, 2, 3], "7 numbers, which make no pairs"),
        ([0, 0, 4, 4, 1, float("nan")], "not finite"),
        ([0, 0, 4, 4, 1, float("inf")], "not finite"),
        ([0, 0, 4, 4, 1, 1e9], "not finite"),
        ([0, 0, 4, 4, 1, "x"], "no list of numbers"),
        ([[0, 0], [4, 4], [1, 1]], "no list of numbers"),
        (None, "no list of numbers"),
        ({"a": 1}, "no list of numbers"),
    ],
)
def test_rings_that_are_none(flat, words):
    with pytest.raises(InputError, match=words):
        ring_points(flat)


@pytest.mark.parametrize(
    ("flat", "rows"),
    [
        ([1, 1, 3, 1, 3, 2, 1, 2], ["....", ".##.", "...."]),
        ([0, 0, 4, 0, 0, 3], ["###.", "##..", "#..."]),
        ([0.4, 0.4, 1.4, 0.4, 1.4, 1.4, 0.4, 1.4], ["#...", "....", "...."]),
        ([-9, -9, 99, -9, 99, 99, -9, 99], ["####", "####", "####"]),
        ([1, 1, 1, 2, 1, 0], ["....", "....", "...."]),
    ],
)
def test_small_polygons(flat, rows):
    expected = np.array([[c == "#" for c in row] for row in rows])
    assert np.array_equal(by_pycocotools([flat], (3, 4)), expected)
    assert np.array_equal(rasterised([flat], (3, 4)), expected)


COORDINATES = st.one_of(
    st.integers(-4, 20).map(float),
    st.floats(-6, 24, allow_nan=False),
    st.integers(-40, 200).map(lambda tenths: tenths / 10),
    st.integers(-20, 100).map(lambda fifths: fifths / 5),
)
POLYGON = st.lists(COORDINATES, min_size=6, max_size=18).map(lambda values: values[: len(values) // 2 * 2])


@unhurried
@given(st.lists(POLYGON, min_size=1, max_size=3), st.tuples(st.integers(1, 16), st.integers(1, 16)))
def test_masks_are_pycocotools_own(polygons, size):
    assert np.array_equal(rasterised(polygons, size), by_pycocotools(polygons, size))


@pytest.mark.parametrize("x", range(1, 8))
def test_edges_that_cross_a_column_just_at_a_step(x):
    """All short edges from (x, y) on COCO's grid of fifths: the cases in which rounding decides."""
    for ya, xb, yb in itertools.product(range(8), range(8), range(8)):
        flat = [value / 5 for value in (x, ya, xb, yb, 20, 17)]
        assert np.array_equal(rasterised([flat], (4, 4)), by_pycocotools([flat], (4, 4))), flat


def test_no_polygon_is_an_empty_mask():
    assert rasterise_as_coco([], (2, 3)).area == 0


@unhurried
@given(MASKS)
def test_one_ring_says_what_parts_and_holes_say(mask):
    runs = RunLengths.from_dense(mask)
    ring = joined([ring for part in to_polygons(runs) for ring in part])
    assert from_polygons([[ring]], mask.shape) == runs
    assert np.array_equal(by_pycocotools([np.ravel(ring).tolist()], mask.shape), mask)
    assert all(x0 == x1 or y0 == y1 for (x0, y0), (x1, y1) in itertools.pairwise([*ring, ring[0]]))


@unhurried
@given(MASKS)
def test_outlines_are_a_ring_a_part(mask):
    runs = RunLengths.from_dense(mask)
    rings = outlines(runs, (2, 3))
    moved = [[[x - 2, y - 3] for x, y in ring] for ring in rings]
    assert len(rings) == len(to_polygons(runs))
    assert np.array_equal(rasterised([np.ravel(ring).tolist() for ring in moved], mask.shape), mask)


def test_bridges_are_short():
    (ring,) = outlines(RunLengths.from_dense(np.pad(RING, 1)), (0, 0))[:1]
    steps = [abs(a[0] - b[0]) + abs(a[1] - b[1]) for a, b in itertools.pairwise(ring)]
    # Outline 20, hole 12, and a bridge of one pixel across and one down, there and back.
    assert sum(steps) + abs(ring[-1][0] - ring[0][0]) + abs(ring[-1][1] - ring[0][1]) == 20 + 12 + 2 * 2
