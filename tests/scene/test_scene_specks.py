"""Tiny pieces go to what surrounds them."""

import numpy as np
import pytest
import scipy.ndimage
from four_classes import LABELS, MAPS, VOID, rows, unhurried
from hypothesis import given
from hypothesis import strategies as st

from segscape.masks import crop_to_box
from segscape.result import Region, Segmentation
from segscape.scene.regions import regions_of
from segscape.scene.specks import default_speck_px


def merged(label_map: np.ndarray, least: int) -> np.ndarray:
    run_map, measures, _ = regions_of(Segmentation(label_map.shape, LABELS, label_map), min_area_px=least)
    return measures.label[run_map.to_dense()].astype(np.uint8)  # of -1 it makes VOID


def pieces_of(label_map: np.ndarray) -> np.ndarray:
    """8-connected pieces, numbered from 1 by their first pixels; 0 is void."""
    pieces = np.zeros(label_map.shape, int)
    for label in range(4):
        found, num = scipy.ndimage.label(label_map == label, np.ones((3, 3)))
        for number in range(1, num + 1):
            pieces[found == number] = np.flatnonzero(found == number)[0] + 1
    return pieces


def by_the_rule(label_map: np.ndarray, least: int) -> np.ndarray:
    """The rule in words, one speck at a time, all pieces found anew after each."""
    label_map = label_map.copy()
    while True:
        pieces = pieces_of(label_map)
        numbers, areas = np.unique(pieces[pieces > 0], return_counts=True)
        area = dict(zip(numbers.tolist(), areas.tolist(), strict=True))
        for speck in sorted((n for n in area if area[n] < least), key=lambda n: (area[n], n)):
            shared = dict.fromkeys(area, 0)
            padded = np.pad(pieces, 1)
            for down, right in ((0, 1), (0, -1), (1, 0), (-1, 0)):
                there = np.roll(padded, (down, right), (0, 1))[padded == speck]
                for neighbour in there[(there > 0) & (there != speck)].tolist():
                    shared[neighbour] += 1
            if any(shared.values()):
                best = max(area, key=lambda n: (shared[n], area[n], -n))
                label_map[pieces == speck] = label_map[pieces == best][0]
                break
        else:
            return label_map


@pytest.mark.parametrize(
    ("before", "least", "after"),
    [
        pytest.param(("aaa", "aba", "aaa"), 2, ("aaa", "aaa", "aaa"), id="into its surround"),
        pytest.param(("aaa", "aba", "aaa"), 1, ("aaa", "aba", "aaa"), id="1 merges nothing"),
        pytest.param(("aaa", "abb", "aaa"), 2, ("aaa", "abb", "aaa"), id="as large as the threshold is none"),
        pytest.param(("aaacbb", "aaabbb"), 2, ("aaabbb", "aaabbb"), id="equal borders, equal areas: the first"),
        pytest.param(("aaacbbb", "aaabbbb"), 2, ("aaabbbb", "aaabbbb"), id="most edges first"),
        pytest.param(("aacbbb", "aacbbb"), 3, ("aabbbb", "aabbbb"), id="equal edges: the larger"),
        pytest.param(("bbcaaa", "bbcaaa"), 3, ("bbaaaa", "bbaaaa"), id="larger, though it comes later"),
        pytest.param(("...", ".b.", "..."), 9, ("...", ".b.", "..."), id="never into void"),
        pytest.param(("a.", ".b"), 9, ("a.", ".b"), id="a corner is no border"),
        pytest.param(("aacaa", ".....", "bbbbb"), 2, ("aaaaa", ".....", "bbbbb"), id="two pieces become one"),
        pytest.param(("aac..", "...aa"), 2, ("aaa..", "...aa"), id="and so at a corner"),
        pytest.param(("aabcc", "aabcc", "aaccc"), 3, ("aaccc", "aaccc", "aaccc"), id="edges at three sides"),
        pytest.param(("bc.aaaa",), 3, ("cc.aaaa",), id="smallest first, equal ones from the top left"),
    ],
)
def test_specks(before, least, after):
    assert merged(rows(*before), least).tolist() == rows(*after).tolist()


@unhurried
@given(MAPS, st.integers(1, 12))
def test_the_graph_gives_what_the_rule_says(label_map, least):
    assert np.array_equal(merged(label_map, least), by_the_rule(label_map, least))


@unhurried
@given(MAPS, st.integers(2, 12))
def test_no_speck_is_left_beside_a_class_and_a_second_time_changes_nothing(label_map, least):
    run_map, measures, borders = regions_of(Segmentation(label_map.shape, LABELS, label_map), min_area_px=least)
    for first, second in zip(borders.first, borders.second, strict=True):
        if second < measures.num_regions:
            assert measures.area_px[[first, second]].min() >= least
    once = merged(label_map, least)
    again, _, _ = regions_of(Segmentation(label_map.shape, LABELS, once), min_area_px=least)
    assert np.array_equal(again.to_dense(), run_map.to_dense())
    assert np.array_equal(once == VOID, label_map == VOID)


def test_many_specks_and_a_high_threshold():
    noise = np.random.default_rng(0).integers(0, 3, (60, 60)).astype(np.uint8)
    assert np.array_equal(merged(noise, 40), by_the_rule(noise, 40))


def test_single_objects_are_never_specks_and_take_none():
    label_map = rows("aaaa", "abba", "aaaa")
    mask = np.zeros((3, 4), bool)
    mask[1, 1] = True
    box, cropped = crop_to_box(mask)
    thing = Region(1, 3, 0.9, box, 1, cropped)
    result = Segmentation((3, 4), LABELS, label_map, (thing,), single_objects=True)
    run_map, measures, _ = regions_of(result, min_area_px=5)
    assert run_map.to_dense().tolist() == [[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert measures.single.tolist() == [False, True]

    ring = Region(1, 3, 0.9, (0, 0, 4, 3), 10, crop_to_box(label_map == 0)[1])
    result = Segmentation((3, 4), LABELS, label_map, (ring,), single_objects=True)
    assert regions_of(result, min_area_px=5)[1].label.tolist() == [3, 1]


def test_merged_pixels_count_in_colour_and_confidence():
    label_map = rows("aaa", "aba", "aaa")
    confidence = np.full((3, 3), 0.9, np.float32)
    confidence[1, 1] = 0
    result = Segmentation((3, 3), LABELS, label_map, confidence=confidence)
    assert regions_of(result, min_area_px=2)[1].score == pytest.approx([0.8])


@pytest.mark.parametrize(
    ("size", "px"),
    [((1, 1), 1), ((100, 100), 1), ((100, 149), 1), ((360, 480), 17), ((480, 640), 31), ((7000, 7000), 1024)],
)
def test_the_threshold_is_a_ten_thousandth_of_the_image_up_to_a_cell_of_a_network(size, px):
    assert default_speck_px(size) == px
