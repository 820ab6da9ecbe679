"""From pixels to runs: label maps, objects, tiles."""

from itertools import pairwise

import cc3d
import numpy as np
import pytest
import scipy.ndimage
from four_classes import LABELS, MAPS, VOID, rows, unhurried
from hypothesis import given
from hypothesis import strategies as st

from segscape.errors import InputError
from segscape.masks import crop_to_box
from segscape.result import Region, Segmentation
from segscape.scene.regions import regions_of, regions_of_tiles
from segscape.scene.run_map import RunMap
from segscape.scene.scan import Tile, scan_label_map, scan_segmentation, scan_tiles


def dense(scan) -> np.ndarray:
    return RunMap(scan.size, scan.first, scan.x0, scan.key).to_dense()


def one_object(number: int, mask: np.ndarray, score: float | None = None, label: int = 3) -> Region:
    box, cropped = crop_to_box(mask)
    return Region(number, label, score, box, int(mask.sum()), cropped)


def masks(*drawings: tuple[str, ...]) -> list[np.ndarray]:
    return [np.array([[c == "#" for c in line] for line in lines]) for lines in drawings]


def test_a_run_knows_its_row_and_its_ends():
    scan = scan_label_map(rows("aab", "bbb", "a.a"), LABELS)
    run_map = RunMap(scan.size, scan.first, scan.x0, scan.key)
    assert run_map.first.tolist() == [0, 2, 3, 6]
    assert run_map.y.tolist() == [0, 0, 1, 2, 2, 2]
    assert run_map.x0.tolist() == [0, 2, 0, 0, 1, 2]
    assert run_map.x1.tolist() == [2, 3, 3, 1, 2, 3]
    assert run_map.region.tolist() == [0, 1, 1, 0, -1, 0]
    assert run_map.to_dense().tolist() == [[0, 0, 1], [1, 1, 1], [0, -1, 0]]


@unhurried
@given(MAPS)
def test_runs_are_maximal_and_say_every_pixel(label_map):
    scan = scan_label_map(label_map, LABELS)
    assert np.array_equal(dense(scan), np.where(label_map == VOID, -1, label_map.astype(int)))
    for begin, end in pairwise(scan.first):
        assert (np.diff(scan.key[begin:end]) != 0).all()


def same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    pairs = np.unique(np.stack((a.ravel(), b.ravel())), axis=1).shape[1]
    return pairs == len(np.unique(a)) == len(np.unique(b))


@unhurried
@given(MAPS)
def test_pieces_are_those_of_connected_components_3d_and_void_is_four_connected(label_map):
    run_map, measures, _ = regions_of(Segmentation(label_map.shape, LABELS, label_map), min_area_px=1)
    named = label_map != VOID
    pieces = cc3d.connected_components(np.where(named, label_map + 1, 0).astype(np.uint8), connectivity=8)
    void, _ = scipy.ndimage.label(~named)
    assert same_partition(run_map.to_dense(), np.where(named, pieces.astype(int), -void))
    assert measures.num_regions == pieces.max()
    assert ((measures.label >= 0) == (np.arange(len(measures.label)) < measures.num_regions)).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_an_id_of_no_class_is_named_with_its_place(dtype):
    label_map = rows("aab", "bbb").astype(dtype)
    label_map[1, 2] = 17
    with pytest.raises(InputError, match=r"id 17 \(first at x 2, y 1\).*'four' has ids 0…3 and ignore index 255"):
        scan_label_map(label_map, LABELS)
    thing = one_object(1, label_map == 0)
    with pytest.raises(InputError, match=r"id 17 \(first at x 2, y 1\)"):
        scan_segmentation(Segmentation((2, 3), LABELS, label_map, (thing,), single_objects=True))


@pytest.mark.parametrize(
    ("label_map", "confidence", "pixels", "says"),
    [
        (np.zeros((2, 2), np.int64), None, None, "uint8 or uint16"),
        (np.zeros(4, np.uint8), None, None, "uint8 or uint16"),
        (np.zeros((0, 2), np.uint8), None, None, "uint8 or uint16"),
        (np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.float32), None, "confidence must be float32"),
        (np.zeros((2, 2), np.uint8), np.zeros((2, 2)), None, "confidence must be float32"),
        (np.zeros((2, 2), np.uint8), None, np.zeros((2, 2), np.uint8), "pixels must be uint8"),
    ],
)
def test_arrays_of_another_shape_or_type_are_refused(label_map, confidence, pixels, says):
    with pytest.raises(InputError, match=says):
        scan_label_map(label_map, LABELS, confidence, pixels)


@pytest.mark.parametrize(
    ("label_map", "drawings", "expected"),
    [
        pytest.param(
            rows("aaaa", "aaaa"), [("##..", "##..")], [[4, 4, 0, 0], [4, 4, 0, 0]], id="an object on its label map"
        ),
        pytest.param(rows("tt.", "tt."), [("#..", "#..")], [[4, -1, -1]] * 2, id="a thing's other pixels"),
        pytest.param(None, [("##.", "...")], [[4, 4, -1], [-1, -1, -1]], id="no label map"),
        pytest.param(None, [("#..", "..."), ("###", "###")], [[4, 5, 5], [5, 5, 5]], id="the smaller on top"),
        pytest.param(None, [("###", "###"), ("#..", "...")], [[5, 4, 4], [4, 4, 4]], id="in whatever order"),
    ],
)
def test_objects_lie_on_the_label_map(label_map, drawings, expected):
    drawn = masks(*drawings)
    things = tuple(one_object(i, mask) for i, mask in enumerate(drawn, 1))
    scan = scan_segmentation(Segmentation(drawn[0].shape, LABELS, label_map, things, single_objects=True))
    assert dense(scan).tolist() == expected


def test_a_thing_without_any_object_is_nobodys():
    scan = scan_segmentation(Segmentation((2, 3), LABELS, rows("tta", "aa."), single_objects=True))
    assert dense(scan).tolist() == [[-1, -1, 0], [0, 0, -1]]


def test_regions_that_are_no_objects_stand_in_for_a_label_map():
    mask = masks(("##.", "..."))[0]
    stuff = one_object(1, mask, label=1)
    scan = scan_segmentation(Segmentation((2, 3), LABELS, None, (stuff,), single_objects=True))
    assert dense(scan).tolist() == [[1, 1, -1], [-1, -1, -1]]
    thing = one_object(1, mask)
    scan = scan_segmentation(Segmentation((2, 3), LABELS, None, (thing,), single_objects=False))
    assert dense(scan).tolist() == [[3, 3, -1], [-1, -1, -1]]


def cut(data, length: int) -> list[tuple[int, int]]:
    cuts = data.draw(st.lists(st.integers(1, length), unique=True).map(sorted))
    return list(pairwise([0, *(c for c in cuts if c < length), length]))


@unhurried
@given(MAPS, st.data(), st.booleans())
def test_tiles_give_what_the_whole_gives(label_map, data, extras):
    rng = np.random.default_rng(0)
    confidence = rng.random(label_map.shape, np.float32) if extras else None
    pixels = rng.integers(0, 256, (*label_map.shape, 3), np.uint8) if extras else None
    tiles = []
    for y0, y1 in cut(data, label_map.shape[0]):
        for x0, x1 in cut(data, label_map.shape[1]):
            parts = [None if a is None else a[y0:y1, x0:x1] for a in (label_map, confidence, pixels)]
            tiles.append((y0, x0, *parts) if extras else (y0, x0, parts[0]))
    whole, streamed = scan_label_map(label_map, LABELS, confidence, pixels), scan_tiles(tiles, label_map.shape, LABELS)
    for name in ("first", "x0", "key", "confidence_sum", "color_sum"):
        assert np.array_equal(getattr(whole, name), getattr(streamed, name)), name
    of_whole = regions_of(Segmentation(label_map.shape, LABELS, label_map), min_area_px=3)
    of_tiles = regions_of_tiles(iter(tiles), label_map.shape, LABELS, min_area_px=3)
    assert np.array_equal(of_whole[0].region, of_tiles[0].region)
    assert np.array_equal(of_whole[2].edges_px, of_tiles[2].edges_px)


def tile(y0: int, x0: int, height: int, width: int, **extras: np.ndarray) -> Tile:
    return Tile(y0, x0, np.zeros((height, width), np.uint8), **extras)


ONE = np.ones((2, 2), np.float32)


@pytest.mark.parametrize(
    ("tiles", "says"),
    [
        ([], "tiles end at x 0, y 0, before they fill"),
        ([tile(0, 0, 2, 2)], "tiles end at x 2, y 0"),
        ([tile(0, 0, 2, 4)], "tiles end at x 0, y 2"),
        ([tile(0, 2, 2, 2)], "tile at x 2, y 0 of height 2: the next one must be at x 0, y 0;"),
        ([tile(0, 0, 2, 2), tile(0, 2, 1, 2)], "of height 1: the next one must be at x 2, y 0 of height 2;"),
        ([tile(0, 0, 2, 2), tile(2, 0, 2, 2)], "the next one must be at x 2, y 0"),
        ([tile(0, 0, 2, 5)], "leaves the image of 4 × 4"),
        ([tile(0, 0, 5, 4)], "leaves the image of 4 × 4"),
        ([tile(0, 0, 0, 4)], "of 0 × 4: leaves"),
        ([tile(0, 0, 4, 4), tile(4, 0, 4, 4)], "leaves the image"),
        ([(0, 0, np.zeros(4, np.uint8))], r"must be \(h, w\)"),
        ([(0, 0, np.full((2, 4), 9, np.uint8))], "row at y 0: label map holds id 9"),
        ([tile(0, 0, 2, 2, confidence=ONE), tile(0, 2, 2, 2)], "y 0: some have confidence and some have not"),
        (
            [tile(0, 0, 2, 2, confidence=ONE), tile(0, 2, 2, 2, confidence=ONE), tile(2, 0, 2, 2), tile(2, 2, 2, 2)],
            "some rows of tiles have confidence and some have not",
        ),
    ],
)
def test_what_does_not_tile_the_image_is_refused(tiles, says):
    with pytest.raises(InputError, match=says):
        scan_tiles(tiles, (4, 4), LABELS)
