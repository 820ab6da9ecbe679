"""The scores of a finder of objects, gathered image by image."""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from segscape.evaluate import mean_defined
from segscape.evaluate.coco import CocoScores, average_precisions, precision_recall
from segscape.evaluate.image_objects import Instances, check_things, thing_ids
from segscape.evaluate.matching import (
    THRESHOLDS,
    ImageMatches,
    MatchCounts,
    assign,
    count,
    match,
    merging,
    overlaps,
    split_up,
)
from segscape.evaluate.metrics import bootstrap_weights, interval_or_none, number_or_none, percentiles
from segscape.evaluate.panoptic import PanopticScores, truth_from_objects

if TYPE_CHECKING:
    from segscape.data.objects import Objects
    from segscape.labels import LabelSet
    from segscape.result import Segmentation

INTERVALS_AT = (0.5, 0.7)
SIZE_EDGES_PX = (0, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256, 362, 512)  # the last bin has no end


class InstanceScores:
    """All that `segscape.evaluate.instance.InstanceReport` says of images, gathered one by one.

    Args:
        labels: of the data set.
        min_score: from which score on a detection counts outside COCO's scores.
        max_detections: of a class in an image, for COCO's scores without the limit of 100.
    """

    def __init__(self, labels: LabelSet, min_score: float, max_detections: int) -> None:
        self.labels = labels
        self.min_score = min_score
        self.matches: list[ImageMatches] = []
        self._coco = CocoScores(labels.names, max_detections)
        self._panoptic = PanopticScores(labels)
        self._known: set[int] = set()
        self._rows: list[dict[str, Any]] = []
        self._ious: list[float] = []
        self._sizes = np.zeros((2, len(SIZE_EDGES_PX)), np.int64)

    def update(self, name: str, objects: Objects, result: Segmentation, group: str = "") -> None:
        """Add one image.

        Raises:
            DataError: an object's class is stuff.
            InputError: the model has things that the data set has not, or the result has another size than the objects
                or things without score.
        """
        class_ids = thing_ids(result.label_set, self.labels)
        self._known |= set(class_ids.values())
        check_things(objects, self.labels)
        true, found = Instances.true(objects), Instances.found(result, class_ids)
        pairs = overlaps(found, true)
        self._coco.update(found, true)
        self.matches.append(match(found, true, pairs, len(self.labels)))

        pairs = pairs.of(found.scores >= self.min_score)
        detections, matched = assign(pairs.iou)
        self._ious += pairs.iou[detections, matched].tolist()
        bins = np.searchsorted(SIZE_EDGES_PX, np.sqrt(true.areas * 4 / np.pi), "right") - 1
        hit = np.zeros(len(true), bool)
        hit[matched] = True
        for row, which in enumerate((hit & ~true.crowd, ~hit & ~true.crowd)):
            self._sizes[row] += np.bincount(bins[which], minlength=len(SIZE_EDGES_PX))
        merged, split = int(merging(pairs).sum()), int(split_up(pairs).sum())
        self._rows.append({"name": name, "group": group, "merged": merged, "split": split})

        things = [r for r in result.regions if r.label in class_ids and (r.score or 0.0) >= self.min_score]
        kept = replace(result, regions=tuple(things), label_map=None)
        self._panoptic.update(kept, truth_from_objects(objects, self.labels))

    def summary(self, bootstrap: int, seed: int) -> dict[str, Any]:
        """The fields of the report that are scores, by name."""
        by_class = count(self.matches, self.min_score)
        by_image = by_class.sum(1)
        tables = {kind: self._coco.precision(name) for kind, name in (("box", "bbox"), ("mask", "segm"))}
        coco = {kind: _numbers(average_precisions(table)) for kind, table in tables.items()}
        panoptic = self._panoptic.report()
        crowded = self._coco.crowded
        total = self._scores(np.ones(len(self._rows), bool), by_image, bootstrap, seed)
        return {
            **{key: value for key, value in total.items() if key != "num_images"},
            "map_mask": coco["mask"]["map"],
            "map_box": coco["box"]["map"],
            "map_mask_all": coco["mask"]["map_all"] if crowded else None,
            "map_box_all": coco["box"]["map_all"] if crowded else None,
            "coco": coco,
            "matched_iou": statistics.fmean(self._ious) if self._ious else None,
            "pq": panoptic.things.pq,
            "panoptic": panoptic.to_dict(),
            "per_class": {
                label.name: {
                    "objects": int((by_class.tp + by_class.fn)[:, i, 0].sum()),
                    "detections": int((by_class.tp + by_class.fp)[:, i, 0].sum()),
                    "map_box": number_or_none(average_precisions(tables["box"][:, :, [i]])["map"]),
                    "map_mask": number_or_none(average_precisions(tables["mask"][:, :, [i]])["map"]),
                    **_curve(by_class[:, i].sum(0)),
                    "pq": panoptic.per_class[label.name].pq,
                }
                for i, label in enumerate(self.labels)
                if label.thing
            },
            "groups": {
                name: self._scores(np.array([row["group"] == name for row in self._rows]), by_image, bootstrap, seed)
                for name in sorted({row["group"] for row in self._rows} - {""})
            },
            "unknown_classes": tuple(x.name for i, x in enumerate(self.labels) if x.thing and i not in self._known),
            "precision_recall": precision_recall(tables["mask"]),
            "sizes": {"edges_px": SIZE_EDGES_PX, "found": self._sizes[0].tolist(), "missed": self._sizes[1].tolist()},
            "per_image": tuple(self._row(i, by_image[i]) for i in range(len(self._rows))),
            "matches": tuple(self.matches),
        }

    def _row(self, index: int, counts: MatchCounts) -> dict[str, Any]:
        curve = _curve(counts)
        return {**self._rows[index], **_numbers_at_50(counts), "ap50": curve["ap"]["0.50"], "mean_ap": curve["mean_ap"]}

    def _scores(self, chosen: np.ndarray, by_image: MatchCounts, bootstrap: int, seed: int) -> dict[str, Any]:
        """The scores of the chosen images together."""
        images = by_image[chosen]
        total = images.sum(0)
        alone = np.nan_to_num(images.average_precision(), nan=1.0).mean(0)  # nothing there and nothing found is right
        rows = [row for row, use in zip(self._rows, chosen, strict=True) if use]
        return {
            "num_images": len(rows),
            "counts": {
                **_numbers_at_50(total),
                "merged": sum(row["merged"] for row in rows),
                "split": sum(row["split"] for row in rows),
            },
            **_curve(total),
            "ap_interval": _intervals(images, bootstrap, seed),
            "ap_by_image": _by_threshold(alone),
            "mean_ap_by_image": float(alone.mean()),
            "precision": number_or_none(total.precision()[0]),
            "recall": number_or_none(total.recall()[0]),
            "f1": number_or_none(total.f1()[0]),
        }


def _numbers_at_50(counts: MatchCounts) -> dict[str, int]:
    tp, fp, fn = (int(n[0]) for n in (counts.tp, counts.fp, counts.fn))
    return {
        "objects": tp + fn,
        "detections": tp + fp,
        "true_positives": tp,
        "false_positives": fp,
        "missed": fn,
    }


def _curve(counts: MatchCounts) -> dict[str, Any]:
    """AP(t) of (T,) counts and its mean."""
    ap = counts.average_precision()
    return {"ap": _by_threshold(ap), "mean_ap": number_or_none(mean_defined(ap))}


def _intervals(images: MatchCounts, bootstrap: int, seed: int) -> dict[str, tuple[float, float] | None]:
    places = [THRESHOLDS.index(t) for t in INTERVALS_AT]
    ends = np.full((2, len(places)), np.nan)
    if bootstrap and len(images.tp) > 1:
        weights = bootstrap_weights(len(images.tp), bootstrap, seed)
        drawn = MatchCounts(*(weights @ n[:, places].astype(float) for n in (images.tp, images.fp, images.fn)))
        ends = percentiles(drawn.average_precision())
    return {threshold_name(t): interval_or_none(ends[:, i]) for i, t in enumerate(INTERVALS_AT)}


def _by_threshold(scores: np.ndarray) -> dict[str, float | None]:
    return {threshold_name(t): number_or_none(score) for t, score in zip(THRESHOLDS, scores, strict=True)}


def _numbers(scores: dict[str, float]) -> dict[str, float | None]:
    return {name: number_or_none(score) for name, score in scores.items()}


def threshold_name(threshold: float) -> str:
    """How reports name a threshold: "0.50", "0.55" … "0.90"."""
    return f"{threshold:.2f}"
