from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from segscape.data.objects import Objects
from segscape.errors import InputError
from segscape.evaluate.image_objects import Instances
from segscape.evaluate.matching import (
    THRESHOLDS,
    ImageMatches,
    MatchCounts,
    assign,
    best_min_score,
    count,
    match,
    merging,
    overlaps,
    split_up,
)
from segscape.labels import Label, LabelSet
from segscape.masks import RunLengths
from segscape.result import Region, Segmentation

# Scenes are strips of one row: an object is the span of pixels x0 ≤ x < x1.
LABELS = LabelSet("two", (Label("a", (1, 1, 1), thing=True), Label("b", (2, 2, 2), thing=True)))
WIDTH = 60
unhurried = settings(deadline=None)


def full(x0: int, x1: int) -> RunLengths:
    return RunLengths((1, x1 - x0), np.array([0, x1 - x0]))


def true(*spans: tuple[Any, ...]) -> Instances:
    """(x0, x1[, class[, crowd]]) each."""
    rows = [(span[2] if len(span) > 2 else 0, (span[0], 0, span[1], 1), full(*span[:2])) for span in spans]
    return Instances.true(Objects.of((1, WIDTH), rows, crowd=[len(span) > 3 and span[3] for span in spans]))


def found(*spans: tuple[Any, ...]) -> Instances:
    """(x0, x1, score[, class]) each."""
    regions = [
        Region(
            i, span[3] if len(span) > 3 else 0, span[2], (span[0], 0, span[1], 1), span[1] - span[0], full(*span[:2])
        )
        for i, span in enumerate(spans, 1)
    ]
    return Instances.found(Segmentation((1, WIDTH), LABELS, None, tuple(regions)), {0: 0, 1: 1})


def matches(detections: Instances, truth: Instances) -> ImageMatches:
    return match(detections, truth, overlaps(detections, truth), len(LABELS))


def counts(detections: Instances, truth: Instances, min_score: float, threshold: float) -> tuple[int, int, int]:
    total = count([matches(detections, truth)], min_score).sum((0, 1))
    t = THRESHOLDS.index(threshold)
    return int(total.tp[t]), int(total.fp[t]), int(total.fn[t])


CROWD = (0, True)


@pytest.mark.parametrize(
    ("detections", "truth", "expected"),
    [
        ([(0, 10, 0.9)], [(0, 10)], {0.5: (1, 0, 0), 0.9: (1, 0, 0)}),
        ([], [(0, 10)], {0.5: (0, 0, 1)}),
        ([(0, 10, 0.9)], [], {0.5: (0, 1, 0)}),
        ([], [], {0.5: (0, 0, 0)}),
        ([(0, 10, 0.9)], [(0, 20)], {0.5: (1, 0, 0), 0.55: (0, 1, 1)}),
        ([(0, 10, 0.9)], [(0, 21)], {0.5: (0, 1, 1)}),
        ([(0, 10, 0.9, 1)], [(0, 10, 0)], {0.5: (0, 1, 1)}),
        ([(0, 10, 0.9), (0, 10, 0.8)], [(0, 10)], {0.5: (1, 1, 0)}),
        ([(0, 10, 0.9), (0, 10, 0.4)], [(0, 10)], {0.5: (1, 0, 0)}),
        ([(0, 10, 0.5)], [(0, 10)], {0.5: (1, 0, 0)}),
        ([(1, 11, 0.9), (0, 9, 0.8)], [(0, 10), (3, 13)], {0.5: (2, 0, 0), 0.7: (1, 1, 1)}),
        ([(0, 9, 0.9), (1, 11, 0.8)], [(3, 13), (0, 10)], {0.5: (2, 0, 0)}),
        ([(0, 10, 0.9), (20, 30, 0.9)], [(0, 10), (20, 40, *CROWD)], {0.5: (1, 0, 0), 0.9: (1, 0, 0)}),
        ([(14, 24, 0.9)], [(20, 40, *CROWD)], {0.5: (0, 1, 0)}),
        ([(14, 26, 0.9)], [(20, 40, *CROWD)], {0.5: (0, 0, 0), 0.55: (0, 1, 0)}),
        ([(20, 30, 0.9, 1)], [(20, 40, *CROWD)], {0.5: (0, 1, 0)}),
        ([(20, 40, 0.9)], [(20, 40, *CROWD), (20, 40)], {0.5: (1, 0, 0)}),
        ([(2, 12, 0.9), (0, 9, 0.9)], [(0, 10), (5, 40, *CROWD)], {0.5: (1, 0, 0)}),
        ([(0, 9, 0.9), (2, 12, 0.9)], [(0, 10), (5, 40, *CROWD)], {0.5: (1, 0, 0)}),
    ],
    ids=[
        "perfect",
        "missed",
        "false",
        "nothing",
        "IoU of exactly the threshold matches",
        "just below it does not",
        "another class",
        "found twice: one is false",
        "the second below the score",
        "score of exactly the least",
        "the surer one gives way, so that both match",
        "in the other order too",
        "in a crowd: neither right nor wrong",
        "less than half in a crowd",
        "in a crowd by half, not by 0.55",
        "in a crowd of another class",
        "a crowd takes no match",
        "of two as sure the one outside the crowd matches",
        "in the other order too, beside a crowd",
    ],
)
def test_counts_by_hand(detections, truth, expected):
    for threshold, numbers in expected.items():
        assert counts(found(*detections), true(*truth), 0.5, threshold) == numbers


def test_overlaps_by_hand():
    pairs = overlaps(found((0, 10, 0.9), (5, 30, 0.8)), true((0, 20), (25, 30), (8, 16, *CROWD)))
    assert pairs.iou.tolist() == [[0.5, 0, 0], [0.5, 0.2, 0]]
    assert pairs.of_true.tolist() == [[0.5, 0, 0], [0.75, 1, 0]]
    assert pairs.of_found.tolist() == [[1, 0, 0], [0.6, 0.2, 0]]
    assert pairs.in_crowd.tolist() == [0.2, 0.32]


def test_images_of_another_size_are_refused():
    with pytest.raises(InputError, match=r"\(1, 60\).*does not fit the truth's \(1, 9\)"):
        overlaps(found((0, 5, 0.9)), Instances.true(Objects.of((1, 9), [])))


@pytest.mark.parametrize(
    ("detections", "truth", "merged", "split"),
    [
        ([(0, 20)], [(0, 10), (10, 20)], [True], [False, False]),
        ([(0, 15)], [(0, 10), (10, 20)], [True], [False, False]),
        ([(0, 14)], [(0, 10), (10, 20)], [False], [False, False]),
        ([(0, 10), (10, 20)], [(0, 20)], [False, False], [True]),
        ([(0, 10), (10, 31)], [(0, 20)], [False, False], [False]),
        ([(0, 20)], [(0, 10), (10, 20, 1)], [False], [False, False]),
        ([(0, 20)], [(0, 10), (10, 20, *CROWD)], [False], [False, False]),
    ],
    ids=["two swallowed", "half is enough", "less is not", "in two", "second half outside", "other class", "crowd"],
)
def test_merged_and_split(detections, truth, merged, split):
    pairs = overlaps(found(*((*span, 0.9) for span in detections)), true(*truth))
    assert merging(pairs).tolist() == merged
    assert split_up(pairs).tolist() == split


tables = st.tuples(st.integers(0, 7), st.integers(0, 7)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.sampled_from([0.0, 0.45, 0.5, 0.6, 0.8, 0.95]))
)


@unhurried
@given(tables)
def test_every_prefix_is_matched_as_well_as_can_be(iou):
    """The assignment problem's optimum, solved anew for every number of detections, is what the one pass counts."""
    rows, columns = iou.shape
    detections, truth = found(*[(0, 1, 1 - i / 10) for i in range(rows)]), true(*[(0, 1)] * columns)
    pairs = overlaps(detections, truth)
    object.__setattr__(pairs, "iou", iou)
    matched = match(detections, truth, pairs, 2).matched
    for n in range(rows + 1):
        for t, threshold in enumerate(THRESHOLDS):
            fits = iou[:n] >= threshold
            best = int(fits[linear_sum_assignment(~fits)].sum()) if fits.size else 0
            assert matched[:n, t].sum() == best


@unhurried
@given(tables, st.sampled_from(THRESHOLDS))
def test_assign_takes_most_pairs_then_highest_iou(iou, threshold):
    rows, columns = assign(iou, threshold)
    assert len(set(rows.tolist())) == len(set(columns.tolist())) == len(rows)
    assert (iou[rows, columns] >= threshold).all()
    fits = iou >= threshold
    assert len(rows) == (int(fits[linear_sum_assignment(~fits)].sum()) if fits.size else 0)


def test_assign_prefers_the_higher_sum():
    rows, columns = assign(np.array([[0.9, 0.6], [0.8, 0.6]]))
    assert (rows.tolist(), columns.tolist()) == ([0, 1], [0, 1])
    rows, columns = assign(np.array([[0.9, 0.6], [0.8, 0.4]]))  # two pairs rather than the one of 0.9
    assert (rows.tolist(), columns.tolist()) == ([0, 1], [1, 0])


span_lists = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 15)), max_size=8)


@unhurried
@given(span_lists, span_lists, st.randoms(use_true_random=False), st.lists(st.booleans(), min_size=8, max_size=8))
def test_order_does_not_matter(detections, truth, random, crowd):
    a = [(x, x + n, (x % 3) / 2, n % 2) for x, n in detections]
    b = [(x, x + n, n % 2, crowd[i]) for i, (x, n) in enumerate(truth)]

    def counted() -> list[np.ndarray]:
        images = [matches(found(*a), true(*b))]
        return [part for score in (0.0, 0.5, 1.0) for c in [count(images, score)] for part in (c.tp, c.fp, c.fn)]

    before = counted()
    random.shuffle(a)
    random.shuffle(b)
    for one, other in zip(before, counted(), strict=True):
        assert (one == other).all()


def test_counts_keep_classes_and_scores_follow():
    images = [
        matches(found((0, 10, 0.9), (20, 30, 0.6, 1)), true((0, 10), (40, 50, 1))),
        matches(found(), true((0, 10))),
    ]
    result = count(images, 0.5)
    assert result.tp.shape == (2, 2, len(THRESHOLDS))
    assert result.tp[..., 0].tolist() == [[1, 0], [0, 0]]
    assert result.fp[..., 0].tolist() == [[0, 1], [0, 0]]
    assert result.fn[..., 0].tolist() == [[0, 1], [1, 0]]
    total = result.sum((0, 1))
    assert total.average_precision()[0] == 1 / 4
    assert (total.precision()[0], total.recall()[0], total.f1()[0]) == (1 / 2, 1 / 3, 2 / 5)


def test_undefined_scores_are_nan():
    nothing = MatchCounts(*np.zeros((3, 1), np.int64))
    for score in (nothing.average_precision, nothing.precision, nothing.recall, nothing.f1):
        assert np.isnan(score()).all()


def test_four_hundred_objects_quickly():
    from segscape.data.objects import objects_from_numbers

    numbers = np.kron(np.arange(1, 401).reshape(20, 20), np.ones((51, 51), np.int64))
    objects = objects_from_numbers(numbers)
    truth = Instances.true(objects)
    regions = tuple(
        Region(i + 1, 0, 0.9, (x0, y0, x1, y1), mask.area, mask)
        for i, (mask, (x0, y0, x1, y1)) in enumerate(zip(objects.masks, objects.boxes.tolist(), strict=True))
    )
    detections = Instances.found(Segmentation(objects.size, LABELS, None, regions), {0: 0})
    began = time.process_time()
    total = count([matches(detections, truth)], 0.5).sum((0, 1))
    assert total.tp.tolist() == [400] * len(THRESHOLDS)
    assert total.fp.sum() == total.fn.sum() == 0
    assert time.process_time() - began < 1


def scored(rows: list[tuple[float, bool]], truths: int) -> ImageMatches:
    """One class, each detection right or wrong at all thresholds alike."""
    rows = sorted(rows, reverse=True)
    right = np.array([hit for _, hit in rows], bool).reshape(-1, 1) & np.ones(len(THRESHOLDS), bool)
    return ImageMatches(
        np.array([score for score, _ in rows]),
        np.zeros(len(rows), np.int64),
        right,
        np.zeros_like(right),
        np.array([truths]),
    )


def test_best_min_score_by_hand():
    images = [scored([(0.9, True), (0.6, True), (0.3, False)], 2), scored([(0.8, False), (0.2, True)], 2)]
    choice = best_min_score(images)
    # ≥ 0.9: 1/4; ≥ 0.8: 1/5; ≥ 0.6: 2/5; ≥ 0.3: 2/6; ≥ 0.2: 3/6.
    assert [pytest.approx(ap) for _, ap in choice.curve] == [1 / 4, 1 / 5, 2 / 5, 2 / 6, 3 / 6]
    assert choice.mean_ap == pytest.approx(0.5)
    assert choice.min_score == pytest.approx(0.1)
    assert best_min_score(images[:1]).min_score == pytest.approx(0.45)


def test_best_min_score_does_not_count_what_lies_in_a_crowd():
    images = [matches(found((0, 10, 0.9), (20, 30, 0.8), (45, 50, 0.7)), true((0, 10), (20, 40, *CROWD)))]
    assert [ap for _, ap in best_min_score(images).curve] == [1, 1, 0.5]


@unhurried
@given(st.lists(st.lists(st.tuples(st.sampled_from([0.1, 0.3, 0.5, 0.7]), st.booleans()), max_size=5), min_size=1))
def test_best_min_score_is_what_counting_at_every_score_finds(rows):
    images = [scored(row, 5) for row in rows]
    if not any(rows):
        with pytest.raises(InputError, match="no object was found"):
            best_min_score(images)
        return
    choice = best_min_score(images)

    def mean_ap(score: float) -> float:
        return float(count(images, score).sum((0, 1)).average_precision().mean())

    assert choice.mean_ap == pytest.approx(max(mean_ap(score) for score in (0.1, 0.3, 0.5, 0.7)))
    assert mean_ap(choice.min_score) == pytest.approx(choice.mean_ap)
    for score, ap in choice.curve:
        assert ap == pytest.approx(mean_ap(score))
