from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segscape.errors import InputError
from segscape.evaluate.boundary import BoundaryScores

IGNORE = 255
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # other work may slow us


def u8(rows: Any) -> np.ndarray:
    return np.array(rows, np.uint8)


def scores(truth: Any, prediction: Any, num_classes: int = 2, **options: float) -> BoundaryScores:
    result = BoundaryScores(num_classes, IGNORE, **options)
    result.update(u8(truth), u8(prediction))
    return result


def split_at(column: int, width: int = 40, height: int = 30) -> np.ndarray:
    """Class 0 left of ``column``, class 1 from it on; the diagonal of 40 × 30 is 50 px."""
    ids = np.zeros((height, width), np.uint8)
    ids[:, column:] = 1
    return ids


def boundary_iou_of_the_paper(truth: np.ndarray, prediction: np.ndarray, ratio: float = 0.02) -> float:
    """Of two binary masks, as section 3 of Cheng et al. 2021 describes it: mask less its d-fold 3 × 3 erosion."""
    d = max(1, round(ratio * math.hypot(*truth.shape)))

    def band(mask: np.ndarray) -> np.ndarray:
        padded = np.pad(mask.astype(np.uint8), 1)
        return mask & (cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=d)[1:-1, 1:-1] == 0)

    union = (band(truth) | band(prediction)).sum()
    return (band(truth) & band(prediction)).sum() / union if union else math.nan


def f_by_distance_transform(truth: np.ndarray, prediction: np.ndarray, tolerance_px: float) -> float:
    """The F-score of two binary masks, from OpenCV's exact distances."""

    def contour(mask: np.ndarray) -> np.ndarray:
        cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
        return mask & (cv2.erode(mask.astype(np.uint8), cross) == 0)

    def share_near(of: np.ndarray, to: np.ndarray) -> float:
        distance = cv2.distanceTransform((~to).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        return (distance[of] < tolerance_px).mean() if of.any() and to.any() else 0

    a, b = contour(truth), contour(prediction)
    precision, recall = share_near(b, a), share_near(a, b)
    if not a.any() and not b.any():
        return math.nan
    return 2 * precision * recall / (precision + recall) if precision + recall else 0


label_maps = arrays(np.uint8, (2, 9, 12), elements=st.integers(0, 2))


class TestBoundaryF:
    @pytest.mark.parametrize(
        ("shift", "tolerance_px", "expected"),
        [
            (0, 0.5, 1),
            (1, 0.5, 0),  # one column aside, further than the tolerance
            (1, 1.0, 0),  # nearer than, not as near as
            (1, 1.1, 1),
            (3, 3.1, 1),
            (3, 2.9, 0),
        ],
    )
    def test_straight_contour_moved(self, shift, tolerance_px, expected):
        result = scores(split_at(20), split_at(20 + shift), tolerance=tolerance_px / 50)
        assert result.f() == expected
        assert result.f_per_class().tolist() == [expected, expected]

    @pytest.mark.parametrize(("tolerance_px", "expected"), [(5.0, 0), (5.01, 1)])
    def test_distance_is_euclidean_and_must_be_below_the_tolerance(self, tolerance_px, expected):
        truth, prediction = np.zeros((2, 30, 40), np.uint8)
        truth[10, 10] = prediction[13, 14] = 1  # 5 px apart
        assert scores(truth, prediction, tolerance=tolerance_px / 50).f_per_class()[1] == expected

    @unhurried
    @given(label_maps, st.sampled_from([0.5, 1.2, 1.5, 2.3, 4.1]))
    def test_equals_the_distance_transform(self, maps, tolerance_px):
        ours = scores(*maps, 3, tolerance=tolerance_px / math.hypot(9, 12)).f_per_class()
        theirs = [f_by_distance_transform(maps[0] == c, maps[1] == c, tolerance_px) for c in range(3)]
        np.testing.assert_allclose(ours, theirs)

    def test_half_of_the_contour_missed(self):
        # truth: class 1 is a bar of two pieces; prediction has only one of them, so P = 1 and R = 1/2
        truth, prediction = np.zeros((2, 30, 40), np.uint8)
        truth[5:10, 2:8] = truth[5:10, 25:31] = 1
        prediction[5:10, 2:8] = 1
        f = scores(truth, prediction).f_per_class()
        assert f == pytest.approx([2 / 3, 2 / 3])

    def test_contour_is_4_connected(self):
        # class 1's single pixel at the centre: its four neighbours, not its diagonal ones, are class 0's contour,
        # and the prediction's lone contour pixel of class 0 is found among them only if it is one of the four
        truth = u8([[0, 0, 0], [0, 1, 0], [0, 0, 0]])
        prediction = u8([[1, 0, 1], [1, 1, 1], [1, 1, 1]])
        f = scores(truth, prediction, tolerance=0.01).f_per_class()
        assert f[0] == pytest.approx(2 * 1 * (1 / 4) / (1 + 1 / 4))

    def test_image_edge_is_no_contour(self):
        result = scores(np.zeros((6, 6)), np.zeros((6, 6)))
        assert np.isnan(result.f_per_class()).all()
        assert math.isnan(result.f())

    def test_contour_in_one_only_scores_zero(self):
        f = scores(split_at(20), np.zeros((30, 40))).f_per_class()
        assert f.tolist() == [0, 0]

    def test_ignored_band_makes_no_contour_and_is_not_counted(self):
        truth = split_at(20)
        truth[:, 19:21] = IGNORE
        moved = split_at(20)
        assert np.isnan(scores(truth, moved).f_per_class()).all()
        truth[:, 19:21] = [0, 1]
        truth[15:] = IGNORE  # the prediction may say anything down here
        moved[15:] = 1
        assert scores(truth, moved).f() == 1

    def test_averages_over_images_that_show_the_class(self):
        result = BoundaryScores(3, IGNORE)
        result.update(split_at(20), split_at(20))  # 1, 1, –
        result.update(split_at(20) * 2, split_at(30) * 2)  # 0, –, 0
        assert result.f_per_class().tolist() == [0.5, 1, 0]
        assert result.f() == 0.5
        result.update(np.zeros((30, 40), np.uint8), np.zeros((30, 40), np.uint8))  # no contour: not scored
        assert result.f() == 0.5

    def test_default_tolerance_is_of_the_diagonal(self):
        wide = [split_at(200 + shift, 400, 300) for shift in range(5)]  # 0.75 % of 500 px: 3.75 px
        assert [scores(wide[0], moved).f() for moved in wide] == [1, 1, 1, 1, 0]


class TestBoundaryIoU:
    def test_by_hand(self):
        # d = 1: the 10 × 10 square has a band of 36 px; moved by one column it shares 9 px of its top and bottom rows
        truth, prediction = np.zeros((2, 30, 40), np.uint8)
        truth[10:20, 10:20] = 1
        prediction[10:20, 11:21] = 1
        shared = 2 * 9
        assert scores(truth, prediction).iou_per_class()[1] == pytest.approx(shared / (36 + 36 - shared))

    def test_image_edge_is_contour(self):
        # 6 × 6 of one class, against a prediction that gives its middle 2 × 2 to the other; d = 1
        truth = np.zeros((6, 6), np.uint8)
        prediction = truth.copy()
        prediction[2:4, 2:4] = 1
        # true band of class 0: the frame, 20 px; predicted one: the frame and the ring about the middle, 20 + 12 px
        assert scores(truth, prediction).iou_per_class().tolist() == [20 / 32, 0]

    @unhurried
    @given(label_maps, st.sampled_from([0.02, 0.1, 0.2]))
    def test_equals_the_papers_erosion(self, maps, ratio):
        truth, prediction = maps
        ours = scores(truth, prediction, 3, dilation_ratio=ratio).iou_per_class()
        theirs = [boundary_iou_of_the_paper(truth == c, prediction == c, ratio) for c in range(3)]
        np.testing.assert_allclose(ours, theirs)

    def test_sums_over_images_before_dividing(self):
        truth, prediction = np.zeros((2, 30, 40), np.uint8)
        truth[10:20, 10:20] = prediction[10:20, 11:21] = 1
        result = BoundaryScores(2, IGNORE)
        result.update(truth, prediction)
        result.update(truth, truth)
        assert result.iou_per_class()[1] == pytest.approx((18 + 36) / (54 + 36))

    def test_ignored_pixels_neither_count_nor_make_contour(self):
        truth = np.full((30, 40), IGNORE, np.uint8)
        truth[:, 20:] = 1
        prediction = np.ones((30, 40), np.uint8)
        prediction[:, :10] = 0  # all of this is ignored
        result = scores(truth, prediction)
        assert result.iou_per_class()[1] == 1
        assert math.isnan(result.iou_per_class()[0])


@unhurried
@given(label_maps)
def test_perfect_is_one_and_all_lie_in_range(maps):
    perfect, other = scores(maps[0], maps[0], 3), scores(*maps, 3)
    for result in (perfect.f_per_class(), perfect.iou_per_class()):
        assert set(result[~np.isnan(result)]) <= {1.0}
    for result in (other.f_per_class(), other.iou_per_class()):
        assert ((result >= 0) & (result <= 1) | np.isnan(result)).all()


@unhurried
@given(label_maps, st.permutations(range(3)))
def test_renaming_classes_renames_scores(maps, order):
    before, after = scores(*maps, 3), scores(*u8(order)[maps], 3)
    np.testing.assert_allclose(after.f_per_class()[order], before.f_per_class())
    np.testing.assert_allclose(after.iou_per_class()[order], before.iou_per_class())


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (2, 3)])
def test_any_size(shape):
    truth = np.zeros(shape, np.uint8)
    truth[..., shape[1] // 2 :] = 1
    result = scores(truth, truth)
    assert result.iou() == 1
    assert np.isnan(result.f()) or result.f() == 1


def test_more_classes_than_fit_in_uint8():
    truth = split_at(20).astype(np.uint16) * 299
    result = BoundaryScores(300, 65535)
    result.update(truth, truth)
    assert result.iou() == result.f() == 1
    assert np.flatnonzero(~np.isnan(result.f_per_class())).tolist() == [0, 299]


def test_refuses_unknown_ids():
    with pytest.raises(InputError, match="class id 7"):
        scores([[0, 1]], [[0, 7]])
