"""Panoptic quality (Kirillov et al. 2019, "Panoptic Segmentation"): stuff and things in one score."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from segscape.errors import InputError
from segscape.evaluate import mean_defined, ratio
from segscape.evaluate.metrics import number_or_none
from segscape.labels import LabelSet
from segscape.result import Segmentation

if TYPE_CHECKING:
    from segscape.data.objects import Objects

_UNSCORED = -1  # a segment of no class: what lies on it is wrong, but missing it is no miss
_SMALLEST_IOU = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """One image cut into segments that do not overlap.

    Attributes:
        ids: (H, W) int32: k + 1 on the pixels of segment k, 0 on void pixels, of which nothing is known (truth) or
            said (prediction).
        labels: (K,) int64 class ids; -1 for the background of a data set that only has objects.
        crowd: (K,) bool: regions of many objects that nobody told apart.
    """

    ids: np.ndarray
    labels: np.ndarray
    crowd: np.ndarray


def segments(segmentation: Segmentation) -> Segments:
    """The segments of a segmentation: each thing region one, and of each stuff class all its pixels one.

    Pixels of a thing class in the label map that no region claims, and those of the ignore index, are void. Where
    things overlap the higher score wins, and of equal or no scores the smaller thing. Without a label map everything
    outside the things is void: right for a prediction; for a truth take `truth_from_objects`.
    """
    labels = segmentation.label_set
    things = [region for region in segmentation.regions if labels[region.label].thing]
    things.sort(key=lambda region: (region.score or 0.0, -region.area_px))
    ids, classes = _stuff(segmentation.size, segmentation.label_map, labels)
    for region in things:
        x0, y0, x1, y1 = region.box
        classes.append(region.label)
        ids[y0:y1, x0:x1][region.mask.to_dense()] = len(classes)
    return _used(ids, classes, [False] * len(classes))


def truth_from_objects(objects: Objects, label_set: LabelSet, label_map: np.ndarray | None = None) -> Segments:
    """The segments of a data set's objects, over its stuff if it has any.

    Args:
        objects: later ones cover earlier ones where they overlap; crowds lie below all others.
        label_set: that of the labels.
        label_map: (H, W) class ids for the stuff; its ignore index, and things that are no object, become void. Without
            it the background is one segment that is not scored: finding something there is wrong.

    Raises:
        InputError: the label map has another size than the objects.
    """
    if label_map is not None and label_map.shape != objects.size:
        raise InputError(f"label map of {label_map.shape} does not fit objects of an image of {objects.size}")
    ids, classes = _stuff(objects.size, label_map, label_set)
    if label_map is None:
        ids[:] = 1
        classes.append(_UNSCORED)
    crowd = [False] * len(classes)
    for i in np.argsort(~objects.crowd, kind="stable").tolist():
        x0, y0, x1, y1 = objects.boxes[i].tolist()
        classes.append(int(objects.labels[i]))
        crowd.append(bool(objects.crowd[i]))
        ids[y0:y1, x0:x1][objects.masks[i].to_dense()] = len(classes)
    return _used(ids, classes, crowd)


def _stuff(size: tuple[int, int], label_map: np.ndarray | None, labels: LabelSet) -> tuple[np.ndarray, list[int]]:
    """(H, W) int32 with one number for each stuff class that occurs, from 1 on, and those classes."""
    ids = np.zeros(size, np.int32)
    if label_map is None:
        return ids, []
    present = np.flatnonzero(np.bincount(label_map.ravel())).tolist()
    classes = [label for label in present if label < len(labels) and not labels[label].thing]
    numbers = np.zeros(max(present) + 1, np.int32)
    numbers[classes] = np.arange(1, len(classes) + 1)
    return numbers[label_map], classes


def _used(ids: np.ndarray, classes: list[int], crowd: list[bool]) -> Segments:
    """Without the segments of which others left no pixel."""
    area = np.bincount(ids.ravel(), minlength=len(classes) + 1)
    kept = area[1:] > 0
    numbers = np.zeros(len(classes) + 1, np.int32)
    numbers[1:][kept] = np.arange(1, kept.sum() + 1)
    return Segments(numbers[ids], np.array(classes, np.int64)[kept], np.array(crowd, bool)[kept])


@dataclass(frozen=True, slots=True)
class Quality:
    """PQ = SQ × RQ (eqs. 1 and 2): SQ is the mean IoU of the matched segments, RQ = TP / (TP + FP / 2 + FN / 2).

    None where there is nothing to score.
    """

    pq: float | None
    sq: float | None
    rq: float | None


@dataclass(frozen=True, slots=True)
class ClassQuality(Quality):
    """That of one class, with its counts of segments."""

    tp: int
    fp: int
    fn: int


@dataclass(frozen=True, slots=True)
class PanopticReport:
    """Panoptic quality of many images.

    Attributes:
        all, things, stuff: means over the classes that occur in truth or prediction.
        per_class: by class name, in the order of the label set.
        num_images: how many were scored.
    """

    all: Quality
    things: Quality
    stuff: Quality
    per_class: Mapping[str, ClassQuality]
    num_images: int

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)


class PanopticScores:
    """Panoptic quality gathered image by image, by the rules of the authors' code (panopticapi).

    Segments of the same class match when their IoU is above 0.5, which no two can be with a third. Void pixels of the
    truth are taken out of the union. A predicted segment without a match is no mistake if more than half of it is void
    or a crowd of its class; crowds are never missed.

    Args:
        label_set: that of the truth; ``thing`` says which means a class enters.
    """

    def __init__(self, label_set: LabelSet) -> None:
        self.label_set = label_set
        self._counts = np.zeros((3, len(label_set)), np.int64)
        self._iou = np.zeros(len(label_set))
        self._num_images = 0

    def update(self, prediction: Segmentation | Segments, truth: Segmentation | Segments) -> None:
        """Add one image. A `Segmentation` goes through `segments`; its classes are matched by name.

        Raises:
            InputError: sizes differ, or a class of the prediction is not in the label set.
        """
        found, true = self._segments(prediction), self._segments(truth)
        if found.ids.shape != true.ids.shape:
            raise InputError(f"prediction of {found.ids.shape} and truth of {true.ids.shape} must have the same size")
        num_found, num_true, num_classes = len(found.labels), len(true.labels), len(self.label_set)
        cells = true.ids.astype(np.int64) * (num_found + 1) + found.ids
        table = np.bincount(cells.ravel(), minlength=(num_true + 1) * (num_found + 1))
        table = table.reshape(num_true + 1, num_found + 1)
        shared, void = table[1:, 1:], table[0, 1:]
        area_true, area_found = table[1:].sum(1), table[:, 1:].sum(0)
        same = true.labels[:, None] == found.labels
        iou = np.where(same & ~true.crowd[:, None], ratio(shared, area_true[:, None] + area_found - shared - void), 0)
        t, f = np.nonzero(iou > _SMALLEST_IOU)
        in_crowd = (shared * (same & true.crowd[:, None])).sum(0)
        wrong = 2 * (void + in_crowd) <= area_found
        wrong[f] = False
        missed = ~true.crowd & (true.labels != _UNSCORED)
        missed[t] = False
        for row, labels in enumerate((true.labels[t], found.labels[wrong], true.labels[missed])):
            self._counts[row] += np.bincount(labels, minlength=num_classes)
        self._iou += np.bincount(true.labels[t], weights=iou[t, f], minlength=num_classes)
        self._num_images += 1

    def _segments(self, image: Segmentation | Segments) -> Segments:
        if isinstance(image, Segments):
            return image
        cut, names = segments(image), image.label_set.names
        if names == self.label_set.names:
            return cut
        if strays := sorted({names[label] for label in cut.labels.tolist()} - set(self.label_set.names)):
            raise InputError(
                f"{', '.join(strays)} of label set {image.label_set.name!r} is not in {self.label_set.name!r} "
                f"({', '.join(self.label_set.names)}); map the labels first"
            )
        ids = [self.label_set.index(names[label]) for label in cut.labels.tolist()]
        return Segments(cut.ids, np.array(ids, np.int64), cut.crowd)

    def report(self) -> PanopticReport:
        """The scores so far."""
        tp, fp, fn = self._counts
        sq, rq = ratio(self._iou, tp), ratio(tp, tp + (fp + fn) / 2)
        # Kirillov's code: a class that occurs but is never matched has SQ 0.
        sq = np.where(np.isnan(sq) & ~np.isnan(rq), 0.0, sq)
        scores = np.stack([sq * rq, sq, rq])
        thing = np.array([label.thing for label in self.label_set], bool)

        def mean(kind: np.ndarray) -> Quality:
            return Quality(*(number_or_none(score) for score in mean_defined(scores[:, kind])))

        return PanopticReport(
            all=mean(np.ones_like(thing)),
            things=mean(thing),
            stuff=mean(~thing),
            per_class={
                name: ClassQuality(
                    *(number_or_none(score) for score in scores[:, i]), tp=int(tp[i]), fp=int(fp[i]), fn=int(fn[i])
                )
                for i, name in enumerate(self.label_set.names)
            },
            num_images=self._num_images,
        )


def panoptic_quality(
    pairs: Iterable[tuple[Segmentation | Segments, Segmentation | Segments]], label_set: LabelSet
) -> PanopticReport:
    """Score pairs of (prediction, truth); see `PanopticScores`.

    Raises:
        InputError: as `PanopticScores.update`.
    """
    scores = PanopticScores(label_set)
    for prediction, truth in pairs:
        scores.update(prediction, truth)
    return scores.report()
