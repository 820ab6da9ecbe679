"""Found objects matched one to one with true ones, and the average precision TP / (TP + FP + FN) that follows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from segscape.errors import InputError
from segscape.evaluate import mean_defined, ratio
from segscape.evaluate.image_objects import Instances, shared_pixels

THRESHOLDS = tuple(round(0.5 + 0.05 * i, 2) for i in range(9))  # IoU 0.5, 0.55 … 0.9
_COVERED = 0.5  # share of an object that another must cover to have swallowed it
_CURVE_POINTS = 200


@dataclass(frozen=True, slots=True, eq=False)
class ImageMatches:
    """The found objects of one image, matched at every threshold and every score at once.

    Detections are taken by falling score; each is matched if that makes one more match possible, earlier ones
    changing partners where need be (augmenting paths, Kuhn 1955). A matched detection stays matched, so the number
    of matches among those of score s and more is the largest possible, for every s.

    Attributes:
        scores: (D,) float64, falling.
        classes: (D,) int64 class ids.
        matched: (D, T) bool: true positive at each of `THRESHOLDS`.
        ignored: (D, T) bool: neither right nor wrong, because unmatched and within a crowd of its class (COCO's rule:
            at least that threshold's share of it).
        truths: (C,) int64: true objects of each class, crowds left out.
    """

    scores: np.ndarray
    classes: np.ndarray
    matched: np.ndarray
    ignored: np.ndarray
    truths: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Overlaps:
    """How the found objects of an image lie to the true ones.

    Attributes:
        iou: (D, G) float64; 0 where the classes differ or the true object is a crowd.
        of_true: (D, G) float64: the share of the true object that is covered; 0 as above.
        of_found: (D, G) float64: the share of the found object that is covered; 0 as above.
        in_crowd: (D,) float64: the largest share of the found object within one crowd of its class.
    """

    iou: np.ndarray
    of_true: np.ndarray
    of_found: np.ndarray
    in_crowd: np.ndarray

    def of(self, chosen: np.ndarray) -> Overlaps:
        """Those of some found objects alone: (D,) bool."""
        return Overlaps(self.iou[chosen], self.of_true[chosen], self.of_found[chosen], self.in_crowd[chosen])


def overlaps(found: Instances, true: Instances) -> Overlaps:
    """Measure every pair of found and true objects of one image.

    Raises:
        InputError: they are of images of different size.
        ConfigError: hotcoco is not installed.
    """
    if found.size != true.size:
        raise InputError(
            f"the model's result of {found.size} (height, width) does not fit the truth's {true.size}; "
            "predict at the size of the photo"
        )
    shared = shared_pixels(found, true) * (found.classes[:, None] == true.classes)
    within = ratio(shared, np.broadcast_to(found.areas[:, None], shared.shape))
    crowd = np.where(true.crowd, within, 0).max(axis=1, initial=0)
    shared = np.where(true.crowd, 0, shared)
    areas = np.broadcast_to(true.areas, shared.shape)
    return Overlaps(
        iou=np.nan_to_num(ratio(shared, found.areas[:, None] + areas - shared)),
        of_true=np.nan_to_num(ratio(shared, areas)),
        of_found=np.where(true.crowd, 0, within),
        in_crowd=crowd,
    )


def match(found: Instances, true: Instances, pairs: Overlaps, num_classes: int) -> ImageMatches:
    """Match one image; see `ImageMatches`."""
    # Among equal scores those outside crowds come first: then the counts do not depend on the order they came in.
    order = np.lexsort((pairs.in_crowd, -found.scores))
    iou, in_crowd = pairs.iou[order], pairs.in_crowd[order]
    matched = np.stack([_matched(iou >= t) for t in THRESHOLDS], axis=1)
    return ImageMatches(
        scores=found.scores[order],
        classes=found.classes[order],
        matched=matched,
        ignored=~matched & (in_crowd[:, None] >= THRESHOLDS),
        truths=np.bincount(true.classes[~true.crowd], minlength=num_classes),
    )


def _matched(fits: np.ndarray) -> np.ndarray:
    """(D,) bool of a (D, G) bool table: whether row d adds a match to those of the rows before it."""
    neighbours = [np.flatnonzero(row).tolist() if row.any() else [] for row in fits]
    row_of: dict[int, int] = {}
    column_of: dict[int, int] = {}

    def augment(start: int) -> bool:
        reached_from: dict[int, int] = {}
        queue = [start]
        for row in queue:
            for column in neighbours[row]:
                if column in reached_from:
                    continue
                reached_from[column] = row
                if column in row_of:
                    queue.append(row_of[column])
                    continue
                while True:
                    row = reached_from[column]
                    previous = column_of.get(row)
                    row_of[column], column_of[row] = row, column
                    if previous is None:
                        return True
                    column = previous
        return False

    return np.array([bool(columns) and augment(row) for row, columns in enumerate(neighbours)], bool)


def assign(iou: np.ndarray, threshold: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """The one-to-one matching with the most pairs of IoU ≥ threshold, and among those the largest sum of IoU.

    The costs are those of StarDist's ``matching``.

    Args:
        iou: (D, G).

    Returns:
        Rows and columns of the pairs, (M,) int64 each.
    """
    fits = iou >= threshold
    rows, columns = np.nonzero(fits)
    # Where masks do not overlap each other no two pairs compete at 0.5: there is nothing to choose.
    if len(np.unique(rows)) == len(np.unique(columns)) == len(rows):
        return rows, columns
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(-fits.astype(float) - iou / (2 * min(iou.shape)))
    good = iou[rows, columns] >= threshold
    return rows[good], columns[good]


def merging(pairs: Overlaps) -> np.ndarray:
    """(D,) bool: found objects that cover at least half of each of two or more true ones."""
    return (pairs.of_true >= _COVERED).sum(axis=1) >= 2


def split_up(pairs: Overlaps) -> np.ndarray:
    """(G,) bool: true objects that hold at least half of each of two or more found ones."""
    return (pairs.of_found >= _COVERED).sum(axis=0) >= 2


@dataclass(frozen=True, slots=True, eq=False)
class MatchCounts:
    """True positives, false positives and misses. Every array has shape (..., T): leading axes are kept."""

    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray

    def average_precision(self) -> np.ndarray:
        """(..., T): TP / (TP + FP + FN); NaN where there is neither a true nor a found object."""
        return ratio(self.tp, self.tp + self.fp + self.fn)

    def precision(self) -> np.ndarray:
        """(..., T): TP / (TP + FP); NaN where nothing was found."""
        return ratio(self.tp, self.tp + self.fp)

    def recall(self) -> np.ndarray:
        """(..., T): TP / (TP + FN); NaN where nothing is to be found."""
        return ratio(self.tp, self.tp + self.fn)

    def f1(self) -> np.ndarray:
        """(..., T): 2 TP / (2 TP + FP + FN); NaN where there is neither a true nor a found object."""
        return ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    def sum(self, axis: int | tuple[int, ...]) -> MatchCounts:
        """Over some of the leading axes."""
        return MatchCounts(self.tp.sum(axis), self.fp.sum(axis), self.fn.sum(axis))

    def __getitem__(self, index: Any) -> MatchCounts:
        return MatchCounts(self.tp[index], self.fp[index], self.fn[index])


def count(images: Sequence[ImageMatches], min_score: float) -> MatchCounts:
    """What N images hold at a score: detections of ``min_score`` and more.

    Returns:
        Arrays (N, C, T) int64 over images, classes and `THRESHOLDS`.
    """
    num_classes = len(images[0].truths) if images else 0
    tp = np.zeros((len(images), num_classes, len(THRESHOLDS)), np.int64)
    fp, truths = np.zeros_like(tp), np.zeros_like(tp)
    for i, image in enumerate(images):
        kept = image.scores >= min_score
        np.add.at(tp[i], image.classes[kept], image.matched[kept])
        np.add.at(fp[i], image.classes[kept], ~(image.matched | image.ignored)[kept])
        truths[i] = image.truths[:, None]
    return MatchCounts(tp, fp, truths - tp)


@dataclass(frozen=True, slots=True)
class ScoreChoice:
    """The score from which on detections are best kept.

    Attributes:
        min_score: midway between the lowest score that is worth keeping and the next lower one.
        mean_ap: the mean of AP(t) over `THRESHOLDS` that it reaches on these images.
        curve: (score, mean AP when detections of that score and more are kept), scores falling; at most 200 of them.
    """

    min_score: float
    mean_ap: float
    curve: tuple[tuple[float, float], ...]


def best_min_score(images: Iterable[ImageMatches]) -> ScoreChoice:
    """The score that makes the mean of AP(t) over IoU 0.5, 0.55 … 0.9 largest, all images counted together.

    One sort and a cumulative sum: nothing is predicted or matched again. Meant for validation images.

    Args:
        images: ``report.matches`` of `segscape.evaluate.instance.InstanceReport`, or some of them.

    Raises:
        InputError: nothing was found in any of them.
    """
    images = list(images)
    scores = np.concatenate([image.scores for image in images]) if images else np.zeros(0)
    if not len(scores):
        raise InputError("no object was found in these images, so there is no score to choose")
    order = np.argsort(-scores, kind="stable")
    scores = scores[order]
    matched = np.concatenate([image.matched for image in images])[order]
    wrong = ~(matched | np.concatenate([image.ignored for image in images])[order])
    truths = sum(int(image.truths.sum()) for image in images)
    # TP + FN are the true objects, however many are found.
    mean_ap = mean_defined(ratio(np.cumsum(matched, 0), truths + np.cumsum(wrong, 0)))
    last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)  # equal scores are kept or dropped together
    scores, mean_ap = scores[last], np.nan_to_num(mean_ap[last])
    best = int(np.argmax(mean_ap))
    below = scores[best + 1] if best + 1 < len(scores) else 0.0
    shown = np.unique(np.linspace(0, len(scores) - 1, _CURVE_POINTS).round().astype(int))
    return ScoreChoice(
        min_score=float((scores[best] + below) / 2),
        mean_ap=float(mean_ap[best]),
        curve=tuple((float(scores[i]), float(mean_ap[i])) for i in shown),
    )
