from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import mutual_info_score
from sklearn.metrics.cluster import contingency_matrix

from segscape.errors import ConfigError, InputError
from segscape.evaluate.flooding import segments, thin_borders
from segscape.evaluate.partition import (
    CHALLENGE_THRESHOLDS,
    Contingency,
    PairCounts,
    PartitionScores,
    VScore,
    information_score,
    rand_score,
)

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # other work may slow us
segment_maps = arrays(np.int64, (2, 5, 6), elements=st.integers(0, 4))
masks = arrays(np.bool_, (2, 7, 9))
MEMBRANE, IGNORE = 1, 255


def both(truth: Any, prediction: Any) -> tuple[VScore, VScore]:
    table = Contingency.of(np.array(truth), np.array(prediction))
    return rand_score(PairCounts.of(table)), information_score(table)


def values(score: VScore) -> list[float | None]:
    return [score.split, score.merge, score.f]


def scored(truth: Any, probability: Any, **options: Any) -> PartitionScores:
    result = PartitionScores(**options)
    result.update(np.array(truth), np.array(probability))
    return result


def entropy(*shares: float) -> float:
    return -sum(share * math.log(share) for share in shares)


def as_singles(truth: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The counted pixels, every one that the prediction calls membrane (0) with a label of its own."""
    counted = truth > 0
    truth, prediction = truth[counted], prediction[counted]
    return truth, np.where(prediction > 0, prediction, 100 + np.arange(prediction.size))


ONE, TWO = [[1, 1, 1, 1]], [[1, 1, 2, 2]]


class TestByHand:
    @pytest.mark.parametrize(
        ("truth", "prediction", "expected"),
        [
            (TWO, TWO, [1, 1, 1]),
            (TWO, ONE, [1, 8 / 16, 2 / 3]),  # merged: all true pairs kept, half of the predicted ones wrong
            (ONE, TWO, [8 / 16, 1, 2 / 3]),  # split
            (TWO, [[1, 1, 1, 2]], [6 / 8, 6 / 10, 6 / 9]),  # pairs 4 + 1 + 1 of 4 + 4 and of 9 + 1
            ([[1, 1, 0, 2]], [[3, 3, 9, 3]], [1, 5 / 9, 10 / 14]),  # the membrane of the truth does not count
            (TWO, [[1, 0, 0, 2]], [4 / 8, 1, 2 / 3]),  # predicted membrane: pixels on their own
            (ONE, [[0, 0, 0, 0]], [4 / 16, 1, 2 / 5]),
            ([[0, 0]], [[1, 2]], [None, None, None]),
        ],
    )
    def test_rand(self, truth, prediction, expected):
        assert values(both(truth, prediction)[0]) == [e if e is None else pytest.approx(e) for e in expected]

    @pytest.mark.parametrize(
        ("truth", "prediction", "expected"),
        [
            (TWO, TWO, [1, 1, 1]),
            (ONE, ONE, [1, 1, 1]),
            (TWO, ONE, [1, 0, 0]),
            (ONE, TWO, [0, 1, 0]),
            # four pixels on their own hold log 4, of which log 2 is the truth's
            (TWO, [[0, 0, 0, 0]], [1 / 2, 1, 2 / 3]),
            (TWO, [[0, 5, 6, 6]], [math.log(2) / entropy(1 / 4, 1 / 4, 1 / 2), 1, 2 / (1 + 3 / 2)]),
            ([[0, 0]], [[1, 2]], [None, None, None]),
        ],
    )
    def test_information(self, truth, prediction, expected):
        assert values(both(truth, prediction)[1]) == [e if e is None else pytest.approx(e) for e in expected]


def brute_force_pairs(truth: np.ndarray, prediction: np.ndarray) -> list[float]:
    """Split and merge over all ordered pairs of pixels, a pixel with itself included."""
    in_truth = truth[:, None] == truth[None]
    in_prediction = prediction[:, None] == prediction[None]
    together = (in_truth & in_prediction).sum()
    return [together / in_truth.sum(), together / in_prediction.sum()]


class TestAgainstReferences:
    @unhurried
    @given(segment_maps)
    def test_rand_counts_pairs(self, maps):
        assume((maps[0] > 0).any())
        score = both(*maps)[0]
        assert [score.split, score.merge] == pytest.approx(brute_force_pairs(*as_singles(*maps)))

    @unhurried
    @given(segment_maps)
    def test_sklearn(self, maps):
        assume((maps[0] > 0).any())
        rand, information = both(*maps)
        truth, prediction = as_singles(*maps)
        shares = contingency_matrix(truth, prediction) / truth.size
        squares = [(shares**2).sum(), (shares.sum(1) ** 2).sum(), (shares.sum(0) ** 2).sum()]
        assert rand.split == pytest.approx(squares[0] / squares[1])
        assert rand.merge == pytest.approx(squares[0] / squares[2])
        assert rand.f == pytest.approx(2 * squares[0] / (squares[1] + squares[2]))
        shared = mutual_info_score(truth, prediction)
        of_truth, of_prediction = (entropy(*side[side > 0]) for side in (shares.sum(1), shares.sum(0)))
        if min(shares.shape) > 1:
            assert information.merge == pytest.approx(shared / of_truth, abs=1e-9)
            assert information.split == pytest.approx(shared / of_prediction, abs=1e-9)
            assert information.f == pytest.approx(2 * shared / (of_truth + of_prediction), abs=1e-9)

    @unhurried
    @given(segment_maps)
    def test_f_is_the_harmonic_mean_within_an_image(self, maps):
        assume((maps[0] > 0).any())
        for score in both(*maps):
            assert None not in (score.split, score.merge, score.f)
            expected = 2 * score.split * score.merge / (score.split + score.merge) if score.split + score.merge else 0
            assert score.f == pytest.approx(expected, abs=1e-9)


class TestProperties:
    @unhurried
    @given(segment_maps, st.permutations(range(1, 5)), st.permutations(range(1, 5)))
    def test_names_of_segments_do_not_matter_and_scores_lie_in_range(self, maps, first, second):
        assume((maps[0] > 0).any())
        renamed = np.array([0, *first])[maps[0]], 7 * np.array([0, *second])[maps[1]]
        for score, again in zip(both(*maps), both(*renamed), strict=True):
            assert values(again) == pytest.approx(values(score), abs=1e-9)
            assert all(0 <= value <= 1 for value in values(score))

    @unhurried
    @given(segment_maps)
    def test_equal_is_one(self, maps):
        assume((maps[0] > 0).any())
        for score in both(maps[0], maps[0]):
            assert values(score) == pytest.approx([1, 1, 1])

    @unhurried
    @given(segment_maps)
    def test_swapping_truth_and_prediction_swaps_split_and_merge(self, maps):
        truth, prediction = maps + 1  # no membrane: the restriction to the truth's foreground is not symmetric
        for score, swapped in zip(both(truth, prediction), both(prediction, truth), strict=True):
            assert values(swapped) == pytest.approx([score.merge, score.split, score.f], abs=1e-9)

    @unhurried
    @given(arrays(np.int64, (5, 6), elements=st.integers(1, 4)), st.integers(0, 3))
    def test_cutting_a_prediction_lowers_split_alone(self, truth, row):
        prediction = truth + 10 * (np.arange(5)[:, None] > row)
        for score in both(truth, prediction):
            assert score.merge == pytest.approx(1)
            assert score.split <= 1


class TestSegments:
    @pytest.mark.parametrize(
        ("inside", "expected"),
        [
            ([[1, 0], [0, 1]], [[1, 0], [0, 2]]),  # corners do not connect
            ([[1, 1], [0, 1]], [[1, 1], [0, 1]]),
            ([[0, 0], [0, 0]], [[0, 0], [0, 0]]),
        ],
    )
    def test_4_connected(self, inside, expected):
        assert segments(np.array(inside, bool)).tolist() == expected

    @pytest.mark.parametrize(
        ("regions", "expected"),
        [
            ([[1, 0, 2]], [[1, 0, 2]]),
            ([[1, 0, 0, 0, 2]], [[1, 1, 0, 2, 2]]),
            ([[1, 0, 0, 2]], [[1, 1, 0, 2]]),  # two equally good pixels: the left one is reached first
            ([[1], [0], [0], [2]], [[1], [1], [0], [2]]),
            ([[0, 0, 1, 0]], [[1, 1, 1, 1]]),
            ([[0, 0]], [[0, 0]]),
            ([[1, 2]], [[1, 2]]),
            ([[1, 0, 2], [0, 0, 0], [1, 0, 2]], [[1, 0, 2], [1, 0, 2], [1, 0, 2]]),
            # the middle sees nothing but line on one side and segment 1 on the other: it joins the segment
            ([[1, 0, 2], [1, 0, 0], [1, 0, 3]], [[1, 0, 2], [1, 1, 0], [1, 0, 3]]),
        ],
    )
    def test_thin_borders(self, regions, expected):
        assert thin_borders(np.array(regions)).tolist() == expected

    @unhurried
    @given(masks)
    def test_thinning_keeps_segments_and_fills_the_rest(self, maps):
        regions = segments(maps[0])
        assume(regions.max() > 0)
        thin = thin_borders(regions)
        assert (thin[regions > 0] == regions[regions > 0]).all()
        assert np.unique(thin[thin > 0]).tolist() == list(range(1, regions.max() + 1))
        for label in range(1, regions.max() + 1):
            assert segments(thin == label).max() == 1  # still one piece
        beside = [(thin[1:] > 0) & (thin[:-1] > 0) & (thin[1:] != thin[:-1])]
        beside.append((thin[:, 1:] > 0) & (thin[:, :-1] > 0) & (thin[:, 1:] != thin[:, :-1]))
        assert not any(touch.any() for touch in beside)  # a line between any two


# Two cells with a membrane of one column between them; the prediction below misses the lower half of it.
TRUTH = np.array([[0, 0, 1, 0, 0]] * 4)
GAP = np.array([[0, 0, 1, 0, 0]] * 2 + [[0, 0, 0.4, 0, 0]] * 2)


class TestPartitionScores:
    def test_threshold_decides_whether_the_gap_is_closed(self):
        report = scored(TRUTH, GAP, thresholds=(0.3, 0.4, 0.5)).report()
        assert [at.rand.f for at in report.thresholds] == [1, 1, pytest.approx(2 / 3)]  # at least the threshold
        assert [at.information.f for at in report.thresholds] == [pytest.approx(1), pytest.approx(1), 0]
        assert [at.pixel_error for at in report.thresholds] == [0, 0, 2 / 20]
        assert [at.pixel_f for at in report.thresholds] == [1, 1, 32 / 34]
        assert report.best_rand.threshold == report.best_information.threshold == 0.3

    def test_challenge_pixel_error_is_of_the_best_f(self):
        report = scored(TRUTH, GAP, thresholds=(0.5, 0.6)).report()
        assert report.challenge_pixel_error == pytest.approx(2 / 34)

    def test_thinning_forgives_thick_membranes(self):
        thick = np.array([[0, 1, 1, 1, 0]] * 4)
        thinned = scored(TRUTH, thick.astype(bool)).report().best_rand.rand
        plain = scored(TRUTH, thick.astype(bool), thin=False).report().best_rand.rand
        assert values(thinned) == [1, 1, 1]
        # 8 pixels on their own in each truth segment's half: 2 × (4² + 4) of 2 × 8² pairs
        assert values(plain) == pytest.approx([40 / 128, 1, 2 * 40 / (128 + 40)])

    def test_scores_average_over_images_and_pooled_rand_adds_pairs(self):
        # a perfect image of 3 pixels, and one of 4 in which two cells are merged
        result = PartitionScores(thresholds=(0.5,), thin=False)
        result.update(np.array([[0, 0, 1, 0]]), np.array([[0.0, 0, 1, 0]]))
        result.update(np.array([[0, 0, 1, 0, 0]]), np.zeros((1, 5)))
        (at,) = result.report().thresholds
        assert values(at.rand) == pytest.approx([1, (1 + 1 / 2) / 2, (1 + 2 / 3) / 2])
        assert values(at.rand_pooled) == pytest.approx([1, (5 + 8) / (5 + 16), 26 / 34])
        assert values(at.information) == pytest.approx([1, 1 / 2, 1 / 2])
        assert at.pixel_error == 1 / 9
        assert result.report().num_images == 2

    def test_image_without_foreground_adds_nothing(self):
        result = scored(TRUTH, GAP)
        before = result.report().best_rand
        result.update(np.ones((4, 5), int), np.zeros((4, 5)))
        after = result.report().best_rand
        assert (after.rand, after.information) == (before.rand, before.information)
        assert after.rand_pooled == before.rand_pooled
        assert after.pixel_error == pytest.approx(20 / 40)

    def test_nothing_to_score_is_none(self):
        report = scored([[1, 1]], [[0.0, 1.0]]).report()
        assert values(report.best_rand.rand) == values(report.best_information.information) == [None] * 3
        assert values(report.best_rand.rand_pooled) == [None] * 3
        assert report.best_rand.pixel_error == 1 / 2
        empty = PartitionScores().report()
        assert empty.challenge_pixel_error is None
        assert empty.best_rand.pixel_error is None

    def test_ignored_pixels_do_not_count(self):
        truth = TRUTH.copy()
        truth[2:, 2] = IGNORE
        report = scored(truth, GAP, thresholds=(0.5,)).report()
        assert report.best_rand.pixel_error == 0
        assert values(report.best_rand.rand) == pytest.approx([1, 1 / 2, 2 / 3])  # still two cells in the truth

    def test_membrane_may_have_another_id(self):
        swapped = np.where(TRUTH == 1, 3, 7)
        assert scored(swapped, GAP, membrane=3).report() == scored(TRUTH, GAP).report()

    def test_thresholds_are_those_of_the_script(self):
        inside_of_the_script, step = [], 0.0
        while step <= 1:
            inside_of_the_script.append(step)
            step += 0.1
        probability = np.float32([0, 1e-9, 1e-6, 0.05, 0.15, 0.35, 0.65, 0.95, 1])
        ours = [(probability < threshold).tolist() for threshold in CHALLENGE_THRESHOLDS]
        inside = (1 - probability).astype(np.float64)  # compared in double precision there
        assert ours[::-1] == [(inside > threshold).tolist() for threshold in inside_of_the_script]

    def test_binary_prediction_scores_alike_at_every_threshold(self):
        report = scored(TRUTH, TRUTH == MEMBRANE).report()
        assert len(report.thresholds) == 11
        assert {(at.rand, at.pixel_error) for at in report.thresholds} == {(VScore(1, 1, 1), 0)}

    def test_to_dict_is_json(self):
        data = json.loads(json.dumps(scored(TRUTH, GAP, thresholds=(0.5, 0.2)).report().to_dict()))
        assert data["best_rand"]["threshold"] == 0.2
        assert data["thresholds"][0]["rand"] == {"split": 1, "merge": 0.5, "f": pytest.approx(2 / 3)}
        assert set(data["thresholds"][0]) | {"split", "merge", "f", "challenge_pixel_error"} == set(data["definitions"])

    @unhurried
    @given(masks)
    def test_is_the_score_of_the_components(self, maps):
        truth, membrane = maps[0].astype(np.uint8), maps[1]
        (at,) = scored(truth, membrane, thresholds=(0.5,), thin=False).report().thresholds
        rand, information = both(segments(truth == 0), segments(~membrane))
        assert values(at.rand) == values(at.rand_pooled) == values(rand)
        assert values(at.information) == values(information)
        assert at.pixel_error == pytest.approx((maps[0] != membrane).mean())

    @pytest.mark.parametrize(
        ("truth", "probability", "words"),
        [
            (np.zeros((2, 3), int), np.zeros((3, 2)), "same"),
            (np.zeros((1, 2, 3), int), np.zeros((1, 2, 3)), "same"),
            (np.zeros((2, 3)), np.zeros((2, 3)), "integer class ids"),
            (np.zeros((2, 3), int), np.full((2, 3), 1.5), "0…1"),
            (np.zeros((2, 3), int), np.full((2, 3), np.nan), "0…1"),
            (np.zeros((2, 3), int), np.zeros((2, 3), np.uint8), "not logits or class ids"),
        ],
    )
    def test_refuses(self, truth, probability, words):
        with pytest.raises(InputError, match=words):
            PartitionScores().update(truth, probability)

    @pytest.mark.parametrize("thresholds", [(), (0.0,), (0.5, 1.1), (math.nan,)])
    def test_refuses_thresholds(self, thresholds):
        with pytest.raises(ConfigError, match="above 0"):
            PartitionScores(thresholds=thresholds)
