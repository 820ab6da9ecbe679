"""COCO's average precision of boxes and masks, by hotcoco."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from segscape.errors import ConfigError
from segscape.evaluate.image_objects import Instances

COCO_DETECTIONS = 100  # of one class in one image: what `map` and its kin look at
_AREAS = {"small": 1, "medium": 2, "large": 3}
_IOU_50, _IOU_75 = 0, 5  # places of the thresholds in COCO's 0.5, 0.55 … 0.95


class CocoScores:
    """Average precision as COCO defines it (Lin et al. 2014; the evaluation of pycocotools), gathered image by image.

    Detections of all images together are sorted by score and matched greedily, each with the free true object of its
    class that it overlaps most, at IoU 0.5, 0.55 … 0.95; precision, made monotone, is averaged over the recalls 0,
    0.01 … 1, then over thresholds and classes. Crowds are ignored. Boxes are those of the masks; the area that parts
    small (< 32²), medium and large (≥ 96²) is that of the true mask.

    Args:
        names: of the C classes, by id.
        max_detections: the highest-scoring detections of a class in an image that ``map_all`` looks at; ``map`` looks
            at 100, which is the standard but leaves objects out where there are more.
    """

    def __init__(self, names: Sequence[str], max_detections: int) -> None:
        if max_detections < COCO_DETECTIONS:
            raise ConfigError(f"max_detections must be at least {COCO_DETECTIONS}, got {max_detections}")
        self.names = tuple(names)
        self.max_detections = max_detections
        self._images: list[dict[str, Any]] = []
        self._true: list[dict[str, Any]] = []
        self._found: list[dict[str, Any]] = []

    def update(self, found: Instances, true: Instances) -> None:
        """Add one image."""
        image = len(self._images) + 1
        self._images.append({"id": image, "height": true.size[0], "width": true.size[1]})
        for entry, area, crowd in zip(_entries(true, image), true.areas.tolist(), true.crowd.tolist(), strict=True):
            self._true.append({**entry, "id": len(self._true) + 1, "area": area, "iscrowd": int(crowd)})
        for entry, score in zip(_entries(found, image), found.scores.tolist(), strict=True):
            self._found.append({**entry, "score": score})

    @property
    def crowded(self) -> bool:
        """Whether an image holds more true objects of one class than the standard looks at."""
        pairs = Counter((entry["image_id"], entry["category_id"]) for entry in self._true if not entry["iscrowd"])
        return max(pairs.values(), default=0) > COCO_DETECTIONS

    def precision(self, kind: str) -> np.ndarray:
        """(10, 101, C, 4, M) float64: COCO's table of interpolated precision, NaN where a class has no object.

        Axes are IoU thresholds, recalls, classes, areas (all, small, medium, large) and detections looked at (100;
        ``max_detections`` where that is more).

        Args:
            kind: "bbox" or "segm".

        Raises:
            ConfigError: hotcoco is not installed.
        """
        try:
            from hotcoco import COCO, COCOeval
        except ModuleNotFoundError as error:
            raise ConfigError(
                "average precision needs hotcoco, which is not installed: pip install 'segscape[train]'"
            ) from error
        classes = [{"id": i + 1, "name": name} for i, name in enumerate(self.names)]
        truth = COCO({"images": self._images, "annotations": self._true, "categories": classes})
        # COCO takes a detection's area from whichever of box and mask stands first: only one may.
        key = {"bbox": "bbox", "segm": "segmentation"}[kind]
        other = {"bbox": "segmentation", "segm": "bbox"}[kind]
        found = truth.load_res(
            [{k: v for k, v in entry.items() if k != other} for entry in self._found if key in entry]
        )
        evaluation = COCOeval(truth, found, kind)
        evaluation.params.max_dets = sorted({COCO_DETECTIONS, self.max_detections})
        evaluation.evaluate()
        evaluation.accumulate()
        table = np.asarray((evaluation.eval or {})["precision"], np.float64)
        return np.where(table < 0, np.nan, table)


def average_precisions(table: np.ndarray) -> dict[str, float]:
    """The scores of a table of `CocoScores.precision`, or of one class's part of it; NaN where undefined.

    Returns:
        "map" (mean over IoU 0.5 … 0.95), "map50", "map75", "small", "medium", "large" of 100 detections, and "map_all",
        "map50_all", "map75_all" of ``max_detections``.
    """
    standard, every = table[..., 0], table[..., -1]
    scores = {"map": standard[..., 0], "map50": standard[_IOU_50, ..., 0], "map75": standard[_IOU_75, ..., 0]}
    scores |= {name: standard[..., area] for name, area in _AREAS.items()}
    scores |= {"map_all": every[..., 0], "map50_all": every[_IOU_50, ..., 0], "map75_all": every[_IOU_75, ..., 0]}
    return {name: _mean(values) for name, values in scores.items()}


def precision_recall(table: np.ndarray) -> Mapping[str, list[float | None]]:
    """Precision over recall, mean over classes, of ``max_detections``: at IoU 0.5, 0.75 and averaged over 0.5 … 0.95.

    Returns:
        "recall" (0, 0.01 … 1), "iou50", "iou75", "mean": 101 numbers each, None where nothing is to be found.
    """
    every = table[:, :, :, 0, -1]
    curves = {"iou50": every[_IOU_50], "iou75": every[_IOU_75], "mean": every.mean(0)}
    lines: dict[str, list[float | None]] = {"recall": [round(0.01 * i, 2) for i in range(every.shape[1])]}
    for name, by_class in curves.items():
        means = [_mean(row) for row in by_class]
        lines[name] = [None if np.isnan(mean) else mean for mean in means]
    return lines


def _mean(values: np.ndarray) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")


def _entries(objects: Instances, image: int) -> list[dict[str, Any]]:
    rows = zip(objects.classes.tolist(), objects.boxes.tolist(), objects.rles, strict=True)
    return [
        {
            "image_id": image,
            "category_id": label + 1,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "segmentation": rle,
        }
        for label, (x0, y0, x1, y1), rle in rows
    ]
