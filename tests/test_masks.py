import copy
import pickle
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from segscape.errors import InputError
from segscape.masks import (
    RunLengths,
    crop_to_box,
    from_coco_counts,
    from_coco_string,
    intersection,
    iou,
    to_coco_counts,
    to_coco_string,
    uncrop,
)
from segscape.polygons import from_polygons, to_polygons

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # other work may slow us
masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9))
filled_masks = masks.filter(np.any)
# Coarse blocks with fine pixels punched in: holes, and pieces within holes, more often than chance alone makes them.
punched_masks = masks.map(lambda mask: np.kron(mask, np.ones((3, 3), bool)) ^ np.tile(mask, (3, 3)))


def dense(*rows: str) -> np.ndarray:
    return np.array([[c == "#" for c in row] for row in rows])


# --- run lengths ------------------------------------------------------------------------------------------------

COUNTS = [
    (dense("."), [1]),
    (dense("#"), [0, 1]),
    (dense("..", ".."), [4]),
    (dense("##", "##"), [0, 4]),
    (dense("#.", ".."), [0, 1, 3]),
    (dense(".#", ".."), [2, 1, 1]),  # column by column: the second column comes third
    (dense("..", "#."), [1, 1, 2]),
    (dense(".#", "#."), [1, 2, 1]),  # a run goes on into the next column
    (dense("#.#"), [0, 1, 1, 1]),
]


@pytest.mark.parametrize(("mask", "counts"), COUNTS)
def test_counts_are_column_major_and_start_with_background(mask, counts):
    runs = RunLengths.from_dense(mask)
    assert runs.counts.tolist() == counts
    assert runs.size == mask.shape
    assert runs.area == mask.sum()
    np.testing.assert_array_equal(runs.to_dense(), mask)


@unhurried
@given(masks)
def test_dense_and_runs_are_the_same(mask):
    runs = RunLengths.from_dense(mask)
    np.testing.assert_array_equal(runs.to_dense(), mask)
    assert runs.area == np.count_nonzero(mask)
    assert runs.to_dense().flags.c_contiguous


@pytest.mark.parametrize(
    ("size", "counts", "says"),
    [
        ((2, 2), [3], "add up to 3"),
        ((2, 2), [5], "add up to 5"),
        ((2, 2), [], "at least one"),
        ((2, 2), [1, 0, 3], "only the first"),
        ((2, 2), [4, 0], "only the first"),
        ((2, 2), [5, -1], "0…2³²"),
        ((2, 2), [2**32], "0…2³²"),
        ((2, 2), [4.0], "integer"),
        ((2, 2), [[4]], "integer"),
        ((2, 2), ["4"], "integer"),
        ((2, 2), [[1], [1, 2]], "integers"),
        ((0, 2), [0], "size"),
        ((2, -2), [4], "size"),
        ((2,), [2], "size"),
        ((1.5, 2), [3], "size"),
        (("a", 2), [3], "size"),
        (None, [3], "size"),
        ((2**16, 2**16), [1], "2³² pixels"),
    ],
)
def test_counts_that_are_no_mask_are_refused(size, counts, says):
    with pytest.raises(InputError, match=says):
        RunLengths(size, counts)


def test_runs_compare_and_hash_by_content_and_cannot_be_changed():
    a, b = RunLengths((2, 3), [1, 5]), RunLengths((2, 3), np.array([1, 5], np.int16))
    assert a == b
    assert len({a, b}) == 1
    assert a != RunLengths((3, 2), [1, 5])
    assert a != RunLengths((2, 3), [2, 4])
    assert a != [1, 5]
    for runs in (a, pickle.loads(pickle.dumps(a)), copy.deepcopy(a)):
        assert runs == a
        with pytest.raises(ValueError, match="read-only"):
            runs.counts[0] = 0


def test_runs_keep_a_copy_of_what_they_were_made_from():
    counts = np.array([1, 5], np.uint32)
    runs = RunLengths((2, 3), counts)
    counts[:] = 0
    assert runs.counts.tolist() == [1, 5]


@pytest.mark.parametrize(
    ("intervals", "counts"),
    [
        ([], [6]),
        ([(0, 6)], [0, 6]),
        ([(1, 2), (4, 6)], [1, 1, 2, 2]),
        ([(1, 2), (2, 4)], [1, 3, 2]),  # touching
        ([(1, 4), (2, 3), (3, 5)], [1, 4, 1]),  # overlapping
        ([(1, 5), (2, 3), (4, 5)], [1, 4, 1]),  # one inside another
        ([(1, 1), (3, 4), (5, 5)], [3, 1, 2]),  # empty ones
    ],
)
def test_intervals_are_united(intervals, counts):
    starts, ends = np.array(intervals, np.int64).reshape(-1, 2).T
    assert RunLengths.from_intervals(starts, ends, (3, 2)).counts.tolist() == counts


@pytest.mark.parametrize("interval", [(-1, 2), (5, 7), (8, 9)])
def test_intervals_outside_are_refused(interval):
    with pytest.raises(InputError):
        RunLengths.from_intervals(*np.array([interval]).T, (3, 2))


@unhurried
@given(masks)
def test_column_spans_are_the_vertical_runs(mask):
    expected = []
    for x, column in enumerate(mask.T):
        edges = np.flatnonzero(np.diff(np.concatenate(([False], column, [False]))))
        expected += [(x, y0, y1) for y0, y1 in zip(edges[::2], edges[1::2], strict=True)]
    assert list(zip(*RunLengths.from_dense(mask).column_spans(), strict=True)) == expected


# --- boxes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mask", "box"),
    [
        (dense("#"), (0, 0, 1, 1)),
        (dense("...", ".#.", "..."), (1, 1, 2, 2)),
        (dense("....", "#...", "..#."), (0, 1, 3, 3)),
        (dense("...#"), (3, 0, 4, 1)),
    ],
)
def test_crop_to_box_is_tight(mask, box):
    found, runs = crop_to_box(mask)
    assert found == box
    x0, y0, x1, y1 = box
    np.testing.assert_array_equal(runs.to_dense(), mask[y0:y1, x0:x1])


@pytest.mark.parametrize(
    "mask",
    [np.zeros((3, 2), bool), np.zeros((0, 2), bool), np.ones((2, 2), np.uint8), np.ones((1, 2, 2), bool), [[True]]],
)
def test_masks_without_a_box_are_refused(mask):
    with pytest.raises(InputError):
        crop_to_box(mask)


@unhurried
@given(filled_masks)
def test_uncrop_puts_a_crop_back(mask):
    box, runs = crop_to_box(mask)
    assert uncrop(runs, box, mask.shape) == RunLengths.from_dense(mask)
    assert to_coco_counts(runs, box, mask.shape) == RunLengths.from_dense(mask).counts.tolist()


@pytest.mark.parametrize(
    ("box", "says"),
    [
        ((0, 0, 2, 2), "fill"),
        ((-1, 0, 1, 1), "leaves"),
        ((0, -1, 2, 0), "leaves"),
        ((3, 0, 5, 1), "leaves"),
        ((0, 3, 2, 4), "leaves"),
    ],
)
def test_uncrop_refuses_boxes_that_do_not_fit(box, says):
    with pytest.raises(InputError, match=says):
        uncrop(RunLengths((1, 2), [0, 2]), box, (3, 4))


def test_a_small_mask_in_a_huge_image_costs_nothing():
    counts = to_coco_counts(RunLengths((2, 2), [0, 3, 1]), (30000, 40000, 30002, 40002), (65535, 65535))
    assert counts == [30000 * 65535 + 40000, 2, 65533, 1, 65535**2 - 30001 * 65535 - 40001]


# --- COCO's forms -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "canonical"),
    [
        ([6], [6]),
        ([0, 6, 0], [0, 6]),
        ([1, 0, 2, 3], [3, 3]),
        ([1, 2, 0, 3], [1, 5]),
        ([0, 0, 6], [6]),
        ([2, 1, 3, 0], [2, 1, 3]),
    ],
)
def test_zero_runs_in_coco_counts_are_joined_away(counts, canonical):
    assert from_coco_counts(counts, (2, 3)).counts.tolist() == canonical


@pytest.mark.parametrize("counts", [[], [5], [7], [-1, 7], [6.0], "6", None])
def test_coco_counts_that_are_no_mask_are_refused(counts):
    with pytest.raises(InputError):
        from_coco_counts(counts, (2, 3))


# Strings worked out by hand from the definition of the format: groups of five bits, low first, 48 added, 32 for
# "more"; from the fourth count on the difference to the count two before.
COCO_STRINGS = [
    ((3, 2), [6], "6"),
    ((3, 2), [0, 6], "06"),
    ((4, 4), [15, 1], "?1"),  # 15 is the largest number of one group: bit 4 is its sign
    ((4, 4), [16], "`0"),  # 16 needs a second group: 16 + 32 + 48, 0 + 48
    ((32, 32), [1024], "PP1"),  # 0 + 80, 0 + 80, 1 + 48
    ((4, 4), [5, 2, 6, 3], "5261"),  # 3 - 2 = 1
    ((4, 4), [5, 3, 6, 2], "536O"),  # 2 - 3 = -1: 31 + 48
    ((5, 5), [1, 20, 1, 3], "1d01_O"),  # 20: 20 + 80, 0 + 48; 3 - 20 = -17: 15 + 80, 31 + 48
    ((5, 5), [4, 1, 10, 2, 8], "41:1N"),  # 8 - 10 = -2: 30 + 48
]


@pytest.mark.parametrize(("size", "counts", "text"), COCO_STRINGS)
def test_coco_strings_are_the_known_ones(size, counts, text):
    runs = RunLengths(size, counts)
    assert to_coco_string(runs) == text
    assert from_coco_string(text, size) == runs
    assert from_coco_string(text.encode(), size) == runs


def coco_string_one_by_one(counts: list[int]) -> str:
    """The format's published C code, in Python."""
    text = ""
    for i, count in enumerate(counts):
        rest = count - (counts[i - 2] if i > 2 else 0)
        more = True
        while more:
            group = rest & 0x1F
            rest >>= 5
            more = rest != -1 if group & 0x10 else rest != 0
            text += chr((group | 0x20 if more else group) + 48)
    return text


@unhurried
@given(st.lists(st.one_of(st.integers(1, 40), st.integers(1, 2**24)), min_size=1, max_size=40), st.booleans())
def test_coco_strings_of_any_counts(counts, starts_with_zero):
    counts = [0, *counts] if starts_with_zero else counts
    runs = RunLengths((1, sum(counts)), counts)
    assert to_coco_string(runs) == coco_string_one_by_one(counts)
    assert from_coco_string(to_coco_string(runs), runs.size) == runs


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "7",
        "`",
        "6`",
        "/",
        "6/",
        "6p",
        "§",
        "6é",
        "O",
        "o" * 8 + "0",
        "6 ",
        "\x00",
        "66666O",
        "V" + "P" * 6 + "0",
    ],
)
def test_coco_strings_that_are_no_mask_are_refused(text):
    with pytest.raises(InputError):
        from_coco_string(text, (3, 2))


# --- intersection -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "shared"),
    [
        (dense("##.", "##."), dense(".##", ".##"), 2),
        (dense("##.", "##."), dense("..#", "..#"), 0),  # boxes touch
        (dense("#..", "..."), dense("...", "..#"), 0),  # boxes apart
        (dense("#..", "..#"), dense("..#", "#.."), 0),  # boxes equal, masks apart
        (dense("###", "###"), dense("...", ".#."), 1),
        (dense("###", "#.#", "###"), dense("...", ".#.", "..."), 0),  # one in the other's hole
    ],
)
def test_intersection(a, b, shared):
    (box_a, runs_a), (box_b, runs_b) = crop_to_box(a), crop_to_box(b)
    assert intersection(runs_a, box_a, runs_b, box_b) == shared
    assert iou(runs_a, box_a, runs_b, box_b) == shared / (a | b).sum()


@unhurried
@given(st.data(), array_shapes(min_dims=2, max_dims=2, max_side=9))
def test_intersection_is_that_of_the_dense_masks(data, shape):
    a, b = (data.draw(arrays(bool, shape).filter(np.any)) for _ in range(2))
    (box_a, runs_a), (box_b, runs_b) = crop_to_box(a), crop_to_box(b)
    assert intersection(runs_a, box_a, runs_b, box_b) == (a & b).sum()
    assert intersection(runs_b, box_b, runs_a, box_a) == (a & b).sum()
    assert iou(runs_a, box_a, runs_b, box_b) == (a & b).sum() / (a | b).sum()
    assert iou(runs_a, box_a, runs_a, box_a) == 1


def test_empty_masks_share_nothing():
    box, empty, full = (0, 0, 2, 1), RunLengths((1, 2), [2]), RunLengths((1, 2), [0, 2])
    assert iou(empty, box, empty, box) == iou(empty, box, full, box) == iou(full, box, empty, box) == 0


def test_intersection_refuses_a_mask_that_does_not_fill_its_box():
    runs = RunLengths((1, 2), [0, 2])
    with pytest.raises(InputError, match="fill"):
        intersection(runs, (0, 0, 2, 1), runs, (0, 0, 2, 2))


# --- polygons ---------------------------------------------------------------------------------------------------

POLYGONS = [
    (dense("."), []),
    (dense("#"), [[[[0, 0], [1, 0], [1, 1], [0, 1]]]]),
    (dense("##", "##"), [[[[0, 0], [2, 0], [2, 2], [0, 2]]]]),  # no points on straight lines
    (dense("#.", "##"), [[[[0, 0], [1, 0], [1, 1], [2, 1], [2, 2], [0, 2]]]]),
    (  # pixels that meet at a corner are two parts
        dense("#.", ".#"),
        [[[[0, 0], [1, 0], [1, 1], [0, 1]]], [[[1, 1], [2, 1], [2, 2], [1, 2]]]],
    ),
    (
        dense(".#", "#."),
        [[[[0, 1], [1, 1], [1, 2], [0, 2]]], [[[1, 0], [2, 0], [2, 1], [1, 1]]]],
    ),
    (  # a hole runs counter-clockwise
        dense("###", "#.#", "###"),
        [[[[0, 0], [3, 0], [3, 3], [0, 3]], [[1, 1], [1, 2], [2, 2], [2, 1]]]],
    ),
    (  # a ring of pixels closed only at a corner: outside and hole share that corner
        dense("##.", "#.#", "###"),
        [[[[0, 0], [2, 0], [2, 1], [3, 1], [3, 3], [0, 3]], [[2, 1], [1, 1], [1, 2], [2, 2]]]],
    ),
    (  # two holes that meet at a corner stay two
        dense("####", "#.##", "##.#", "####"),
        [
            [
                [[0, 0], [4, 0], [4, 4], [0, 4]],
                [[1, 1], [1, 2], [2, 2], [2, 1]],
                [[2, 2], [2, 3], [3, 3], [3, 2]],
            ]
        ],
    ),
    (  # a hole belongs to the piece around it, also when another piece begins before the hole does
        dense("#######", "#...#.#", "#.#.#.#", "#...#.#", "#######"),
        [
            [
                [[0, 0], [7, 0], [7, 5], [0, 5]],
                [[1, 1], [1, 4], [4, 4], [4, 1]],
                [[5, 1], [5, 4], [6, 4], [6, 1]],
            ],
            [[[2, 2], [3, 2], [3, 3], [2, 3]]],
        ],
    ),
    (  # a piece within a hole is a part of its own
        dense("#####", "#...#", "#.#.#", "#...#", "#####"),
        [
            [[[0, 0], [5, 0], [5, 5], [0, 5]], [[1, 1], [1, 4], [4, 4], [4, 1]]],
            [[[2, 2], [3, 2], [3, 3], [2, 3]]],
        ],
    ),
]


def as_cycles(parts):
    """Parts with each ring turned to begin at its smallest point, and holes sorted."""

    def turned(ring):
        start = ring.index(min(ring))
        return ring[start:] + ring[:start]

    return [[turned(part[0]), *sorted(turned(hole) for hole in part[1:])] for part in parts]


@pytest.mark.parametrize(("mask", "parts"), POLYGONS)
def test_polygons_are_the_outlines_on_pixel_corners(mask, parts):
    assert as_cycles(to_polygons(RunLengths.from_dense(mask))) == as_cycles(parts)
    assert from_polygons(parts, mask.shape) == RunLengths.from_dense(mask)


def test_polygons_are_moved_by_the_offset():
    assert to_polygons(RunLengths((1, 1), [0, 1]), offset=(5, 7)) == [[[[5, 7], [6, 7], [6, 8], [5, 8]]]]


def signed_area(ring) -> float:
    (x, y), (next_x, next_y) = np.array(ring).T, np.roll(ring, -1, axis=0).T
    return float((x * next_y - next_x * y).sum() / 2)


def count_4_connected(mask: np.ndarray) -> int:
    left, count = mask.copy(), 0
    while left.any():
        count += 1
        stack = [tuple(np.argwhere(left)[0])]
        while stack:
            y, x = stack.pop()
            if 0 <= y < left.shape[0] and 0 <= x < left.shape[1] and left[y, x]:
                left[y, x] = False
                stack += [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
    return count


@unhurried
@given(st.one_of(masks, punched_masks))
def test_polygons_give_back_the_mask_and_are_valid(mask):
    parts = to_polygons(RunLengths.from_dense(mask))
    assert from_polygons(parts, mask.shape) == RunLengths.from_dense(mask)
    assert len(parts) == count_4_connected(mask)
    for part in parts:
        assert count_4_connected(from_polygons([part], mask.shape).to_dense()) == 1
        assert [signed_area(ring) > 0 for ring in part] == [True] + [False] * (len(part) - 1)
        for ring in part:
            assert len(set(map(tuple, ring))) == len(ring)  # no point twice
            steps = np.roll(ring, -1, axis=0) - ring
            assert ((steps != 0).sum(axis=1) == 1).all()  # along the grid
            assert (np.roll(steps != 0, 1, axis=0) != (steps != 0)).all()  # a turn at every point


@pytest.mark.parametrize(
    ("parts", "mask"),
    [
        ([], dense("...", "...")),
        ([[]], dense("...", "...")),
        ([[[[0, 0], [9, 0], [9, 9], [0, 9]]]], dense("###", "###")),  # cut at the image
        ([[[[-5, -5], [1, -5], [1, 1], [-5, 1]]]], dense("#..", "...")),
        ([[[[5, 5], [6, 5], [6, 6]]]], dense("...", "...")),  # outside
        ([[[[0.4, 0.4], [1.6, 0.4], [1.6, 1.6], [0.4, 1.6]]]], dense("##.", "##.")),  # centres count
        ([[[[0.6, 0], [3, 0], [3, 2], [0.6, 2]]]], dense(".##", ".##")),
        ([[[[0, 0], [3, 0], [0, 2]]]], dense("##.", "#..")),  # a slanted edge: y = 2 - 2/3 x
        ([[[[0, 0], [2, 0], [2, 2], [0, 2]]], [[[1, 0], [3, 0], [3, 2], [1, 2]]]], dense("###", "###")),  # united
        ([[[[0, 0], [2, 0], [2, 2], [0, 2]], [[1, 0], [3, 0], [3, 2], [1, 2]]]], dense("#.#", "#.#")),  # even–odd
    ],
)
def test_polygons_are_rasterised_by_pixel_centres(parts, mask):
    np.testing.assert_array_equal(from_polygons(parts, mask.shape).to_dense(), mask)


@pytest.mark.parametrize(
    "parts",
    [
        [[[[0, 0], [1, 0]]]],
        [[[]]],
        [[[[0, 0, 0], [1, 0, 0], [1, 1, 0]]]],
        [[[[0, 0], [1], [1, 1]]]],
        [[[0, 0, 1, 0, 1, 1]]],
        [[[[0, 0], [1, float("nan")], [1, 1]]]],
        [[[[0, 0], [1, float("inf")], [1, 1]]]],
        [[[[0, 0], [1, 1e300], [1, 1]]]],
        [[5]],
    ],
)
def test_rings_that_are_no_polygon_are_refused(parts):
    with pytest.raises(InputError, match=r"polygon|ring"):
        from_polygons(parts, (3, 3))


# --- speed ------------------------------------------------------------------------------------------------------


def test_large_and_noisy_masks_take_well_under_a_second():
    y, x = np.ogrid[:3000, :4000]
    blob = (y - 1500) ** 2 / 1400**2 + (x - 2000) ** 2 / 1900**2 < 1
    noise = np.random.default_rng(0).random((480, 360)) < 0.5
    for mask in (blob, noise):
        start = time.process_time()
        runs = RunLengths.from_dense(mask)
        parts = to_polygons(runs)
        assert time.process_time() - start < 1
        assert from_polygons(parts, mask.shape) == runs
