"""Semantic segmentation measured: confusion matrix, its scores, calibration, intervals, and the report of them all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from segscape.errors import ConfigError, DataError, InputError
from segscape.evaluate.boundary import DILATION_RATIO, TOLERANCE, BoundaryScores
from segscape.evaluate.facts import machine, plain
from segscape.evaluate.metrics import (
    CALIBRATION_BINS,
    Calibration,
    ClassCounts,
    ConfusionMatrix,
    bootstrap_intervals,
    interval_or_none,
    number_or_none,
)
from segscape.evaluate.partition import PartitionScores
from segscape.labels import LabelSet

if TYPE_CHECKING:
    from segscape.data.sample import Dataset, Sample
    from segscape.result import Segmentation

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
    "partition": "Arganda-Carreras et al. 2015: foreground-restricted Rand and information scores of the cells "
    "that the border class parts, and 1 - the pixels' best F-score, each at its best threshold; null if not asked for.",
    "per_image": "The same scores from one image's pixels alone.",
    "ignored": "Pixels whose true label is the ignore index are counted nowhere.",
    "seconds_per_image": "Median time of one prediction.",
}


@dataclass(frozen=True, slots=True, eq=False)
class SemanticReport:
    """What `evaluate_semantic` found. `DEFINITIONS` says what each number is; scores lie in 0…1.

    A score that is undefined (a class that does not occur, a model without confidence) is None. Mappings go from
    class name to score, in the order of the label set.

    Attributes:
        miou_interval, iou_interval: lower and upper end at 95 %; None without resampling or with a single image.
        reliability: the bins of `Calibration.table`; empty when the model gives no confidence.
        confusion_matrix: (C, C) int64, rows truth, columns prediction.
        partition: how well the border class parts the cells, `PartitionReport.to_dict`; None if not asked for.
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
    partition: Mapping[str, Any] | None
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
        found = {f.name: plain(getattr(self, f.name)) for f in fields(self)}
        return {**found, "definitions": dict(DEFINITIONS)}


def evaluate_semantic(
    predict: Callable[[Sample], Segmentation],
    dataset: Dataset,
    split: str,
    *,
    progress: Callable[[Iterable[Any], int, str], Iterable[Any]] | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    border: str | None = None,
) -> SemanticReport:
    """Run ``predict`` on every image of a split and measure it against the truth.

    Args:
        predict: gives a sample's `Segmentation`, with a label map and, for the calibration, a confidence.
        dataset: where samples, label set and fingerprint come from.
        split: its name in the data set.
        progress: wraps the items to show how far it is: ``progress(items, total, description)`` yields them.
        bootstrap: resamples for the 95 % intervals; 0 for none.
        seed: of the resampling.
        border: name of the class that lies between cells, like "membrane": how well it parts them is measured too
            (`segscape.evaluate.partition`). Needs a label set of two classes, and a confidence.

    Raises:
        ConfigError: ``bootstrap`` is negative, or there is no such border class among two.
        DataError: the split is empty or cannot be read, or model and data set have other classes.
        InputError: a result has no label map, another size than its truth, or an unknown class id.
    """
    if bootstrap < 0:
        raise ConfigError(f"bootstrap must be 0 or more resamples, got {bootstrap}")
    items = dataset.split(split)
    if not items:
        raise DataError(f"split {split!r} of {str(dataset.root)!r} holds no images; choose another split")
    labels = dataset.label_set
    partition = _partition(labels, border)
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
        if partition is not None:
            partition.update(truth, _border_probability(sample, result, partition.membrane))
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
        return {name: number_or_none(score) for name, score in zip(labels.names, scores, strict=True)}

    miou_interval, iou_interval = np.full(2, np.nan), np.full((2, len(labels)), np.nan)
    if bootstrap and len(names) > 1:
        miou_interval, iou_interval = bootstrap_intervals(images, bootstrap, seed)
    return SemanticReport(
        miou=number_or_none(total.mean_iou()),
        miou_interval=interval_or_none(miou_interval),
        iou=by_class(total.iou()),
        iou_interval={name: interval_or_none(ends) for name, ends in zip(labels.names, iou_interval.T, strict=True)},
        pixel_accuracy=number_or_none(total.pixel_accuracy()),
        class_accuracy=number_or_none(total.class_accuracy()),
        accuracy=by_class(total.accuracy()),
        fwiou=number_or_none(total.frequency_weighted_iou()),
        dice=number_or_none(total.mean_dice()),
        dice_per_class=by_class(total.dice()),
        boundary_f=number_or_none(boundary.f()),
        boundary_f_per_class=by_class(boundary.f_per_class()),
        boundary_iou=number_or_none(boundary.iou()),
        boundary_iou_per_class=by_class(boundary.iou_per_class()),
        ece=number_or_none(calibration.error()) if confident else None,
        reliability=calibration.table() if confident else (),
        confusion_matrix=confusion.matrix,
        partition=None if partition is None else partition.report().to_dict(),
        per_image=tuple(
            {"name": name, "miou": number_or_none(miou), "pixel_accuracy": number_or_none(accuracy)}
            for name, miou, accuracy in zip(names, images.mean_iou(), images.pixel_accuracy(), strict=True)
        ),
        num_images=len(names),
        split=split,
        data={"kind": dataset.kind, "fingerprint": dataset.fingerprint(split)},
        label_set=labels,
        model=model,
        seconds=time.perf_counter() - began,
        seconds_per_image=statistics.median(times),
        machine=machine(),
    )


def _partition(labels: LabelSet, border: str | None) -> PartitionScores | None:
    if border is None:
        return None
    if len(labels) != 2 or border not in labels.names:
        raise ConfigError(
            f"border class {border!r}: needs one of exactly two classes, but label set {labels.name!r} has "
            f"{', '.join(labels.names)}"
        )
    return PartitionScores(membrane=labels.names.index(border), ignore_index=labels.ignore_index)


def _border_probability(sample: Sample, result: Segmentation, border: int) -> np.ndarray:
    """(H, W) float32: of two classes, what the confidence in the winner says of the border class."""
    if result.confidence is None or result.label_map is None:
        raise InputError(f"{sample.name}: the border's scores need the model's confidence, and it gave none")
    return np.where(result.label_map == border, result.confidence, 1 - result.confidence)


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
