"""Semantic segmentation measured: confusion matrix, its scores, calibration, intervals, and the report of them all."""

from __future__ import annotations

import importlib.metadata
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segscape.errors import ConfigError, DataError, InputError
from segscape.evaluate import mean_defined, ratio, valid_pixels
from segscape.evaluate.boundary import DILATION_RATIO, TOLERANCE, BoundaryScores
from segscape.labels import LabelSet

if TYPE_CHECKING:
    from segscape.data.sample import Dataset, Sample
    from segscape.result import Segmentation

CALIBRATION_BINS = 15
DEFINITIONS: Mapping[str, str] = {
    "iou": "TP / (TP + FP + FN) over all counted pixels of the split together; null for a class that occurs neither "
    "in the truth nor in the prediction.",
    "miou": "Mean of the IoU over the classes that are not null.",
    "miou_interval": "95 % percentile bootstrap over images: images drawn with replacement, the score recomputed.",
    "pixel_accuracy": "Share of the counted pixels whose class is right.",
    "accuracy": "TP / (TP + FN) of each class (recall); null for a class that is not in the truth.",
    "class_accuracy": "Mean of the accuracy over the classes that are not null.",
    "fwiou": "IoU averaged with the classes' shares of the true pixels as weights.",
    "dice": "2 TP / (2 TP + FP + FN) of each class, and the mean over the classes that are not null.",
    "boundary_f": "Csurka et al. 2013: F-score of contour pixels matched within "
    f"{TOLERANCE:.2%} of the image's diagonal. Per class: mean over the images that show its contour; overall: mean "
    "over images of each image's mean over classes.",
    "boundary_iou": "Cheng et al. 2021: IoU of the bands inside each class within "
    f"{DILATION_RATIO:.0%} of the image's diagonal from its contour, summed over images; overall: mean over classes.",
    "ece": f"Expected calibration error (Guo et al. 2017, eq. 3): {CALIBRATION_BINS} equal-width bins of the "
    "confidence, |accuracy - confidence| weighted by pixels; null when the model gives no confidence.",
    "per_image": "The same scores from one image's pixels alone.",
    "ignored": "Pixels whose true label is the ignore index are counted nowhere.",
    "seconds_per_image": "Median time of one prediction.",
}


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
                "accuracy": _number(accuracy[i]),
                "confidence": _number(confidence[i]),
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
    num_images = len(counts.truth)
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(num_images, np.full(num_images, 1 / num_images), size=resamples).astype(np.float64)
    per_image = (counts.intersection, counts.truth, counts.predicted)
    drawn = ClassCounts(*(weights @ pixels.astype(np.float64) for pixels in per_image))
    ends = [(1 - level) / 2, (1 + level) / 2]

    def interval(scores: np.ndarray) -> np.ndarray:
        scores = scores[~np.isnan(scores)]
        return np.quantile(scores, ends) if scores.size else np.full(2, np.nan)

    return interval(drawn.mean_iou()), np.stack([interval(scores) for scores in drawn.iou().T], axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class SemanticReport:
    """What `evaluate_semantic` found. `DEFINITIONS` says what each number is; scores lie in 0…1.

    A score that is undefined (a class that does not occur, a model without confidence) is None. Mappings go from
    class name to score, in the order of the label set.

    Attributes:
        miou_interval, iou_interval: lower and upper end at 95 %; None without resampling or with a single image.
        reliability: the bins of `Calibration.table`; empty when the model gives no confidence.
        confusion_matrix: (C, C) int64, rows truth, columns prediction.
        per_image: {"name", "miou", "pixel_accuracy"} in the order of the split.
        data: {"kind", "fingerprint"} of what was read.
        seconds: wall time of the whole evaluation; ``seconds_per_image`` is the median of one prediction.
        machine: {"cpu", "cores", "gpu", "versions"} it ran on.
    """

    miou: float | None
    miou_interval: tuple[float, float] | None
    iou: Mapping[str, float | None]
    iou_interval: Mapping[str, tuple[float, float] | None]
    pixel_accuracy: float | None
    class_accuracy: float | None
    accuracy: Mapping[str, float | None]
    fwiou: float | None
    dice: float | None
    dice_per_class: Mapping[str, float | None]
    boundary_f: float | None
    boundary_f_per_class: Mapping[str, float | None]
    boundary_iou: float | None
    boundary_iou_per_class: Mapping[str, float | None]
    ece: float | None
    reliability: Sequence[Mapping[str, float | int | None]]
    confusion_matrix: np.ndarray
    per_image: Sequence[Mapping[str, Any]]
    num_images: int
    split: str
    data: Mapping[str, str]
    label_set: LabelSet
    model: str
    seconds: float
    seconds_per_image: float
    machine: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types: the attributes by name, floats to six decimals, and ``definitions``."""
        plain = {f.name: _plain(getattr(self, f.name)) for f in fields(self)}
        return {**plain, "definitions": dict(DEFINITIONS)}


def evaluate_semantic(
    predict: Callable[[Sample], Segmentation],
    dataset: Dataset,
    split: str,
    *,
    progress: Callable[[Iterable[Any], int, str], Iterable[Any]] | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> SemanticReport:
    """Run ``predict`` on every image of a split and measure it against the truth.

    Args:
        predict: gives a sample's `Segmentation`, with a label map and, for the calibration, a confidence.
        dataset: where samples, label set and fingerprint come from.
        split: its name in the data set.
        progress: wraps the items to show how far it is: ``progress(items, total, description)`` yields them.
        bootstrap: resamples for the 95 % intervals; 0 for none.
        seed: of the resampling.

    Raises:
        ConfigError: ``bootstrap`` is negative.
        DataError: the split is empty or cannot be read, or model and data set have other classes.
        InputError: a result has no label map, another size than its truth, or an unknown class id.
    """
    if bootstrap < 0:
        raise ConfigError(f"bootstrap must be 0 or more resamples, got {bootstrap}")
    items = dataset.split(split)
    if not items:
        raise DataError(f"split {split!r} of {str(dataset.root)!r} holds no images; choose another split")
    labels = dataset.label_set
    began = time.perf_counter()
    confusion = ConfusionMatrix(len(labels), labels.ignore_index)
    boundary = BoundaryScores(len(labels), labels.ignore_index)
    calibration = Calibration(len(labels), labels.ignore_index)
    names, counts, times, model, confident = [], [], [], "", True
    for item in items if progress is None else progress(items, len(items), f"evaluate {split}"):
        sample = dataset.read(item)
        started = time.perf_counter()
        result = predict(sample)
        times.append(time.perf_counter() - started)
        if not names:
            check_same_classes(result.label_set, labels)
            model = result.model
        truth, prediction = _label_maps(sample, result)
        image = ConfusionMatrix(len(labels), labels.ignore_index)
        try:
            image.update(truth, prediction)
            if result.confidence is not None:
                calibration.update(truth, prediction, result.confidence)
        except InputError as error:
            raise InputError(f"{sample.name}: {error}") from error
        boundary.update(truth, prediction)
        confident = confident and result.confidence is not None
        confusion += image
        counts.append(image.counts)
        names.append(sample.name)

    total = confusion.counts
    images = ClassCounts(
        np.stack([c.intersection for c in counts]),
        np.stack([c.truth for c in counts]),
        np.stack([c.predicted for c in counts]),
    )

    def by_class(scores: np.ndarray) -> dict[str, float | None]:
        return {name: _number(score) for name, score in zip(labels.names, scores, strict=True)}

    miou_interval, iou_interval = np.full(2, np.nan), np.full((2, len(labels)), np.nan)
    if bootstrap and len(names) > 1:
        miou_interval, iou_interval = bootstrap_intervals(images, bootstrap, seed)
    return SemanticReport(
        miou=_number(total.mean_iou()),
        miou_interval=_interval(miou_interval),
        iou=by_class(total.iou()),
        iou_interval={name: _interval(ends) for name, ends in zip(labels.names, iou_interval.T, strict=True)},
        pixel_accuracy=_number(total.pixel_accuracy()),
        class_accuracy=_number(total.class_accuracy()),
        accuracy=by_class(total.accuracy()),
        fwiou=_number(total.frequency_weighted_iou()),
        dice=_number(total.mean_dice()),
        dice_per_class=by_class(total.dice()),
        boundary_f=_number(boundary.f()),
        boundary_f_per_class=by_class(boundary.f_per_class()),
        boundary_iou=_number(boundary.iou()),
        boundary_iou_per_class=by_class(boundary.iou_per_class()),
        ece=_number(calibration.error()) if confident else None,
        reliability=calibration.table() if confident else (),
        confusion_matrix=confusion.matrix,
        per_image=tuple(
            {"name": name, "miou": _number(miou), "pixel_accuracy": _number(accuracy)}
            for name, miou, accuracy in zip(names, images.mean_iou(), images.pixel_accuracy(), strict=True)
        ),
        num_images=len(names),
        split=split,
        data={"kind": dataset.kind, "fingerprint": dataset.fingerprint(split)},
        label_set=labels,
        model=model,
        seconds=time.perf_counter() - began,
        seconds_per_image=statistics.median(times),
        machine=_machine(),
    )


def check_same_classes(model: LabelSet, data: LabelSet) -> None:
    """Raise `DataError`, saying how they differ, unless both have the same names in the same order."""
    if model.names == data.names:
        return
    only_model = [name for name in model.names if name not in data.names]
    only_data = [name for name in data.names if name not in model.names]
    if only_model or only_data:
        parts = [f"only the model has {', '.join(only_model)}"] if only_model else []
        parts += [f"only the data set has {', '.join(only_data)}"] if only_data else []
        how = "; ".join(parts)
    else:
        i = next(i for i in range(len(data)) if model.names[i] != data.names[i])
        how = f"same names, other order: id {i} is {model.names[i]} in the model and {data.names[i]} in the data set"
    raise DataError(
        f"the model's label set {model.name!r} ({len(model)} classes) does not fit the data set's {data.name!r} "
        f"({len(data)}): {how}. Evaluate on data labelled like the model's, or map the labels first"
    )


def _label_maps(sample: Sample, result: Segmentation) -> tuple[np.ndarray, np.ndarray]:
    if result.label_map is None:
        raise InputError(f"{sample.name}: the model gave no label map, only objects; use a semantic model")
    if result.label_map.shape != sample.labels.shape:
        raise InputError(
            f"{sample.name}: label map of {result.label_map.shape} does not fit the truth's {sample.labels.shape}; "
            "predict at the size of the truth"
        )
    return sample.labels, result.label_map


def _number(score: Any) -> float | None:
    return None if math.isnan(score) else float(score)


def _interval(ends: np.ndarray) -> tuple[float, float] | None:
    return None if np.isnan(ends).any() else (float(ends[0]), float(ends[1]))


def _plain(value: Any) -> Any:
    """``value`` in JSON's own types."""
    match value:
        case LabelSet():
            return value.to_dict()
        case np.ndarray():
            return value.tolist()
        case float():
            return round(value, 6)
        case Mapping():
            return {key: _plain(x) for key, x in value.items()}
        case tuple() | list():
            return [_plain(x) for x in value]
        case _:
            return value


def _machine() -> dict[str, Any]:
    """CPU, usable cores, the GPU if one is in use, and the versions of what computes the numbers."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text(errors="replace").splitlines() if line.startswith("model name")]
        cpu = lines[0].partition(":")[2].strip() if lines else cpu
    # Asked only of a torch that the model has loaded already: importing it here would cost seconds.
    torch = sys.modules.get("torch")
    gpu = torch.cuda.get_device_name() if torch is not None and torch.cuda.is_initialized() else None
    versions = {"python": platform.python_version()}
    for module, package in {"segscape": "segscape", "numpy": "numpy", "torch": "torch", "openvino": "openvino"}.items():
        if module in sys.modules:
            versions[module] = getattr(sys.modules[module], "__version__", "") or importlib.metadata.version(package)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cpu": cpu, "cores": cores, "gpu": gpu, "versions": versions}
