"""Finders of objects measured: COCO AP, AP(t) = TP / (TP + FP + FN), panoptic quality, and the report of them all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from segscape.errors import ConfigError, DataError, InputError
from segscape.evaluate.coco import COCO_DETECTIONS
from segscape.evaluate.facts import machine, plain
from segscape.evaluate.instance_scores import InstanceScores
from segscape.evaluate.matching import ImageMatches
from segscape.labels import LabelSet

if TYPE_CHECKING:
    from segscape.data.sample import Dataset, InstanceSample
    from segscape.result import Segmentation

DEFINITIONS: Mapping[str, str] = {
    "map_mask": "COCO's AP of masks (Lin et al. 2014): mean over IoU 0.5, 0.55 … 0.95 and over classes of the area "
    f"under the precision-recall curve; the {COCO_DETECTIONS} best detections of a class in an image are looked at.",
    "map_box": "The same of boxes; boxes are the masks' own.",
    "map_mask_all": f"map_mask without the limit of {COCO_DETECTIONS} detections (but of max_detections); null unless "
    f"an image holds more than {COCO_DETECTIONS} objects of a class.",
    "map_box_all": "map_box likewise.",
    "coco": "The same at one IoU (map50, map75), by the area of the true mask (small < 32², medium, large ≥ 96² px), "
    "and with max_detections (…_all).",
    "ap": "AP(t) = TP / (TP + FP + FN) of the masks of score ≥ min_score, matched one to one within a class at "
    "IoU ≥ t, as many as possible; objects of all images counted together (Schmidt et al. 2018, StarDist; the default "
    "of its matching_dataset). A detection that lies in a crowd is not counted.",
    "ap_by_image": "AP(t) of each image, averaged over images (Data Science Bowl 2018); an image in which nothing is "
    "to be found and nothing is found counts 1.",
    "ap_interval": "95 % percentile bootstrap of ap over images: images drawn with replacement, the score recomputed.",
    "mean_ap": "Mean of ap over IoU 0.5, 0.55 … 0.9.",
    "mean_ap_by_image": "Mean of ap_by_image over the same.",
    "precision": "TP / (TP + FP) at IoU 0.5 and min_score.",
    "recall": "TP / (TP + FN) at IoU 0.5 and min_score.",
    "f1": "2 TP / (2 TP + FP + FN) at IoU 0.5 and min_score.",
    "counts": "At IoU 0.5 and min_score; detections in crowds left out. merged: detections that cover at least half of "
    "each of two or more objects. split: objects that hold at least half of each of two or more detections.",
    "matched_iou": "Mean IoU of the pairs matched at IoU 0.5 and min_score.",
    "pq": "Mean panoptic quality of the thing classes.",
    "panoptic": "Kirillov et al. 2019, eqs. 1 and 2: PQ = SQ × RQ of the things of score ≥ min_score, overlaps given "
    "to the higher score; what is found on the background is wrong.",
    "groups": "The same scores of the images of each group alone.",
    "precision_recall": "Precision over recall of masks as COCO interpolates it, mean over classes, of max_detections.",
    "sizes": "Objects found and missed at IoU 0.5 and min_score, by the diameter in pixels of a circle of their area.",
    "unknown_classes": "Classes of the data that the model does not have: all their objects count as missed.",
    "min_score": "Detections below it count only in COCO's scores and in precision_recall.",
    "seconds_per_image": "Median time of one prediction.",
}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class InstanceReport:
    """What `evaluate_instances` found. `DEFINITIONS` says what each number is; scores lie in 0…1.

    A score that is undefined is None. AP(t) goes from the threshold as text ("0.50", "0.55" … "0.90") to the score.

    Attributes:
        coco: "box" and "mask", each with "map", "map50", "map75", "small", "medium", "large", "map_all", "map50_all",
            "map75_all".
        ap_interval: lower and upper end at 95 % for "0.50" and "0.70"; None without resampling or with a single image.
        counts: "objects", "detections", "true_positives", "false_positives", "missed", "merged", "split".
        panoptic: `segscape.evaluate.panoptic.PanopticReport.to_dict`.
        per_class: by name: "objects", "detections", "map_box", "map_mask", "ap", "mean_ap", "pq".
        groups: by name: "num_images", "counts", "ap", "ap_interval", "ap_by_image", "mean_ap", "mean_ap_by_image",
            "precision", "recall", "f1"; empty when no groups were asked for.
        precision_recall: "recall", "iou50", "iou75", "mean": 101 numbers each.
        sizes: "edges_px", and the objects "found" and "missed" from each edge to the next, the last bin without end.
        per_image: {"name", "group", "objects", "detections", "true_positives", "false_positives", "missed", "merged",
            "split", "ap50", "mean_ap"} in the order of the split.
        data: {"kind", "fingerprint"} of what was read.
        seconds: wall time of the whole evaluation; ``seconds_per_image`` is the median of one prediction.
        machine: {"cpu", "cores", "gpu", "versions"} it ran on.
        matches: of each image, what `segscape.evaluate.matching.best_min_score` needs; not in the JSON.
    """

    map_mask: float | None
    map_box: float | None
    map_mask_all: float | None
    map_box_all: float | None
    ap: Mapping[str, float | None]
    ap_interval: Mapping[str, tuple[float, float] | None]
    mean_ap: float | None
    ap_by_image: Mapping[str, float | None]
    mean_ap_by_image: float
    precision: float | None
    recall: float | None
    f1: float | None
    matched_iou: float | None
    counts: Mapping[str, int]
    pq: float | None
    groups: Mapping[str, Mapping[str, Any]]
    per_class: Mapping[str, Mapping[str, Any]]
    unknown_classes: tuple[str, ...]
    coco: Mapping[str, Mapping[str, float | None]]
    panoptic: Mapping[str, Any]
    precision_recall: Mapping[str, Sequence[float | None]]
    sizes: Mapping[str, Sequence[int]]
    per_image: Sequence[Mapping[str, Any]]
    min_score: float
    max_detections: int
    num_images: int
    split: str
    data: Mapping[str, str]
    label_set: LabelSet
    model: str
    seconds: float
    seconds_per_image: float
    machine: Mapping[str, Any]
    matches: Sequence[ImageMatches] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types: the attributes by name but ``matches``, floats to six decimals, and ``definitions``."""
        found = {f.name: plain(getattr(self, f.name)) for f in fields(self) if f.name != "matches"}
        return {**found, "definitions": dict(DEFINITIONS)}


def evaluate_instances(
    predict: Callable[[InstanceSample], Segmentation],
    dataset: Dataset,
    split: str = "test",
    *,
    min_score: float = 0.5,
    group: Callable[[InstanceSample], str] | None = None,
    max_detections: int = 1000,
    progress: Callable[[Iterable[Any], int, str], Iterable[Any]] | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> InstanceReport:
    """Run ``predict`` on every image of a split and measure the objects it finds against the true ones.

    Args:
        predict: gives a sample's `Segmentation`; its things are the detections. It should keep those of low score
            too (0.05 and less): COCO's scores need them, and ``min_score`` leaves them out where they do not belong.
        dataset: where samples with their objects, label set and fingerprint come from; its classes are matched with
            the model's by name.
        split: its name in the data set.
        min_score: from which score on a detection counts outside COCO's scores; choose it on validation images
            (`segscape.evaluate.matching.best_min_score`).
        group: names the group of a sample, as `segscape.evaluate.groups.brightness` does; groups are scored apart too.
        max_detections: of a class in an image, for the scores called …_all; at least 100.
        progress: wraps the items to show how far it is: ``progress(items, total, description)`` yields them.
        bootstrap: resamples for the 95 % intervals; 0 for none.
        seed: of the resampling.

    Raises:
        ConfigError: an option is out of range, or hotcoco is not installed.
        DataError: the split is empty or cannot be read, has no single objects, or an object's class is stuff.
        InputError: the model has things that the data set has not, or a result has another size than its photo or
            things without score.
    """
    if not 0 <= min_score <= 1 or bootstrap < 0:
        raise ConfigError(
            f"min_score must be in 0…1 and bootstrap 0 or more resamples, got {min_score} and {bootstrap}"
        )
    items = dataset.split(split)
    if not items:
        raise DataError(f"split {split!r} of {str(dataset.root)!r} holds no images; choose another split")
    began = time.perf_counter()
    scores = InstanceScores(dataset.label_set, min_score, max_detections)
    times, model = [], ""
    for item in items if progress is None else progress(items, len(items), f"evaluate {split}"):
        sample = dataset.read_instances(item)
        started = time.perf_counter()
        result = predict(sample)
        times.append(time.perf_counter() - started)
        model = result.model
        try:
            scores.update(sample.name, sample.objects, result, group(sample) if group else "")
        except InputError as error:
            raise type(error)(f"{sample.name}: {error}") from error
    return InstanceReport(
        **scores.summary(bootstrap, seed),
        min_score=min_score,
        max_detections=max_detections,
        num_images=len(times),
        split=split,
        data={"kind": dataset.kind, "fingerprint": dataset.fingerprint(split)},
        label_set=dataset.label_set,
        model=model,
        seconds=time.perf_counter() - began,
        seconds_per_image=statistics.median(times),
        machine=machine(),
    )
