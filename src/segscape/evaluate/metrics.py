"""Counts and scores of semantic segmentation: confusion matrix, IoU and its kin, calibration, bootstrap intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from segscape.errors import InputError
from segscape.evaluate import mean_defined, ratio, valid_pixels

CALIBRATION_BINS = 15
_LABEL_MAPS = (np.uint8, np.uint16)


@dataclass(frozen=True, slots=True, eq=False)
class ClassCounts:
    """Pixels per class: all that IoU, Dice and the accuracies are made of.

    Every array has shape (..., C): leading axes, if any, are images or resamples, and each score keeps them.

    Attributes:
        intersection: pixels of the class predicted as the class (TP).
        truth: pixels of the class (TP + FN).
        predicted: pixels predicted as the class (TP + FP).
    """

    intersection: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray

    def iou(self) -> np.ndarray:
        """(..., C): TP / (TP + FP + FN); NaN for a class in neither truth nor prediction."""
        return ratio(self.intersection, self.truth + self.predicted - self.intersection)

    def mean_iou(self) -> np.ndarray:
        """(...): the mean IoU over the classes that occur in truth or prediction."""
        return mean_defined(self.iou())

    def pixel_accuracy(self) -> np.ndarray:
        """(...): the share of counted pixels that are right."""
        return ratio(self.intersection.sum(-1), self.truth.sum(-1))

    def accuracy(self) -> np.ndarray:
        """(..., C): TP / (TP + FN); NaN for a class that is not in the truth."""
        return ratio(self.intersection, self.truth)

    def class_accuracy(self) -> np.ndarray:
        """(...): the mean accuracy over the classes in the truth."""
        return mean_defined(self.accuracy())

    def frequency_weighted_iou(self) -> np.ndarray:
        """(...): IoU weighted by the classes' shares of the true pixels (Long et al. 2015, section 5)."""
        return ratio((self.truth * np.nan_to_num(self.iou())).sum(-1), self.truth.sum(-1))

    def dice(self) -> np.ndarray:
        """(..., C): 2 TP / (2 TP + FP + FN); NaN for a class in neither truth nor prediction."""
        return ratio(2 * self.intersection, self.truth + self.predicted)

    def mean_dice(self) -> np.ndarray:
        """(...): the mean Dice over the classes that occur in truth or prediction."""
        return mean_defined(self.dice())


class ConfusionMatrix:
    """Counts of pixels by true and predicted class.

    Attributes:
        matrix: (C, C) int64; ``matrix[t, p]`` pixels of true class t were predicted as p.
    """

    def __init__(self, num_classes: int, ignore_index: int) -> None:
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.matrix = np.zeros((num_classes, num_classes), np.int64)

    def update(self, truth: np.ndarray, prediction: np.ndarray) -> None:
        """Count one image, or a stack of them.

        Args:
            truth: (H, W) integers: 0…C-1 or the ignore index.
            prediction: (H, W) integers: 0…C-1 wherever the truth is not ignored.

        Raises:
            InputError: shapes differ or an id is out of range.
        """
        if truth.shape == prediction.shape and truth.dtype in _LABEL_MAPS and prediction.dtype in _LABEL_MAPS:
            from segscape.evaluate.metric_kernels import count  # numba takes a while to import

            counted = np.zeros_like(self.matrix)
            if count(truth.reshape(-1), prediction.reshape(-1), self.ignore_index, counted):
                self.matrix += counted
                return
        # Any other integers, and the words for what is wrong.
        valid = valid_pixels(truth, prediction, self.num_classes, self.ignore_index)
        cells = truth[valid].astype(np.intp) * self.num_classes + prediction[valid]
        self.matrix += np.bincount(cells, minlength=self.matrix.size).reshape(self.matrix.shape)

    def __add__(self, other: ConfusionMatrix) -> ConfusionMatrix:
        """The counts of both together; both must have the same classes."""
        if (self.num_classes, self.ignore_index) != (other.num_classes, other.ignore_index):
            raise InputError(
                f"confusion matrices of {self.num_classes} and {other.num_classes} classes (ignore index "
                f"{self.ignore_index} and {other.ignore_index}) cannot be added"
            )
        total = ConfusionMatrix(self.num_classes, self.ignore_index)
        total.matrix = self.matrix + other.matrix
        return total

    @property
    def counts(self) -> ClassCounts:
        """Its diagonal, row sums and column sums, from which the scores follow."""
        return ClassCounts(self.matrix.diagonal().copy(), self.matrix.sum(1), self.matrix.sum(0))


class Calibration:
    """Expected calibration error (Guo et al. 2017, eq. 3), gathered image by image.

    Bin m of M holds confidences in ((m-1)/M, m/M]; a confidence of 0 falls in the first.
    """

    def __init__(self, num_classes: int, ignore_index: int, num_bins: int = CALIBRATION_BINS) -> None:
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.num_bins = num_bins
        self._pixels = np.zeros(num_bins, np.int64)
        self._correct = np.zeros(num_bins, np.int64)
        self._confidence = np.zeros(num_bins)

    def update(self, truth: np.ndarray, prediction: np.ndarray, confidence: np.ndarray) -> None:
        """Add one image: truth and prediction (H, W) integers, confidence (H, W) floats in 0…1.

        Raises:
            InputError: shapes differ, an id is out of range, or a confidence is not in 0…1.
        """
        valid = valid_pixels(truth, prediction, self.num_classes, self.ignore_index)
        if confidence.shape != truth.shape:
            raise InputError(f"confidence of shape {confidence.shape} must have the truth's shape {truth.shape}")
        sure = confidence[valid].astype(np.float64)
        if not ((sure >= 0) & (sure <= 1)).all():
            raise InputError(
                f"confidence must lie in 0…1, got {sure.min()} to {sure.max()}; give the probability of the class"
            )
        bins = np.maximum(np.ceil(sure * self.num_bins).astype(np.intp) - 1, 0)
        right = (truth == prediction)[valid]
        self._pixels += np.bincount(bins, minlength=self.num_bins)
        self._correct += np.bincount(bins[right], minlength=self.num_bins)
        self._confidence += np.bincount(bins, weights=sure, minlength=self.num_bins)

    def error(self) -> float:
        """The expected calibration error, 0…1; NaN when nothing was counted."""
        return float(ratio(np.abs(self._correct - self._confidence).sum(), self._pixels.sum()))

    def table(self) -> tuple[dict[str, float | int | None], ...]:
        """The reliability diagram: for each bin its range, pixels, accuracy and mean confidence (None if empty)."""
        accuracy = ratio(self._correct, self._pixels)
        confidence = ratio(self._confidence, self._pixels)
        return tuple(
            {
                "low": i / self.num_bins,
                "high": (i + 1) / self.num_bins,
                "pixels": int(self._pixels[i]),
                "accuracy": number_or_none(accuracy[i]),
                "confidence": number_or_none(confidence[i]),
            }
            for i in range(self.num_bins)
        )


def bootstrap_intervals(
    counts: ClassCounts, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile bootstrap over images of mIoU and of each class's IoU.

    Drawing N images with replacement is a multinomial weight on each image, so a resample's pixels are
    ``weights @ counts`` and all resamples are one matrix product.

    Args:
        counts: of every image, arrays (N, C).
        resamples: how often to draw.
        seed: of the draws; the same seed gives the same interval.
        level: 0.95 for a 95 % interval.

    Returns:
        (2,) lower and upper end for mIoU, and (2, C) for each class, over the resamples in which the class occurs;
        NaN where there are none.
    """
    weights = bootstrap_weights(len(counts.truth), resamples, seed)
    per_image = (counts.intersection, counts.truth, counts.predicted)
    drawn = ClassCounts(*(weights @ pixels.astype(np.float64) for pixels in per_image))
    return percentiles(drawn.mean_iou(), level), percentiles(drawn.iou(), level)


def bootstrap_weights(num_images: int, resamples: int, seed: int) -> np.ndarray:
    """(resamples, N) float64: how often each of N images is in a draw of N of them with replacement."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(num_images, np.full(num_images, 1 / num_images), size=resamples).astype(np.float64)


def percentiles(scores: np.ndarray, level: float = 0.95) -> np.ndarray:
    """Lower and upper end, (2, ...), of the middle ``level`` of (resamples, ...) scores.

    Resamples without a score (NaN) are left out; NaN where all are.
    """
    ends = [(1 - level) / 2, (1 + level) / 2]
    columns = scores.reshape(len(scores), -1).T
    defined = [column[~np.isnan(column)] for column in columns]
    found = [np.quantile(column, ends) if column.size else np.full(2, np.nan) for column in defined]
    return np.stack(found, axis=-1).reshape(2, *scores.shape[1:])


def interval_or_none(ends: np.ndarray) -> tuple[float, float] | None:
    """The (2,) ends of an interval as JSON can say them: None where there is none (NaN)."""
    return None if np.isnan(ends).any() else (float(ends[0]), float(ends[1]))


def number_or_none(score: Any) -> float | None:
    """A score as JSON can say it: None where it is undefined (NaN)."""
    return None if math.isnan(score) else float(score)
