"""The scores of the ISBI 2012 membrane challenge: foreground-restricted Rand and information scores, pixel error.

Arganda-Carreras et al. 2015, "Crowdsourcing the creation of image segmentation algorithms for connectomics",
Front. Neuroanat. 9:142, computed as the challenge's published code does it (Fiji's Trainable_Segmentation, package
``metrics``: ``RandError``, ``VariationOfInformation``, ``PixelError``, and the evaluation script of 12 January 2016):

- Truth T and prediction S are cut into *segments*: the 4-connected components, in 2-D, of what is not membrane.
- Only pixels that are not membrane in the truth count (*foreground-restricted*).
- A counted pixel that S calls membrane is a segment of its own, of one pixel.
- ``thin=True`` (the official, later scores) first grows S's segments until lines of one pixel are left between
  them, which takes the width of the membranes out of the score; ``thin=False`` gives the scores without that.
- The reported score is the highest over thresholds of the probability.
- Over a stack the scores are averaged: the official V_Rand and V_info are `PartitionScores` with ``thin=True``, the
  mean of the images' F-scores (the script calls ``getMaximalVRandAfterThinning`` with ``perSliceAverage`` true). The
  older Rand error without thinning adds the sums of all images up before dividing: that is ``rand_pooled``.

A score without anything to score (no counted pixel) is None.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from segscape.errors import ConfigError, InputError
from segscape.evaluate import ratio
from segscape.evaluate.flooding import segments, thin_borders
from segscape.evaluate.metrics import number_or_none
from segscape.ignore import valid_mask

# The script takes the probability of *not* being membrane, and as inside what lies above 0.0, 0.1, 0.2, … Its last
# step is 0.1 added up ten times, which falls just short of 1: inside is then what is 1 in float32, our 2⁻²⁵.
CHALLENGE_THRESHOLDS = (2**-25, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

DEFINITIONS = {
    "threshold": "a pixel is membrane where its membrane probability is at least this",
    "rand": "foreground-restricted Rand score, mean over the images",
    "rand_pooled": "the same from pairs of pixels added up over the images",
    "information": "foreground-restricted information score, mean over the images",
    "split": "lowered by segments of the truth that the prediction splits",
    "merge": "lowered by segments of the truth that the prediction merges",
    "f": "harmonic mean of split and merge, taken in each image (rand_pooled: of the pooled ones)",
    "pixel_error": "share of the pixels that are wrong at the threshold",
    "pixel_f": "F-score of the pixels inside, 2 TP / (2 TP + FP + FN)",
    "challenge_pixel_error": "1 - the highest pixel_f over the thresholds",
}


@dataclass(frozen=True, slots=True)
class Contingency:
    """How two segmentations of the same n counted pixels overlap: only pairs that occur, no N × M matrix.

    Attributes:
        overlap: (P,) float64 pixels of each pair of a true and a predicted segment that share any.
        truth: (N,) float64 pixels of each true segment.
        predicted: (M,) float64 counted pixels of each predicted segment.
        num_single: counted pixels that the prediction calls membrane, each a segment of its own.
    """

    overlap: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    num_single: int

    @classmethod
    def of(cls, truth: np.ndarray, prediction: np.ndarray) -> Contingency:
        """Count two maps of segments, (H, W) integers ≥ 0 each; pixels where ``truth`` is 0 do not count."""
        counted = truth > 0
        truth, prediction = truth[counted].astype(np.int64), prediction[counted].astype(np.int64)
        inside = prediction > 0
        pairs = truth[inside] * (prediction.max(initial=0) + 1) + prediction[inside]
        overlap = np.unique(pairs, return_counts=True)[1].astype(np.float64)
        true_sizes, predicted_sizes = (np.bincount(ids).astype(np.float64) for ids in (truth, prediction[inside]))
        return cls(
            overlap, true_sizes[true_sizes > 0], predicted_sizes[predicted_sizes > 0], int(np.count_nonzero(~inside))
        )


@dataclass(frozen=True, slots=True)
class PairCounts:
    """Ordered pairs of counted pixels, a pixel with itself included: what the Rand scores are made of.

    Attributes:
        both: pairs in one segment of the truth and in one of the prediction (n² Σ p_ij²).
        truth: pairs in one segment of the truth (n² Σ t_j²).
        predicted: pairs in one segment of the prediction (n² Σ s_i²).
    """

    both: float = 0.0
    truth: float = 0.0
    predicted: float = 0.0

    @classmethod
    def of(cls, table: Contingency) -> PairCounts:
        """The pairs within one image."""
        single = table.num_single
        return cls(
            float((table.overlap**2).sum() + single),
            float((table.truth**2).sum()),
            float((table.predicted**2).sum() + single),
        )

    def __add__(self, other: PairCounts) -> PairCounts:
        return PairCounts(self.both + other.both, self.truth + other.truth, self.predicted + other.predicted)


@dataclass(frozen=True, slots=True)
class VScore:
    """A split score, a merge score and their harmonic mean, 0…1 each (1: perfect); None with nothing to score."""

    split: float | None
    merge: float | None
    f: float | None


def rand_score(pairs: PairCounts) -> VScore:
    """V_Rand of the paper: split Σ p_ij² / Σ t_j², merge Σ p_ij² / Σ s_i², F at α = 0.5.

    Split is the chance that two pixels of one true segment lie in one predicted segment; merge the other way round.
    """
    whole = np.array([pairs.truth, pairs.predicted, (pairs.truth + pairs.predicted) / 2])
    return VScore(*map(number_or_none, ratio(np.full(3, pairs.both), whole)))


def information_score(table: Contingency) -> VScore:
    """V_info of the paper: split I(S; T) / H(S), merge I(S; T) / H(T), F at α = 0.5.

    A prediction of one segment cannot split (split is 1) and a truth of one segment cannot be merged (merge is 1);
    so two equal partitions always score 1. The challenge's code gives F = 0 where either has one segment only.
    """
    n = table.truth.sum()
    if n == 0:
        return VScore(None, None, None)
    single = table.num_single / n * math.log(n)
    truth = _entropy(table.truth / n)
    predicted = _entropy(table.predicted / n) + single
    joint = _entropy(table.overlap / n) + single
    shared = min(max(truth + predicted - joint, 0.0), truth, predicted)  # I(S; T), kept in range despite rounding
    split, merge, f = (shared / whole if whole > 0 else 1.0 for whole in (predicted, truth, (truth + predicted) / 2))
    return VScore(split, merge, f)


def _entropy(shares: np.ndarray) -> float:
    return -float((shares * np.log(shares)).sum()) + 0.0  # + 0.0: never -0.0


@dataclass(frozen=True, slots=True)
class ThresholdScores:
    """The scores at one threshold; each is explained in ``DEFINITIONS``."""

    threshold: float
    rand: VScore
    rand_pooled: VScore
    information: VScore
    pixel_error: float | None
    pixel_f: float | None


@dataclass(frozen=True, slots=True)
class PartitionReport:
    """The scores of a stack of images at every threshold.

    Attributes:
        thresholds: the scores at each threshold, in the order given.
        thin: whether the prediction's borders were thinned.
        num_images: in the stack.
    """

    thresholds: tuple[ThresholdScores, ...]
    thin: bool
    num_images: int

    @property
    def best_rand(self) -> ThresholdScores:
        """Where the Rand F-score is highest (the first of equals): ``.rand.f`` is the challenge's V_Rand."""
        return max(self.thresholds, key=lambda at: -1.0 if at.rand.f is None else at.rand.f)

    @property
    def best_information(self) -> ThresholdScores:
        """Where the information F-score is highest: ``.information.f`` is the challenge's V_info."""
        return max(self.thresholds, key=lambda at: -1.0 if at.information.f is None else at.information.f)

    @property
    def challenge_pixel_error(self) -> float | None:
        """The challenge's pixel error: 1 − the highest F-score of the pixels that are not membrane.

        It is *not* the share of wrong pixels, ``pixel_error``: that is wrong / counted, this is
        wrong / (pixels inside in truth + pixels inside in prediction). On the challenge's images, of which 78 % are
        inside, ``pixel_error`` is about 1.6 times as large.
        """
        known = [at.pixel_f for at in self.thresholds if at.pixel_f is not None]
        return 1 - max(known) if known else None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types, with the best thresholds and ``definitions``."""
        return {
            "thin": self.thin,
            "num_images": self.num_images,
            "best_rand": asdict(self.best_rand),
            "best_information": asdict(self.best_information),
            "challenge_pixel_error": self.challenge_pixel_error,
            "thresholds": [asdict(at) for at in self.thresholds],
            "definitions": dict(DEFINITIONS),
        }


class PartitionScores:
    """Gathers a stack image by image; `report` scores it.

    Args:
        membrane: class id of the membrane; every other valid id is inside.
        ignore_index: id in the truth that is not counted, and separates segments there as membrane does.
        thresholds: of the membrane probability, each in (0, 1]; one is enough for a score at a given threshold.
            For a prediction that is binary all give the same.
        thin: thin the prediction's borders first (some tenths of a second for 512 × 512 pixels and a threshold).

    Raises:
        ConfigError: there are no thresholds, or one is outside (0, 1].
    """

    def __init__(
        self,
        *,
        membrane: int = 1,
        ignore_index: int = 255,
        thresholds: Sequence[float] = CHALLENGE_THRESHOLDS,
        thin: bool = True,
    ) -> None:
        if not thresholds or not all(0 < threshold <= 1 for threshold in thresholds):
            raise ConfigError(f"thresholds must be one or more numbers above 0 and up to 1, got {list(thresholds)}")
        self.membrane = membrane
        self.ignore_index = ignore_index
        self.thresholds = tuple(float(threshold) for threshold in thresholds)
        self.thin = thin
        self._num_images = 0
        self._pairs = [PairCounts()] * len(self.thresholds)
        self._rand: list[list[VScore]] = [[] for _ in self.thresholds]
        self._information: list[list[VScore]] = [[] for _ in self.thresholds]
        # Counted pixels, those that are wrong, and those inside in truth and prediction.
        self._pixels = np.zeros((len(self.thresholds), 3), np.int64)

    def update(self, truth: np.ndarray, probability: np.ndarray) -> None:
        """Add one image.

        Args:
            truth: (H, W) integer class ids.
            probability: (H, W) floats in 0…1, the probability of membrane; or bool, True for membrane.

        Raises:
            InputError: shapes differ or are not (H, W), truth is not of integers, or a probability is not in 0…1.
        """
        if truth.ndim != 2 or truth.shape != probability.shape:
            raise InputError(
                f"truth of shape {truth.shape} and probability of shape {probability.shape} must be the same (H, W)"
            )
        if truth.dtype.kind not in "iu":
            raise InputError(f"truth must hold integer class ids, got {truth.dtype}")
        if probability.dtype.kind not in "fb" or not ((probability >= 0) & (probability <= 1)).all():
            raise InputError(
                f"probability ({probability.dtype}) must be bool, or floats in 0…1: give the probability of membrane, "
                "not logits or class ids"
            )
        valid = valid_mask(truth, self.ignore_index)
        true_inside = valid & (truth != self.membrane)
        true_segments = segments(true_inside)
        self._num_images += 1
        for i, threshold in enumerate(self.thresholds):
            inside = probability < threshold
            regions = segments(inside)
            table = Contingency.of(true_segments, thin_borders(regions) if self.thin else regions)
            if table.truth.size:
                pairs = PairCounts.of(table)
                self._pairs[i] += pairs
                self._rand[i].append(rand_score(pairs))
                self._information[i].append(information_score(table))
            wrong = valid & (inside != true_inside)
            self._pixels[i] += [np.count_nonzero(m) for m in (valid, wrong, inside & true_inside)]

    def report(self) -> PartitionReport:
        """The scores of the images so far."""
        rows = []
        for i, threshold in enumerate(self.thresholds):
            counted, wrong, inside = self._pixels[i]
            rows.append(
                ThresholdScores(
                    threshold,
                    _mean(self._rand[i]),
                    rand_score(self._pairs[i]),
                    _mean(self._information[i]),
                    number_or_none(ratio(wrong, counted)),
                    number_or_none(ratio(2 * inside, 2 * inside + wrong)),
                )
            )
        return PartitionReport(tuple(rows), self.thin, self._num_images)


def _mean(scores: list[VScore]) -> VScore:
    """The mean over images, of split, merge and F each."""
    if not scores:
        return VScore(None, None, None)
    split, merge, f = np.array([[score.split, score.merge, score.f] for score in scores], np.float64).mean(0)
    return VScore(float(split), float(merge), float(f))
