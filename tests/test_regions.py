import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from segscape.errors import InputError
from segscape.labels import Label, LabelSet
from segscape.predict import regions as regions_module
from segscape.predict.regions import regions_from_label_map
from segscape.runtime.inference import SampledConfidence, Scores, classify

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # other work may slow us
LABELS = LabelSet("abc", tuple(Label(name, (0, 0, 0)) for name in "abc"))
IDS = {"a": 0, "b": 1, "c": 2, "-": 255}


def labels(*rows: str) -> np.ndarray:
    return np.array([[IDS[c] for c in row] for row in rows], np.uint8)


@pytest.mark.parametrize(
    ("label_map", "expected"),  # (class, box, area) in order
    [
        (labels("a"), [(0, (0, 0, 1, 1), 1)]),
        (labels("-"), []),
        (labels("--", "--"), []),
        (labels("aab"), [(0, (0, 0, 2, 1), 2), (1, (2, 0, 3, 1), 1)]),
        (labels("aba"), [(0, (0, 0, 1, 1), 1), (1, (1, 0, 2, 1), 1), (0, (2, 0, 3, 1), 1)]),  # one class, two pieces
        (labels("ab", "ba"), [(0, (0, 0, 2, 2), 2), (1, (0, 0, 2, 2), 2)]),  # 8-connected, both ways
        (labels("a-", "-a"), [(0, (0, 0, 2, 2), 2)]),
        (labels("a-a"), [(0, (0, 0, 1, 1), 1), (0, (2, 0, 3, 1), 1)]),
        (labels("aaa", "aba", "aaa"), [(0, (0, 0, 3, 3), 8), (1, (1, 1, 2, 2), 1)]),
        (labels("b", "a", "b", "b"), [(1, (0, 2, 1, 4), 2), (1, (0, 0, 1, 1), 1), (0, (0, 1, 1, 2), 1)]),
        (labels("--a", "---", "b--"), [(0, (2, 0, 3, 1), 1), (1, (0, 2, 1, 3), 1)]),  # the top before the left
        (labels("cccc", "cccc", "aabb", "aabb"), [(2, (0, 0, 4, 2), 8), (0, (0, 2, 2, 4), 4), (1, (2, 2, 4, 4), 4)]),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_regions_are_connected_pieces_largest_first(label_map, expected, dtype):
    regions = regions_from_label_map(label_map.astype(dtype), LABELS)
    assert [(r.label, r.box, r.area_px) for r in regions] == expected
    assert [r.id for r in regions] == list(range(1, len(expected) + 1))
    assert all(r.score is None for r in regions)


@pytest.mark.parametrize(("min_area_px", "areas"), [(1, [4, 2, 1]), (2, [4, 2]), (3, [4]), (5, [])])
def test_small_pieces_are_left_out(min_area_px, areas):
    regions = regions_from_label_map(labels("aaaabbc"), LABELS, min_area_px=min_area_px)
    assert [r.area_px for r in regions] == areas
    assert [r.id for r in regions] == list(range(1, len(areas) + 1))


def test_the_score_is_the_mean_confidence():
    confidence = np.array([[0.5, 1.0, 0.25], [0.0, 0.75, 0.125]], np.float32)
    regions = regions_from_label_map(labels("aab", "-ab"), LABELS, confidence)
    assert [(r.label, r.score) for r in regions] == [(0, 0.75), (1, 0.1875)]


@pytest.mark.parametrize("every", [1, 2, 5])
@pytest.mark.parametrize("at_once", [7, 2**20])
@pytest.mark.parametrize("few", [1, 9, 10**6])
def test_a_sampled_score_is_the_mean_of_a_lattice_or_of_all_pixels(monkeypatch, few, at_once, every):
    monkeypatch.setattr(regions_module, "_FEW_POINTS", few)
    monkeypatch.setattr(regions_module, "_PIXELS_AT_ONCE", at_once)
    logits = np.random.default_rng(3).normal(size=(3, 5, 4)).astype(np.float32)
    scores = Scores(logits, (9.0, 11.0), (45, 44))
    label_map, confidence = classify(scores)
    assert confidence is not None
    label_map[:8, :13] = 255
    label_map[20, 20], label_map[22, 22] = 2, 1  # on no lattice, and on that of 5
    regions = regions_from_label_map(label_map, LABELS, SampledConfidence(scores, every))
    assert len(regions) > 4
    on_lattice = np.zeros(label_map.shape, bool)
    on_lattice[every // 2 :: every, every // 2 :: every] = True
    for region in regions:
        x0, y0, x1, y1 = region.box
        mask, points = region.mask.to_dense(), on_lattice[y0:y1, x0:x1]
        taken = mask & points if (mask & points).sum() >= few else mask
        expected = confidence[y0:y1, x0:x1][taken].mean(dtype=np.float64)
        np.testing.assert_allclose(region.score, expected, rtol=1e-12)


def test_a_score_does_not_leave_0_to_1_by_rounding():
    confidence = np.nextafter(np.ones((3, 3), np.float32), np.float32(2))
    assert regions_from_label_map(np.zeros((3, 3), np.uint8), LABELS, confidence)[0].score == 1


@unhurried
@given(
    st.data(),
    arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=8), elements=st.sampled_from(list(IDS.values()))),
    st.booleans(),
)
def test_regions_rebuild_the_label_map(data, label_map, fortran):
    confidence = data.draw(arrays(np.float32, label_map.shape, elements=st.floats(0, 1, width=32)))
    if fortran:
        label_map, confidence = np.asfortranarray(label_map), np.asfortranarray(confidence)
    regions = regions_from_label_map(label_map, LABELS, confidence)
    rebuilt = np.full(label_map.shape, 255, np.uint8)
    covered = np.zeros(label_map.shape, int)
    for region in regions:
        x0, y0, x1, y1 = region.box
        mask = region.mask.to_dense()
        assert mask.any(axis=0)[[0, -1]].all()  # the box is tight
        assert mask.any(axis=1)[[0, -1]].all()
        rebuilt[y0:y1, x0:x1][mask] = region.label
        covered[y0:y1, x0:x1] += mask
        np.testing.assert_allclose(region.score, confidence[y0:y1, x0:x1][mask].mean(dtype=np.float64), atol=1e-6)
    np.testing.assert_array_equal(rebuilt, label_map)
    np.testing.assert_array_equal(covered, label_map != 255)
    assert sum(r.area_px for r in regions) == np.count_nonzero(label_map != 255)
    assert [r.area_px for r in regions] == sorted((r.area_px for r in regions), reverse=True)


@pytest.mark.parametrize("num", [254, 255, 256, 300, 65535])
def test_label_sets_around_the_limits_of_uint8(num):
    many = LabelSet("many", tuple(Label(str(i), (0, 0, 0)) for i in range(num)), ignore_index=max(num, 255))
    ids = [0, num - 1, min(num, 254) - 1, many.ignore_index]
    regions = regions_from_label_map(np.array([ids], np.uint16), many)
    assert {r.label for r in regions} == set(ids[:3])
    assert sum(r.area_px for r in regions) == 3


@pytest.mark.parametrize(
    ("label_map", "confidence", "says"),
    [
        (np.array([[0, 1], [37, 40]], np.uint8), None, r"id 37 \(first at x 0, y 1\).*'abc' has ids 0…2 and ignore"),
        (np.array([[0, 3]], np.uint16), None, r"id 3 \(first at x 1, y 0\)"),
        (np.zeros((2, 2), np.int64), None, "int64"),
        (np.zeros((2, 2), bool), None, "bool"),
        (np.zeros((2, 2, 1), np.uint8), None, r"\(2, 2, 1\)"),
        (np.zeros((0, 2), np.uint8), None, r"\(0, 2\)"),
        (np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.float32), "confidence of shape"),
        (
            np.zeros((2, 3), np.uint8),
            SampledConfidence(Scores(np.zeros((3, 1, 1), np.float32), (3.0, 2.0), (3, 2)), 1),
            "confidence of shape",
        ),
    ],
)
def test_maps_that_are_refused(label_map, confidence, says):
    with pytest.raises(InputError, match=says):
        regions_from_label_map(label_map, LABELS, confidence)


def test_twelve_megapixels_take_a_second_or_so():
    blocks = np.random.default_rng(0).integers(0, 3, (20, 25), np.uint8)
    label_map = np.kron(blocks, np.ones((150, 160), np.uint8))
    confidence = np.full(label_map.shape, 0.5, np.float32)
    start = time.process_time()
    regions = regions_from_label_map(label_map, LABELS, confidence)
    assert time.process_time() - start < 3  # 0.5 s on a quiet core
    assert sum(r.area_px for r in regions) == 12_000_000
