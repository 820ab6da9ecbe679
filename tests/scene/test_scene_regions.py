"""What is measured of regions, against brute force and the libraries people use for one region at a time."""

from itertools import product

import numpy as np
import pytest
import scipy.ndimage
import scipy.spatial
import skimage.measure
from four_classes import LABELS, MAPS, VOID, rows, unhurried
from hypothesis import given

from segscape.errors import InputError
from segscape.image import Image
from segscape.masks import crop_to_box
from segscape.predict.regions import regions_from_label_map
from segscape.result import Region, Segmentation
from segscape.scene.regions import layout_of, regions_of, scene_regions
from segscape.scene.scene import PLACES


def measured(label_map: np.ndarray, **options):
    return regions_of(Segmentation(label_map.shape, LABELS, label_map, **options), min_area_px=1)


def scene_of(label_map: np.ndarray, ground: tuple[int, ...] = (), **options):
    run_map, measures, _ = measured(label_map, **options)
    return scene_regions(run_map, measures, LABELS, np.isin(measures.label[: measures.num_regions], ground))


def masks_of(run_map):
    dense = run_map.to_dense()
    return [dense == row for row in range(dense.max() + 1)]


@unhurried
@given(MAPS)
def test_areas_boxes_and_centroids(label_map):
    run_map, measures, _ = measured(label_map)
    assert measures.area_px.sum() == label_map.size
    for row, mask in enumerate(masks_of(run_map)):
        assert measures.area_px[row] == mask.sum()
        assert tuple(measures.box[row]) == crop_to_box(mask)[0]
        y, x = np.nonzero(mask)
        assert measures.centroid[row] == pytest.approx((x.mean() + 0.5, y.mean() + 0.5))
        assert set(label_map[mask]) == {VOID if measures.label[row] < 0 else measures.label[row]}


@unhurried
@given(MAPS)
def test_rows_are_by_area_then_top_then_left_and_void_comes_last(label_map):
    _, measures, _ = measured(label_map)
    order = [
        (b < 0, -a, y0, x0) for b, a, (x0, y0, _, _) in zip(measures.label, measures.area_px, measures.box, strict=True)
    ]
    assert order == sorted(order)


@unhurried
@given(MAPS)
def test_axes_are_those_of_the_covariance_of_unit_squares(label_map):
    run_map, measures, _ = measured(label_map)
    for row, mask in enumerate(masks_of(run_map)):
        y, x = np.nonzero(mask)
        spreads, directions = np.linalg.eigh(np.cov(x, y, ddof=0).reshape(2, 2) + np.eye(2) / 12)
        assert measures.elongation[row] == pytest.approx(np.sqrt(spreads[1] / spreads[0]))
        angle = measures.orientation_deg[row]
        assert -90 < angle <= 90
        if spreads[1] - spreads[0] > 1e-6:
            across = np.cos(np.radians(angle)) * directions[1, 1] + np.sin(np.radians(angle)) * directions[0, 1]
            assert across == pytest.approx(0, abs=1e-6)
        else:
            assert angle == 0


@pytest.mark.parametrize(
    ("lines", "angle", "elongation"),
    [
        pytest.param(("a",), 0, 1, id="a pixel"),
        pytest.param(("aaaa",), 0, 4, id="lying"),
        pytest.param(("a", "a", "a"), 90, 3, id="standing"),
        pytest.param(("bba", "bab", "abb"), 45, np.sqrt((4 / 3 + 1 / 12) / (1 / 12)), id="rising to the right"),
        pytest.param(("abb", "bab", "bba"), -45, np.sqrt((4 / 3 + 1 / 12) / (1 / 12)), id="falling to the right"),
    ],
)
def test_orientation_is_counter_clockwise_as_seen(lines, angle, elongation):
    region = next(r for r in scene_of(rows(*lines)) if r.name == "a")
    assert (region.orientation_deg, region.elongation) == pytest.approx((angle, elongation))


@pytest.mark.parametrize("side", [1, 2, 3, 7, 10])
def test_a_square_far_from_the_origin_has_no_longer_axis(side):
    label_map = np.zeros((20, 30011), np.uint8)
    label_map[4 : 4 + side, 30000 : 30000 + side] = 1
    square = scene_of(label_map)[1]
    assert (square.orientation_deg, square.elongation) == (0, 1)
    assert square.centroid == (30000 + side / 2, 4 + side / 2)


@unhurried
@given(MAPS)
def test_perimeters_are_those_of_scikit_image(label_map):
    """With a frame around the image, as pixels outside of it are outside the region."""
    run_map, measures, _ = measured(label_map)
    for row, mask in enumerate(masks_of(run_map)):
        expected = skimage.measure.perimeter_crofton(np.pad(mask, 2), directions=4)
        assert measures.perimeter_px[row] == pytest.approx(expected)


@unhurried
@given(MAPS)
def test_parts_and_holes_are_those_of_flooding(label_map):
    run_map, measures, _ = measured(label_map)
    for row, mask in enumerate(masks_of(run_map)):
        padded = np.pad(mask, 1)
        parts, outside = (scipy.ndimage.label(padded, np.ones((3, 3)))[1], scipy.ndimage.label(~padded)[1])
        assert (measures.parts[row], measures.holes[row]) == (parts, outside - 1)
        assert parts - (outside - 1) == skimage.measure.euler_number(padded, connectivity=2)


@unhurried
@given(MAPS)
def test_solidity_is_over_the_hull_of_the_squares_corners(label_map):
    run_map, measures, _ = measured(label_map)
    for row, mask in enumerate(masks_of(run_map)):
        y, x = np.nonzero(mask)
        corners = np.concatenate([np.stack((x + dx, y + dy), 1) for dx, dy in product((0, 1), repeat=2)])
        assert measures.solidity[row] == pytest.approx(mask.sum() / scipy.spatial.ConvexHull(corners).volume)
        assert 0 < measures.solidity[row] <= 1


@unhurried
@given(MAPS)
def test_borders_are_counted_edge_by_edge(label_map):
    run_map, measures, borders = measured(label_map)
    dense = run_map.to_dense()
    height, width = dense.shape
    edges: dict[tuple[int, int], list[int]] = {}
    for y, x, (down, right) in product(range(height), range(width), ((0, 1), (1, 0))):
        if y + down < height and x + right < width and (a := dense[y, x]) != (b := dense[y + down, x + right]):
            side = down + (2 if a > b else 0)
            edges.setdefault((min(a, b), max(a, b)), [0] * 4)[side] += 1
    assert list(zip(borders.first.tolist(), borders.second.tolist(), strict=True)) == sorted(edges)
    assert borders.edges_px.tolist() == [edges[pair] for pair in sorted(edges)]

    padded = np.pad(dense, 1, constant_values=-1)
    inner = padded[1:-1, 1:-1]
    around = [padded[1:-1, :-2], padded[:-2, 1:-1], padded[1:-1, 2:], padded[2:, 1:-1]]
    for row in range(len(measures.label)):
        mine = inner == row
        assert measures.border_px[row] == sum(int((side[mine] != row).sum()) for side in around)
        assert measures.frame_px[row].tolist() == [int((side[mine] == -1).sum()) for side in around]


def test_a_great_many_borders_are_kept_apart():
    """More pairs than the table of pairs begins with."""
    run_map, _, borders = measured(np.random.default_rng(0).integers(0, 4, (50, 50)).astype(np.uint8))
    dense = run_map.to_dense()
    ends = [(dense[:, :-1], dense[:, 1:]), (dense[:-1], dense[1:])]
    pairs = np.concatenate([np.stack((np.minimum(a, b), np.maximum(a, b)), -1).reshape(-1, 2) for a, b in ends])
    unique, edges = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0, return_counts=True)
    assert len(unique) > 1024
    assert np.array_equal(np.stack((borders.first, borders.second), 1), unique)
    assert np.array_equal(borders.length_px, edges)


@unhurried
@given(MAPS)
def test_masks_are_those_of_the_partition(label_map):
    run_map, measures, _ = measured(label_map)
    regions = scene_regions(run_map, measures, LABELS, np.zeros(measures.num_regions, bool))
    assert [region.id for region in regions] == list(range(1, measures.num_regions + 1))
    for region, mask in zip(regions, masks_of(run_map), strict=False):
        assert (region.box, region.mask) == crop_to_box(mask)
        assert region.mask.area == region.area_px
        assert region.share == region.area_px / label_map.size


def test_an_object_keeps_its_parts_and_its_hole():
    label_map = rows(*["aaaaaaaa"] * 5)
    mask = np.zeros((5, 8), bool)
    mask[0:3, 0:3] = mask[4, 6:8] = True
    mask[1, 1] = False
    box, cropped = crop_to_box(mask)
    thing = Region(7, 3, 0.5, box, int(mask.sum()), cropped)
    regions = scene_of(label_map, regions=(thing,), single_objects=True)
    found = next(r for r in regions if r.single)
    assert (found.name, found.parts, found.holes, found.confidence) == ("t", 2, 1, 0.5)
    assert (found.box, found.mask) == (box, cropped)
    assert [r.single for r in regions].count(True) == 1
    assert sorted(r.area_px for r in regions) == [1, 10, 29]


def test_an_object_under_others_is_left_out():
    def region(number: int, mask: np.ndarray) -> Region:
        box, cropped = crop_to_box(mask)
        return Region(number, 3, number / 10, box, int(mask.sum()), cropped)

    left = np.array([[1, 1, 0, 0]], bool)
    things = region(1, left), region(2, ~left), region(3, np.ones((1, 4), bool))
    regions = regions_of(Segmentation((1, 4), LABELS, None, things, single_objects=True))[1]
    assert regions.score.tolist() == [0.1, 0.2]


def test_without_any_class_there_is_no_region():
    run_map, measures, borders = measured(rows("...", "..."))
    assert (measures.num_regions, len(measures.label), len(borders.first)) == (0, 1, 0)
    assert scene_regions(run_map, measures, LABELS, np.zeros(0, bool)) == ()
    assert layout_of(run_map, measures, LABELS) == {place: {} for place in PLACES}


def test_confidence_and_color_are_means_over_the_pixels():
    label_map = rows("aab", "abb", "..b")
    confidence = np.array([[0.5, 0.7, 0.1], [0.6, 0.2, 0.3], [0.0, 0.0, 0.4]], np.float32)
    pixels = np.zeros((3, 3, 3), np.uint8)
    pixels[label_map == 0] = (200, 10, 0)
    pixels[0, 0] = (206, 10, 0)
    b, a = scene_of(label_map, confidence=confidence, image=Image(pixels))
    assert (a.confidence, b.confidence) == pytest.approx((0.6, 0.25))
    assert (a.color, a.color_name, b.color, b.color_name) == ((202, 10, 0), "red", (0, 0, 0), "black")


def test_without_a_photo_or_confidence_there_is_neither():
    (region,) = scene_of(rows("aa"))
    assert (region.confidence, region.color, region.color_name) == (None, None, None)


def test_a_score_is_not_given_to_a_piece_of_another_class():
    """A piece of stuff may lie under an object, where its first pixel is then the object's."""
    stuff = Region(1, 0, 0.9, (0, 0, 3, 1), 3, crop_to_box(np.ones((1, 3), bool))[1])
    thing = Region(2, 3, None, (0, 0, 1, 1), 1, crop_to_box(np.ones((1, 1), bool))[1])
    regions = scene_of(rows("aaa"), regions=(stuff, thing), single_objects=True)
    assert [(region.name, region.confidence) for region in regions] == [("a", None), ("t", None)]


@unhurried
@given(MAPS)
def test_confidence_comes_back_from_the_scores_of_pieces(label_map):
    """A segmentation need not keep its confidence: its pieces have kept its mean, whatever is merged of them."""
    confidence = np.random.default_rng(0).random(label_map.shape, np.float32)
    pieces = regions_from_label_map(label_map, LABELS, confidence)
    full = Segmentation(label_map.shape, LABELS, label_map, confidence=confidence)
    lean = Segmentation(label_map.shape, LABELS, label_map, pieces)
    for least in (1, 4):
        _, from_map, _ = regions_of(full, min_area_px=least)
        _, from_pieces, _ = regions_of(lean, min_area_px=least)
        num = from_map.num_regions
        assert from_pieces.score[:num] == pytest.approx(from_map.score[:num], abs=1e-6)
        assert np.isnan(from_pieces.score[num:]).all()


@pytest.mark.parametrize(
    ("lines", "places", "frames"),
    [
        (("abc", "cab", "bca"), None, None),
        (("aaa", "aba", "aaa"), {"b": "centre", "a": "centre"}, {"b": (), "a": ("left", "top", "right", "bottom")}),
        (
            ("baa", "aaa", "aac"),
            {"b": "top left", "c": "bottom right"},
            {"b": ("left", "top"), "c": ("right", "bottom")},
        ),
        (("aba", "aaa", "aaa"), {"b": "top"}, {"b": ("top",)}),
        (("aaa", "aab", "aaa"), {"b": "right"}, {"b": ("right",)}),
        (("ab",), {"a": "bottom", "b": "bottom right"}, {"a": ("left", "top", "bottom")}),
    ],
)
def test_place_and_frame(lines, places, frames):
    regions = scene_of(rows(*lines))
    if places is None:
        assert sorted(PLACES.index(r.place) for r in regions) == sorted(
            3 * int(r.centroid[1]) + int(r.centroid[0]) for r in regions
        )
        return
    by_name = {region.name: region for region in regions}
    assert {name: by_name[name].place for name in places} == places
    assert {name: by_name[name].frame for name in frames} == frames


@pytest.mark.parametrize(
    ("lines", "nearness"),
    [
        pytest.param(
            ("cccc", "bbbb", "aaat", "aaaa"), {"a": None, "b": None, "c": None, "t": 1 / 2}, id="stands on it"
        ),
        pytest.param(("cccc", "cccc", "aaat", "aaat"), {"t": 1, "c": None}, id="reaches the bottom"),
        pytest.param(("cccc", "cccc", "bbbb", "bbbt"), {"t": None, "b": None}, id="without ground"),
    ],
)
def test_nearness_is_the_share_of_the_way_from_the_horizon_down(lines, nearness):
    regions = {region.name: region for region in scene_of(rows(*lines), ground=(0,))}
    assert {name: regions[name].nearness for name in nearness} == nearness


def test_a_speck_of_ground_is_no_horizon():
    label_map = np.ones((40, 40), np.uint8)
    label_map[20:] = 0
    label_map[30, 10] = 2
    for size, horizon in ((7, 20), (8, 0)):  # 0.5 % of 1600 pixels are 8
        label_map[0] = 1
        label_map[0, :size] = 0
        spot = next(region for region in scene_of(label_map, ground=(0,)) if region.name == "c")
        assert spot.nearness == (31 - horizon) / (40 - horizon)


@unhurried
@given(MAPS)
def test_layout_counts_each_cell(label_map):
    run_map, measures, _ = measured(label_map)
    layout = layout_of(run_map, measures, LABELS)
    height, width = label_map.shape
    assert tuple(layout) == PLACES
    for place, (i, j) in zip(PLACES, product(range(3), repeat=2), strict=True):
        cell = label_map[i * height // 3 : (i + 1) * height // 3, j * width // 3 : (j + 1) * width // 3]
        shares = {label.name: (cell == k).mean() for k, label in enumerate(LABELS) if (cell == k).any()}
        assert layout[place] == pytest.approx(shares)
        assert list(layout[place].values()) == sorted(layout[place].values(), reverse=True)


@pytest.mark.parametrize("least", [0, -3])
def test_a_threshold_below_one_is_refused(least):
    with pytest.raises(InputError, match="min_area_px must be a whole number of at least 1"):
        regions_of(Segmentation((1, 1), LABELS, rows("a")), min_area_px=least)
