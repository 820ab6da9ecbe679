"""The part of a data set's check that concerns single objects: their faults with their ids, and their numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from segscape.data.check_report import ObjectStats
from segscape.data.objects import ObjectFault, ObjectScan
from segscape.data.sample import Fault, Item

_PERCENTILES = (5, 25, 50, 75, 95)
_SAY = {
    "bad-box": ("objects whose box is not four finite numbers", "correct them, or remove the boxes"),
    "bad-polygon": ("objects whose outline encloses nothing or cannot be read", "draw them again, or remove them"),
    "bad-mask": (
        "objects whose mask cannot be read or is not of the image's size",
        "export them again, or remove them",
    ),
    "duplicate-id": ("objects whose id another one of the image has", "give each its own"),
    "empty-object": ("objects without a pixel", "they are not used; draw them again, or remove them"),
    "mixed-classes": ("objects with pixels of several classes", "the most frequent one counts; correct the others"),
    "no-mask": ("objects without a mask", "draw their outlines, or remove them"),
    "outside-image": (
        "objects that leave their image",
        "what is outside is cut off; was the image cropped or resized?",
    ),
    "unknown-category": ("objects of a class that is not known", "correct them, or add the class to the list"),
}


@dataclass(frozen=True, slots=True, eq=False)
class ObjectSummary:
    """What a check keeps of the objects of one image.

    Attributes:
        size: (width, height) that they are meant for.
        labels: (N,) int64 class ids.
        areas: (N,) int64 pixels.
        crowd: (N,) bool.
        faults: of single objects.
    """

    size: tuple[int, int]
    labels: np.ndarray
    areas: np.ndarray
    crowd: np.ndarray
    faults: tuple[ObjectFault, ...]

    @classmethod
    def of(cls, scan: ObjectScan) -> ObjectSummary:
        """Of what a data set's source of objects gave."""
        objects = scan.objects
        areas = np.array([mask.area for mask in objects.masks], np.int64)
        return cls((objects.size[1], objects.size[0]), objects.labels, areas, objects.crowd, scan.faults)

    def class_pixels(self, num_classes: int) -> np.ndarray:
        """(num_classes,) int64: pixels of each class, crowds included; where objects overlap, each counts."""
        return np.bincount(self.labels, self.areas, num_classes).astype(np.int64)


def object_faults(images: Sequence[tuple[Item, ObjectSummary]]) -> Iterable[Fault]:
    """One fault for each kind, with the ids of all objects it is about as "item#id"."""
    found: dict[tuple[str, str], list[tuple[Item, ObjectFault]]] = {}
    for item, summary in images:
        for fault in summary.faults:
            found.setdefault((fault.severity, fault.kind), []).append((item, fault))
    for (_, kind), concerned in sorted(found.items()):
        what, fix = _SAY[kind]
        names = tuple(dict.fromkeys(f"{item.name}#{fault.number}" for item, fault in concerned))
        first = concerned[0][1]
        message = f"{what}, {len(names)} (first: {first.message})"
        yield Fault(kind, first.severity, (), message, fix, names)


def object_stats(images: Sequence[ObjectSummary], num_classes: int) -> ObjectStats:
    """The numbers of a split, crowds left out of all but their own."""
    single = [~summary.crowd for summary in images]
    per_image = np.array([np.count_nonzero(kept) for kept in single], np.int64)
    areas = np.concatenate([np.zeros(0, np.int64), *(s.areas[kept] for s, kept in zip(images, single, strict=True))])
    labels = np.concatenate([np.zeros(0, np.int64), *(s.labels[kept] for s, kept in zip(images, single, strict=True))])
    diameters = np.sqrt(4 / np.pi * areas)
    return ObjectStats(
        num_objects=len(areas),
        num_crowds=sum(int(summary.crowd.sum()) for summary in images),
        num_without=int(np.count_nonzero([not len(summary.labels) for summary in images])),
        per_image=(int(per_image.min()), float(np.median(per_image)), int(per_image.max())) if len(images) else None,
        diameters=dict(zip(_PERCENTILES, np.percentile(diameters, _PERCENTILES).tolist(), strict=True))
        if len(areas)
        else {},
        class_objects=np.bincount(labels, minlength=num_classes),
    )
