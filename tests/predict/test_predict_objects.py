"""From detections to regions: which are kept, whose pixels are whose, and where they lie in the image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segscape.errors import ModelError
from segscape.predict.objects import detect, object_regions
from segscape.preprocess import Preprocess
from segscape.runtime.engine import Detections

SIZE = (20, 30)


def detections(boxes: Any, scores: Any, labels: Any = None, masks: Any = None) -> Detections:
    """Masks that fill their boxes unless given."""
    n = len(scores)
    return Detections(
        np.array(boxes, np.float32).reshape(n, 4),
        np.zeros(n, np.int64) if labels is None else np.array(labels),
        np.array(scores, np.float32),
        np.ones((n, 28, 28), np.float32) if masks is None else np.array(masks, np.float32),
    )


class Engine:
    """Finds the same in every image, and remembers its size."""

    name, concurrency = "fake", 1

    def __init__(self, found: Detections) -> None:
        self.found, self.seen = found, []

    def detect(self, batch: np.ndarray) -> Detections:
        self.seen.append(batch.shape)
        return self.found


def drawn(regions: Any) -> np.ndarray:
    """How many regions have each pixel."""
    canvas = np.zeros(SIZE, int)
    for region in regions:
        x0, y0, x1, y1 = region.box
        canvas[y0:y1, x0:x1] += region.mask.to_dense()
    return canvas


@pytest.mark.parametrize(
    ("preprocess", "seen", "box"),
    [
        (Preprocess(), (20, 30), [6, 4, 12, 8]),
        (Preprocess(zoom=2.0), (40, 60), [3, 2, 6, 4]),
        (Preprocess(long_side=15), (10, 15), [12, 8, 24, 16]),
        (Preprocess(long_side=15, zoom=2.0), (20, 30), [6, 4, 12, 8]),
        (Preprocess(short_side=40), (40, 60), [3, 2, 6, 4]),
        (Preprocess(long_side=31, zoom=0.5), (10, 16), [6 * 30 / 16, 8, 12 * 30 / 16, 16]),  # each side by its own
    ],
)
def test_boxes_are_in_the_images_own_pixels(preprocess: Preprocess, seen: tuple, box: list[float]) -> None:
    engine = Engine(detections([[6, 4, 12, 8]], [0.9], [3]))
    found = detect(engine, preprocess, np.zeros((*SIZE, 3), np.uint8))
    assert engine.seen == [(1, 3, *seen)]
    np.testing.assert_allclose(found.boxes, [box], rtol=1e-6)
    assert found.boxes.dtype == np.float32
    assert (found.labels.tolist(), found.scores.tolist()) == ([3], [np.float32(0.9)])


@pytest.mark.parametrize("part", ["boxes", "scores", "masks"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_objects_that_are_not_finite(part: str, value: float) -> None:
    found = detections([[6, 4, 12, 8]], [0.9])
    getattr(found, part).flat[0] = value
    with pytest.raises(ModelError, match="not finite"):
        detect(Engine(found), Preprocess(), np.zeros((*SIZE, 3), np.uint8))


def test_regions_say_what_was_found() -> None:
    found = detections([[2, 3, 12, 13], [14, 5, 28, 19]], [0.75, 0.5], [2, 0])
    first, second = object_regions(found, SIZE)
    assert [(r.id, r.label, r.score) for r in (first, second)] == [(1, 2, 0.75), (2, 0, 0.5)]
    assert first.box == (1, 2, 13, 14)  # torchvision's way of pasting masks reaches a pixel further than the box
    assert 100 < first.area_px <= 144
    assert first.area_px == first.mask.area


@pytest.mark.parametrize(
    ("min_score", "kept"), [(0.0, [0.9, 0.5, 0.05]), (0.05, [0.9, 0.5, 0.05]), (0.5, [0.9, 0.5]), (0.91, [])]
)
def test_lower_scores_are_left_out(min_score: float, kept: list[float]) -> None:
    found = detections([[2, 3, 12, 13]] * 3, [0.9, 0.5, 0.05])
    assert [r.score for r in object_regions(found, SIZE, min_score)] == pytest.approx(kept)


def test_scores_a_rounding_error_above_one_are_one() -> None:
    (region,) = object_regions(detections([[2, 3, 12, 13]], [np.nextafter(np.float32(1), np.float32(2))]), SIZE)
    assert region.score == 1.0


def test_an_object_without_a_pixel_is_left_out_and_ids_go_on() -> None:
    masks = np.ones((3, 28, 28))
    masks[1] = 0.5  # not above the threshold
    found = detections([[2, 3, 12, 13], [2, 3, 12, 13], [14, 3, 24, 13]], [0.9, 0.8, 0.7], None, masks)
    assert [(r.id, r.score) for r in object_regions(found, SIZE)] == [(1, pytest.approx(0.9)), (2, pytest.approx(0.7))]
    assert object_regions(detections([], []), SIZE) == ()


# --- without overlap

LEFT = [0, 0, 10, 10]


@pytest.mark.parametrize(
    ("other", "box"),
    [
        pytest.param([20, 0, 30, 10], (19, 0, 30, 11), id="apart"),
        pytest.param([4, 0, 14, 10], None, id="four tenths are left"),
        pytest.param([6, 0, 16, 10], (11, 0, 17, 11), id="six tenths are left"),
        pytest.param([0, 0, 10, 10], None, id="a double"),
        pytest.param([2, 2, 8, 8], None, id="within"),
    ],
)
def test_a_pixel_belongs_to_the_highest_score_and_doubles_are_dropped(other: list[int], box: tuple | None) -> None:
    found = detections([LEFT, other], [0.9, 0.8])
    regions = object_regions(found, SIZE, overlap=False)
    assert drawn(regions).max() == 1
    assert regions[0].area_px == object_regions(detections([LEFT], [0.9]), SIZE)[0].area_px
    assert [(r.id, r.box) for r in regions[1:]] == ([(2, box)] if box else [])
    assert len(object_regions(found, SIZE)) == 2


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 8))
def test_no_pixel_twice_and_at_least_half_of_each_mask(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    corner, length = rng.uniform(-3, 25, (count, 2)), rng.uniform(1, 15, (count, 2))
    boxes = np.concatenate((corner, corner + length), axis=1)
    masks = rng.random((count, 4, 4))
    found = detections(boxes, np.sort(rng.random(count))[::-1], None, masks)
    whole = {r.score: r for r in object_regions(found, SIZE, 0.0)}
    apart = object_regions(found, SIZE, 0.0, overlap=False)
    assert drawn(apart).max(initial=0) <= 1
    assert [r.id for r in apart] == list(range(1, len(apart) + 1))
    taken = np.zeros(SIZE, int)
    kept = {r.score: r for r in apart}
    for score, region in whole.items():  # by falling score
        free = drawn([region]) * (taken == 0)
        if score in kept:
            np.testing.assert_array_equal(drawn([kept[score]]), free)
            assert 2 * free.sum() >= region.area_px
            taken += free
        else:
            assert 2 * free.sum() < region.area_px
